"""Writes TIFF files of any layout: strips or tiles, planes, byte orders, depths, classic and BigTIFF."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import imagecodecs
import numpy as np

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, LONG8 = 1, 2, 3, 4, 5, 7, 16
_FORMATS = {BYTE: "B", ASCII: "B", SHORT: "H", LONG: "I", RATIONAL: "I", UNDEFINED: "B", LONG8: "Q"}

WHITE_IS_0, BLACK_IS_0, RGB, PALETTE, MASK, SEPARATED, YCBCR, CIELAB, ICCLAB, ITULAB = 0, 1, 2, 3, 4, 5, 6, 8, 9, 10
CFA, LOG_L, LOG_LUV, LINEAR_RAW = 32803, 32844, 32845, 34892
UNSIGNED, SIGNED, FLOAT, COMPLEX_INTEGER, COMPLEX = 1, 2, 3, 5, 6

Tag = tuple[int, Sequence[int]]  # (type, values)


@dataclass(frozen=True)
class Layout:
    """How pixels are laid out in a file. ``rows`` are those of a strip, all of them if 0; a ``tile`` is (height,
    width). ``compress`` makes a strip's or tile's bytes of (its bytes, its samples)."""

    order: str = "<"
    big: bool = False
    rows: int = 0
    tile: tuple[int, int] | None = None
    planar: bool = False
    predictor: int = 1
    compression: int = 1
    compress: Callable[[bytes, np.ndarray], bytes] = lambda data, samples: data


@dataclass(frozen=True)
class Directory:
    """A page: its tags and blocks, which are strips or tiles. ``sub`` are pages that tag 330 points to."""

    tags: Mapping[int, Tag]
    blocks: Sequence[bytes | None]
    sub: Sequence[Directory] = field(default=())


def page(
    samples: np.ndarray,
    bits: int,
    photometric: int,
    layout: Layout = Layout(),
    tags: Mapping[int, Tag] | None = None,
    sample_format: int = UNSIGNED,
) -> Directory:
    """A page of samples of shape (height, width) or (height, width, samples a pixel)."""
    cube = samples[:, :, None] if samples.ndim == 2 else samples
    height, width, count = cube.shape
    planes = [cube[:, :, k : k + 1] for k in range(count)] if layout.planar else [cube]
    blocks = [_block(block, bits, layout) for plane in planes for block in _cut(plane, layout)]
    made: dict[int, Tag] = {
        256: (LONG, [width]),
        257: (LONG, [height]),
        258: (SHORT, [bits] * count),
        259: (SHORT, [layout.compression]),
        262: (SHORT, [photometric]),
        277: (SHORT, [count]),
        284: (SHORT, [2 if layout.planar else 1]),
    }
    if layout.tile:
        made |= {322: (LONG, [layout.tile[1]]), 323: (LONG, [layout.tile[0]])}
    else:
        made[278] = (LONG, [layout.rows or height])
    if layout.predictor != 1:
        made[317] = (SHORT, [layout.predictor])
    if sample_format != UNSIGNED:
        made[339] = (SHORT, [sample_format] * count)
    return Directory(made | dict(tags or {}), blocks)


def _cut(plane: np.ndarray, layout: Layout) -> list[np.ndarray]:
    height, width = plane.shape[:2]
    if layout.tile is None:
        rows = layout.rows or height
        return [plane[top : top + rows] for top in range(0, height, rows)]
    tall, wide = layout.tile
    full = np.pad(plane, [(0, -height % tall), (0, -width % wide), (0, 0)], mode="edge")
    return [
        full[top : top + tall, left : left + wide] for top in range(0, height, tall) for left in range(0, width, wide)
    ]


def _block(block: np.ndarray, bits: int, layout: Layout) -> bytes:
    if layout.predictor == 2:
        block = block.copy()
        block[:, 1:] -= block[:, :-1].copy()  # modulo 2^bits, as unsigned numbers wrap
    return layout.compress(packed(block, bits, layout.order), block)


def packed(block: np.ndarray, bits: int, order: str = "<") -> bytes:
    """Samples as bytes: whole bytes in the byte order; others bit by bit, each row from a byte of its own."""
    if bits in (8, 16, 32, 64, 128):
        return block.astype(block.dtype.newbyteorder(order)).tobytes()
    if bits == 24:
        four = block.astype(order + "u4").reshape(-1, 1).view(np.uint8)
        return (four[:, :3] if order == "<" else four[:, 1:]).tobytes()
    row = block.reshape(len(block), -1).astype(np.uint32)
    each = (row[:, :, None] >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(each.reshape(len(block), -1).astype(np.uint8), axis=1).tobytes()


def tiff(*pages: Directory, order: str = "<", big: bool = False) -> bytes:
    """A file of these pages, their blocks before their tags. A block that is None is not stored: offset and size 0."""
    head = (b"II" if order == "<" else b"MM") + struct.pack(
        order + ("HHH" if big else "H"), *((43, 8, 0) if big else (42,))
    )
    out = bytearray(head + bytes(8 if big else 4))
    link = len(head)
    for one in pages:
        at, following = _write(out, one, order, big)
        struct.pack_into(order + ("Q" if big else "I"), out, link, at)
        link = following
    return bytes(out)


def _write(out: bytearray, one: Directory, order: str, big: bool) -> tuple[int, int]:
    """Append a page; returns where its tags begin and where the place of the next page is to be written."""
    word, kind = ("Q", LONG8) if big else ("I", LONG)
    room = struct.calcsize(word)
    offsets = []
    for block in one.blocks:
        out += bytes(len(out) % 2)  # offsets are even
        offsets.append(0 if block is None else len(out))
        out += block or b""
    tiled = 322 in one.tags
    tags = {
        324 if tiled else 273: (kind, offsets),
        325 if tiled else 279: (kind, [len(block or b"") for block in one.blocks]),
        **one.tags,
    }
    if one.sub:
        tags[330] = (kind, [_write(out, sub, order, big)[0] for sub in one.sub])
    entries = []
    for tag, (type_, values) in sorted(tags.items()):
        raw = struct.pack(f"{order}{len(values)}{_FORMATS[type_]}", *values)
        if len(raw) > room:
            out += bytes(len(out) % 2)
            raw, value = struct.pack(order + word, len(out)), raw
            out += value
        count = len(values) // 2 if type_ == RATIONAL else len(values)
        entries.append(struct.pack(order + "HH" + word, tag, type_, count) + raw.ljust(room, b"\0"))
    out += bytes(len(out) % 2)
    at = len(out)
    out += struct.pack(order + ("Q" if big else "H"), len(entries)) + b"".join(entries)
    out += bytes(room)
    return at, len(out) - room


def packbits(data: bytes, samples: np.ndarray) -> bytes:
    """PackBits, each row by itself as TIFF demands."""
    row = len(data) // len(samples)
    return b"".join(imagecodecs.packbits_encode(data[at : at + row]) for at in range(0, len(data), row))


#: Compressions of any bytes: number and function.
COMPRESSIONS: dict[str, tuple[int, Callable[[bytes, np.ndarray], bytes]]] = {
    "none": (1, lambda data, samples: data),
    "lzw": (5, lambda data, samples: imagecodecs.lzw_encode(data)),
    "deflate": (8, lambda data, samples: zlib.compress(data)),
    "packbits": (32773, packbits),
    "olddeflate": (32946, lambda data, samples: zlib.compress(data)),
    "lzma": (34925, lambda data, samples: imagecodecs.lzma_encode(data)),
    "zstd": (50000, lambda data, samples: imagecodecs.zstd_encode(data)),
}


def compressed(layout: Layout, name: str, predictor: int = 1) -> Layout:
    """The layout with a compression of ``COMPRESSIONS``."""
    number, function = COMPRESSIONS[name]
    return replace(layout, compression=number, compress=function, predictor=predictor)
