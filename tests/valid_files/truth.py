"""What is right to read of a file: computed from the samples that were written, by the rules that the docs state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

#: The ways to make 8 bits of more.
HIGH_BYTE, USED_BITS, FULL_RANGE = "high byte", "used bits", "full range"
DEPTHS = (HIGH_BYTE, USED_BITS, FULL_RANGE)

#: ``truth(color, depth)``: uint8 of shape (height, width), or (height, width, 3) in BGR order.
Truth = Callable[[bool, str], np.ndarray]


@dataclass(frozen=True)
class ValidFile:
    """A file and what is right to read of it.

    ``name`` is ``family-what.extension``. ``tolerance`` is the largest difference of a sample of 8 bits, where the
    file is lossy or the rule leaves room. ``refused`` is a word that the reason names where the file is refused;
    ``always_refused``: also under the depth "full range".
    """

    name: str
    data: bytes
    truth: Truth
    tolerance: int = 0
    refused: str = ""
    always_refused: bool = True

    @property
    def family(self) -> str:
        return self.name.partition("-")[0]

    def refusal(self, depth: str = HIGH_BYTE) -> str:
        """A word of the reason for which it is refused; empty where it is to be read."""
        return self.refused if depth != FULL_RANGE or self.always_refused else ""


def unread(color: bool, depth: str) -> np.ndarray:
    """The truth of a file that is always refused."""
    raise AssertionError("this file is to be refused")


@dataclass(frozen=True)
class Samples:
    """The truth of samples that were written losslessly.

    ``values`` has the shape (height, width) for gray, (height, width, 3) in RGB order, or (height, width, 4) for the
    inks CMYK, without alpha; ``bits`` are those of an unsigned sample, 0 for samples that are signed or real numbers.
    ``inverted``: 0 is white.
    ``orientation`` is that of EXIF and TIFF. ``gray`` makes gray of BGR.
    """

    values: np.ndarray
    bits: int = 8
    inverted: bool = False
    orientation: int = 1
    gray: Callable[[np.ndarray], np.ndarray] = lambda bgr: readers_gray(bgr)

    def __call__(self, color: bool, depth: str) -> np.ndarray:
        eight = self._in_eight_bits(depth)
        if self.inverted:
            eight = 255 - eight
        if eight.ndim == 3 and eight.shape[2] == 4:
            eight = mixed(eight)
        eight = upright(eight, self.orientation)
        if eight.ndim == 2:
            return np.dstack([eight] * 3) if color else eight
        bgr = np.ascontiguousarray(eight[:, :, ::-1])
        return bgr if color else self.gray(bgr)

    def _in_eight_bits(self, depth: str) -> np.ndarray:
        if self.bits == 8:
            return self.values
        if 0 < self.bits < 8:
            return scaled(self.values, self.bits)
        if depth == FULL_RANGE:
            return full_range(self.values)
        if depth == USED_BITS:
            return (self.values >> (max(8, int(self.values.max()).bit_length()) - 8)).astype(np.uint8)
        if self.values.ndim == 2:
            return (self.values >> (self.bits - 8)).astype(np.uint8)
        return scaled(self.values, self.bits)


def mixed(inks: np.ndarray) -> np.ndarray:
    """RGB of the inks CMYK: what ink and black let through of white."""
    paper = 255 - inks.astype(float)
    return np.round(paper[:, :, :3] * paper[:, :, 3:] / 255).astype(np.uint8)


def readers_gray(bgr: np.ndarray) -> np.ndarray:
    """Gray of BGR as OpenCV's readers of BMP and TIFF make it: the weights of Rec. 601 in 14 bits."""
    blue, green, red = (bgr[:, :, channel].astype(int) for channel in range(3))
    return ((1868 * blue + 9617 * green + 4899 * red + 8192) >> 14).astype(np.uint8)


def cvt_gray(bgr: np.ndarray) -> np.ndarray:
    """Gray of BGR as OpenCV's ``cvtColor`` makes it, which its readers of GIF and WebP call."""
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)


