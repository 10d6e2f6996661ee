"""The report of a run: one HTML file with all that it needs in it, to print, to hand in and to open anywhere."""

from __future__ import annotations

import base64
import hashlib
import mimetypes
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

from imgproc import __version__
from imgproc.installation import PAGES
from imgproc.numbers import FILTERS
from imgproc.operations import OPERATIONS
from imgproc.report import charts, commands, conditions, exercise, page
from imgproc.report.sentences import spoken
from imgproc.runs.notes import Notes
from imgproc.runs.record import Record

#: The appendix names so many images; run.json has them all.
MOST_IMAGES = 60


def document(
    record: Record, folder: Path | None = None, *, back: str = "", notebook: str = "", script: str = ""
) -> str:
    """The report as HTML.

    Args:
        folder: that of the run's results; the report shows its first picture where previews lie there, and its
            owner's name and note of it.
        back: the address of the run's page, for a report that is shown on the site: it then has a bar with links.
        notebook, script: the addresses of the report as a notebook, for that bar, and of the bar's script.
    """
    template = _templates().get_template("report.html")
    figures = [] if record.mode == "sequential" else charts.figures(record)
    return template.render(
        run=record,
        **page.told(record),
        figures=figures,
        drawn={made.name: _data(charts.figure(record, made.name), "image/svg+xml") for made in figures},
        pictures=_pictures(record, folder) if folder else [],
        notes=Notes.load(folder) if folder else Notes(),
        question=exercise.question(record),
        discussion=exercise.discussion(record),
        command=commands.command(record),
        seed=conditions.seed_sentence(record),
        shown=record.images[:MOST_IMAGES],
        version=__version__,
        style=_style(),
        back=back,
        notebook=notebook,
        script=script,
    )


def style_hash() -> str:
    """The report's own styles as a source that a Content-Security-Policy can name."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()}'"


@cache
def _style() -> str:
    return (PAGES / "static" / "report.css").read_text(encoding="utf-8")


@cache
def _templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(PAGES / "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    made.filters.update(FILTERS, spoken=spoken)
    return made


def _data(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _pictures(record: Record, folder: Path) -> list[dict[str, Any]]:
    """The first image that has previews, and its results: a caption and the picture itself."""
    for image in record.good_images:
        labels = {o.preview: OPERATIONS[o.operation].result for o in image.outputs if o.operation in OPERATIONS}
        named = [(image.name, image.preview), *((label, file) for file, label in labels.items())]
        found = [
            {"caption": caption, "data": _data(path.read_bytes(), mimetypes.guess_type(path)[0] or "image/jpeg")}
            for caption, file in named
            if file and (path := folder / "previews" / Path(file).name).is_file()
        ]
        if len(found) > 1:
            return found
    return []
