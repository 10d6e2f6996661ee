"""TIFF files by strips: their rows are stored in strips of their own, each of which can be read and decoded alone.

Some strips behind a copy of the file's tags are a TIFF file too. So the same decoder makes the same pixels of them,
whatever the compression and the kind of pixels.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from itertools import pairwise

from PIL import Image as Pillow
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from imgproc.operations.rows import Rows, cut

_HEIGHT, _COMPRESSION, _OFFSETS, _ROWS, _COUNTS, _PLANES = 257, 259, 273, 278, 279, 284
_ORIENTATION = 274
# What says how the pixels are stored: size, bits, compression, photometric, fill order, samples, planes, predictor,
# colours, extra samples, sample format, JPEG tables, and those of YCbCr.
_KEPT = {256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 317, 320, 338, 339, 347, 529, 530, 531, 532}
_UNCOMPRESSED = 1
_OLD_JPEG = 6  # its tables lie elsewhere in the file


@dataclass(frozen=True, slots=True)
class StoredRows:
    """Some of the rows of a TIFF file: where their bytes are in it, and the tags they need."""

    rows: Rows
    ranges: tuple[tuple[int, int], ...]  # (offset, bytes)
    head: bytes

    def read(self, path: str) -> bytes:
        """A TIFF file of these rows only."""
        with open(path, "rb") as file:
            parts = [self.head]
            for offset, size in self.ranges:
                file.seek(offset)
                parts.append(file.read(size))
        return b"".join(parts)


def pieces(path: str, count: int) -> list[StoredRows]:
    """The first picture of a TIFF file in at most ``count`` pieces of about equal height.

    Returns:
        None of other files, and of those that are not stored so: in tiles, in planes, turned, or compressed in one
        strip.
    """
    try:
        with open(path, "rb") as file:
            if file.read(4)[:2] not in (b"II", b"MM"):
                return []
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with Pillow.open(file, formats=["TIFF"]) as image:
                    return _pieces(image, count) if isinstance(image, TiffImageFile) else []
    except Exception:  # whatever is wrong with it, its decoder is to say
        return []


def _pieces(image: TiffImageFile, count: int) -> list[StoredRows]:
    tags = image.tag_v2
    if tags.get(_PLANES, 1) != 1 or tags.get(_ORIENTATION, 1) != 1 or tags[_COMPRESSION] == _OLD_JPEG:
        return []
    height, per_strip = tags[_HEIGHT], min(tags.get(_ROWS, tags[_HEIGHT]), tags[_HEIGHT])
    offsets, sizes = tags[_OFFSETS], tags[_COUNTS]
    if len(offsets) == len(sizes) == 1 and tags[_COMPRESSION] == _UNCOMPRESSED and sizes[0] % height == 0:
        row = sizes[0] // height
        return [
            StoredRows(rows, ((offsets[0] + rows.start * row, size),), _head(tags, rows.stop - rows.start, (size,)))
            for rows in cut(height, count)
            for size in [(rows.stop - rows.start) * row]
        ]
    strips = -(-height // per_strip)
    if not len(offsets) == len(sizes) == strips > 1:
        return []
    count = min(count, strips)
    groups = [Rows(*edges) for edges in pairwise(strips * k // count for k in range(count + 1))]
    return [
        StoredRows(
            Rows(group.start * per_strip, min(height, group.stop * per_strip)),
            tuple(zip(offsets[slice(*group)], sizes[slice(*group)], strict=True)),
            _head(tags, min(height, group.stop * per_strip) - group.start * per_strip, sizes[slice(*group)]),
        )
        for group in groups
    ]


def _head(tags: ImageFileDirectory_v2, height: int, sizes: tuple[int, ...]) -> bytes:
    """Header and tags of a file of so many rows, whose strips follow one after the other."""
    own = ImageFileDirectory_v2(prefix=tags.prefix)
    for tag in _KEPT & set(tags):
        own.tagtype[tag] = tags.tagtype[tag]
        own[tag] = tags[tag]
    own.tagtype[_HEIGHT] = own.tagtype[_OFFSETS] = own.tagtype[_COUNTS] = 4  # 32 bits
    own[_HEIGHT] = height
    own[_COUNTS] = sizes
    own[_OFFSETS] = tuple(sum(sizes[:k]) for k in range(len(sizes)))  # from where the tags end
    head = io.BytesIO()
    own.save(head)
    return head.getvalue()
