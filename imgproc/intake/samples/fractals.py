"""Sample pictures of Julia sets."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from imgproc.intake.samples.fields import Canvas, Field, Planes, colors, enlarge, palette, slopes_of_rows
from imgproc.operations.contract import Image

_ESCAPE_BLOCK = 16_384
_MOST_STEPS = 320
# Constants just outside the Mandelbrot set: their Julia sets are dust and spirals without a black inside.
_JULIA = (
    -0.7269 + 0.1889j,
    -0.8 + 0.156j,
    0.285 + 0.013j,
    -0.7017 - 0.3842j,
    -0.4 + 0.6j,
    -0.8350 - 0.2321j,
    0.355 + 0.355j,
    -0.5251 - 0.5251j,
    -0.1565 + 1.0322j,
)
_FRACTAL_COLORS = (
    ((0, "#0a1220"), (0.25, "#163e68"), (0.48, "#78b0c6"), (0.62, "#f6ecce"), (0.8, "#ce7a34"), (1, "#0a1220")),
    ((0, "#100c0a"), (0.2, "#40261c"), (0.42, "#aa6c3c"), (0.6, "#f4e2be"), (0.78, "#588284"), (1, "#100c0a")),
    ((0, "#0d0b1e"), (0.22, "#4a1d5e"), (0.45, "#c2427a"), (0.62, "#ffd9a0"), (0.8, "#3a8f9c"), (1, "#0d0b1e")),
    ((0, "#06140f"), (0.25, "#14513c"), (0.5, "#8cc28a"), (0.66, "#fbf3d0"), (0.82, "#c88a2c"), (1, "#06140f")),
)


def julia(canvas: Canvas) -> Image:
    """A Julia set, lit from the upper left."""
    turn = np.exp(1j * (canvas.rng.uniform(-0.6, 0.6) if canvas.variant else 0.35))
    constant = _JULIA[canvas.variant % len(_JULIA)] + complex(*canvas.rng.normal(0, 0.0004, 2))
    points = _points(canvas, canvas.rng.uniform(2.1, 2.6)) * np.complex64(turn)
    return _shine(canvas, _escape_times(points, constant))


def _points(canvas: Canvas, width: float) -> npt.NDArray[np.complex64]:
    """The complex plane around 0, at a lower resolution than the canvas's.

    Colours are computed at full resolution from the escape times of these points, which keeps their borders
    sharp and smooths the dust that would be mere noise to an edge detector.
    """
    shrink = max(2.3, math.sqrt(canvas.height * canvas.width / 1.5e6))
    rows, columns = math.ceil(canvas.height / shrink), math.ceil(canvas.width / shrink)
    step = width / columns
    x = (np.arange(columns) - columns / 2) * step
    y = (np.arange(rows) - rows / 2) * step
    return (x[None] + 1j * y[:, None]).astype(np.complex64)


def _shine(canvas: Canvas, times: Field) -> Image:
    """Escape times as colours that come round again and again, on a surface that rises with the time."""
    inside = times < 0
    times = np.log2(np.maximum(times, 1, out=times), out=times)
    times[inside] = times.max()
    times = enlarge(times, canvas.height, canvas.width)
    inside = enlarge(inside.astype(np.float32), canvas.height, canvas.width, cv2.INTER_LINEAR) > 0.5
    turned = 0 if canvas.variant < len(_FRACTAL_COLORS) else canvas.rng.uniform(0, 360)
    table = palette(*_FRACTAL_COLORS[canvas.variant % len(_FRACTAL_COLORS)], hue=turned)
    relief = np.float32(60 * canvas.unit)

    def shade(rows: slice) -> Planes:
        right, down = slopes_of_rows(times, rows)
        light = (right + down) * relief
        light = 1.02 - np.float32(0.34) * light / (1 + np.abs(light))
        place = times[rows] * np.float32(0.5)
        planes: Planes = colors(table, place - np.floor(place)) * np.where(inside[rows], np.float32(0.1), light)
        return planes

    return canvas.paint(shade)


def _escape_times(points: npt.NDArray[np.complex64], constant: complex) -> Field:
    """How long z² + c takes to leave from the points, shape (height, width), smoothed; -1 where it has not."""
    flat = points.ravel()
    times = np.empty(flat.shape, np.float32)
    for at in range(0, flat.size, _ESCAPE_BLOCK):
        block = flat[at : at + _ESCAPE_BLOCK]
        times[at : at + _ESCAPE_BLOCK] = _escape(block.real.copy(), block.imag.copy(), constant)
    return times.reshape(points.shape)


def _escape(x: npt.NDArray[np.float32], y: npt.NDArray[np.float32], constant: complex) -> npt.NDArray[np.float32]:
    times, alive = np.full(x.shape, -1, np.float32), np.arange(x.size)
    cx, cy = np.float32(constant.real), np.float32(constant.imag)
    for step in range(4, _MOST_STEPS + 1, 4):
        # Four steps from |z| < 8 stay below 1e15: float32 holds the square, so one check for four is enough.
        for _ in range(4):
            product = x * y
            x = x * x - y * y + cx
            y = product + product + cy
        size = x * x + y * y
        gone = size > 64
        if not gone.any():
            continue
        times[alive[gone]] = step - np.log2(0.5 * np.log2(size[gone]))
        stay = ~gone
        alive, x, y = alive[stay], x[stay], y[stay]
        if not alive.size:
            break
    return times
