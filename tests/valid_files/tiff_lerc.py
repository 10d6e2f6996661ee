"""TIFF compressed by LERC with masks, as libtiff writes them: of samples that are NaN, and of alpha."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import imagecodecs
import numpy as np

from valid_files.tiff_kinds import LAYOUTS, made
from valid_files.tiff_writer import BLACK_IS_0, FLOAT, RGB, SHORT, Layout
from valid_files.truth import Samples, ValidFile, scene, unread

_LERC = 34887


def files() -> Iterator[ValidFile]:
    yield from _holes()
    yield from _alpha()
    yield from _refused()


def lerc(data: bytes, samples: np.ndarray, **how: Any) -> bytes:
    """Floating-point samples, where some are NaN with a mask: one for all of a pixel, or one for each, plane by
    plane."""
    pixels = np.ascontiguousarray(samples[:, :, 0] if samples.shape[2] == 1 else samples)
    there = np.isfinite(pixels)
    if there.all():
        return bytes(imagecodecs.lerc_encode(pixels, 0, **how))
    filled = np.where(there, pixels, 0).astype(pixels.dtype)
    if pixels.ndim == 3 and (there != there[:, :, :1]).any():
        planes = [np.ascontiguousarray(np.moveaxis(each, 2, 0)) for each in (filled, there)]
        return bytes(imagecodecs.lerc_encode(planes[0], 0, masks=planes[1], planar=True, **how))
    mask = there if there.ndim == 2 else np.ascontiguousarray(there[:, :, 0])
    return bytes(imagecodecs.lerc_encode(filled, 0, masks=mask, **how))


def in_lerc(layout: Layout, **how: Any) -> Layout:
    return replace(layout, compression=_LERC, compress=lambda data, samples: lerc(data, samples, **how))


def _holes() -> Iterator[ValidFile]:
    for bits, outer, place in product((32, 64), (None, "deflate", "zstd"), ("strips", "tiles")):
        pixels = (scene(bits=16) / 65_535 * 3 + 1).astype(f"f{bits // 8}")
        pixels[3:9, 5:20], pixels[20, 20] = np.nan, np.nan
        how = {"compression": outer} if outer else {}
        yield _float(f"tifflerc-{bits}bit-holes-{outer}-{place}", pixels, bits, in_lerc(LAYOUTS[place], **how))
    for name, holes in {"pixels": slice(None), "one-colour": slice(1, 2)}.items():
        for place in ("strips", "tiles"):
            pixels = (scene(channels=3, bits=16) / 65_535 * 3 + 1).astype(np.float32)
            pixels[3:9, 5:20, holes] = np.nan
            yield _float(f"tifflerc-rgb-{name}-{place}", pixels, 32, in_lerc(LAYOUTS[place]))
    pixels = np.full((47, 61, 3), 2.5, np.float32)
    pixels[:, ::2] = 1.25
    pixels[16:32] = np.nan  # nothing is there of whole tiles
    yield _float("tifflerc-whole-tiles", pixels, 32, in_lerc(LAYOUTS["tiles"]))


def _float(name: str, pixels: np.ndarray, bits: int, layout: Layout) -> ValidFile:
    photometric = BLACK_IS_0 if pixels.ndim == 2 else RGB
    return made(
        name, pixels, bits, photometric, Samples(pixels, 0), layout, sample_format=FLOAT, refused="float",
        always_refused=False,
    )  # fmt: skip


def _alpha() -> Iterator[ValidFile]:
    """Alpha of only 0 and 255 is the mask; what is below it is lost, and 0."""

    def masked(data: bytes, samples: np.ndarray) -> bytes:
        colours, alpha = samples[:, :, :-1], samples[:, :, -1]
        if not np.isin(alpha, (0, 255)).all():
            return bytes(imagecodecs.lerc_encode(np.ascontiguousarray(samples), 0))
        shown = np.ascontiguousarray(colours[:, :, 0] if colours.shape[2] == 1 else colours)
        return bytes(imagecodecs.lerc_encode(shown, 0, masks=alpha == 255))

    for colours, alpha, place in product((1, 3), ("mask", "some", "full"), ("strips", "tiles")):
        pixels = scene(channels=colours + 1)
        pixels[:, :, -1] = 255
        if alpha != "full":
            pixels[12:40, 7:50, -1], pixels[12:40, 7:50, :-1] = 0, 0
        if alpha == "some":
            pixels[:10, :, -1] = scene(10, 61)
        values = pixels[:, :, 0] if colours == 1 else pixels[:, :, :3]
        layout = replace(LAYOUTS[place], compression=_LERC, compress=masked)
        photometric = BLACK_IS_0 if colours == 1 else RGB
        yield made(
            f"tifflerc-{colours}+alpha-{alpha}-{place}", pixels, 8, photometric, Samples(values), layout,
            {338: (SHORT, [2])},
        )  # fmt: skip


def _refused() -> Iterator[ValidFile]:
    def masked(data: bytes, samples: np.ndarray) -> bytes:
        pixels = np.ascontiguousarray(samples[:, :, 0])
        return bytes(imagecodecs.lerc_encode(pixels, 0, masks=pixels > 9))

    layout = Layout(compression=_LERC, compress=masked)
    yield made("tifflerc-whole-numbers", scene(bits=16), 16, BLACK_IS_0, unread, layout, refused="masks")
    order = in_lerc(Layout(order=">", rows=10))
    yield made("tifflerc-big-endian", scene(bits=16), 16, BLACK_IS_0, unread, order, refused="big-endian")
    yield made("tifflerc-big-endian-8bit", scene(), 8, BLACK_IS_0, Samples(scene()), order)
