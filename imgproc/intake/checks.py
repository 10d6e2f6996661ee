"""What is decided about one untrusted image file, in this very process. Where crashes, hangs and hunger for memory
matter, ``inspector.py`` has it done in processes that may die of it."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from imgproc.errors import UserError
from imgproc.files import write_whole
from imgproc.intake.filetypes import accepted_type, refusal
from imgproc.intake.headers import HEAD, MAX_SCANS, header_size, is_cut, scans
from imgproc.intake.inspector import Inspection
from imgproc.pixels.codecs import decode, still_png
from imgproc.pixels.previews import write_preview

_CUT = "The file ends in the middle of the picture. Copy it again from where it came."
_DAMAGED = "The file is damaged. Copy it again from where it came, or open it in an image editor and save it again."


@dataclass(frozen=True)
class Limits:
    """How large an image may be: ``max_pixels`` is width times height, ``max_side`` the longest side in pixels."""

    max_pixels: int
    max_side: int

    @property
    def max_bytes(self) -> int:
        """The most that 16 bits in each of four channels take, and room for metadata."""
        return 8 * self.max_pixels + (64 << 20)

    def check(self, width: int, height: int) -> None:
        """Raises: UserError: an image of this size is refused."""
        if min(width, height) < 1 or max(width, height) >= 2**31:  # BMP: a negative width
            raise _refused(_DAMAGED)
        if width * height > self.max_pixels:
            limit = self.max_pixels / 1e6
            # Rounded up, so that it never reads like the limit itself.
            megapixels = math.ceil(width * height / 1e5) / 10
            if megapixels <= limit:
                megapixels = width * height / 1e6
            raise _refused(
                f"The image has {megapixels:,.10g} megapixels; the limit is {limit:,.10g}. "
                "Make it smaller, or ask for a higher limit."
            )
        if max(width, height) > self.max_side:
            raise _refused(
                f"The image is {max(width, height):,} pixels long; the limit is {self.max_side:,}. "
                "Make it smaller, or cut it into pieces."
            )


def check_file(path: Path, limits: Limits, preview: Path | None) -> Inspection:
    """The decision about a file; writes the preview of an accepted one.

    Raises:
        OSError: the preview or the rewritten file could not be written.
    """
    return _check(path, limits, preview, decoded=True)


def check_header(path: Path, limits: Limits) -> Inspection:
    """What the header alone says; nothing is decoded, and width and height are as stored."""
    return _check(path, limits, None, decoded=False)


def _check(path: Path, limits: Limits, preview: Path | None, *, decoded: bool) -> Inspection:
    kind, width, height = "", 0, 0
    try:
        kind, data = _read(path, limits, whole=decoded)
        if decoded and kind == "PNG" and (still := still_png(data)) != data:
            # Animation crashes OpenCV's decoder, and text and colour profiles can be floods that nothing here needs.
            write_whole(path, still)
            data = still
        if decoded and kind == "JPEG" and scans(data) > MAX_SCANS:
            raise _refused("The JPEG has too many scans to be a photograph. Save it again in an image editor.")
        size = header_size(kind, data)
        if size is None:
            raise _broken(kind, data)
        width, height = size
        limits.check(width, height)
        if not decoded:
            return Inspection(kind, width, height)
        try:
            # The whole picture in colour, which goes through all of the file and serves the preview.
            image = decode(data, color=True)
        except UserError:
            raise _broken(kind, data) from None
        if sorted(image.shape[:2]) != sorted(size):  # EXIF may turn the picture
            raise _refused(_DAMAGED)
        height, width = image.shape[:2]
    except UserError as problem:
        return Inspection(kind, width, height, problem.message, problem.code)
    del data
    if preview is not None:
        write_preview(image, preview)
    return Inspection(kind, width, height)


def _read(path: Path, limits: Limits, *, whole: bool) -> tuple[str, bytes]:
    """Type and content, or, if not the ``whole``, as much of it as holds the header.

    Raises:
        UserError: it is of no accepted type, or cannot be read.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD)
            if not head:
                raise _refused("The file is empty. Copy it again from where it came.")
            kind = accepted_type(head)
            if kind is None:
                raise UserError(refusal(head), code="unsupported_type")
            size = os.fstat(file.fileno()).st_size
            if size > limits.max_bytes:
                raise _refused(
                    f"The file has {size / 1e6:,.0f} MB; an image within the limits here has at most "
                    f"{limits.max_bytes / 1e6:,.0f}. Make it smaller, or save it as JPEG or PNG."
                )
            # The directory of a TIFF may be anywhere.
            return kind, head + file.read() if whole or kind == "TIFF" else head
    except OSError:
        raise _refused("The file could not be read. Send it again.") from None


def _refused(message: str) -> UserError:
    return UserError(message, code="refused_image")


def _broken(kind: str, data: bytes) -> UserError:
    return _refused(_CUT if is_cut(kind, data) else _DAMAGED)
