"""What the bytes of an untrusted image say before anything is decoded. Runs in the expendable child only."""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from PIL import Image as Pillow

#: A JPEG of more scans is made to keep decoders busy; real ones have about ten.
MAX_SCANS = 500
#: Enough for the header of most files, so that a long one need not be searched whole.
HEAD = 1 << 20

_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # what ends a scan's data
_NO_LENGTH = (0x01, 0xD8)  # markers without a segment
_EOI, _SOS = 0xD9, 0xDA

# Pillow's own limit warns and raises; ours has words for people.
Pillow.MAX_IMAGE_PIXELS = None
# So has every refusal; what Pillow says on the way would reach the terminal.
logging.getLogger("PIL").setLevel(logging.CRITICAL + 1)


def scans(data: bytes) -> int:
    """How many scans a JPEG has, or at least no fewer; counting stops soon after ``MAX_SCANS``."""
    count = data.count(b"\xff\xda")
    if count <= MAX_SCANS:  # the usual case, and fast
        return count
    # Metadata and what follows the picture (a phone's short film) hold these bytes by chance, so go by segments.
    at, count = 2, 0
    while count <= MAX_SCANS and (found := _MARKER.search(data, at)):
        marker, at = data[found.end() - 1], found.end()
        if marker == _EOI:
            break
        if marker not in _NO_LENGTH:
            at += int.from_bytes(data[at : at + 2], "big")
        count += marker == _SOS
    return count


def header_size(kind: str, data: bytes) -> tuple[int, int] | None:
    """Width and height as the header has them, nothing decoded; None if it is damaged."""
    if kind == "WebP":  # Pillow would set aside memory for the whole picture
        return _webp_size(data)
    # The directory of a TIFF may be anywhere.
    for part in (data,) if kind == "TIFF" or len(data) <= HEAD else (data[:HEAD], data):
        try:
            with _opened(kind, part) as image:
                return image.size
        except Exception:  # noqa: S112 - Pillow raises errors of any kind on damaged headers
            continue
    return None


@contextmanager
def _opened(kind: str, data: bytes) -> Iterator[Pillow.Image]:
    """The image as Pillow sees its header, without the warnings that its damage may cause."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Pillow.open(io.BytesIO(data), formats=(kind,)) as image:
            yield image


def _webp_size(data: bytes) -> tuple[int, int] | None:
    chunk = data[12:16]
    if chunk == b"VP8X" and len(data) >= 30:
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if chunk == b"VP8L" and len(data) >= 25 and data[20] == 0x2F:
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk == b"VP8 " and len(data) >= 30 and data[23:26] == b"\x9d\x01\x2a":
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    return None


def is_cut(kind: str, data: bytes) -> bool:
    """Whether a file that cannot be decoded lacks its end, going by its structure."""
    if kind == "JPEG":  # the end marker after the last scan; a thumbnail before it has its own
        return data.rfind(b"\xff\xd9") <= data.rfind(b"\xff\xda")
    if kind == "PNG":
        return b"IEND" not in data
    if kind == "GIF":
        return not data.rstrip(b"\0").endswith(b";")
    if kind == "WebP":
        return int.from_bytes(data[4:8], "little") + 8 > len(data)
    if kind == "BMP":
        return int.from_bytes(data[2:6], "little") > len(data)
    order: Literal["little", "big"] = "little" if data.startswith(b"II") else "big"
    return int.from_bytes(data[4:8], order) + 2 > len(data) or _lacks_strips(data)


def _lacks_strips(data: bytes) -> bool:
    try:
        with _opened("TIFF", data) as image:
            tags: Any = image.tag_v2  # type: ignore[attr-defined]
            offsets, counts = tags.get(273) or tags[324], tags.get(279) or tags[325]
            return any(offset + count > len(data) for offset, count in zip(offsets, counts, strict=False))
    except Exception:
        return False
