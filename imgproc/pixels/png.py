"""PNG files: photographs packed with a Huffman code of each block's own, all else filtered with "Up" and deflated by
ISA-L; where ISA-L has no wheel, by zlib. Either takes a fraction of the time of OpenCV's encoder.

An image is encoded whole, or in pieces by several workers at once, which are joined into one ordinary file. Each piece
is deflated by itself and ends at a whole byte (a full flush), so that the pieces one after the other are one stream.
It comes as a finished IDAT chunk; what is left for the join are the header and a checksum.

``imgproc.pixels.png_encoders`` says when Huffman's code is worth loading what it needs. Each block of rows is then
packed in whichever way is likely to be smaller: few things repeat behind a photograph's filter, many in a drawing.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np

from imgproc.operations.contract import Image
from imgproc.operations.rows import Rows, blocks

deflate: Any
try:
    from isal import isal_zlib as deflate
except ImportError:  # no wheel for this machine
    deflate = zlib

#: Blocks by Huffman's code where they are smaller so, else as ``PNG_ENCODER`` does all.
HUFFMAN = "huffman"
#: What deflates PNG here unless ``HUFFMAN`` is asked for: "isal" or "zlib". The record names what does in a run.
PNG_ENCODER = "zlib" if deflate is zlib else "isal"
SIGNATURE = b"\x89PNG\r\n\x1a\n"

_UP = 2  # the filter "Up": each byte less the one above it
_GRAY, _RGB = 0, 2  # kinds of pixel
_STREAM_HEADER = b"\x78\x01"
_STREAM_END = b"\x03\x00"  # an empty last block
_BLOCK = 1 << 18  # bytes filtered at a time, to be deflated while they are in the processor's cache
#: Of so many rows one is looked at for Huffman's code, and one is deflated to see what the other way would make of it.
_COUNTED, _TRIED = 8, 32
#: Bytes below which a block has no code of its own: the code is written in about a hundred.
_LEAST_PACKED = 1 << 14


@dataclass(frozen=True, slots=True)
class EncodedRows:
    """Some encoded rows: an IDAT chunk, and Adler-32 and number of the bytes deflated into it."""

    chunk: bytes | memoryview
    adler: int
    length: int


class _Deflated(NamedTuple):
    """Some rows in deflate's format up to a whole byte; Adler-32 and number of the bytes that they were."""

    body: list[bytes]
    adler: int
    length: int


def encode(image: Image, *, bilevel: bool = False, encoder: str = PNG_ENCODER) -> bytes:
    """The file of a whole image.

    Args:
        image: uint8 of shape (height, width) or (height, width, 3) in BGR order.
        bilevel: the image holds only 0 and 255, and takes one bit per pixel.
        encoder: ``PNG_ENCODER`` or ``HUFFMAN``.
    """
    done = _deflated([image], None, bilevel, encoder)
    body = [_STREAM_HEADER, *done.body, _STREAM_END, struct.pack(">I", done.adler)]
    return b"".join([*_head(image.shape, bilevel), *_chunk(b"IDAT", *body), *_chunk(b"IEND")])


def encode_piece(image: Image, rows: Rows, *, bilevel: bool = False, encoder: str = PNG_ENCODER) -> EncodedRows:
    """Encode some rows of an image.

    Args:
        image: the whole, uint8 of shape (height, width) or (height, width, 3) in BGR order; read are these rows and
            the one above.
        rows: for less than 2^31 bytes.
        bilevel: the image holds only 0 and 255, and takes one bit per pixel.
        encoder: ``PNG_ENCODER`` or ``HUFFMAN``.
    """
    above = image[rows.start - 1 : rows.start] if rows.start > 0 else None
    return encode_flow([rows.of(image)], above, bilevel=bilevel, encoder=encoder)


def encode_flow(
    parts: Iterable[Image], above: Image | None, *, bilevel: bool = False, encoder: str = PNG_ENCODER
) -> EncodedRows:
    """Encode the rows of an image in parts that come one after the other.

    Args:
        parts: as of ``encode_piece``; each may be gone when the next is asked for.
        above: the row above the first, of shape (1, ...); None for the first row of the image.
        bilevel: the image holds only 0 and 255, and takes one bit per pixel.
        encoder: ``PNG_ENCODER`` or ``HUFFMAN``.
    """
    done = _deflated(parts, above, bilevel, encoder)
    header = [_STREAM_HEADER] if above is None else []
    return EncodedRows(b"".join(_chunk(b"IDAT", *header, *done.body)), done.adler, done.length)


def join(shape: Sequence[int], pieces: Iterable[EncodedRows], *, bilevel: bool = False) -> list[bytes | memoryview]:
    """The PNG file of an image, as strings of bytes to be written one after the other.

    Args:
        shape: of the image.
        pieces: those of all its rows, in order.
        bilevel: as it was for the pieces.
    """
    parts = _head(shape, bilevel)
    adler = 1
    for piece in pieces:
        parts.append(piece.chunk)
        adler = adler32_combine(adler, piece.adler, piece.length)
    return [*parts, *_chunk(b"IDAT", _STREAM_END, struct.pack(">I", adler)), *_chunk(b"IEND")]


def _head(shape: Sequence[int], bilevel: bool) -> list[bytes | memoryview]:
    """What comes before the pixels."""
    depth, kind = 1 if bilevel else 8, _GRAY if len(shape) == 2 else _RGB
    return [SIGNATURE, *_chunk(b"IHDR", struct.pack(">IIBBBBB", shape[1], shape[0], depth, kind, 0, 0, 0))]


