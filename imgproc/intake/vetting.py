"""The child process of ``inspection.py``: looks at one untrusted file after the other.

Started as ``python -m imgproc.intake.vetting MAX_PIXELS MAX_SIDE`` with OPENCV_IO_MAX_IMAGE_PIXELS set; reads
``{"path", "preview"}`` lines, answers each with an ``Inspection`` as a line of JSON, ends with its parent.
"""

from __future__ import annotations

import errno
import json
import math
import os
import signal
import sys
import threading
import warnings
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO

from imgproc.errors import UserError
from imgproc.files import write_whole
from imgproc.intake.filetypes import accepted_type, refusal
from imgproc.intake.headers import HEAD, MAX_SCANS, header_size, is_cut, scans
from imgproc.intake.inspection import Inspection
from imgproc.operations.contract import Image
from imgproc.pixels.codecs import decode, still_png
from imgproc.pixels.inner_threads import pin_threads
from imgproc.pixels.previews import write_preview

_MEBIBYTE = 1 << 20
_LIBRARIES = 256 * _MEBIBYTE  # what decoders need besides pixels: threads, tables, buffers

_CUT = "The file ends in the middle of the picture. Copy it again from where it came."
_DAMAGED = "The file is damaged. Copy it again from where it came, or open it in an image editor and save it again."


class Vetter:
    """Decides about files. ``max_pixels``: width times height; ``max_side``: the longest side in pixels."""

    def __init__(self, max_pixels: int, max_side: int) -> None:
        self.max_pixels = max_pixels
        self.max_side = max_side
        # The most that 16 bits in each of four channels take, and room for metadata.
        self.max_bytes = 8 * max_pixels + 64 * _MEBIBYTE

    def vet(self, path: Path, preview: Path | None) -> Inspection:
        """The decision about a file; writes the preview of an accepted one.

        Raises:
            OSError: the preview or the rewritten file could not be written.
        """
        kind, width, height = "", 0, 0
        try:
            kind, data = self._read(path)
            if kind == "PNG":
                data = _kept_still(path, data)
            if kind == "JPEG" and scans(data) > MAX_SCANS:
                raise _refused("The JPEG has too many scans to be a photograph. Save it again in an image editor.")
            size = header_size(kind, data)
            if size is None:
                raise _broken(kind, data)
            width, height = size
            self._check_size(width, height)
            image = _decode(kind, data)
            if sorted(image.shape[:2]) != sorted(size):  # EXIF may turn the picture
                raise _refused(_DAMAGED)
            height, width = image.shape[:2]
        except UserError as problem:
            return Inspection(kind, width, height, problem.message, problem.code)
        del data
        if preview is not None:
            write_preview(image, preview)
        return Inspection(kind, width, height)

    def look(self, path: Path) -> Inspection:
        """What the header alone says; nothing is decoded, and width and height are as stored."""
        kind, width, height = "", 0, 0
        try:
            kind, data = self._read(path, header=True)
            size = header_size(kind, data)
            if size is None:
                raise _broken(kind, data)
            width, height = size
            self._check_size(width, height)
        except UserError as problem:
            return Inspection(kind, width, height, problem.message, problem.code)
        return Inspection(kind, width, height)

    def _read(self, path: Path, *, header: bool = False) -> tuple[str, bytes]:
        """Type and content, or as much of it as holds the ``header``.

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
                if size > self.max_bytes:
                    raise _refused(
                        f"The file has {size / 1e6:,.0f} MB; an image within the limits here has at most "
                        f"{self.max_bytes / 1e6:,.0f}. Make it smaller, or save it as JPEG or PNG."
                    )
                # The directory of a TIFF may be anywhere.
                return kind, head if header and kind != "TIFF" else head + file.read()
        except OSError:
            raise _refused("The file could not be read. Send it again.") from None

    def _check_size(self, width: int, height: int) -> None:
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


def _refused(message: str) -> UserError:
    return UserError(message, code="refused_image")


def _broken(kind: str, data: bytes) -> UserError:
    return _refused(_CUT if is_cut(kind, data) else _DAMAGED)


def _kept_still(path: Path, data: bytes) -> bytes:
    """The PNG reduced to its still picture, in the file as well.

    Animation crashes OpenCV's decoder, and text and colour profiles can be floods that nothing here needs.
    """
    still = still_png(data)
    if still != data:
        write_whole(path, still)
    return still


def _decode(kind: str, data: bytes) -> Image:
    """The whole picture in colour, which goes through all of the file and serves the preview."""
    try:
        return decode(data, color=True)
    except UserError:
        raise _broken(kind, data) from None


def _limit_process(vetter: Vetter) -> None:
    """Bound this process's memory, and let others go first, where the system can."""
    with suppress(AttributeError, OSError):
        os.nice(10)
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        pages = int(Path("/proc/self/statm").read_bytes().split()[0])
        used = pages * resource.getpagesize()
        # The file twice (a PNG is rewritten), 16 bytes for a decoder's copies of each pixel.
        limit = used + 2 * vetter.max_bytes + 16 * vetter.max_pixels + _LIBRARIES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _private_streams() -> tuple[BinaryIO, BinaryIO]:
    """Requests and answers on descriptors of their own: libraries print on the standard streams."""
    requests, answers = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    return os.fdopen(requests, "rb"), os.fdopen(answers, "wb")


def _ends_with_parent(requests: BinaryIO) -> SimpleQueue[bytes]:
    """Requests as they come in. When the parent is gone this process ends, also in the middle of a picture."""
    lines: SimpleQueue[bytes] = SimpleQueue()

    def read() -> None:
        for line in requests:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    return lines


def _answer(vetter: Vetter, line: bytes) -> dict[str, Any]:
    request = json.loads(line)
    preview = request["preview"]
    try:
        return asdict(vetter.vet(Path(request["path"]), Path(preview) if preview else None))
    except OSError as problem:  # of our own disk, not of the file
        return {"errno": problem.errno or errno.EIO}


def main() -> None:
    # Ctrl-C in a terminal reaches the whole group; the parent decides when its children end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests, answers = _private_streams()
    warnings.simplefilter("ignore")
    pin_threads()
    vetter = Vetter(int(sys.argv[1]), int(sys.argv[2]))
    _limit_process(vetter)
    lines = _ends_with_parent(requests)
    answer: dict[str, Any] = {"ready": True}
    while True:
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()
        answer = _answer(vetter, lines.get())


if __name__ == "__main__":
    main()
