"""What proves that two techniques made the same pixels, read back from the files that they wrote."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from imgproc.functions.operations import Declared, OwnOperation
from imgproc.operations import OPERATIONS
from imgproc.operations.contract import Image
from imgproc.pixels.codecs import decode
from imgproc.pixels.previews import shown_share, write_preview
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


class Checked(NamedTuple):
    """An output file as it was read back; ``shown``: the ``shown_share`` of its preview, where one was made."""

    pixels_sha256: str
    shown: float | None = None


def check_outputs(job: CheckJob, stopwatch: Stopwatch) -> dict[str, Checked]:
    """By operation what was read back from the files; writes the previews asked for.

    Never part of a timed pass.
    """
    found = {}
    for name, path, preview in job.outputs:
        data = Path(path).read_bytes()
        if name in job.known and data == Path(job.known[name][0]).read_bytes():
            found[name] = Checked(job.known[name][1])  # the same bytes are the same pixels, and decoding takes long
            continue
        # Edges are gray even of a colour image, and so is all that is made of them.
        image = decode(data, color=job.color and not OPERATIONS[name].gray)
        shown = round(shown_share(write_preview(image, preview)), 4) if preview else None
        found[name] = Checked(pixels_sha256(image), shown)
    return found
