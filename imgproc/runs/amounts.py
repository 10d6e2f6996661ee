"""The amounts of work of a run over batch sizes, image sizes or tasks handed over at a time: which there are, and on
what each is measured."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from imgproc.errors import UserError
from imgproc.measure.environment import usable_cores
from imgproc.measure.protocol import Contender
from imgproc.numbers import counted, listed, megapixels
from imgproc.operations.contract import Image
from imgproc.pixels.codecs import decode, encode
from imgproc.runs.passes import Passes
from imgproc.runs.record import ImageRecord, Record

#: Why a batch has no figures, where that is so.
NO_TIME = "the time budget had no room for rounds of so many images"
#: The same of tasks handed over at a time.
NO_TIME_AT_ONCE = "the time budget had no room for rounds of so many that each worker would have a batch of them"
#: The sizes of images unless told otherwise, in megapixels: those of them that all images have.
_SIZES = tuple(2.0**power for power in range(-4, 8))


def is_over_work(record: Record) -> bool:
    """Whether the run is over more and more work, not over workers."""
    return record.mode == "scale" and record.settings.over != "workers"


def counts_over_work(record: Record) -> list[int]:
    """The numbers of workers of a run over more and more work, the most first: those that were asked for and have a
    core each, which any that has none would say nothing of."""
    asked = record.settings
    return sorted({asked.workers, *(n for n in asked.worker_counts if n <= usable_cores())}, reverse=True)


def largest_batch(record: Record) -> int:
    """How many images the largest batch has: what the points say, but no more than there are."""
    there, asked = len(record.good_images), record.settings
    return min(there, int(max(asked.points))) if asked.over == "images" and asked.points else there


def grains(record: Record) -> list[int]:
    """How many tasks a worker is handed at a time, in a run over that, the fewest first: what the points say, but no
    more than there are, or doubling until each worker has one batch.

    Raises:
        UserError: the points are all beyond what there is.
    """
    most, asked = record.total, [int(point) for point in record.settings.points]
    if not asked:
        return [2**k for k in range(max(1, most // record.settings.workers).bit_length())]
    if not (found := [size for size in asked if size <= most]):
        raise UserError(
            f"There are {counted(most, record.unit)}, so {asked[0]} cannot be handed over at once. Give more of them, "
            "or smaller points.",
            field="points",
        )
    return found


def amounts_of(record: Record) -> list[float]:
    """The amounts that are measured beside the whole work: sizes of smaller batches, or of images in megapixels; how
    many more tasks are handed over at a time.

    Raises:
        UserError: no image is large enough for a size.
    """
    asked = record.settings.points
    if record.settings.over == "task":
        return [float(size) for size in grains(record)[1:]]
    if record.settings.over == "images":
        most = largest_batch(record)
        return [size for size in asked or [float(2**k) for k in range(most.bit_length())] if size < most]
    most_megapixels = _smallest(record)
    found = [size for size in asked or _SIZES if size <= most_megapixels]
    if not found:
        raise UserError(
            f"The smallest of the images has {megapixels(most_megapixels)} megapixels, which is less than the smallest "
            f"size to measure, {(asked or _SIZES)[0]:g}. Give larger images, or smaller sizes.",
            field="points",
        )
    return found


def called(record: Record, amount: float) -> str:
    """What an amount adds to a label: 8 images."""
    if record.settings.over == "task":
        return f"{amount:g} at a time"
    return counted(int(amount), "image") if record.settings.over == "images" else f"{amount:g} megapixels"


def too_large(record: Record) -> str:
    """Which points are beyond the images there are, in a sentence; empty where none is."""
    asked, there = record.settings, record.total
    if not is_over_work(record):
        return ""
    most = _smallest(record) if asked.over == "megapixels" else there
    if not (above := [f"{size:g}" for size in asked.points if size > most]):
        return ""
    if asked.over == "task":
        return f"There were {counted(there, record.unit)}, so handing over {listed(above)} at a time was left out."
    if asked.over == "images":
        return f"There were {counted(there, 'image')}, so batches of {listed(above)} were left out."
    return (
        f"The smallest of the images has {megapixels(most)} megapixels, so sizes of {listed(above)} were left out: "
        "images are never enlarged."
    )


def without_core(record: Record) -> str:
    """Which numbers of workers are left out, in a sentence; empty where none is."""
    if not is_over_work(record):
        return ""
    asked, there = record.settings.worker_counts, counts_over_work(record)
    if not (above := [str(count) for count in asked if count not in there]):
        return ""
    cores = counted(usable_cores(), "core")
    return (
        f"This machine has {cores}, so {listed(above)} workers were left out: what workers without a core of their own "
        "would need says nothing of how work has to grow."
    )


def _smallest(record: Record) -> float:
    return min(image.megapixels for image in record.good_images)


def amount_of(contender: Contender, record: Record) -> float | None:
    """Which part of the work a contender's passes are of; None: all of it, however it is handed over."""
    return None if record.settings.over == "task" else contender.point


