"""TIFF by kinds of pixels: depths, photometrics, layouts, orientations, extra samples, uncompressed or in LZW."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product

import imagecodecs
import numpy as np

from valid_files.tiff_writer import (
    BLACK_IS_0,
    CIELAB,
    COMPLEX,
    COMPLEX_INTEGER,
    FLOAT,
    ICCLAB,
    ITULAB,
    LONG,
    PALETTE,
    RATIONAL,
    RGB,
    SEPARATED,
    SHORT,
    SIGNED,
    UNSIGNED,
    WHITE_IS_0,
    Layout,
    Tag,
    compressed,
    page,
    tiff,
)
from valid_files.truth import OpenCv, Samples, Truth, ValidFile, scene, unread

STRIPS, ONE_STRIP, TILES = Layout(rows=10), Layout(), Layout(tile=(16, 32))
LAYOUTS = {"strips": STRIPS, "strip": ONE_STRIP, "tiles": TILES}
ORDERS = {"II": "<", "MM": ">"}


def files() -> Iterator[ValidFile]:
    yield from _gray()
    yield from _rgb()
    yield from _oriented()
    yield from _extra_samples()
    yield from _palettes()
    yield from _separated()
    yield from _numbers()
    yield from _lab()
    yield from _big()
    yield from _used_bits()
    yield from _unusual_depths()


def made(
    name: str,
    samples: np.ndarray,
    bits: int,
    photometric: int,
    truth: Truth,
    layout: Layout = ONE_STRIP,
    tags: Mapping[int, Tag] | None = None,
    *,
    sample_format: int = UNSIGNED,
    tolerance: int = 0,
    refused: str = "",
    always_refused: bool = True,
) -> ValidFile:
    """A file of one page."""
    one = page(samples, bits, photometric, layout, tags, sample_format)
    data = tiff(one, order=layout.order, big=layout.big)
    return ValidFile(f"{name}.tif", data, truth, tolerance, refused, always_refused)


def _gray() -> Iterator[ValidFile]:
    depths = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 15, 16, 32)
    for bits, white, (mark, order), place in product(depths, (False, True), ORDERS.items(), ("strips", "tiles")):
        if (bits in (3, 5, 6, 7, 9, 15) and (white or mark == "MM")) or (white and place == "tiles" and mark == "MM"):
            continue
        pixels = scene(bits=bits)
        name = f"tiffgray-{bits}bit-{'white0' if white else 'black0'}-{mark}-{place}"
        truth = Samples(pixels, bits, inverted=white)
        photometric = WHITE_IS_0 if white else BLACK_IS_0
        yield made(name, pixels, bits, photometric, truth, replace(LAYOUTS[place], order=order))


def _rgb() -> Iterator[ValidFile]:
    for bits, planar, place in product((2, 4, 8, 10, 12, 14, 16, 32), (False, True), LAYOUTS):
        pixels = scene(channels=3, bits=bits)
        order = "<" if planar else ">"
        name = f"tiffrgb-{bits}bit-{'planes' if planar else 'pixels'}-{place}"
        layout = replace(LAYOUTS[place], order=order, planar=planar)
        yield made(name, pixels, bits, RGB, Samples(pixels, bits), layout)


def _oriented() -> Iterator[ValidFile]:
    kinds = {
        "gray8": (1, 8, STRIPS), "rgb8tiles": (3, 8, TILES), "rgb16": (3, 16, STRIPS), "bits": (1, 1, ONE_STRIP),
        "gray16tiles": (1, 16, TILES),
    }  # fmt: skip
    for orientation, (kind, (channels, bits, layout)), type_ in product(range(1, 9), kinds.items(), (SHORT, LONG)):
        if type_ == LONG and kind in ("rgb16", "bits"):
            continue
        pixels = scene(channels=channels, bits=bits)
        name = f"tifforient-{kind}-{orientation}{'long' if type_ == LONG else ''}"
        truth = Samples(pixels, bits, orientation=orientation)
        tags = {274: (type_, [orientation])}
        yield made(name, pixels, bits, RGB if channels == 3 else BLACK_IS_0, truth, layout, tags)


def _extra_samples() -> Iterator[ValidFile]:
    """Alpha and whatever else there is beside the colours; 0, 1, 2: unspecified, associated, unassociated alpha."""
    for bits, base, extra, place in product((8, 16), (1, 3), ([0], [1], [2], [2, 0]), ("strips", "tiles")):
        pixels = scene(channels=base + len(extra), bits=bits)
        values = pixels[:, :, 0] if base == 1 else pixels[:, :, :3]
        name = f"tiffextra-{bits}bit-{base}+{''.join(map(str, extra))}-{place}"
        photometric = BLACK_IS_0 if base == 1 else RGB
        planar = extra == [1] and place == "strips"
        layout = replace(LAYOUTS[place], planar=planar)
        yield made(name, pixels, bits, photometric, Samples(values, bits), layout, {338: (SHORT, extra)})
    for bands, bits, planar in product((3, 5, 7), (8, 16), (False, True)):  # gray and bands of a satellite
        pixels = scene(channels=bands, bits=bits)
        layout = replace(compressed(STRIPS, "lzw"), planar=planar)
        name = f"tiffextra-{bits}bit-{bands}bands{'-planes' if planar else ''}"
        tags = {338: (SHORT, [0] * (bands - 1))}
        yield made(name, pixels, bits, BLACK_IS_0, Samples(pixels[:, :, 0], bits), layout, tags)
    pixels = scene(channels=2)
    white = Samples(pixels[:, :, 0], inverted=True)
    yield made("tiffextra-white0+alpha", pixels, 8, WHITE_IS_0, white, tags={338: (SHORT, [2])})


def _palettes() -> Iterator[ValidFile]:
    for bits, (mark, order), place in product((1, 2, 4, 8), ORDERS.items(), LAYOUTS):
        if bits < 4 and place == "strip":
            continue
        pixels = scene(bits=bits)
        colours = np.random.default_rng(bits).integers(0, 65_536, (3, 2**bits))
        truth = Samples((colours.T >> 8).astype(np.uint8)[pixels])
        layout = replace(LAYOUTS[place], order=order)
        tags = {320: (SHORT, colours.ravel().tolist())}
        yield made(f"tiffpalette-{bits}bit-{mark}-{place}", pixels, bits, PALETTE, truth, layout, tags)
    pixels = scene()
    colours = np.random.default_rng(9).integers(0, 65_536, (3, 256))
    turned = Samples((colours.T >> 8).astype(np.uint8)[pixels], orientation=6)
    tags = {320: (SHORT, colours.ravel().tolist()), 274: (SHORT, [6])}
    yield made("tiffpalette-8bit-turned", pixels, 8, PALETTE, turned, STRIPS, tags)
    alpha = np.dstack([pixels, scene(seed=3)])
    tags = {320: (SHORT, colours.ravel().tolist()), 338: (SHORT, [2])}
    truth = Samples((colours.T >> 8).astype(np.uint8)[pixels])
    yield made("tiffpalette-8bit-alpha", alpha, 8, PALETTE, truth, STRIPS, tags)


def _separated() -> Iterator[ValidFile]:
    """The inks cyan, magenta, yellow and black."""
    for bits, planar, place in product((8, 16), (False, True), LAYOUTS):
        pixels = scene(channels=4, bits=bits)
        layout = replace(LAYOUTS[place], planar=planar)
        name = f"tiffcmyk-{bits}bit-{'planes' if planar else 'pixels'}-{place}"
        truth = Samples(pixels, bits)
        yield made(name, pixels, bits, SEPARATED, truth, layout, {332: (SHORT, [1])}, tolerance=1)
    for bits in (8, 16):
        pixels = scene(channels=5, bits=bits)
        truth = Samples(pixels[:, :, :4], bits)
        tags = {338: (SHORT, [2])}
        yield made(f"tiffcmyk-{bits}bit-alpha", pixels, bits, SEPARATED, truth, tags=tags, tolerance=1)
    pixels = scene(channels=4)
    truth = Samples(pixels, orientation=6)
    yield made("tiffcmyk-8bit-turned", pixels, 8, SEPARATED, truth, STRIPS, {274: (SHORT, [6])}, tolerance=1)
    yield made("tiffcmyk-other-inks", pixels, 8, SEPARATED, unread, STRIPS, {332: (SHORT, [2])}, refused="inks")


def _numbers() -> Iterator[ValidFile]:
    """Signed, real and complex numbers: the first two are read only over their full range."""
    for bits, channels, place in product((8, 16, 32), (1, 3), ("strips", "tiles")):
        whole = scene(channels=channels, bits=bits).astype(np.int64) - 2 ** (bits - 1)
        pixels = whole.astype(f"i{bits // 8}")
        name = f"tiffsigned-{bits}bit-{channels}-{place}"
        yield _number(name, pixels, bits, SIGNED, LAYOUTS[place], "signed")
    for bits, channels, (mark, order), place in product((16, 32, 64), (1, 3), ORDERS.items(), ("strips", "tiles")):
        pixels = (scene(channels=channels, bits=16) / 65_535 * 3 - 1).astype(f"f{bits // 8}")
        name = f"tifffloat-{bits}bit-{channels}-{mark}-{place}"
        yield _number(name, pixels, bits, FLOAT, replace(LAYOUTS[place], order=order), "float")
    holes = (scene(bits=16) / 65_535).astype(np.float32)
    holes[3:9, 5:20], holes[20, 20], holes[21, 21] = np.nan, np.inf, -np.inf
    yield _number("tifffloat-32bit-holes", holes, 32, FLOAT, STRIPS, "float")
    yield _number("tifffloat-32bit-flat", np.full((30, 40), 7.25, np.float32), 32, FLOAT, STRIPS, "float")
    for mark, order in ORDERS.items():
        yield _float24(f"tifffloat-24bit-{mark}", order)
    white = (scene(bits=16) / 65_535).astype(np.float32)
    truth = Samples(white, 0, inverted=True)
    yield made(
        "tifffloat-32bit-white0",
        white,
        32,
        WHITE_IS_0,
        truth,
        sample_format=FLOAT,
        refused="float",
        always_refused=False,
    )
    for bits, dtype, kind in ((64, "c8", COMPLEX), (128, "c16", COMPLEX), (32, "u4", COMPLEX_INTEGER)):
        pixels = scene().astype(dtype)
        yield made(
            f"tiffcomplex-{kind}-{bits}bit", pixels, bits, BLACK_IS_0, unread, sample_format=kind, refused="complex"
        )


def _number(name: str, pixels: np.ndarray, bits: int, kind: int, layout: Layout, refused: str) -> ValidFile:
    photometric = BLACK_IS_0 if pixels.ndim == 2 else RGB
    truth = Samples(pixels, 0)
    return made(
        name, pixels, bits, photometric, truth, layout, sample_format=kind, refused=refused, always_refused=False
    )


def _float24(name: str, order: str) -> ValidFile:
    def encode(data: bytes, samples: np.ndarray) -> bytes:
        return bytes(imagecodecs.float24_encode(np.ascontiguousarray(samples), byteorder=order))

    pixels = (scene(bits=16) / 65_535 * 3 - 1).astype(np.float32)
    pixels = imagecodecs.float24_decode(encode(b"", pixels), byteorder=order).reshape(pixels.shape)  # what 24 bits hold
    layout = Layout(rows=10, order=order, compress=encode)
    truth = Samples(pixels, 0)
    return made(name, pixels, 24, BLACK_IS_0, truth, layout, sample_format=FLOAT, refused="float", always_refused=False)


def _lab() -> Iterator[ValidFile]:
    """L*a*b*: the 8 bits of CIE's, of which the rule is what OpenCV makes of them; no others."""
    pixels = scene(channels=3)
    for place in ("strips", "strip"):
        file = made(f"tifflab-8bit-{place}", pixels, 8, CIELAB, unread, LAYOUTS[place])
        yield replace(file, truth=OpenCv(file.data))
    for name, white in {"d65": (3_127, 10_000, 3_290, 10_000), "d50": (3_457, 10_000, 3_585, 10_000)}.items():
        for place, layout in {**LAYOUTS, "tiles32": Layout(tile=(32, 32))}.items():
            refused = "L*a*b*" if place == "tiles" else ""  # of a size that OpenCV gives up
            tags = {318: (RATIONAL, white)}
            file = made(f"tifflab-{name}-{place}", pixels, 8, CIELAB, unread, layout, tags, refused=refused)
            # Their truth is of one strip, so that parts of a file are held to what the whole gives.
            one = made("one", pixels, 8, CIELAB, unread, tags=tags)
            yield file if refused else replace(file, truth=OpenCv(one.data))
    planar = replace(LAYOUTS["strips"], planar=True)
    yield made("tifflab-planar", pixels, 8, CIELAB, unread, planar, refused="L*a*b*")
    planes = replace(STRIPS, planar=True)
    yield made("tifflab-planes", pixels, 8, CIELAB, unread, planes, refused="L*a*b*")
    yield made("tifflab-16bit", scene(channels=3, bits=16), 16, CIELAB, unread, refused="L*a*b*")
    yield made("tifflab-icc", pixels, 8, ICCLAB, unread, refused="L*a*b*")
    yield made("tifflab-itu", pixels, 8, ITULAB, unread, refused="L*a*b*")


