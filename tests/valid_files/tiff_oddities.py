"""TIFF with something unusual beside its pixels: several pages, wrong byte counts, camera raws, much metadata."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product

import imagecodecs
import numpy as np
import tifffile

from valid_files.tiff_kinds import made
from valid_files.tiff_writer import (
    ASCII,
    BLACK_IS_0,
    BYTE,
    CFA,
    LINEAR_RAW,
    LONG,
    LONG8,
    MASK,
    RGB,
    SHORT,
    UNDEFINED,
    Directory,
    Layout,
    Tag,
    compressed,
    page,
    tiff,
)
from valid_files.truth import Samples, ValidFile, scene, unread

STRIPS = Layout(rows=16)
_REDUCED, _OLD_FULL, _OLD_REDUCED = 1, 1, 2


def files() -> Iterator[ValidFile]:
    yield from _pages()
    yield from _byte_counts()
    yield from _raws()
    yield from _metadata()
    yield from _shapes()
    yield from _defaults()
    yield from _fill_orders()
    yield from _sparse()
    yield from _old()


def _pages() -> Iterator[ValidFile]:
    full, second = scene(120, 97), scene(100, 80, seed=1)
    small, rgb = scene(30, 24, seed=2), scene(120, 97, 3)
    a, b = page(full, 8, BLACK_IS_0, STRIPS), page(second, 8, BLACK_IS_0, STRIPS)
    colour = page(rgb, 8, RGB, STRIPS)
    thumb = page(small, 8, BLACK_IS_0, STRIPS, {254: (LONG, [_REDUCED])})
    old_thumb = page(small, 8, BLACK_IS_0, STRIPS, {255: (SHORT, [_OLD_REDUCED])})
    old_full = page(full, 8, BLACK_IS_0, STRIPS, {255: (SHORT, [_OLD_FULL])})
    mask = page(scene(120, 97, bits=1), 1, MASK, STRIPS, {254: (LONG, [4])})
    numbered = page(full, 8, BLACK_IS_0, STRIPS, {254: (LONG, [2])})
    packed_full = page(rgb, 8, RGB, compressed(STRIPS, "lzw"))
    cases = {
        "two": ((a, b), full), "thumbnail-first": ((thumb, colour), rgb), "thumbnail-last": ((a, thumb), full),
        "old-thumbnail-first": ((old_thumb, a), full), "old-both": ((old_thumb, old_full), full),
        "mask-first": ((mask, a), full), "mask-last": ((a, mask), full), "only-thumbnail": ((thumb,), small),
        "only-old-thumbnail": ((old_thumb,), small), "two-thumbnails-first": ((thumb, old_thumb, packed_full), rgb),
        "sub": ((replace(a, sub=(thumb,)),), full), "page-of-many": ((numbered, b), full),
    }  # fmt: skip
    for name, (pages, pixels) in cases.items():
        yield ValidFile(f"tiffpages-{name}.tif", tiff(*pages), Samples(pixels))
    yield ValidFile("tiffpages-big.tif", tiff(thumb, a, big=True, order=">"), Samples(full))
    smaller = page(scene(60, 48, seed=4), 8, BLACK_IS_0, STRIPS)
    yield ValidFile("tiffpages-smaller-first.tif", tiff(smaller, a), Samples(scene(60, 48, seed=4)))
    stack = np.stack([scene(50, 40, seed=k) for k in range(3)])
    for name, how in {"imagej": {"imagej": True}, "ome": {"ome": True}, "plain": {}}.items():
        file = io.BytesIO()
        tifffile.imwrite(file, stack, photometric="minisblack", **how)
        yield ValidFile(f"tiffpages-stack-{name}.tif", file.getvalue(), Samples(stack[0]))


def _byte_counts() -> Iterator[ValidFile]:
    """Byte counts that are 0, too small, or of a whole stack: uncompressed, the size of the image says how many."""
    gray, rgb, deep = scene(63, 50), scene(63, 50, 3), scene(63, 50, bits=16)
    for name, pixels, bits, photometric in (
        ("gray", gray, 8, BLACK_IS_0), ("rgb", rgb, 8, RGB), ("gray16", deep, 16, BLACK_IS_0),
    ):  # fmt: skip
        size = pixels.nbytes
        for label, count in (("zero", 0), ("small", size // 3)):
            yield made(
                f"tiffcounts-{name}-{label}",
                pixels,
                bits,
                photometric,
                Samples(pixels, bits),
                tags={279: (LONG, [count])},
            )
        one = page(pixels, bits, photometric)
        stack = replace(one, blocks=[3 * one.blocks[0]])
        yield ValidFile(f"tiffcounts-{name}-stack.tif", tiff(stack), Samples(pixels, bits))
        strips = page(pixels, bits, photometric, STRIPS, {279: (LONG, [0] * 4)})
        yield ValidFile(f"tiffcounts-{name}-zeros.tif", tiff(strips), Samples(pixels, bits))
    for label, layout in {"strips": STRIPS, "strip": Layout()}.items():
        for name, change in product(("lzw", "deflate", "packbits"), ("small", "one-less", "large", "stack")):
            one = page(rgb, 8, RGB, compressed(layout, name))
            wrong = {"small": lambda n: n // 3, "one-less": lambda n: n - 1, "large": lambda n: n + 9}
            sizes = [wrong.get(change, lambda n: 10**7)(len(block)) for block in one.blocks]
            odd = changed(one, {279: (LONG, sizes)})
            yield ValidFile(f"tiffcounts-{name}-{change}-{label}.tif", tiff(odd), Samples(rgb))
    no_counts = page(gray, 8, BLACK_IS_0, Layout(), {279: (SHORT, [gray.nbytes])})
    yield ValidFile("tiffcounts-short.tif", tiff(no_counts), Samples(gray))
    long_rows = page(gray, 8, BLACK_IS_0, Layout(), {278: (LONG, [2**32 - 1])})
    yield ValidFile("tiffcounts-all-rows.tif", tiff(long_rows), Samples(gray))


def _raws() -> Iterator[ValidFile]:
    """What cameras write: the picture is not in the file, only what the sensor saw."""
    thumb, sensor = scene(40, 60, 3), scene(160, 240, bits=14)
    version = {50706: (BYTE, (1, 4, 0, 0))}
    mosaic = {33421: (SHORT, (2, 2)), 33422: (BYTE, (0, 1, 1, 2))}
    raw = page(sensor, 16, CFA, STRIPS, {254: (LONG, [0]), **mosaic})
    linear = page(scene(80, 120, 3, 16), 16, LINEAR_RAW, STRIPS)
    small = page(thumb, 8, RGB, STRIPS, {254: (LONG, [_REDUCED]), 271: (ASCII, b"Drawn\0")})
    cases = {
        "dng": replace(small, tags={**small.tags, **version}, sub=(raw,)),
        "nef": replace(small, sub=(raw,)),
        "cfa": raw,
        "linear": linear,
        "dng-linear": replace(linear, tags={**linear.tags, **version}),
        "dng-linear-sub": replace(small, tags={**small.tags, **version}, sub=(linear,)),
    }
    for name, one in cases.items():
        yield ValidFile(f"tiffraw-{name}.tif", tiff(one), unread, refused="raw")
    old = Directory({256: (LONG, [60]), 257: (LONG, [40]), 258: (SHORT, [8] * 3), 259: (SHORT, [6])}, [bytes(500)])
    canon = bytearray(tiff(old))
    canon[:0] = b"II*\0\x10\0\0\0CR\2\0" + bytes(4)  # its directory stands right behind the mark
    (at,) = struct.unpack_from("<I", canon, 20)
    tags = canon[16 + at :]
    yield ValidFile("tiffraw-cr2.tif", bytes(canon[:16] + tags + canon[24 : 16 + at]), unread, refused="raw")


def _metadata() -> Iterator[ValidFile]:
    pixels = scene(66, 50, 3)
    cases = {
        "profile": {34675: (UNDEFINED, bytes(3_000))},
        "description": {270: (ASCII, b"a picture\0"), 305: (ASCII, b"drawn by a test\0")},
        "much": {700: (BYTE, bytes(2_000_000))},
        "private": {65_000: (LONG, list(range(100)))},
        "resolution": {282: (5, (72, 1)), 283: (5, (72, 1)), 296: (SHORT, [2])},
    }
    for name, tags in cases.items():
        for label, layout in (("strips", compressed(STRIPS, "lzw")), ("strip", Layout())):
            yield made(f"tiffmeta-{name}-{label}", pixels, 8, RGB, Samples(pixels), layout, tags)


def _shapes() -> Iterator[ValidFile]:
    """Tall, wide, one row, one column, tiles larger than the picture, tiles of unusual sizes."""
    for height, width in ((1, 90), (90, 1), (1, 1), (500, 37), (37, 500), (129, 257)):
        pixels = scene(height, width) if height * width > 1 else np.array([[77]], np.uint8)
        for label, layout in {"strips": Layout(rows=7), "strip": Layout(), "tiles": Layout(tile=(64, 64))}.items():
            yield made(f"tiffshape-{height}x{width}-{label}", pixels, 8, BLACK_IS_0, Samples(pixels), layout)
    for tall, wide in ((48, 48), (16, 240), (240, 16), (256, 256), (80, 112)):
        for bits, channels in ((8, 1), (16, 1), (8, 3)):
            pixels = scene(100, 130, channels, bits)
            photometric = RGB if channels == 3 else BLACK_IS_0
            layout = Layout(tile=(tall, wide))
            name = f"tiffshape-tiles{tall}x{wide}-{channels}x{bits}bit"
            yield made(name, pixels, bits, photometric, Samples(pixels, bits), layout)


def without(one: Directory, *tags: int) -> Directory:
    """The page without these tags."""
    return replace(one, tags={tag: value for tag, value in one.tags.items() if tag not in tags})


def changed(one: Directory, tags: Mapping[int, Tag]) -> Directory:
    """The page with these tags instead of its own."""
    return replace(one, tags={**one.tags, **tags})


def _defaults() -> Iterator[ValidFile]:
    """Tags that may be left out, since they have defaults; and values that mean nothing."""
    gray, bits, rgb = scene(), scene(bits=1), scene(channels=3)
    one, colour = page(gray, 8, BLACK_IS_0), page(rgb, 8, RGB, STRIPS)
    cases = {
        "no-rows-per-strip": (without(one, 278), Samples(gray)),
        "no-compression": (without(one, 259), Samples(gray)),
        "no-samples": (without(one, 277, 284), Samples(gray)),
        "no-bits": (without(page(bits, 1, BLACK_IS_0), 258, 277), Samples(bits, 1)),
        "no-planar": (without(colour, 284), Samples(rgb)),
        "short-sizes": (changed(one, {256: (SHORT, [61]), 257: (SHORT, [47])}), Samples(gray)),
        "long-numbers": (changed(one, {258: (LONG, [8]), 259: (LONG, [1]), 262: (LONG, [1])}), Samples(gray)),
        "one-bits-for-all": (changed(colour, {258: (SHORT, [8])}), Samples(rgb)),
        "orientation-0": (changed(one, {274: (SHORT, [0])}), Samples(gray)),
        "orientation-9": (changed(one, {274: (SHORT, [9])}), Samples(gray)),
        "format-void": (changed(one, {339: (SHORT, [4])}), Samples(gray)),
        "min-max": (changed(one, {280: (SHORT, [0]), 281: (SHORT, [255])}), Samples(gray)),
    }
    sizes = changed(one, {256: (LONG8, [61]), 257: (LONG8, [47]), 278: (LONG8, [47])})
    yield ValidFile("tiffdefaults-long8-sizes.tif", tiff(sizes, big=True), Samples(gray))
    for name, (odd, truth) in cases.items():
        yield ValidFile(f"tiffdefaults-{name}.tif", tiff(odd), truth)


def _fill_orders() -> Iterator[ValidFile]:
    """FillOrder 2: the bits of each byte are stored the other way round, whatever the compression."""
    turned = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
    for bits, name in product((1, 4, 8, 16), ("none", "lzw", "packbits")):
        pixels = scene(bits=bits)
        one = page(pixels, bits, BLACK_IS_0, compressed(STRIPS, name), {266: (SHORT, [2])})
        one = replace(one, blocks=[block.translate(turned) for block in one.blocks])
        yield ValidFile(f"tifffill-{bits}bit-{name}.tif", tiff(one), Samples(pixels, bits))


def _sparse() -> Iterator[ValidFile]:
    """Strips and tiles that are not stored, with offset and size 0: they are black."""
    for name, layout, bits, rows in (("strips", STRIPS, 8, 32), ("tiles", Layout(tile=(16, 16)), 16, 16)):
        pixels = scene(80, 64, bits=bits)
        pixels[:rows] = 0
        one = page(pixels, bits, BLACK_IS_0, compressed(layout, "deflate"))
        missing = rows // 16 * (1 if name == "strips" else 4)
        yield ValidFile(
            f"tiffsparse-{name}.tif",
            tiff(replace(one, blocks=[None] * missing + list(one.blocks[missing:]))),
            Samples(pixels, bits),
        )
        for value, text in ((200, b"200\0"), (7, b"7.0\0"), (2**bits - 1, b"1e9\0"), (0, b"-9999\0"), (0, b"nan\0")):
            filled = pixels.copy()
            filled[:rows] = value
            sparse = changed(one, {42113: (ASCII, text)})
            sparse = replace(sparse, blocks=[None] * missing + list(one.blocks[missing:]))
            label = f"tiffsparse-{name}-{text[:-1].decode()}"
            yield ValidFile(f"{label}.tif", tiff(sparse), Samples(filled, bits))
        none = replace(one, blocks=[None] * len(one.blocks))
        yield ValidFile(f"tiffsparse-{name}-none.tif", tiff(none), unread, refused="None of this TIFF’s")


def _old() -> Iterator[ValidFile]:
    """JPEG of the old kind: a whole JPEG file within, to which tags point."""
    pixels = scene(48, 64, 3)
    jpeg = bytes(imagecodecs.jpeg8_encode(pixels, level=95, subsampling="420"))
    tags = {
        256: (LONG, [64]), 257: (LONG, [48]), 258: (SHORT, [8] * 3), 259: (SHORT, [6]), 262: (SHORT, [6]),
        277: (SHORT, [3]), 278: (LONG, [48]), 284: (SHORT, [1]), 512: (SHORT, [1]), 513: (LONG, [8]),
        514: (LONG, [len(jpeg)]), 530: (SHORT, [2, 2]), 531: (SHORT, [1]),
    }  # fmt: skip
    yield ValidFile("tiffold-jpeg.tif", tiff(Directory(tags, [jpeg])), unread, refused="old")
