"""What is decided about one untrusted image file, in this very process. Where crashes, hangs and hunger for memory
matter, ``inspector.py`` has it done in processes that may die of it."""

from __future__ import annotations

import io
import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from imgproc.errors import UserError
from imgproc.files import write_whole
from imgproc.intake.inspector import Inspection
from imgproc.pixels.codecs import decode
from imgproc.pixels.filetypes import accepted_type, refusal
from imgproc.pixels.formats import DAMAGED, png, read_header
from imgproc.pixels.formats.contract import Header, Wanted, refused
from imgproc.pixels.formats.depth import HIGH_BYTE
from imgproc.pixels.formats.jpeg import MAX_SCANS, scans
from imgproc.pixels.previews import write_preview

_BEGINNING = 4096  # bytes that tell what a file is
_UNREADABLE = Inspection(error="The file could not be read. Send it again.", code="refused_image")
_BYTES_PER_PIXEL = 16  # that samples may take while a picture of the largest size is decoded
#: The way out for whoever cannot set the limit; where a flag does, it is named instead.
HIGHER_LIMIT = "ask for a higher limit"


@dataclass(frozen=True)
class Limits:
    """How large an image may be: ``max_pixels`` is width times height, ``max_side`` the longest side in pixels."""

    max_pixels: int
    max_side: int

    @property
    def max_bytes(self) -> int:
        """The most that 16 bits in each of four channels take, and room for metadata."""
        return 8 * self.max_pixels + (64 << 20)

    def check(self, header: Header) -> None:
        """Raises: UserError: an image of this size is refused."""
        width, height = header.width, header.height
        if min(width, height) < 1 or max(width, height) >= 2**31:  # BMP: a negative width
            raise refused(DAMAGED)
        if width * height > self.max_pixels:
            limit = self.max_pixels / 1e6
            # Rounded up, so that it never reads like the limit itself.
            megapixels = math.ceil(width * height / 1e5) / 10
            if megapixels <= limit:
                megapixels = width * height / 1e6
            raise refused(
                f"The image has {megapixels:,.10g} megapixels; the limit is {limit:,.10g}. "
                f"Make it smaller, or {HIGHER_LIMIT}."
            )
        if max(width, height) > self.max_side:
            raise refused(
                f"The image is {max(width, height):,} pixels long; the limit is {self.max_side:,}. "
                "Make it smaller, or cut it into pieces."
            )
        if header.stored_bytes > _BYTES_PER_PIXEL * self.max_pixels:
            raise refused(
                f"The image has {header.samples} samples of {header.bits} bits a pixel, in all "
                f"{header.stored_bytes / 1e6:,.0f} MB; the limit is {_BYTES_PER_PIXEL * self.max_pixels / 1e6:,.0f}. "
                "Save fewer bands or bits of it."
            )


def check_file(path: Path, limits: Limits, preview: Path | None, depth: str = HIGH_BYTE) -> Inspection:
    """The decision about a file that is to be decoded by this depth; writes preview and thumbnail of an accepted one.

    Raises:
        OSError: the preview or the rewritten file could not be written.
    """
    try:
        with _opened(path, limits) as file:
            data = file.read()
    except UserError as problem:
        return Inspection(error=problem.message, code=problem.code)
    except OSError:
        return _UNREADABLE
    found, header = _by_header(io.BytesIO(data), limits, depth)
    if header is None:
        return found
    try:
        width, height = _by_pixels(path, data, found.format, header, depth, preview)
    except UserError as problem:
        return replace(found, error=problem.message, code=problem.code)
    return replace(found, width=width, height=height)


def check_header(path: Path, limits: Limits, depth: str = HIGH_BYTE) -> Inspection:
    """What the header alone says; nothing is decoded."""
    try:
        with _opened(path, limits) as file:
            return _by_header(file, limits, depth)[0]
    except UserError as problem:
        return Inspection(error=problem.message, code=problem.code)
    except OSError:
        return _UNREADABLE


def _opened(path: Path, limits: Limits) -> BinaryIO:
    """The file, if it is not too long.

    Raises:
        OSError: it cannot be read.
        UserError: it is longer than any image within the limits.
    """
    file = open(path, "rb")  # noqa: SIM115 - the caller closes it
    size = os.fstat(file.fileno()).st_size
    if size > limits.max_bytes:
        file.close()
        raise refused(
            f"The file has {size / 1e6:,.0f} MB; the limit for files here is {limits.max_bytes / 1e6:,.0f}. "
            "Save its first picture by itself, make it smaller, or save it as JPEG or PNG."
        )
    return file


def _by_header(file: BinaryIO, limits: Limits, depth: str) -> tuple[Inspection, Header | None]:
    """What a file's beginning and header say; no header where they refuse it.

    Raises:
        OSError: it cannot be read.
    """
    found, header = Inspection(), None
    try:
        head = file.read(_BEGINNING)
        if not head:
            raise refused("The file is empty. Copy it again from where it came.")
        kind = accepted_type(head)
        if kind is None:
            raise UserError(refusal(head), code="unsupported_type")
        found = Inspection(kind)
        header = read_header(file, kind, Wanted(depth=depth))
        found = Inspection(kind, *header.upright)
        limits.check(header)
    except UserError as problem:
        return replace(found, error=problem.message, code=problem.code), None
    return found, header


def _by_pixels(path: Path, data: bytes, kind: str, header: Header, depth: str, preview: Path | None) -> tuple[int, int]:
    """The whole picture in colour, which goes through all of the file and serves the preview; its width and height.

    Raises:
        OSError: the preview or the rewritten file could not be written.
        UserError: the file is refused.
    """
    if kind == "PNG" and (still := png.still(data)) != data:
        # Animation crashes OpenCV's decoder, and text and colour profiles can be floods that nothing here needs.
        write_whole(path, still)
        data = still
    if kind == "JPEG" and scans(data) > MAX_SCANS:
        raise refused("The JPEG has too many scans to be a photograph. Save it again in an image editor.")
    image = decode(data, color=True, depth=depth)
    height, width = image.shape[:2]
    if (width, height) != header.upright:
        raise refused(DAMAGED)
    if preview is not None:
        write_preview(image, preview, thumbnail=True)
    return width, height
