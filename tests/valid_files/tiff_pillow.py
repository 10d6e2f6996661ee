"""TIFF as Pillow's libtiff writes it, which is what most such files come from: every mode in every compression."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from PIL import Image as Pillow

from valid_files.truth import Decoded, Samples, Truth, ValidFile, scene

_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16")
_COMPRESSIONS = (None, "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "lzma", "zstd")
#: Modes of the compressions that are for some kinds of pixels only.
_ONLY = {"group3": ("1",), "group4": ("1",), "tiff_ccitt": ("1",), "jpeg": ("L", "RGB", "CMYK")}

_STRIP = 1_500  # bytes, so that every picture has several


def files() -> Iterator[ValidFile]:
    for mode, compression in product(_MODES, _COMPRESSIONS):
        yield _file(mode, compression)
    for compression, modes in _ONLY.items():
        for mode in modes:
            yield _file(mode, compression)
    yield _file("YCbCr", "jpeg")


def drawn(mode: str) -> tuple[Pillow.Image, Truth]:
    """A picture and its truth."""
    height, width = 151, 73
    if mode == "1":
        bits = scene(height, width, bits=1)
        return Pillow.fromarray(bits.astype(bool)), Samples(bits, 1)
    if mode == "P":
        indices, colours = scene(height, width), np.random.default_rng(3).integers(0, 256, (256, 3), np.uint8)
        picture = Pillow.fromarray(indices)
        picture.putpalette(colours.tobytes())
        return picture, Samples(colours[indices])
    if mode == "I;16":
        deep = scene(height, width, bits=16)
        return Pillow.fromarray(deep), Samples(deep, 16)
    channels = {"L": 1, "LA": 2, "RGB": 3, "YCbCr": 3, "RGBA": 4, "CMYK": 4}[mode]
    pixels = scene(height, width, channels)
    picture = Pillow.fromarray(pixels, "CMYK") if mode == "CMYK" else Pillow.fromarray(pixels)
    if mode == "YCbCr":
        return picture.convert("YCbCr"), Samples(pixels)
    if mode.endswith("A"):
        return picture, Samples(pixels[:, :, 0] if mode == "LA" else pixels[:, :, :3])
    return picture, Samples(pixels)


def _file(mode: str, compression: str | None) -> ValidFile:
    picture, truth = drawn(mode)
    how: dict[str, Any] = {} if compression is None else {"compression": compression, "strip_size": _STRIP}
    if compression == "jpeg":
        how["quality"] = 90
    file = io.BytesIO()
    picture.save(file, "TIFF", **how)
    tolerance = int(mode == "CMYK")
    if compression == "jpeg":  # which is lossy
        with Pillow.open(file) as image:
            decoded = np.asarray(image if mode == "CMYK" else image.convert("RGB"))
        truth, tolerance = Decoded(decoded), 3
    name = f"tiffpillow-{mode.replace(';', '')}-{compression or 'plain'}.tif"
    return ValidFile(name, file.getvalue(), truth, tolerance)
