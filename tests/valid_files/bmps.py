"""BMP: headers of every age, depths, masks, run lengths, both directions."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from valid_files.tiff_writer import packed
from valid_files.truth import Samples, ValidFile, scaled, scene

_PLAIN, _RLE8, _RLE4, _FIELDS, _ALPHA_FIELDS = 0, 1, 2, 3, 6
_HEADERS = (40, 52, 56, 108, 124)


@dataclass(frozen=True)
class Header:
    """The sizes of what a BMP is made of; ``masks`` are those of red, green, blue and, if there, alpha."""

    size: int = 40
    compression: int = _PLAIN
    top_down: bool = False
    masks: Sequence[int] = ()
    colours_used: int = 0


def bmp(width: int, height: int, bits: int, body: bytes, header: Header, palette: bytes = b"") -> bytes:
    """A file of rows that are already padded and in their order."""
    if header.size == 12:
        info = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        tall = -height if header.top_down else height
        info = struct.pack(
            "<IiiHHIIiiII", header.size, width, tall, 1, bits, header.compression, len(body), 2835, 2835,
            header.colours_used, 0,
        )  # fmt: skip
        fields = struct.pack(f"<{len(header.masks)}I", *header.masks)
        if header.size == 16:
            info = info[:16]
        elif header.size == 40 or header.size == 64:
            info = info.ljust(header.size, b"\0") + fields
        else:
            info = (info + fields).ljust(header.size, b"\0")
    at = 14 + len(info) + len(palette)
    return struct.pack("<2sIHHI", b"BM", at + len(body), 0, 0, at) + info + palette + body


def rows(pixels: np.ndarray, bits: int, *, top_down: bool = False) -> bytes:
    """Rows of samples, each padded to whole words of 32 bits, the lowest first."""
    lines = pixels if top_down else pixels[::-1]
    each = [packed(line[None], bits, "<") for line in lines]
    return b"".join(line + bytes(-len(line) % 4) for line in each)


def colour_table(entries: int, *, three: bool = False) -> tuple[bytes, np.ndarray]:
    """A palette as bytes, and its colours in RGB."""
    rgb = np.random.default_rng(entries).integers(0, 256, (entries, 3), np.uint8)
    bgr = rgb[:, ::-1]
    return (bgr if three else np.dstack([bgr[None], np.zeros((1, entries, 1), np.uint8)])[0]).tobytes(), rgb


def files() -> Iterator[ValidFile]:
    yield from _palettes()
    yield from _true_colour()
    yield from _fields()
    yield from _run_lengths()
    yield from _old()
    yield from _oddities()


def _palettes() -> Iterator[ValidFile]:
    for bits, size, top_down in product((1, 4, 8), _HEADERS, (False, True)):
        pixels = scene(bits=bits)
        table, rgb = colour_table(2**bits)
        height, width = pixels.shape
        data = bmp(width, height, bits, rows(pixels, bits, top_down=top_down), Header(size, top_down=top_down), table)
        name = f"bmp-palette{bits}-{size}{'-down' if top_down else ''}.bmp"
        yield ValidFile(name, data, Samples(rgb[pixels]))
    pixels = scene() % 100
    table, rgb = colour_table(100)
    data = bmp(61, 47, 8, rows(pixels, 8), Header(colours_used=100), table)
    yield ValidFile("bmp-palette8-short.bmp", data, Samples(rgb[pixels]))
    gray = np.arange(256, dtype=np.uint8)
    table = np.dstack([gray, gray, gray, gray * 0])[0].tobytes()
    yield ValidFile("bmp-palette8-gray.bmp", bmp(61, 47, 8, rows(scene(), 8), Header(), table), Samples(scene()))


def _true_colour() -> Iterator[ValidFile]:
    for bits, size, top_down in product((24, 32), _HEADERS, (False, True)):
        pixels = scene(channels=bits // 8)
        height, width = pixels.shape[:2]
        body = rows(np.ascontiguousarray(pixels).reshape(height, -1), 8, top_down=top_down)
        data = bmp(width, height, bits, body, Header(size, top_down=top_down))
        name = f"bmp-rgb{bits}-{size}{'-down' if top_down else ''}.bmp"
        yield ValidFile(name, data, Samples(pixels[:, :, 2::-1]))
    values = scene(channels=3, bits=5).astype(np.uint16)
    body = rows(values[:, :, 0] << 10 | values[:, :, 1] << 5 | values[:, :, 2], 16)
    yield ValidFile("bmp-rgb16-40.bmp", bmp(61, 47, 16, body, Header()), Samples(scaled(values, 5)))


#: Bits of red, green, blue, and the masks of them and perhaps alpha.
_MASKS = {
    "555": (16, (5, 5, 5), (0x7C00, 0x3E0, 0x1F)),
    "565": (16, (5, 6, 5), (0xF800, 0x7E0, 0x1F)),
    "bgr565": (16, (5, 6, 5), (0x1F, 0x7E0, 0xF800)),
    "444": (16, (4, 4, 4), (0xF00, 0xF0, 0xF)),
    "4444": (16, (4, 4, 4), (0xF00, 0xF0, 0xF, 0xF000)),
    "1555": (16, (5, 5, 5), (0x7C00, 0x3E0, 0x1F, 0x8000)),
    "xrgb": (32, (8, 8, 8), (0xFF0000, 0xFF00, 0xFF)),
    "argb": (32, (8, 8, 8), (0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
    "xbgr": (32, (8, 8, 8), (0xFF, 0xFF00, 0xFF0000)),
    "rgbx": (32, (8, 8, 8), (0xFF000000, 0xFF0000, 0xFF00)),
    "bgrx": (32, (8, 8, 8), (0xFF00, 0xFF0000, 0xFF000000)),
    "11-11-10": (32, (11, 11, 10), (0xFFE00000, 0x1FFC00, 0x3FF)),
    "10-10-10": (32, (10, 10, 10), (0x3FF00000, 0xFFC00, 0x3FF)),
}


def _fields() -> Iterator[ValidFile]:
    for (name, (bits, widths, masks)), size in product(_MASKS.items(), _HEADERS):
        if len(masks) == 4 and size in (40, 52):
            continue
        values = np.dstack([scene(bits=width, seed=k) for k, width in enumerate(widths)]).astype(np.uint64)
        word = np.zeros(values.shape[:2], np.uint64)
        for channel, mask in enumerate(masks[:3]):
            word |= values[:, :, channel] << np.uint64((mask & -mask).bit_length() - 1)
        if len(masks) == 4:
            word |= np.uint64(masks[3]) & (scene(bits=bits, seed=9).astype(np.uint64))
        body = rows(word.astype(np.uint16 if bits == 16 else np.uint32), bits)
        data = bmp(61, 47, bits, body, Header(size, _FIELDS, masks=masks))
        eight = np.dstack([scaled(values[:, :, k], width) for k, width in enumerate(widths)])
        yield ValidFile(f"bmpmasks-{name}-{size}.bmp", data, Samples(eight))
    values = scene(channels=4)
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    body = rows(values.reshape(47, -1), 8)
    data = bmp(61, 47, 32, body, Header(40, _ALPHA_FIELDS, masks=masks))
    yield ValidFile("bmpmasks-alphafields-40.bmp", data, Samples(values[:, :, 2::-1]))


def _run_lengths() -> Iterator[ValidFile]:
    """Runs of equal pixels, and literal ones where there are no runs."""
    for bits, (height, width), size in product((4, 8), ((47, 61), (90, 64)), (40, 108, 124)):
        pixels = np.repeat(scene(height, width, bits=bits)[:, ::4], 4, axis=1)[:, :width]
        pixels[:, 5:12] = scene(height, width, bits=bits, seed=1)[:, 5:12]
        table, rgb = colour_table(2**bits)
        body = b"".join(_run_length_row(row, bits) + b"\0\0" for row in pixels[::-1])[:-2] + b"\0\1"
        data = bmp(width, height, bits, body, Header(size, _RLE8 if bits == 8 else _RLE4), table)
        yield ValidFile(f"bmprle-{bits}-{height}x{width}-{size}.bmp", data, Samples(rgb[pixels]))


def _run_length_row(row: np.ndarray, bits: int) -> bytes:
    out, at = bytearray(), 0
    while at < len(row):
        run = 1
        while at + run < len(row) and run < 255 and row[at + run] == row[at]:
            run += 1
        literal = row[at : at + 7]
        if run == 1 and len(literal) >= 3 and (np.diff(literal.astype(int)) != 0).all():
            body = packed(literal[None], bits)
            out += bytes([0, len(literal)]) + body + bytes(len(body) % 2)
            at += len(literal)
        else:
            value = int(row[at])
            out += bytes([run, value if bits == 8 else value << 4 | value])
            at += run
    return bytes(out)


def _old() -> Iterator[ValidFile]:
    """OS/2: a short header and palettes of three bytes; its second version of 64 bytes."""
    for bits in (1, 4, 8):
        pixels = scene(bits=bits)
        table, rgb = colour_table(2**bits, three=True)
        data = bmp(61, 47, bits, rows(pixels, bits), Header(12), table)
        yield ValidFile(f"bmpos2-palette{bits}-12.bmp", data, Samples(rgb[pixels]))
        table, rgb = colour_table(2**bits)
        for size in (16, 64):
            data = bmp(61, 47, bits, rows(pixels, bits), Header(size), table)
            yield ValidFile(f"bmpos2-palette{bits}-{size}.bmp", data, Samples(rgb[pixels]))
    pixels = scene(channels=3)
    for size in (12, 16, 64):
        data = bmp(61, 47, 24, rows(pixels.reshape(47, -1), 8), Header(size))
        yield ValidFile(f"bmpos2-rgb24-{size}.bmp", data, Samples(pixels[:, :, ::-1]))


def _oddities() -> Iterator[ValidFile]:
    """Sizes that are not told, a gap before the pixels, bytes behind them, escapes in run lengths."""
    pixels = scene(channels=3)
    plain = bmp(61, 47, 24, rows(pixels.reshape(47, -1), 8), Header())
    truth = Samples(pixels[:, :, ::-1])
    yield ValidFile("bmpodd-no-image-size.bmp", plain[:34] + bytes(4) + plain[38:], truth)
    yield ValidFile("bmpodd-no-file-size.bmp", plain[:2] + bytes(4) + plain[6:], truth)
    moved = plain[:10] + struct.pack("<I", 54 + 100) + plain[14:54] + bytes(100) + plain[54:]
    yield ValidFile("bmpodd-gap.bmp", moved, truth)
    yield ValidFile("bmpodd-more-behind.bmp", plain + bytes(1_000), truth)
    table, rgb = colour_table(256)
    indices = np.zeros((20, 30), np.uint8)
    indices[12:, :] = 5  # the lowest rows come first
    indices[3, 4:14] = 9
    # 8 rows of 5; then by an escape 4 to the right and 8 up, a run, the end of the row and of the picture.
    body = b"\x1e\x05\0\0" * 8 + b"\0\x02\x04\x08" + b"\x0a\x09\0\0" + b"\0\1"
    data = bmp(30, 20, 8, body, Header(40, _RLE8), table)
    yield ValidFile("bmpodd-rle-delta.bmp", data, Samples(rgb[indices]))
