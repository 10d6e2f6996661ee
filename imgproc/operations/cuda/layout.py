"""How an image lies on a device: in words of four bytes, in rows of whole groups of four pixels.

A gray group is one word, a colour group three. So every row begins at a word, and where the width is a multiple of
four, as in most photographs, an image needs no change at all.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from imgproc.errors import UserError

Image = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint32]

PIXELS = 4  #: of a group
# The kernels count bytes in signed 32 bits.
_MOST_BYTES = 2**31 - 1


class Layout(NamedTuple):
    """The measures of an image on a device."""

    height: int
    width: int
    channels: int

    @classmethod
    def of(cls, shape: tuple[int, ...]) -> Layout:
        """Of an image of shape (height, width) or (height, width, channels).

        Raises:
            UserError: it is too large for the kernels.
        """
        layout = cls(shape[0], shape[1], math.prod(shape[2:]))
        if 4 * layout.words > _MOST_BYTES:
            raise UserError(
                f"An image of {layout.width} x {layout.height} pixels is too large for the GPU techniques.",
                code="too_large",
                limit=_MOST_BYTES,
            )
        return layout

    @property
    def groups(self) -> int:
        """Groups of four pixels in a row."""
        return -(-self.width // PIXELS)

    @property
    def stride(self) -> int:
        """Words of a row."""
        return self.groups * self.channels

    @property
    def spare(self) -> int:
        """Pixels of the last group in a row that are none."""
        return self.groups * PIXELS - self.width

    @property
    def words(self) -> int:
        """Words of the image."""
        return self.height * self.stride


def pack(image: Image, into: Words | None = None) -> Words:
    """The words of an image of uint8, (height, width) or (height, width, 3): the first of ``into``, or else the
    image's own memory where it can be."""
    layout = Layout.of(image.shape)
    if into is None:
        if layout.spare == 0:
            return np.ascontiguousarray(image).reshape(-1).view(np.uint32)
        into = np.zeros(layout.words, np.uint32)
    words = into[: layout.words]
    padded = words.view(np.uint8).reshape(layout.height, layout.groups * PIXELS, *image.shape[2:])
    padded[:, : layout.width] = image
    return words


def unpack(words: Words, shape: tuple[int, ...]) -> Image:
    """The image of this shape that lies in these words, in memory of its own unless its width is a multiple of 4."""
    layout = Layout.of(shape)
    padded = words[: layout.words].view(np.uint8).reshape(layout.height, layout.groups * PIXELS, *shape[2:])
    return np.ascontiguousarray(padded[:, : layout.width])


def image_and_result(shape: tuple[int, ...]) -> int:
    """Bytes of an image of this shape and of a result of the same."""
    return 2 * 4 * Layout.of(shape).words
