"""TIFF by compression: those of any bytes with and without predictor, and those of pictures."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import imagecodecs
import numpy as np
import tifffile

from valid_files.tiff_kinds import LAYOUTS, made
from valid_files.tiff_writer import (
    BLACK_IS_0,
    COMPRESSIONS,
    RGB,
    SHORT,
    YCBCR,
    Layout,
    compressed,
    page,
    tiff,
)
from valid_files.truth import Decoded, Samples, Truth, ValidFile, scene, unread


def files() -> Iterator[ValidFile]:
    yield from _of_bytes()
    yield from _of_pictures()
    yield from _jpeg()
    yield from (_jpeg_of_bits(bits, lossless=True) for bits in (8, 12, 16))
    yield _jpeg_of_bits(12, lossless=False)
    yield from _ycbcr()
    yield from _ycbcr_of_odd_sizes()
    yield from _float_predictor()
    yield from _refused()


def _of_bytes() -> Iterator[ValidFile]:
    kinds = {"gray8": (1, 8), "gray16": (1, 16), "rgb8": (3, 8), "rgb16": (3, 16)}
    for kind, name, predictor, place in product(kinds, COMPRESSIONS, (1, 2), ("strips", "tiles")):
        if predictor == 2 and name in ("none", "packbits"):
            continue
        channels, bits = kinds[kind]
        pixels = scene(channels=channels, bits=bits)
        layout = compressed(replace(LAYOUTS[place], order="<" if predictor == 1 else ">"), name, predictor)
        label = f"tiffbytes-{kind}-{name}{'-predictor' if predictor == 2 else ''}-{place}"
        yield made(label, pixels, bits, RGB if channels == 3 else BLACK_IS_0, Samples(pixels, bits), layout)
    for name, bits, white in product(COMPRESSIONS, (1, 4), (0, 1)):
        pixels = scene(bits=bits)
        truth = Samples(pixels, bits, inverted=white == 0)
        yield made(
            f"tiffbytes-{bits}bit-{name}-{white}", pixels, bits, white, truth, compressed(LAYOUTS["strips"], name)
        )
    for name in ("lzw", "deflate"):
        pixels = scene(channels=3)
        layout = replace(compressed(LAYOUTS["strips"], name, 2), planar=True)
        yield made(f"tiffbytes-rgb8-{name}-predictor-planes", pixels, 8, RGB, Samples(pixels), layout)
    pixels = scene(channels=3, bits=16)
    layout = replace(compressed(LAYOUTS["tiles"], "lzw", 2), planar=True, order=">")
    yield made("tiffbytes-rgb16-lzw-predictor-planes-tiles", pixels, 16, RGB, Samples(pixels, 16), layout)
    for bits in (8, 16, 32):  # the difference of more than one sample a pixel
        pixels = scene(channels=4, bits=bits)
        truth = Samples(pixels[:, :, :3], bits)
        tags = {338: (SHORT, [2])}
        yield made(
            f"tiffbytes-rgba{bits}-lzw-predictor",
            pixels,
            bits,
            RGB,
            truth,
            compressed(LAYOUTS["strips"], "lzw", 2),
            tags,
        )


def written(
    name: str, pixels: np.ndarray, truth: Truth, tolerance: int = 0, refused: str = "", **how: Any
) -> ValidFile:
    """A file that tifffile writes."""
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, metadata=None, **how)
    return ValidFile(f"{name}.tif", file.getvalue(), truth, tolerance, refused)


def _of_pictures() -> Iterator[ValidFile]:
    """Compressions of pictures, losslessly."""
    how: dict[str, dict[str, Any]] = {
        "jpeg2000": {"compression": "jpeg2000", "compressionargs": {"reversible": True}},
        "jpegxl": {"compression": "jpegxl", "compressionargs": {"lossless": True}},
        "png": {"compression": "png"},
        "lerc": {"compression": "lerc"},
        "lercdeflate": {"compression": "lerc", "compressionargs": {"compression": "deflate"}},
        "lerczstd": {"compression": "lerc", "compressionargs": {"compression": "zstd"}},
        "jpegxr": {"compression": "jpegxr", "compressionargs": {"level": 1.0}},
        "webp": {"compression": "webp", "compressionargs": {"lossless": True}},
    }
    for name, channels, bits, place in product(how, (1, 3), (8, 16), ("strips", "tiles")):
        if name == "webp" and (channels, bits) != (3, 8):
            continue
        pixels = scene(80, 96, channels, bits)
        places = {"tile": (32, 48)} if place == "tiles" else {"rowsperstrip": 32}
        photometric = "rgb" if channels == 3 else "minisblack"
        label = f"tiffpictures-{name}-{channels}x{bits}bit-{place}"
        yield written(label, pixels, Samples(pixels, bits), photometric=photometric, **places, **how[name])


def _jpeg() -> Iterator[ValidFile]:
    """JPEG in TIFF, which is lossy: gray, RGB as such, and the usual YCbCr."""
    for kind, place in product(("gray", "rgb", "ycbcr", "ycbcr420"), ("strips", "tiles")):
        pixels = scene(96, 64, 1 if kind == "gray" else 3)
        yield _jpeg_in_tiff(
            f"tiffjpeg-{kind}-{place}", pixels, kind, Layout(rows=32) if place == "strips" else Layout(tile=(32, 32))
        )


def _jpeg_in_tiff(name: str, pixels: np.ndarray, kind: str, layout: Layout) -> ValidFile:
    how: dict[str, Any] = {"level": 95}
    tags = {}
    photometric = BLACK_IS_0
    if kind == "rgb":
        photometric, how = RGB, {**how, "colorspace": "RGB", "outcolorspace": "RGB"}
    elif kind.startswith("ycbcr"):
        photometric = YCBCR
        sampling = (2, 2) if kind.endswith("420") else (1, 1)
        tags = {530: (SHORT, sampling)}
        how = {
            **how,
            "colorspace": "RGB",
            "outcolorspace": "YCBCR",
            "subsampling": "420" if sampling == (2, 2) else "444",
        }

    def jpeg(data: bytes, samples: np.ndarray) -> bytes:
        squeezed = np.ascontiguousarray(samples[:, :, 0] if samples.shape[2] == 1 else samples)
        return bytes(imagecodecs.jpeg8_encode(squeezed, **how))

    layout = replace(layout, compression=7, compress=jpeg)
    one = page(pixels, 8, photometric, layout, tags)
    space = {"gray": "GRAYSCALE", "rgb": "RGB"}.get(kind, "YCBCR")
    out = "GRAYSCALE" if kind == "gray" else "RGB"
    blocks = [imagecodecs.jpeg8_decode(b, colorspace=space, outcolorspace=out) for b in one.blocks]
    decoded = joined(blocks, pixels.shape[1], layout.tile)
    return ValidFile(f"{name}.tif", tiff(one), Decoded(decoded), tolerance=2)


def _jpeg_of_bits(bits: int, *, lossless: bool) -> ValidFile:
    """Gray as JPEG in TIFF, each strip a file of its own."""
    pixels = scene(96, 64, bits=bits)

    def jpeg(data: bytes, samples: np.ndarray) -> bytes:
        strip = np.ascontiguousarray(samples[:, :, 0])
        return bytes(imagecodecs.jpeg8_encode(strip, level=95, lossless=lossless, bitspersample=bits))

    one = page(pixels, bits, BLACK_IS_0, Layout(rows=32, compression=7, compress=jpeg))
    decoded = joined([imagecodecs.jpeg8_decode(block) for block in one.blocks], 64, None)
    name = f"tiffjpeg-gray{bits}{'-lossless' if lossless else ''}.tif"
    return ValidFile(name, tiff(one), Samples(pixels if lossless else decoded, bits))


def joined(blocks: list[np.ndarray], width: int, tile: tuple[int, int] | None) -> np.ndarray:
    """A picture of its strips or tiles."""
    across = -(-width // tile[1]) if tile else 1
    rows = [np.concatenate(blocks[k : k + across], axis=1) for k in range(0, len(blocks), across)]
    return np.concatenate(rows)


def _ycbcr() -> Iterator[ValidFile]:
    """Uncompressed YCbCr: luma of a block of pixels, then one sample each of its chroma."""
    for (across, down), rows, compression in product(
        ((1, 1), (2, 1), (2, 2), (4, 2), (1, 2), (4, 4)), (8, 48), ("none", "lzw")
    ):
        if compression == "lzw" and rows == 8 and (across, down) != (2, 2):
            continue
        height, width = 48, 64
        luma = scene(height, width)
        # The chroma is flat, so that how it is spread over the pixels does not matter.
        cb, cr = (np.full((height // down, width // across), value, np.uint8) for value in (100, 160))
        blocks = luma.reshape(height // down, down, width // across, across).swapaxes(1, 2)
        units = np.dstack([blocks.reshape(height // down, width // across, -1), cb, cr])
        number, compress = COMPRESSIONS[compression]
        data = [
            compress(units[top : top + rows // down].tobytes(), units[top : top + rows // down])
            for top in range(0, len(units), rows // down)
        ]
        one = page(
            np.dstack([luma] * 3), 8, YCBCR, Layout(rows=rows, compression=number), {530: (SHORT, (across, down))}
        )
        one = replace(one, blocks=data)
        truth = Decoded(rgb_of(luma, 100, 160))
        label = f"tiffycbcr-{across}x{down}-{rows}rows-{compression}"
        yield ValidFile(f"{label}.tif", tiff(one), truth, tolerance=2)


def _ycbcr_of_odd_sizes() -> Iterator[ValidFile]:
    """Uncompressed YCbCr in tiles, and of heights and widths that no block of pixels with one colour fills."""
    for (across, down), tile in product(((1, 1), (2, 1), (2, 2), (4, 4)), ((16, 32), (32, 32), (48, 48), (64, 64))):
        pixels = tile[0] * tile[1]
        size = pixels + 2 * pixels // (across * down)
        refused = "YCbCr" if size % 1024 else ""  # OpenCV gives up
        yield _of_flat_colour(
            f"tiffycbcr-{across}x{down}-tiles{tile[0]}x{tile[1]}", (across, down), 96, 128, tile, refused
        )
    for height, rows in product((47, 45, 33), (16, 0)):
        yield _of_flat_colour(f"tiffycbcr-{height}high-{rows}rows", (2, 2), height, 63, (rows or height, 63))


def _of_flat_colour(
    name: str, sampling: tuple[int, int], height: int, width: int, block: tuple[int, int], refused: str = ""
) -> ValidFile:
    """Tiles of this size, or strips where it is as wide as the picture."""
    (across, down), luma, tiled = sampling, scene(height, width), block[1] != width
    full = np.pad(luma, [(0, -height % block[0] if tiled else 0), (0, -width % block[1])], mode="edge")
    blocks = []
    for top, left in product(range(0, len(full), block[0]), range(0, full.shape[1], block[1])):
        part = full[top : top + block[0], left : left + block[1]]
        part = np.pad(part, [(0, -len(part) % down), (0, -part.shape[1] % across)], mode="edge")
        units = part.reshape(len(part) // down, down, -1, across).swapaxes(1, 2)
        units = units.reshape(*units.shape[:2], across * down)
        flat = [np.full(units.shape[:2], value, np.uint8) for value in (100, 160)]
        blocks.append(np.dstack([units, *flat]).tobytes())
    layout = Layout(tile=block) if tiled else Layout(rows=block[0])
    one = page(np.dstack([luma] * 3), 8, YCBCR, layout, {530: (SHORT, sampling)})
    truth = unread if refused else Decoded(rgb_of(luma, 100, 160))
    return ValidFile(f"{name}.tif", tiff(replace(one, blocks=blocks)), truth, tolerance=2, refused=refused)


def rgb_of(luma: np.ndarray, cb: int, cr: int) -> np.ndarray:
    """RGB of YCbCr by Rec. 601, full range."""
    y, blue, red = luma.astype(float), cb - 128, cr - 128
    rgb = np.dstack([y + 1.402 * red, y - 0.344136 * blue - 0.714136 * red, y + 1.772 * blue])
    return np.clip(np.round(rgb), 0, 255).astype(np.uint8)


def _float_predictor() -> Iterator[ValidFile]:
    for bits, name in product((16, 32, 64), ("lzw", "deflate", "zstd")):
        pixels = (scene(bits=16) / 65_535).astype(f"f{bits // 8}")
        file = written(
            f"tifffloat-{bits}bit-{name}-predictor", pixels, Samples(pixels, 0), refused="float",
            compression=name, predictor=3, rowsperstrip=10,
        )  # fmt: skip
        yield replace(file, always_refused=False)


def _refused() -> Iterator[ValidFile]:
    """What no decoder here is meant to read."""
    gray, rgb = scene(), scene(channels=3)
    for number, photometric, pixels, word in (
        (34676, 32845, rgb, "LogLuv"), (34677, 32845, rgb, "LogLuv"), (34676, 32844, gray, "LogL"),
    ):  # fmt: skip
        layout = Layout(compression=number, compress=lambda data, samples: imagecodecs.packbits_encode(data))
        yield made(
            f"tiffrefused-{number}-{photometric}", pixels.astype(np.int16), 16, photometric, unread, layout,
            sample_format=2, refused=word,
        )  # fmt: skip
