"""Fax compressions in TIFF: Group 3 of one and two dimensions, Group 4, RLE; both fill orders; one strip and many."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np
from PIL import Image as Pillow

from valid_files.tiff_writer import LONG, SHORT, Directory, tiff
from valid_files.truth import Samples, ValidFile

#: Name: Pillow's name, TIFF's number, T4Options.
_KINDS = {
    "rle": ("tiff_ccitt", 2, None),
    "rlew": ("tiff_raw_16", 32771, None),
    "g3": ("group3", 3, 0),
    "g3-2d": ("group3", 3, 1),
    "g3-fill": ("group3", 3, 4),
    "g3-2d-fill": ("group3", 3, 5),
    "g4": ("group4", 4, None),
}
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def drawn(height: int = 90, width: int = 203) -> np.ndarray:
    """A page with lines of blocks, 1 where there is ink."""
    ink = np.zeros((height, width), np.uint8)
    for top in range(4, height - 6, 9):
        for left in range(5, width - 20, 17):
            ink[top : top + 5, left : left + (left * 7 + top * 3) % 15] = 1
    ink[:, width - 2] = 1
    return ink


def files() -> Iterator[ValidFile]:
    for kind, fill, rows, white in product(_KINDS, (1, 2), (16, 90), (0, 1)):
        ink = drawn()
        codec, number, options = _KINDS[kind]
        blocks = _encoded(ink, codec, options, rows)
        if fill == 2:
            blocks = [block.translate(_REVERSED) for block in blocks]
        height, width = ink.shape
        tags = {
            256: (LONG, [width]), 257: (LONG, [height]), 258: (SHORT, [1]), 259: (SHORT, [number]),
            262: (SHORT, [white]), 266: (SHORT, [fill]), 277: (SHORT, [1]), 278: (LONG, [rows]),
        }  # fmt: skip
        if options is not None:
            tags[292] = (LONG, [options])
        truth = Samples(ink, 1, inverted=white == 0)
        name = f"tifffax-{kind}-fill{fill}-{rows}rows-{'white0' if white == 0 else 'black0'}.tif"
        # libtiff does not read back what it writes of this kind, so that neither OpenCV nor Pillow can be relied on.
        yield ValidFile(name, tiff(Directory(tags, blocks)), truth, refused="CCIRLEW" if kind == "rlew" else "")
        if kind in ("g4", "g3-2d") and fill == 1 and rows == 16:
            turned = tiff(Directory({**tags, 274: (SHORT, [6])}, blocks))
            yield ValidFile(name.replace("fax-", "fax-turned-"), turned, replace(truth, orientation=6))


def _encoded(ink: np.ndarray, codec: str, options: int | None, rows: int) -> list[bytes]:
    """The strips of a page, 1 being black, as Pillow's libtiff encodes them."""
    file = io.BytesIO()
    tags = {278: rows, 262: 0} | ({} if options is None else {292: options})
    Pillow.fromarray(ink == 0).save(file, "TIFF", compression=codec, tiffinfo=tags)
    data = file.getvalue()
    with Pillow.open(file) as image:
        offsets, counts = image.tag_v2[273], image.tag_v2[279]
        assert image.tag_v2[278] == rows, image.tag_v2[278]
        assert image.tag_v2.get(266, 1) == 1
    return [data[at : at + count] for at, count in zip(offsets, counts, strict=True)]
