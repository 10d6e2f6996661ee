"""WebP: lossless and lossy, with alpha, animated, turned by Exif."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import product
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image as Pillow

from valid_files.exif import exif
from valid_files.truth import Decoded, Samples, ValidFile, cvt_gray, scene


def encoded(pixels: np.ndarray, **how: Any) -> bytes:
    file = io.BytesIO()
    Pillow.fromarray(pixels).save(file, "WEBP", **how)
    return file.getvalue()


def decoded(data: bytes) -> np.ndarray:
    """The colours that libwebp of another package decodes, without alpha."""
    return np.asarray(imagecodecs.webp_decode(data))[:, :, :3]


def of(rgb: np.ndarray, orientation: int = 1) -> Samples:
    return Samples(rgb, orientation=orientation, gray=cvt_gray)


def files() -> Iterator[ValidFile]:
    for channels, (height, width) in product((3, 4), ((47, 61), (300, 40), (1, 1))):
        pixels = scene(height, width, channels) if height > 1 else np.full((1, 1, channels), 77, np.uint8)
        for method in (0, 4, 6):
            data = encoded(pixels, lossless=True, exact=True, method=method)
            yield ValidFile(f"webp-lossless-{channels}-{height}x{width}-{method}.webp", data, of(pixels[:, :, :3]))
    for channels, quality in product((3, 4), (10, 80, 100)):
        data = encoded(scene(90, 71, channels), quality=quality, exact=True)
        yield ValidFile(f"webp-lossy-{channels}-{quality}.webp", data, Decoded(decoded(data)), tolerance=1)
    for orientation, long, lossless in product(range(1, 9), (False, True), (False, True)):
        pixels = scene(channels=3)
        order = "<" if orientation % 2 else ">"
        data = encoded(pixels, lossless=lossless, exif=b"Exif\0\0" + exif(orientation, order, long=long))
        truth = of(pixels, orientation) if lossless else Decoded(decoded(encoded(pixels)), orientation=orientation)
        name = f"webporient-{'lossless' if lossless else 'lossy'}-{orientation}{'long' if long else ''}"
        yield ValidFile(f"{name}.webp", data, truth, tolerance=0 if lossless else 1)
    yield from _animated()


def _animated() -> Iterator[ValidFile]:
    for channels in (3, 4):
        frames = [Pillow.fromarray(scene(channels=channels, seed=k)) for k in range(3)]
        file = io.BytesIO()
        frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:], lossless=True, exact=True)
        yield ValidFile(f"webpanimated-{channels}.webp", file.getvalue(), of(scene(channels=channels)[:, :, :3]))
    profile = encoded(scene(channels=3), lossless=True, icc_profile=bytes(2_000_000))
    yield ValidFile("webp-profile.webp", profile, of(scene(channels=3)))
