"""Sample pictures of patterns and fractals. Each function draws one kind on a canvas."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from imgproc.intake.samples.fields import (
    Canvas,
    Field,
    Planes,
    bgr,
    cells,
    colors,
    enlarge,
    escape_time,
    look_up,
    palette,
    ridged,
    slopes_of_rows,
)
from imgproc.operations.contract import Image

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
# Places at the border of the Mandelbrot set: centre, width.
_VALLEYS = (
    (-0.7452 + 0.1126j, 0.0105),
    (-0.1592 + 1.0331j, 0.0300),
    (-0.7757 + 0.1365j, 0.0090),
    (0.2925 + 0.0149j, 0.0140),
    (-0.1011 + 0.9563j, 0.0080),
    (0.3602 + 0.6413j, 0.0080),
    (-0.5622 + 0.6428j, 0.0120),
    (-0.7436 + 0.1319j, 0.0040),
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
    return _shine(canvas, escape_time(points, constant, 320), 0.5)


def seahorse(canvas: Canvas) -> Image:
    """A valley of the Mandelbrot set, lit from the upper left."""
    centre, width = _VALLEYS[canvas.variant % len(_VALLEYS)]
    width *= canvas.rng.uniform(*((0.9, 1.0) if canvas.variant < len(_VALLEYS) else (0.5, 0.85)))
    return _shine(canvas, escape_time(_points(canvas, width) + np.complex64(centre), None, 256), 0.8)


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


def _shine(canvas: Canvas, times: Field, cycles: float) -> Image:
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
        place = times[rows] * np.float32(cycles)
        planes: Planes = colors(table, place - np.floor(place)) * np.where(inside[rows], np.float32(0.1), light)
        return planes

    return canvas.paint(shade)


def cobbles(canvas: Canvas) -> Image:
    """Paving stones with moss in the joints."""
    size = 62 * canvas.unit
    border, label, count = cells(canvas, size)
    rough, fine = canvas.noise(size, 0.6), canvas.noise(14 * canvas.unit, 0.5)
    border += (rough - 0.5) * (0.2 * size)
    stone_colors = (
        palette((0, "#5c6064"), (0.4, "#807c76"), (0.7, "#968a7a"), (1, "#6e7078")),
        palette((0, "#7a4a38"), (0.4, "#94604a"), (0.7, "#a87a5c"), (1, "#6a4a44")),
        palette((0, "#4c5a66"), (0.4, "#6c8090"), (0.7, "#8a98a0"), (1, "#586470")),
        palette((0, "#8a8270"), (0.4, "#b0a68e"), (0.7, "#c8bea4"), (1, "#9a9484")),
    )[canvas.variant % 4]
    tints = colors(stone_colors, canvas.rng.random(count, np.float32))
    height = (
        np.tanh(np.maximum(border, 0) / np.float32(0.2 * size)) * np.float32(0.42 * size)
        + fine * np.float32(1.2 * canvas.unit)
        + rough * 4
    )
    gap, moss = bgr("#2c2a26"), bgr("#3c4a24")
    overgrown = canvas.noise(size * 4) > 0.55

    def shade(rows: slice) -> Planes:
        right, down = slopes_of_rows(height, rows)
        light = 0.78 - 0.3 * right - 0.36 * down
        light *= 0.88 + 0.24 * fine[rows]
        stone = np.take(tints, label[rows], axis=1) * np.clip(light, 0.1, 1.5)
        joint = np.where(overgrown[rows], moss, gap) * (0.5 + fine[rows])
        cover = np.clip(border[rows] / np.float32(0.05 * size), 0, 1)
        planes: Planes = joint + (stone - joint) * cover
        return planes

    return canvas.paint(shade)


def glass(canvas: Canvas) -> Image:
    """A stained-glass window."""
    size = 66 * canvas.unit
    border, label, count = cells(canvas, size)
    hue = 0 if canvas.variant == 0 else canvas.rng.uniform(0, 360)
    vivid = palette(
        (0, "#0f2f6b"),
        (0.2, "#2a7fb8"),
        (0.4, "#2e8b57"),
        (0.55, "#e8c547"),
        (0.75, "#c8452d"),
        (1, "#5b1a5e"),
        hue=hue,
    )
    # Neighbouring panes are of neighbouring colours: the place in the palette follows a coarse noise.
    drift = canvas.noise(min(canvas.height, canvas.width) / 2, 0.4)
    first = np.zeros(count, np.float32)
    first[label.ravel()] = drift.ravel()
    tints = colors(vivid, first + canvas.rng.normal(0, 0.09, count).astype(np.float32))
    tints *= canvas.rng.uniform(0.65, 1.15, count).astype(np.float32)
    streaks = canvas.noise(30 * canvas.unit, 0.5)
    lead, shine = np.float32(0.055 * size), bgr("#1a1a1d")

    def shade(rows: slice) -> Planes:
        right, down = slopes_of_rows(streaks, rows)
        glow = 0.72 + 0.5 * streaks[rows] - (right + down) * np.float32(3 * canvas.unit)
        pane = np.take(tints, label[rows], axis=1) * glow
        edge = border[rows]
        # Lead came: dark at its sides, a streak of light along its middle.
        came = shine * (1 + 3 * np.clip(1 - np.abs(edge / lead - 0.35) * 5, 0, 1))
        pane *= np.clip(0.55 + edge / np.float32(0.3 * size), 0, 1)
        planes: Planes = np.where(edge < lead, came, pane)
        return planes

    return canvas.paint(shade)


def marble(canvas: Canvas) -> Image:
    """Veined stone: noise bent by noise."""
    side = min(canvas.height, canvas.width)
    stone = palette(
        *(
            ((0, "#ece8e2"), (0.2, "#d8d4d0"), (0.42, "#96989c"), (0.66, "#525c64"), (0.84, "#a0763e"), (1, "#cea45c")),
            ((0, "#16211d"), (0.2, "#22352e"), (0.42, "#3d5c4e"), (0.66, "#7fa08c"), (0.84, "#d8e0cc"), (1, "#f4f0dc")),
            ((0, "#1b1a1f"), (0.2, "#26252c"), (0.42, "#4a4650"), (0.66, "#8c8288"), (0.84, "#e0c890"), (1, "#fff2cc")),
            ((0, "#e8cfc0"), (0.2, "#dcb8a4"), (0.42, "#b87c68"), (0.66, "#7c4440"), (0.84, "#5a2c30"), (1, "#f0e4d4")),
        )[canvas.variant % 4]
    )
    bend = np.float32(0.36 * side)
    bend_x, bend_y = canvas.noise(0.4 * side, 0.5), canvas.noise(0.4 * side, 0.5)
    coarse, fine = canvas.noise(0.35 * side, 0.55), canvas.noise(60 * canvas.unit, 0.6)

    def shade(rows: slice) -> Planes:
        x = canvas.x + (bend_x[rows] - 0.5) * bend
        y = canvas.y[rows] + (bend_y[rows] - 0.5) * bend
        vein = ridged(look_up(coarse, x, y, cv2.BORDER_REFLECT))
        hair = ridged(look_up(fine, x, y, cv2.BORDER_REFLECT))
        return colors(stone, _power(vein, 4) * 0.85 + _power(hair, 5) * 0.5 + 0.16 * bend_x[rows])

    return canvas.paint(shade)


def _power(field: Field, doublings: int) -> Field:
    """The field to the power of 2 ** (doublings - 1): squaring is far cheaper than a power."""
    for _ in range(doublings - 1):
        field = field * field
    return field


def weave(canvas: Canvas) -> Image:
    """Tartan, thread by thread."""
    yarns = (
        ("#263648", "#d6cab2", "#602a28", "#deaa46"),
        ("#1f4a36", "#e6dcc4", "#16243e", "#b83a34"),
        ("#7a1f26", "#1d1d24", "#e9d9a6", "#2f5d50"),
        ("#3b2d52", "#cfc6dc", "#1e3a4a", "#e0a04a"),
        ("#6c7178", "#3a3d42", "#a8a69e", "#b44a3c"),
    )[canvas.variant % 5]
    dyed = np.concatenate([bgr(yarn)[:, 0] for yarn in yarns], axis=1)
    widths = canvas.rng.permutation([10, 2, 2, 2, 6, 8, 1, 8]) if canvas.variant else [10, 2, 2, 2, 6, 8, 1, 8]
    sett = np.repeat([0, 1, 0, 1, 0, 2, 3, 2], widths)
    thread = np.float32(7 + 8 * canvas.unit)
    angle = canvas.rng.uniform(-0.6, 0.6)
    sine, cosine = np.float32(math.sin(angle)), np.float32(math.cos(angle))
    folds = canvas.noise(0.6 * min(canvas.height, canvas.width), 0.25)
    bend = 5 * thread

    def shade(rows: slice) -> Planes:
        x, y, fold = canvas.x, canvas.y[rows], folds[rows]
        across = (x * cosine - y * sine + fold * bend) / thread
        along = (x * sine + y * cosine + fold * (0.6 * bend)) / thread
        column, row = np.floor(across), np.floor(along)
        across -= column + np.float32(0.5)
        along -= row + np.float32(0.5)
        column, row = column.astype(np.int32), row.astype(np.int32)
        warp_on_top = ((column + row) & 3) < 2
        side, length = np.where(warp_on_top, across, along), np.where(warp_on_top, along, across)
        round_ = np.maximum(1 - 4 * side * side, 0)
        fibre = np.sin((side * 3 + length) * np.float32(14)) * np.float32(0.09)
        light = 0.36 + round_ * (0.86 - 1.3 * length * length + fibre)
        yarn = np.take(sett, np.where(warp_on_top, column, row) % sett.size)
        planes: Planes = np.take(dyed, yarn, axis=1) * (light * (0.66 + 0.6 * fold))
        return planes

    return canvas.paint(shade)
