"""Which way is up: EXIF's orientation, and turning by it."""

from __future__ import annotations

import struct
from typing import Literal

import cv2
import numpy as np

from imgproc.operations.contract import Image

_TAG = 0x0112
_SHORT, _LONG = 3, 4
# For each orientation: OpenCV's rotation, if any, and whether it is mirrored left to right after that.
_TURNS: dict[int, tuple[int | None, bool]] = {
    2: (None, True),
    3: (cv2.ROTATE_180, False),
    4: (cv2.ROTATE_180, True),
    5: (cv2.ROTATE_90_CLOCKWISE, True),
    6: (cv2.ROTATE_90_CLOCKWISE, False),
    7: (cv2.ROTATE_90_COUNTERCLOCKWISE, True),
    8: (cv2.ROTATE_90_COUNTERCLOCKWISE, False),
}


def turned(image: Image, orientation: int) -> Image:
    """The image upright; of any dtype, (height, width) or (height, width, channels)."""
    if orientation not in _TURNS:
        return image
    rotation, mirrored = _TURNS[orientation]
    if rotation is not None:
        image = cv2.rotate(image, rotation)  # type: ignore[assignment]
    return np.ascontiguousarray(np.flip(image, 1)) if mirrored else image


def exif_orientation(exif: bytes) -> int:
    """The orientation (1 to 8) in an EXIF block, which begins with its byte order; 1 where there is none, or none that
    makes sense. It should be written as SHORT, but some write LONG."""
    try:
        order: Literal["<", ">"] = {b"II": "<", b"MM": ">"}[exif[:2]]  # type: ignore[assignment]
        (at,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, at)
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            tag, kind, values = struct.unpack_from(order + "HHI", exif, entry)
            if tag == _TAG and kind in (_SHORT, _LONG) and values == 1:
                (value,) = struct.unpack_from(order + ("H" if kind == _SHORT else "I"), exif, entry + 8)
                return value if 1 <= value <= 8 else 1
    except (KeyError, struct.error):
        pass
    return 1
