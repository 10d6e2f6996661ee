"""Whole comparisons as the command line makes them, for the programs in this folder."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from imgproc.measure.results import Progress
from imgproc.operations import DEFAULT_OPERATIONS, parse_parameters
from imgproc.runs.execute import process
from imgproc.runs.headers import look_at
from imgproc.runs.passes import RunFolders
from imgproc.runs.record import Record, RunSettings
from imgproc.settings import Settings


def compare(
    files: Sequence[Path],
    *,
    techniques: Sequence[str],
    workers: int,
    rounds: int,
    budget: float,
    previews: bool = False,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Record:
    """The record of one comparison of the techniques (none: of all) on the files; nothing else is kept.

    Args:
        rounds: the fewest; it goes on until all medians are precise, or for ``budget`` seconds.
        previews: make the small pictures for the pages as well, as a run of the web app does.
    """
    asked = RunSettings(
        list(DEFAULT_OPERATIONS),
        parse_parameters({}),
        techniques=list(techniques),
        workers=workers,
        rounds=rounds,
        budget=budget,
    )
    settings = Settings()
    record = Record("0" * 12, "compare", asked, look_at(files, settings))
    with tempfile.TemporaryDirectory(prefix="comparison-") as folder:
        small = Path(folder, "previews") if previews else None
        places = RunFolders(dict(enumerate(files)), Path(folder, "results"), small, Path(folder, "work"))
        process(record, places, settings, progress=progress)
    return record
