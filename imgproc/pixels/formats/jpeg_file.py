"""The structure of a JPEG file: its segments, and pieces of it that can be decoded by themselves.

At a restart marker a decoder forgets what came before. So the data between two of them that begin rows of blocks,
behind the file's own tables and a height of its own, is a JPEG as well, and the same decoder makes the same pixels of
it. Where colours have fewer rows than brightness, a decoder blends those of neighbouring rows: a piece then has some
rows more on either side than it is for.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from imgproc.operations.rows import Rows
from imgproc.pixels.formats.contract import Damaged, Wanted

EOI, SOS, APP0, APP1, ADOBE = 0xD9, 0xDA, 0xE0, 0xE1, 0xEE
NO_LENGTH = {0x01, *range(0xD0, 0xD9)}  # markers without a segment

_BASELINE, _EXTENDED, _HUFFMAN, _QUANTIZATION, _INTERVAL, _COMMENT = 0xC0, 0xC1, 0xC4, 0xDB, 0xDD, 0xFE
_FOR_DECODERS = {_BASELINE, _EXTENDED, _HUFFMAN, _QUANTIZATION, _INTERVAL, SOS, APP0, ADOBE}
_FOR_OTHERS = {*range(0xE0, 0xF0), _COMMENT} - _FOR_DECODERS
_RESTART, _KINDS = 0xD0, 8  # the first restart marker, and how many take turns
_SIDE = 8  # pixels of a block
_WHOLE_BLOCKS = b"\x00\x3f\x00"  # says that a scan has all of each block
_YCBCR = b"\x01\x02\x03"  # numbers of components that are YCbCr, unless Adobe's segment says otherwise
_READ = 1 << 20  # bytes at a time
#: The most rows around a piece that are decoded with it, as a share of its own.
_MOST_AROUND = 1 / 8

Places = npt.NDArray[np.int64]


def segment(file: BinaryIO, at: int) -> tuple[int, int, int]:
    """Marker of the segment at this place; where its content, at which the file then stands, begins, and its length.

    Raises:
        Damaged: there is none.
    """
    while True:
        file.seek(at)
        head = file.read(4)
        if len(head) < 4 or head[0] != 0xFF or head[1] == EOI:
            raise Damaged
        if head[1] == 0xFF:  # fill, of which a file can be full
            file.seek(at)
            block = file.read(_READ)
            at += len(block) - len(block.lstrip(b"\xff")) - 1
        elif head[1] in NO_LENGTH:
            at += 2
        else:
            file.seek(at + 4)
            return head[1], at + 4, max(0, int.from_bytes(head[2:], "big") - 2)


@dataclass(frozen=True, slots=True)
class RestartRows:
    """Some of the rows of a JPEG file: the bytes of it from ``start`` to ``stop`` hold the rows ``stored``; ``head`` is
    what a file of these begins with."""

    rows: Rows
    stored: Rows
    start: int
    stop: int
    head: bytes

    def read(self, path: str) -> bytes:
        """A JPEG file of the rows ``stored``."""
        with open(path, "rb") as file:
            file.seek(self.start)
            data = bytearray(file.read(self.stop - self.start))
        places, _ = _markers(data)
        # They take turns from the first on, wherever the piece begins.
        np.frombuffer(data, np.uint8)[places + 1] = _RESTART + np.arange(len(places)) % _KINDS
        return b"".join((self.head, data, bytes((0xFF, EOI))))


class _Layout(NamedTuple):
    """What a file says before its pixels.

    ``head``: all that a decoder needs of that, with the height at ``height_at``; ``size``: height and width in pixels,
    and ``unit`` those of what is coded together; ``interval``: how many units are between two markers; ``start``:
    where the first begins; ``blends``: whether a row's pixels depend on the rows beside it.
    """

    head: bytes
    height_at: int
    size: tuple[int, int]
    unit: tuple[int, int]
    interval: int
    start: int
    blends: bool


def pieces(file: BinaryIO, count: int, wanted: Wanted) -> Sequence[RestartRows]:
    """The picture of a JPEG file in at most ``count`` pieces of about equal height, as it is stored, not turned.

    Returns:
        None of a file without restart markers, or where none of them begins a row; and of one that is progressive, in
        several scans, not in Huffman's codes, or has anything else than the right markers up to its end.

    Raises:
        Damaged: what it says before its pixels makes no sense.
    """
    layout = _layout(file, wanted)
    if layout is None:
        return []
    (height, width), (unit_height, unit_width) = layout.size, layout.unit
    across, down = -(-width // unit_width), -(-height // unit_height)
    step = layout.interval // math.gcd(layout.interval, across)  # rows of units between those behind a marker
    around = step if layout.blends else 0
    groups = -(-down // step)
    count = min(count, groups, int(_MOST_AROUND * down / (2 * around)) if around else groups)
    if count < 2:
        return []
    places = _restarts(file, layout.start, -(-across * down // layout.interval))
    if places is None:
        return []

    def end_above(row: int) -> int:
        """Where the data above a row of units ends, at a marker of two bytes."""
        return int(places[row * across // layout.interval - 1]) if row < down else int(places[-1])

    def piece(first: int, last: int) -> RestartRows:
        above, below = max(0, first - around), min(down, last + around)
        stored = Rows(above * unit_height, min(height, below * unit_height))
        head = bytearray(layout.head)
        struct.pack_into(">H", head, layout.height_at, stored.stop - stored.start)
        start = end_above(above) + 2 if above else layout.start
        rows = Rows(first * unit_height, min(height, last * unit_height))
        return RestartRows(rows, stored, start, end_above(below), bytes(head))

    return [piece(*ends) for ends in pairwise(min(down, groups * k // count * step) for k in range(count + 1))]


def _layout(file: BinaryIO, wanted: Wanted) -> _Layout | None:
    """None of a file that ``pieces`` makes none of.

    Raises:
        Damaged, struct.error, LookupError: it makes no sense.
    """
    head, height_at, frame, interval, says_colors = bytearray(b"\xff\xd8"), 0, b"", 0, False
    marker, at = 0, len(head)
    while marker != SOS:
        marker, at, length = segment(file, at)
        body = file.read(length) if marker in _FOR_DECODERS else b""
        at += length
        if marker in (_BASELINE, _EXTENDED):
            if frame:
                raise Damaged
            frame, height_at = body, len(head) + 5
        elif marker == _INTERVAL:
            (interval,) = struct.unpack(">H", body)
        elif marker not in _FOR_DECODERS | _FOR_OTHERS:
            return None
        says_colors = says_colors or marker == ADOBE
        if marker in _FOR_DECODERS:
            head += struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body
    bits, height, width, count = struct.unpack_from(">BHHB", frame)
    numbers, samplings = frame[6::3], frame[7::3]
    every = len(frame) == 6 + 3 * count and body[0] == count and body[1:-3:2] == numbers and body[-3:] == _WHOLE_BLOCKS
    if bits != 8 or not interval or not every:
        return None
    downs, acrosses = [sampling & 15 for sampling in samplings], [sampling >> 4 for sampling in samplings]
    most_down, most_across = (max(downs), max(acrosses)) if count > 1 else (1, 1)  # one component is not interleaved
    # Of YCbCr in gray only the first component is decoded.
    only_first = not wanted.color and numbers == _YCBCR and not says_colors
    blends = downs[0] != most_down if only_first else count > 1 and len(set(downs)) > 1
    unit = _SIDE * most_down, _SIDE * most_across
    return _Layout(bytes(head), height_at, (height, width), unit, interval, at, blends)


def _restarts(file: BinaryIO, start: int, intervals: int) -> Places | None:
    """Where the markers behind so many intervals stand, the last of which ends the file; None if they are others."""
    file.seek(start)
    places, kinds = [], []
    at, data = start, b""
    while block := file.read(_READ):
        data = data[-1:] + block  # a marker may be in both
        found, of_kind = _markers(data)
        places.append(found + at)
        kinds.append(of_kind)
        at += len(data) - 1
    if not places:
        return None
    right = np.append(_RESTART + np.arange(intervals - 1) % _KINDS, EOI)
    all_places = np.concatenate(places)
    if not np.array_equal(np.concatenate(kinds), right) or all_places[-1] != at - 1:
        return None
    return all_places


def _markers(data: bytes | bytearray) -> tuple[Places, npt.NDArray[np.uint8]]:
    """Where markers stand in a scan's data, and which they are. A byte of 255 that is none is followed by 0."""
    values = np.frombuffer(data, np.uint8)
    places = np.flatnonzero(values[:-1] == 0xFF)
    kinds = values[places + 1]
    return places[kinds != 0], kinds[kinds != 0]