def scaled(values: np.ndarray, bits: int) -> np.ndarray:
    """round(v * 255 / (2^n - 1)), in whole numbers; of at most 32 bits."""
    largest = 2**bits - 1
    return ((values.astype(np.int64) * 510 + largest) // (2 * largest)).astype(np.uint8)


def full_range(values: np.ndarray) -> np.ndarray:
    """round((v - min) * 255 / (max - min)), half up; what is not a finite number becomes 0 and does not count."""
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros(values.shape, np.uint8)
    least, most = values[finite].min(), values[finite].max()
    if least == most:
        return np.zeros(values.shape, np.uint8)
    if values.dtype.kind in "iu":
        # Numbers of 64 bits times 510 need Python's own.
        above = values.astype(np.int64 if values.dtype.itemsize < 8 else object) - int(least)
        span = int(most) - int(least)
        return ((above * 510 + span) // (2 * span)).astype(np.uint8)
    above = np.where(finite, values, least).astype(np.longdouble) - least
    stretched = np.floor(above * 255 / (np.longdouble(most) - least) + 0.5)
    return np.where(finite, stretched, 0).astype(np.uint8)


def upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """An image as it is to be shown, of one that is stored with this EXIF orientation."""
    if orientation >= 5:
        image = image.swapaxes(0, 1)  # what was stored as a row is a column
        flip = {5: "", 6: "x", 7: "xy", 8: "y"}[orientation]
    else:
        flip = {1: "", 2: "x", 3: "xy", 4: "y"}[orientation]
    if "x" in flip:
        image = image[:, ::-1]
    if "y" in flip:
        image = image[::-1]
    return np.ascontiguousarray(image)


@dataclass(frozen=True)
class Decoded:
    """The truth of a file that is lossy: what a decoder of another library makes of it, in RGB or gray, as it is
    stored. ``gray``: what is right in gray, where that is not OpenCV's gray of the colours."""

    pixels: np.ndarray
    gray: np.ndarray | None = None
    orientation: int = 1

    def __call__(self, color: bool, depth: str) -> np.ndarray:
        if not color and self.gray is not None:
            return upright(self.gray, self.orientation)
        return Samples(self.pixels, orientation=self.orientation)(color, depth)


@dataclass(frozen=True)
class OpenCv:
    """The truth where the rule is what OpenCV's ``imdecode`` makes of the file: gray of colours in PNG."""

    data: bytes
    orientation: int = 1

    def __call__(self, color: bool, depth: str) -> np.ndarray:
        flag = cv2.IMREAD_COLOR if color else cv2.IMREAD_GRAYSCALE
        image = cv2.imdecode(np.frombuffer(self.data, np.uint8), flag)
        assert image is not None, "OpenCV does not decode it"
        return upright(image, self.orientation)


def scene(height: int = 47, width: int = 61, channels: int = 1, bits: int = 8, seed: int = 0) -> np.ndarray:
    """Discs on a slope with a little noise, over all values of so many bits; no side is like another.

    Returns:
        uint8, uint16 or uint32 of shape (height, width), or (height, width, channels) with more than one.
    """
    rng = np.random.default_rng([height, width, channels, bits, seed])
    y, x = np.mgrid[0:height, 0:width]
    image = np.empty((height, width, channels))
    for channel in range(channels):
        image[:, :, channel] = (x * (1 + channel) / width + y / height) / (2 + channel)
        for _ in range(5):
            at_x, at_y, radius = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(4, 12)
            image[(x - at_x) ** 2 + (y - at_y) ** 2 < radius**2, channel] = rng.uniform(0, 1)
    image += rng.uniform(-0.02, 0.02, image.shape)
    image = (image - image.min()) / (image.max() - image.min())
    dtype = np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32
    whole = np.round(image * (2.0**bits - 1)).astype(dtype)
    return whole[:, :, 0] if channels == 1 else whole
