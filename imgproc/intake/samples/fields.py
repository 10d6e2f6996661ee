"""What sample pictures are made of: fractal noise, palettes, polygons.

A field is a float32 array of shape (height, width); planes are float32 of shape (3, height, width), blue
first. Everything is vectorised over bands of rows that stay in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from imgproc.operations.contract import Image

Field = npt.NDArray[np.float32]
Planes = npt.NDArray[np.float32]

_BAND_PIXELS = 32_768
_SHADES = 2048
_SUBPIXEL = 4  # bits behind the point in the corners of polygons


@dataclass
class Canvas:
    """A picture to be made: its size in pixels, which variant of its kind it is, and its own random numbers."""

    height: int
    width: int
    variant: int
    rng: np.random.Generator

    @cached_property
    def unit(self) -> float:
        """Pixels of what takes one pixel in a picture of 1200 by 800. It grows more slowly than the picture:
        a larger one shows more detail, as a photograph does."""
        return float((min(self.height, self.width) / 800) ** 0.6)

    @cached_property
    def x(self) -> Field:
        """Columns, shape (1, width)."""
        return np.arange(self.width, dtype=np.float32)[None]

    @cached_property
    def y(self) -> Field:
        """Rows, shape (height, 1)."""
        return np.arange(self.height, dtype=np.float32)[:, None]

    def noise(self, cell: float, gain: float = 0.5, height: int | None = None) -> Field:
        """Smooth fractal noise in 0 to 1, of the canvas's width and of its or another height.

        Args:
            cell: size of the largest features, in pixels.
            gain: how much weaker each octave is than the one twice as coarse.

        Each octave is added at its own resolution and all are enlarged together, so that the cost hardly
        depends on their number. Enlarging by two with linear weights again and again is a quadratic spline.
        """
        sizes = [(height or self.height, self.width)]
        for _ in range(max(1, round(np.log2(max(cell, 2))))):
            sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
        total, amplitude = self.rng.random(sizes[-1], np.float32), 1.0
        for at, (rows, columns) in list(enumerate(sizes))[-2::-1]:
            enlarged = (2 * total.shape[1], 2 * total.shape[0])
            total = np.ascontiguousarray(cv2.resize(total, enlarged, interpolation=cv2.INTER_LINEAR)[:rows, :columns])
            amplitude *= gain
            if at:
                total += amplitude * self.rng.random((rows, columns), np.float32)
        low, high, _, _ = cv2.minMaxLoc(total)
        total -= low
        total /= max(high - low, 1e-6)
        return total

    def skyline(self, cell: float, gain: float = 0.5) -> Field:
        """Fractal noise along the columns, shape (width,)."""
        line: Field = self.noise(cell, gain, height=1)[0]
        return line

    def paint(self, shade: Callable[[slice], Planes]) -> Image:
        """The picture whose rows ``shade`` gives, in 0 to 255."""
        picture = np.empty((self.height, self.width, 3), np.uint8)
        band = max(1, _BAND_PIXELS // self.width)
        for top in range(0, self.height, band):
            rows = slice(top, min(self.height, top + band))
            planes = shade(rows)
            np.clip(planes, 0, 255, out=planes)
            cv2.merge(list(planes.astype(np.uint8)), picture[rows])
        return picture


def ridged(field: Field) -> Field:
    """Noise folded at its middle: sharp crests at 1."""
    return 1 - np.abs(2 * field - 1)


def bgr(color: str) -> npt.NDArray[np.float32]:
    """ "#rrggbb" as planes of shape (3, 1, 1), blue first."""
    return np.array([int(color[at : at + 2], 16) for at in (5, 3, 1)], np.float32)[:, None, None]


def palette(*stops: tuple[float, str], hue: float = 0) -> npt.NDArray[np.float32]:
    """A table of shades between stops (place in 0 to 1, "#rrggbb"), its hues turned by ``hue`` degrees."""
    places, colors = zip(*stops, strict=True)
    at = np.linspace(0, 1, _SHADES)
    corners = np.concatenate([bgr(color) for color in colors], axis=1)[:, :, 0]
    table = np.stack([np.interp(at, places, corner) for corner in corners]).astype(np.float32)
    if hue:
        hsv = cv2.cvtColor(table.T[None] / 255, cv2.COLOR_BGR2HSV)
        hsv[..., 0] = (hsv[..., 0] + hue) % 360
        table = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0].T * 255
    return np.ascontiguousarray(table)


def colors(table: npt.NDArray[np.float32], place: Field) -> Planes:
    """The palette's shades at the places (0 to 1, beyond them the end shades), as planes."""
    index = (np.clip(place, 0, 1) * (_SHADES - 1)).astype(np.int32)
    return np.take(table, index, axis=1)


def slopes_of_rows(field: Field, rows: slice) -> tuple[Field, Field]:
    """How much the field rises per pixel to the right and downwards, in these rows; 0 at its last column and row."""
    here = field[rows]
    right = np.zeros_like(here)
    np.subtract(here[:, 1:], here[:, :-1], out=right[:, :-1])
    below = field[rows.start + 1 : rows.stop + 1]
    if below.shape != here.shape:
        below = np.concatenate([below, here[-1:]])
    return right, below - here


def enlarge(field: Field, height: int, width: int, interpolation: int = cv2.INTER_CUBIC) -> Field:
    if field.shape == (height, width):
        return field
    return cv2.resize(field, (width, height), interpolation=interpolation)  # type: ignore[return-value]


def fill(picture: Image, outlines: npt.NDArray[np.complex128], color: npt.NDArray[np.floating]) -> None:
    """Fill polygons that do not overlap: x + iy, of shape (polygons, corners)."""
    points = np.rint(np.stack([outlines.real, outlines.imag], axis=-1) * 2**_SUBPIXEL).astype(np.int32)
    cv2.fillPoly(picture, list(points), [float(part) for part in color], cv2.LINE_AA, _SUBPIXEL)


def line(picture: Image, points: npt.NDArray[np.complex128], color: npt.NDArray[np.floating], thickness: int) -> None:
    """Draw a line through the points x + iy."""
    corners = np.rint(np.stack([points.real, points.imag], axis=-1) * 2**_SUBPIXEL).astype(np.int32)
    cv2.polylines(picture, [corners], False, [float(part) for part in color], thickness, cv2.LINE_AA, _SUBPIXEL)