def part_of(contender: Contender, record: Record, images: Sequence[ImageRecord]) -> float:
    """Of the work of a pass over the images, the share that one of a contender has."""
    if amount_of(contender, record) is None:
        return contender.copies
    assert contender.point is not None
    if record.settings.over == "images":
        return min(1.0, contender.point / len(images))
    return contender.point * len(images) / sum(image.megapixels for image in images)


def spread(images: Sequence[ImageRecord], count: int) -> list[ImageRecord]:
    """So many of the images, or all, evenly over their sizes."""
    if count >= len(images):
        return list(images)
    by_size = sorted(images, key=lambda image: (image.megapixels, image.index))
    return [by_size[int((k + 0.5) * len(images) / count)] for k in range(count)]


@dataclass(frozen=True)
class Work:
    """What a pass goes over: images, with the passes that know where their files are."""

    passes: Passes
    images: list[ImageRecord]


class Amounts:
    """The work of every contender of a run: all measured images, a batch of them, or parts of them as files of their
    own, which are made here and lie in the run's folder of work."""

    def __init__(self, passes: Passes, images: Sequence[ImageRecord]) -> None:
        """
        Args:
            images: those that are measured.
        """
        self.whole = Work(passes, list(images))
        self._cut: dict[float, Work] = {}
        if is_over_work(passes.record) and passes.record.settings.over == "megapixels":
            self._cut = cut(self.whole, amounts_of(passes.record))

    def of(self, contender: Contender) -> Work:
        """That of one contender."""
        amount = amount_of(contender, self.whole.passes.record)
        if amount is None:
            return self.whole
        if amount in self._cut:
            return self._cut[amount]
        return Work(self.whole.passes, spread(self.whole.images, int(amount)))

    def note(self, contenders: Sequence[Contender]) -> None:
        """Say in the measurements of amounts how much work their rounds have, where it is not all."""
        for contender in contenders:
            if amount_of(contender, self.whole.passes.record) is None:
                continue
            m, images = contender.measurement, self.of(contender).images
            m.images, m.megapixels = len(images), sum(image.megapixels for image in images)


def cut(whole: Work, sizes: Sequence[float]) -> dict[float, Work]:
    """The middle of every image as a PNG file of its own, of each size in megapixels: what the run reads of the image,
    gray or in colour, without any loss, in the shape of the image as near as whole pixels allow."""
    passes, settings = whole.passes, whole.passes.record.settings
    folder = passes.folders.work / "sizes"
    folder.mkdir(parents=True, exist_ok=True)

    def parts(image: ImageRecord) -> list[ImageRecord]:
        data = passes.folders.sources[image.index].read_bytes()
        return [*_parts(image, decode(data, color=settings.color, depth=settings.depth), sizes, folder)]

    passes.tracker.cutting(len(whole.images))
    made = []
    with ThreadPoolExecutor(usable_cores()) as pool:
        for found in pool.map(parts, whole.images):
            made.append(found)
            passes.tracker.image_done()
    works = {}
    for number, size in enumerate(sizes):
        images = [found[number] for found in made]
        works[size] = Work(passes.over({image.index: folder / image.stored for image in images}), images)
    return works


def _parts(image: ImageRecord, pixels: Image, sizes: Sequence[float], folder: Path) -> Iterator[ImageRecord]:
    """The image's part of each size, written."""
    for number, size in enumerate(sizes):
        data, name = encode(part := middle(pixels, size), "png"), f"{image.index}-{number}.png"
        (folder / name).write_bytes(data)
        yield replace(
            image, width=part.shape[1], height=part.shape[0], format="PNG", bytes=len(data), stored=name,
            outputs=[replace(output, pixels_sha256=None) for output in image.outputs],
        )  # fmt: skip


def middle(pixels: Image, size: float) -> Image:
    """The middle of an image, of so many megapixels, all of which it has, in its shape.

    Args:
        pixels: (height, width) or (height, width, 3).

    Returns:
        A view of them, of the same type.
    """
    height, width = pixels.shape[:2]
    rows = min(height, max(1, round(height * math.sqrt(size * 1e6 / (height * width)))))
    columns = min(width, max(1, round(size * 1e6 / rows)))
    top, left = (height - rows) // 2, (width - columns) // 2
    return pixels[top : top + rows, left : left + columns]
