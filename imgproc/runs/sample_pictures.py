"""A run on sample pictures: they are drawn by the runner, then vetted like any upload."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from imgproc.intake.samples import draw_many
from imgproc.measure.environment import usable_cores
from imgproc.measure.results import Progress
from imgproc.runs.progress import Cancelled, OnProgress
from imgproc.runs.record import Record
from imgproc.runs.uploads import vet
from imgproc.settings import Settings


def draw_samples(
    record: Record,
    uploads: Path,
    previews: Path,
    settings: Settings,
    *,
    progress: OnProgress,
    cancelled: Callable[[], bool],
) -> None:
    """Draw ``record.settings.samples`` pictures and make them the record's images.

    Raises:
        Cancelled: ``cancelled`` said so.
    """
    count, about, cores = record.settings.samples, record.settings.sample_megapixels, usable_cores()
    folder = uploads / "samples"
    progress(Progress("drawing", images_total=count))
    with closing(draw_many(folder, count, about, 0, cores)) as drawn:
        for done, _ in enumerate(drawn, 1):
            if cancelled():
                raise Cancelled
            progress(Progress("drawing", images_done=done, images_total=count))
    files = sorted(folder.iterdir())
    record.images = vet([(file.name, file) for file in files], uploads, previews, settings, processes=cores)
    folder.rmdir()
