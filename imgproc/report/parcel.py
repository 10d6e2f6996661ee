"""What goes along with the results of a run in one zip: what it says, as text, data, tables and figures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from imgproc.report import charts
from imgproc.report.tables import techniques
from imgproc.report.text import summary
from imgproc.runs.archive import File, rounds_csv
from imgproc.runs.notes import FILE as NOTES
from imgproc.runs.record import Record


def parcel(record: Record, folder: Path, *, about: bool) -> list[File]:
    """The files of the zip, the results first; none where there are no results.

    Args:
        folder: that of the run, with its run.json and its images.
        about: what the run says goes along, in a folder of that name.
    """
    images = folder / "images"
    made = [output.file for image in record.good_images for output in image.outputs]
    files: list[File] = [(name, images / name) for name in made if (images / name).is_file()]
    return [*files, *_about(record, folder)] if files and about else files


def _about(record: Record, folder: Path) -> Iterator[File]:
    yield "about/summary.txt", summary(record).encode()
    yield "about/run.json", folder / "run.json"
    if (folder / NOTES).is_file():
        yield f"about/{NOTES}", folder / NOTES
    if not record.techniques:
        return
    yield "about/techniques.csv", techniques(record).csv().encode()
    yield "about/rounds.csv", rounds_csv(record).encode()
    for made in charts.figures(record) if record.mode != "sequential" else ():
        yield f"about/{made.name}.svg", charts.kept(record, folder, made.name)
