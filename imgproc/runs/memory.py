"""Memory as a budget: what is free, what an image takes while it is worked on, and whether as many are worked on at a
time as there are workers."""

from __future__ import annotations

import ctypes
import gc
import heapq
import math
from collections.abc import Sequence
from contextlib import suppress

from imgproc.measure.environment import memory_available
from imgproc.numbers import megapixels, size
from imgproc.operations import OPERATIONS
from imgproc.runs.record import ImageRecord, RunSettings
from imgproc.settings import Settings

#: Bytes for each pixel of an image, or of its result where that is larger, in gray and in colour, decoding and encoding
#: included: a little more than the most of any operation as measured; and where WebP is written or TIFF is read.
GRAY, COLOR = 5.0, 16.0
WEBP, TIFF = 10.0, 24.0
#: What a worker process takes before it has an image, in bytes.
WORKER = 120_000_000
#: Share of what is free that a run takes: others may want some meanwhile.
SHARE = 0.8
#: Share of that which images may take however many workers there are: many of them take less than ``WORKER``, for they
#: share what they were started with, and small images are no reason to do one at a time.
LEAST_SHARE = 0.1


def needed(image: ImageRecord, settings: RunSettings) -> int:
    """Bytes that a worker takes for an image of this size, about."""
    sizes = [OPERATIONS[name].size(image.height, image.width, settings.parameters) for name in settings.operations]
    pixels = max(map(math.prod, [(image.height, image.width), *sizes]))
    each = [COLOR if settings.color else GRAY]
    each += [WEBP] * (settings.format == "webp") + [TIFF] * (image.format == "TIFF")
    return int(pixels * max(each)) + image.bytes


def for_images(app: Settings, workers: int) -> float:
    """Bytes that images may take together that are worked on, beside so many worker processes."""
    limit = app.MEMORY_MB * 1_000_000 or math.inf
    all_ = min(limit, SHARE * memory_available())
    return max(LEAST_SHARE * all_, all_ - workers * WORKER)


def too_much(needs: Sequence[int], workers: int, room: float) -> bool:
    """Whether as many of the images as there are workers may take more than there is."""
    return workers > 1 and sum(heapq.nlargest(workers, needs)) > room


def said(largest: ImageRecord, need: int, room: float) -> str:
    """That fewer are worked on at a time, for the record."""
    return (
        "Memory is short, so fewer images are worked on at a time than there are workers, in every technique: one "
        f"of {megapixels(largest.megapixels)} megapixels takes about {size(need)}, and there are {size(int(room))} for "
        "all."
    )


def give_back() -> None:
    """Let go of what nobody uses any more: what only refers to itself, which keeps pipes of joblib's open until Python
    looks for it, and what the C library keeps. glibc's has an arena for each thread: hundreds of megabytes after
    threads had large images. Others return it by themselves."""
    gc.collect()
    with suppress(AttributeError, OSError, TypeError):  # no glibc
        ctypes.CDLL(None).malloc_trim(0)
