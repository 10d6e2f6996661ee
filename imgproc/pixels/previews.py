"""Small pictures of results for the pages, and the proof of their pixels, both from the written files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from imgproc.files import write_whole
from imgproc.operations import OPERATIONS
from imgproc.operations.contract import Image
from imgproc.pixels.codecs import decode
from imgproc.pixels.proof import pixels_sha256
from imgproc.pixels.stopwatch import Stopwatch

#: Longest side of a preview, in pixels.
PREVIEW_SIDE = 1080


@dataclass(frozen=True, slots=True)
class CheckJob:
    """Output files of one image to be read back: (operation, path, preview path or None).

    ``known``: by operation another file that holds such pixels, as was found before, and their ``pixels_sha256``.
    """

    outputs: tuple[tuple[str, str, str | None], ...]
    color: bool
    known: dict[str, tuple[str, str]] = field(default_factory=dict, hash=False)


def check_outputs(job: CheckJob, stopwatch: Stopwatch) -> dict[str, str]:
    """``pixels_sha256`` by operation, read back from the files; writes the previews asked for.

    Never part of a timed pass.
    """
    hashes = {}
    for name, path, preview in job.outputs:
        data = Path(path).read_bytes()
        if name in job.known and data == Path(job.known[name][0]).read_bytes():
            hashes[name] = job.known[name][1]  # the same bytes are the same pixels, and decoding takes long
            continue
        # Edges are gray even of a colour image.
        image = decode(data, color=job.color and not OPERATIONS[name].bilevel)
        hashes[name] = pixels_sha256(image)
        if preview:
            write_preview(image, preview)
    return hashes


def write_preview(image: Image, path: str | Path) -> None:
    """Write the picture as JPEG (WebP takes ten times as long), no side longer than ``PREVIEW_SIDE``."""
    image = _coarse(image)
    height, width = image.shape[:2]
    scale = PREVIEW_SIDE / max(height, width)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])
    if not done:
        raise OSError("the preview could not be encoded")
    write_whole(path, data.tobytes())


def _coarse(image: Image) -> Image:
    """The picture reduced by a whole number, which is fast, to not less than a preview's size."""
    height, width = image.shape[:2]
    step = max(height, width) // PREVIEW_SIDE
    if step < 2 or min(height, width) < step:
        return image
    height, width = height // step, width // step
    whole = image[: height * step, : width * step]
    return np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
