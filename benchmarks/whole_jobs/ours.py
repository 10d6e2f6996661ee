"""This project's techniques as whole jobs, for ``child.py``; also of a commit of the past, whose names were others."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.whole_jobs.programs import Job
from imgproc.backends import TECHNIQUES
from imgproc.measure.protocol import Contender, Pass
from imgproc.runs.passes import Passes
from imgproc.runs.progress import Tracker
from imgproc.runs.record import ImageRecord, OutputRecord, Record, RunSettings
from imgproc.settings import Settings

DEADLINE = 600.0  # seconds for one image


def technique(name: str, workers: int, png_encoder: str) -> Job:
    """A technique, warm, with a run's own plan of whole images and strips.

    Reading the headers, which the plan is made from, is part of the job.

    Args:
        png_encoder: of all of ours that are compared, as in a run; a commit that knows only one ignores it.
    """
    operations, parameters, look_at, carry_out = _names_of_this_commit()
    contender = Contender(TECHNIQUES[name], workers, deadline=DEADLINE)
    atexit.register(contender.close)
    contender.start()

    def job(files: Sequence[str], out: str) -> int:
        record = Record("0" * 12, "compare", RunSettings(operations, parameters, workers=workers))
        record.environment["png_encoder"] = png_encoder
        for index, path in enumerate(map(Path, files)):
            look = look_at(path)
            outputs = [OutputRecord(operation, f"{index:04d}_{operation}.png") for operation in operations]
            record.images.append(
                ImageRecord(
                    index, path.name, look.width, look.height, look.format, path.stat().st_size, outputs=outputs
                )
            )
        done = carry_out(record, dict(enumerate(map(Path, files))), Path(out), contender)
        if errors := [result.error for result in done.results if result.error]:
            raise RuntimeError(errors[0])
        return 0

    return job


CarryOut = Callable[[Record, dict[int, Path], Path, Contender], Pass]


def _names_of_this_commit() -> tuple[list[str], dict[str, Any], Callable[[Path], Any], CarryOut]:
    """The operations, their parameters, what looks at a header, and what carries out a pass."""
    settings = Settings()
    try:
        from imgproc.intake.checks import Limits, check_header
        from imgproc.operations import DEFAULT_OPERATIONS, parse_parameters
        from imgproc.runs.passes import RunFolders
    except ImportError:
        return _names_of_5cdea43(settings)
    limits = Limits(settings.max_pixels, settings.MAX_SIDE)

    def carry_out(record: Record, sources: dict[int, Path], out: Path, contender: Contender) -> Pass:
        tracker = Tracker(lambda _: None, rounds=1, budget=0, contenders=1)
        passes = Passes(record, RunFolders(sources, out, None, out), tracker)
        return passes.run_pass(contender, record.images, out, "measured")

    return list(DEFAULT_OPERATIONS), parse_parameters({}), lambda path: check_header(path, limits), carry_out


def _names_of_5cdea43(settings: Any) -> tuple[list[str], dict[str, Any], Callable[[Path], Any], CarryOut]:
    from imgproc.image.operations import OPERATIONS, parse_parameters
    from imgproc.image.vetting import Vetter

    from imgproc.runs import passes as of_runs

    def carry_out(record: Any, sources: dict[int, Path], out: Path, contender: Any) -> Any:
        tracker: Any = Tracker
        tracker = tracker(lambda _: None, rounds=1, budget=0, contenders=1)
        folders = of_runs.Places(sources, out, None, out)
        passes: Any = of_runs.Passes
        return passes(record, folders, DEADLINE, tracker, lambda: False).over(contender, record.images, out, "measured")

    vetter = Vetter(settings.max_pixels, settings.MAX_SIDE)
    return list(OPERATIONS), parse_parameters({}), vetter.look, carry_out