def _unusual_depths() -> Iterator[ValidFile]:
    """24 and 64 bits, and samples of different depths."""
    pixels = scene(bits=24)
    for mark, order in ORDERS.items():
        layout = Layout(order=order)
        yield made(f"tiffdepth-24bit-{mark}", pixels, 24, BLACK_IS_0, unread, layout, refused="24 bits")
    for bits, place in product((11, 13, 17, 18, 20, 28), ("strips", "tiles")):
        pixels = scene(bits=bits)
        truth, refused = (Samples(pixels, bits), "") if bits <= 16 else (unread, f"{bits} bits")
        yield made(f"tiffdepth-{bits}bit-{place}", pixels, bits, BLACK_IS_0, truth, LAYOUTS[place], refused=refused)
    wide = scene(bits=32).astype(np.uint64) * 2**31
    yield made(
        "tiffdepth-64bit", wide, 64, BLACK_IS_0, Samples(wide, 0), refused="64-bit", always_refused=False
    )  # fmt: skip
    for channels, kinds in ((4, [1, 1, 1, 2]), (2, [1, 3]), (3, [3, 1, 1])):
        pixels = scene(channels=channels)
        tags = {338: (SHORT, [0] * (channels - 3)), 339: (SHORT, kinds)} if channels > 3 else {339: (SHORT, kinds)}
        photometric = RGB if channels > 2 else BLACK_IS_0
        yield made(f"tiffdepth-kinds-{channels}", pixels, 8, photometric, unread, tags=tags, refused="differ in kind")
    yield made("tiffdepth-mixed", scene(channels=3), 8, RGB, unread, tags={258: (SHORT, [5, 6, 5])}, refused="bits")


def _big() -> Iterator[ValidFile]:
    for (mark, order), (channels, bits), place in product(
        ORDERS.items(), ((1, 1), (1, 8), (1, 16), (3, 8), (3, 16)), ("strips", "tiles")
    ):
        pixels = scene(channels=channels, bits=bits)
        layout = replace(compressed(LAYOUTS[place], "deflate"), order=order, big=True)
        name = f"bigtiff-{channels}x{bits}bit-{mark}-{place}"
        yield made(name, pixels, bits, RGB if channels == 3 else BLACK_IS_0, Samples(pixels, bits), layout)


def _used_bits() -> Iterator[ValidFile]:
    """Pictures of cameras and scanners with fewer bits than the file holds."""
    for used, channels, place in product((6, 10, 12, 14), (1, 3), ("strips", "tiles")):
        pixels = scene(channels=channels, bits=used).astype(np.uint16)
        name = f"tiffused-{used}of16-{channels}-{place}"
        yield made(name, pixels, 16, RGB if channels == 3 else BLACK_IS_0, Samples(pixels, 16), LAYOUTS[place])
