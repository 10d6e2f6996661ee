"""TIFF whose kind, layout and compression are drawn by chance, the same each time: what no list puts together."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from valid_files.tiff_writer import (
    BLACK_IS_0,
    COMPRESSIONS,
    LONG,
    PALETTE,
    RGB,
    SEPARATED,
    SHORT,
    WHITE_IS_0,
    Layout,
    Tag,
    compressed,
    page,
    tiff,
)
from valid_files.truth import Samples, ValidFile, scene

_COUNT = 80
#: The samples that make a colour, and how many bits they may have.
_KINDS = {
    WHITE_IS_0: (1, (1, 2, 4, 5, 8, 10, 12, 16, 32)),
    BLACK_IS_0: (1, (1, 2, 4, 5, 8, 10, 12, 16, 32)),
    RGB: (3, (2, 4, 8, 10, 12, 16, 32)),
    PALETTE: (1, (1, 2, 4, 8)),
    SEPARATED: (4, (8, 16)),
}


def files() -> Iterator[ValidFile]:
    for number in range(_COUNT):
        yield _file(number, random.Random(number))


def _file(number: int, chance: random.Random) -> ValidFile:
    photometric, (colours, depths) = chance.choice([*_KINDS.items()])
    bits, extra = chance.choice(depths), chance.choice(([], [], [0], [1], [2, 0]))
    height, width = chance.randint(5, 120), chance.randint(5, 90)
    pixels = scene(height, width, colours + len(extra), bits, seed=number)
    layout = _layout(chance, bits, planes=pixels.ndim == 3)
    tags: dict[int, Tag] = {338: (SHORT, extra)} if extra else {}
    orientation = chance.choice((1, 1, 1, 1, *range(2, 9)))
    if orientation != 1:
        tags[274] = (chance.choice((SHORT, LONG)), [orientation])
    values = pixels if pixels.ndim == 2 else pixels[:, :, 0] if colours == 1 else pixels[:, :, :colours]
    shown = bits
    if photometric == PALETTE:
        table = np.random.default_rng(number).integers(0, 65_536, (3, 2**bits))
        tags[320] = (SHORT, table.ravel().tolist())
        values, shown = (table.T >> 8).astype(np.uint8)[values], 8
    truth = Samples(values, shown, inverted=photometric == WHITE_IS_0, orientation=orientation)
    data = tiff(page(pixels, bits, photometric, layout, tags), order=layout.order, big=layout.big)
    return ValidFile(f"tiffrandom-{number}.tif", data, truth, tolerance=int(photometric == SEPARATED))


def _layout(chance: random.Random, bits: int, *, planes: bool) -> Layout:
    layout = Layout(chance.choice("<>"), big=chance.random() < 0.2, planar=planes and chance.random() < 0.3)
    if chance.random() < 0.45:
        layout = replace(layout, tile=(16 * chance.randint(1, 4), 16 * chance.randint(1, 5)))
    else:
        layout = replace(layout, rows=chance.choice((0, 1, 3, 8, 17, 64)))
    name = chance.choice([*COMPRESSIONS])
    may_differ = name not in ("none", "packbits") and bits in (8, 16, 32)
    return compressed(layout, name, predictor=2 if may_differ and chance.random() < 0.5 else 1)
