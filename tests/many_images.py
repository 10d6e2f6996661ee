"""Many images from few files, and the proof that each was done once and rightly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imgproc.intake.samples import draw_many
from imgproc.operations import DEFAULT_OPERATIONS, parse_parameters
from imgproc.pixels.job import ImageJob, process_image
from imgproc.pixels.stopwatch import Stopwatch
from tests.file_contents import contents


def many_images(folder: Path, count: int, side: int) -> list[ImageJob]:
    """Jobs of so many images, four different ones of about ``side`` x ``side`` pixels, in folders below this one."""
    pictures = sorted(draw_many(folder / "in", 4, side * side / 1e6, 1, 1))
    return [_job(pictures[n % len(pictures)], folder, str(n)) for n in range(count)]


def assert_done(jobs: Sequence[ImageJob], folder: Path) -> None:
    """Every output of every job is there, with what it holds when this process makes it."""
    expected = {}
    for number, source in enumerate(dict.fromkeys(job.source for job in jobs)):
        job = _job(Path(source), folder, f"expected-{number}")
        process_image(job, Stopwatch())
        expected[source] = [contents(path) for _, path in job.outputs]
    for job in jobs:
        assert [contents(path) for _, path in job.outputs] == expected[job.source]


def _job(source: Path, folder: Path, name: str) -> ImageJob:
    outputs = tuple((operation, str(folder / f"{name}_{operation}.png")) for operation in DEFAULT_OPERATIONS)
    return ImageJob(str(source), outputs, parse_parameters({}))