def adler32_combine(first: int, second: int, length: int) -> int:
    """Adler-32 of bytes and more bytes, from that of either and the length of the second."""
    prime = 65521
    low, high = first & 0xFFFF, first >> 16
    # Each of the second's bytes adds to the high half what the low half was before the second, where it began as 1.
    high += (second >> 16) + length * (low - 1)
    low += (second & 0xFFFF) - 1
    return high % prime << 16 | low % prime


def _deflated(parts: Iterable[Image], above: Image | None, bilevel: bool, encoder: str) -> _Deflated:
    """The rows, a few at a time, filtered and deflated."""
    way: _Way | None = None
    last = None if above is None else _bytes(above, bilevel)
    most = 8 * _BLOCK if bilevel else _BLOCK
    adler, length = 1, 0
    for part in parts:
        way = way or (_Packing(part.shape) if encoder == HUFFMAN and not bilevel else _Matching())
        for block in blocks(Rows(0, len(part)), part[0].size, most):
            own = _bytes(block.of(part), bilevel)
            filtered = way.add(own, last)
            adler, length = deflate.adler32(filtered, adler), length + filtered.size
            last = own[-1:].copy()
    assert way
    return _Deflated(way.end(), adler, length)


class _Way(Protocol):
    """A way to make deflate's format of blocks of rows."""

    def add(self, own: Image, last: Image | None) -> Image:
        """Take rows of bytes, and the row above them if there is one; returns them filtered."""

    def end(self) -> list[bytes]:
        """What was made of all rows since the last end, up to a whole byte; what comes then does not refer to them."""


class _Matching:
    """ "Up", and deflate looks for what repeats."""

    def __init__(self) -> None:
        self._stream: Any = None
        self._body: list[bytes] = []

    def add(self, own: Image, last: Image | None) -> Image:
        self._stream = self._stream or deflate.compressobj(1, deflate.DEFLATED, -15)
        filtered = _up(own, last)
        self._body.append(self._stream.compress(filtered))
        return filtered

    def end(self) -> list[bytes]:
        if self._stream:
            self._body.append(self._stream.flush(deflate.Z_FULL_FLUSH))
        body, self._stream, self._body = self._body, None, []
        return body


class _Packing:
    """ "Paeth" and a Huffman code for each block, where that is likely to be smaller than what ``_Matching`` makes."""

    def __init__(self, shape: Sequence[int]) -> None:
        # Here, as this takes as long as encoding many megapixels.
        from imgproc.pixels import png_kernels

        self._kernels: Any = png_kernels
        self._step = 1 if len(shape) == 2 else 3
        self._matching = _Matching()
        self._body: list[bytes] = []
        # Kept from block to block, as fresh memory would have to be cleared each time.
        self._memory, self._table = np.empty((2, 0), np.uint8), np.empty(257, np.uint32)

    def add(self, own: Image, last: Image | None) -> Image:
        size = own.size + len(own)
        if size >= _LEAST_PACKED:
            filtered = self._filtered(own, last)
            expected = self._kernels.find_code(filtered, _COUNTED, self._table) / 8
            if expected <= _matched_share(own, last) * size:
                self._body += [*self._matching.end(), self._packed(filtered)]
                return filtered
        return self._matching.add(own, last)

    def _filtered(self, own: Image, last: Image | None) -> Image:
        size, most = own.size + len(own), self._kernels.most_bytes(own.size + len(own))
        if self._memory.shape[1] < most:
            self._memory = np.empty((2, most), np.uint8)
        filtered = self._memory[0, :size].reshape(len(own), -1)
        above = np.zeros(own.shape[1], np.uint8) if last is None else np.ascontiguousarray(last[0])
        self._kernels.filter_rows(np.ascontiguousarray(own), above, self._step, filtered)
        return filtered

    def _packed(self, filtered: Image) -> bytes:
        length = self._kernels.pack(filtered.reshape(-1), self._table, self._memory[1])
        return self._memory[1, :length].tobytes()

    def end(self) -> list[bytes]:
        body, self._body = [*self._body, *self._matching.end()], []
        return body


def _matched_share(own: Image, last: Image | None) -> float:
    """What share of their size ``_Matching`` would make of these rows, by some of them."""
    if len(own) == 1:
        some = _up(own, last)
    else:
        first = min(_TRIED, len(own)) // 2
        some = own[first::_TRIED] - own[first - 1 : -1 : _TRIED]
    return len(deflate.compress(some, 1)) / some.size


def _up(own: Image, last: Image | None) -> Image:
    """Rows of bytes as PNG stores them, each behind the number of the filter "Up"."""
    filtered = np.empty((len(own), own.shape[1] + 1), np.uint8)
    filtered[:, 0] = _UP
    filtered[:1, 1:] = own[:1] - (np.uint8(0) if last is None else last)
    np.subtract(own[1:], own[:-1], out=filtered[1:, 1:])
    return filtered


def _bytes(pixels: Image, bilevel: bool) -> Image:
    """Rows of pixels as rows of bytes."""
    if bilevel:
        return np.packbits(pixels, axis=1)
    if pixels.ndim == 2:
        return pixels
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8).reshape(len(pixels), -1)


def _chunk(name: bytes, *body: bytes) -> list[bytes]:
    checksum = deflate.crc32(name)
    for part in body:
        checksum = deflate.crc32(part, checksum)
    return [struct.pack(">I", sum(map(len, body))), name, *body, struct.pack(">I", checksum)]
