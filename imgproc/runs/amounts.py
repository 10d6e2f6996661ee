"""The amounts of work of a run over batch sizes: which there are, and on which images each is measured."""

from __future__ import annotations

from collections.abc import Sequence

from imgproc.measure.protocol import Contender
from imgproc.numbers import counted, listed
from imgproc.runs.record import ImageRecord, Record

#: Why a batch has no figures, where that is so.
NO_TIME = "the time budget had no room for rounds of so many images"


def is_over_work(record: Record) -> bool:
    """Whether the run is over more and more work, not over workers."""
    return record.mode == "scale" and record.settings.over != "workers"


def largest_batch(record: Record) -> int:
    """How many images the largest batch has: what the points say, but no more than there are."""
    there = len(record.good_images)
    return min(there, int(max(record.settings.points))) if record.settings.points else there


def smaller_batches(record: Record) -> list[float]:
    """How many images the others have: those of the points, or 1, 2, 4 and so on."""
    most = largest_batch(record)
    asked = record.settings.points or [float(2**k) for k in range(most.bit_length())]
    return [size for size in asked if size < most]


def too_large(record: Record) -> str:
    """Which points have more images than there are, in a sentence; empty where none has."""
    there = len(record.good_images)
    above = [f"{size:g}" for size in record.settings.points if size > there] if is_over_work(record) else []
    if not above:
        return ""
    return f"There were {counted(there, 'image')}, so batches of {listed(above)} were left out."


def images_of(contender: Contender, images: Sequence[ImageRecord]) -> list[ImageRecord]:
    """Those of the measured images that a contender's passes go over: all, or as many as its batch has, evenly over
    their sizes."""
    return list(images) if contender.point is None else spread(images, int(contender.point))


def spread(images: Sequence[ImageRecord], count: int) -> list[ImageRecord]:
    """So many of the images, or all, evenly over their sizes."""
    if count >= len(images):
        return list(images)
    by_size = sorted(images, key=lambda image: (image.megapixels, image.index))
    return [by_size[int((k + 0.5) * len(images) / count)] for k in range(count)]


def note_work(contender: Contender, images: Sequence[ImageRecord]) -> None:
    """Say in its measurement how much work the rounds of an amount have."""
    if contender.point is not None:
        m, own = contender.measurement, images_of(contender, images)
        m.images, m.megapixels = len(own), sum(image.megapixels for image in own)
