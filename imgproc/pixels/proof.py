"""What proves that two techniques made the same pixels, read back from the files that they wrote."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from imgproc.functions.operations import Declared, OwnOperation
from imgproc.operations import OPERATIONS
from imgproc.operations.contract import Image
from imgproc.pixels.codecs import decode
from imgproc.pixels.previews import write_preview
from imgproc.pixels.stopwatch import Stopwatch


def pixels_sha256(image: Image) -> str:
    """SHA-256 over ``"{height}x{width}x{channels}:"`` and the bytes in row order."""
    height, width = image.shape[:2]
    channels = 1 if image.ndim == 2 else image.shape[2]
    digest = hashlib.sha256(f"{height}x{width}x{channels}:".encode())
    digest.update(image.data if image.flags.c_contiguous else image.tobytes())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class CheckJob:
    """Output files of one image to be read back: (operation, path, preview path or None).

    ``known``: by operation another file that holds such pixels, as was found before, and their ``pixels_sha256``.
    ``own``: as in ``ImageJob``.
    """

    outputs: tuple[tuple[str, str, str | None], ...]
    color: bool
    known: dict[str, tuple[str, str]] = field(default_factory=dict, hash=False)
    own: tuple[OwnOperation | Declared, ...] = ()


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
        # Edges are gray even of a colour image, and so is all that is made of them.
        image = decode(data, color=job.color and not OPERATIONS[name].gray)
        hashes[name] = pixels_sha256(image)
        if preview:
            write_preview(image, preview)
    return hashes
