"""The images of a run as far as their headers tell; each is decoded only once, by the worker that processes it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from imgproc.intake.checks import Limits, check_header
from imgproc.pixels.formats.depth import HIGH_BYTE
from imgproc.runs.record import ImageRecord
from imgproc.settings import Settings


def look_at(
    files: Sequence[Path], settings: Settings, depth: str = HIGH_BYTE, folders: Sequence[str] = ()
) -> list[ImageRecord]:
    """An image for each file, in order; one that cannot be used says why. ``folders``: of each the folder of its
    results, if they have any.

    Raises:
        OSError: a file is not there any more.
    """
    limits = Limits(settings.max_pixels, settings.MAX_SIDE)
    images = [_look_at(index, file, limits, depth) for index, file in enumerate(files)]
    for image, folder in zip(images, folders, strict=False):
        image.folder = folder
    return images


def _look_at(index: int, file: Path, limits: Limits, depth: str) -> ImageRecord:
    look = check_header(file, limits, depth)
    size = file.stat().st_size
    # A name need not be text on every system; what is shown must be.
    name = os.fsencode(file).decode(errors="replace")
    return ImageRecord(index, name, look.width, look.height, look.format, size, look.error, look.code)
