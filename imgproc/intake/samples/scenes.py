"""Sample pictures of land, sea and sky. Each function draws one kind on a canvas."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from imgproc.intake.samples.fields import (
    Canvas,
    Field,
    Planes,
    bgr,
    colors,
    enlarge,
    fill,
    palette,
    ridged,
    slopes_of_rows,
)
from imgproc.operations.contract import Image

# Where the palettes of a relief map turn from water to land.
_SHORE = 0.43
# Sky from top to bottom, the farthest and the nearest ridge, haze, sun.
_MOUNTAIN_LIGHT = (
    (((0, "#4a6e96"), (0.35, "#b2bec4"), (0.6, "#f3d6b2"), (1, "#f0be96")), "#7488a0", "#141f28", "#e8d2bc", "#fff6e0"),
    (((0, "#1d2350"), (0.3, "#6a4a86"), (0.5, "#e07a6a"), (1, "#ffc27a")), "#7a5480", "#120f24", "#f0a080", "#ffe9b8"),
    (((0, "#3c7fc0"), (0.4, "#9cc8e4"), (0.6, "#e4f0f4"), (1, "#f4f8f8")), "#7890a8", "#1a2c20", "#dce8ee", "#fffdf2"),
    (((0, "#0b1430"), (0.4, "#22406a"), (0.6, "#5c86a0"), (1, "#8fb0b4")), "#4a6c84", "#060c14", "#86a4b4", "#f4f6ff"),
)


def ridge(canvas: Canvas) -> Image:
    """Mountain ridges behind each other in haze, a low sun, conifers in front."""
    height, width = canvas.height, canvas.width
    sky_stops, far, near, haze, sun_color = _MOUNTAIN_LIGHT[canvas.variant % len(_MOUNTAIN_LIGHT)]
    sky, layers = palette(*sky_stops), 6
    sun_x, sun_y = canvas.rng.uniform(0.2, 0.8) * width, canvas.rng.uniform(0.2, 0.34) * height
    tops = _skylines(canvas, layers)
    cloud = canvas.noise(0.5 * width, 0.5)
    # Stretched downwards: gullies follow the slope.
    rock = ridged(canvas.noise(110 * canvas.unit, 0.56, height=-(-height // 3)))
    rock = enlarge(rock, height, width, cv2.INTER_LINEAR)
    body, fog, white = palette((0, far), (1, near)), bgr(haze), bgr(haze) * 0.4 + bgr("#ffffff") * 0.6

    def shade(rows: slice) -> Planes:
        y = canvas.y[rows]
        planes = colors(sky, np.broadcast_to(y / height, (y.size, width)))
        planes += np.clip(cloud[rows] - 0.6, 0, 1) * 110
        away = np.sqrt((canvas.x - np.float32(sun_x)) ** 2 + (y - np.float32(sun_y)) ** 2) / width
        planes += bgr("#46382a") * np.exp(away * -8)
        planes = np.where(away < 0.026, bgr(sun_color), planes)
        right, down = slopes_of_rows(rock, rows)
        light = (right + 0.5 * down) * np.float32(55 * canvas.unit)
        light = light / (1 + np.abs(light))
        for layer, top in enumerate(tops):
            below = y - top
            if below[-1].max() < 0:
                continue
            depth = layer / (layers - 1)
            color = colors(body, np.full((1, 1), depth, np.float32)) * (1 - np.float32(0.8 - 0.3 * depth) * light)
            if layer < 3:  # snow keeps to the tops, and lies on what does not face the light
                snow = below / np.float32((0.13 - 0.03 * layer) * height) < 2.2 * rock[rows] - 0.9
                color = np.where(snow, white * (0.86 - 0.5 * light), color)
            # A smooth rise into the haze of the valley below.
            valley = below * np.float32(2.2 / height)
            hazy = (np.float32(0.5) - 0.5 / (1 + 12 * valley * valley)) * np.float32(1.75 - 1.6 * depth)
            color += (fog - color) * np.minimum(hazy + np.float32(0.26 * (1 - depth)), 0.95)
            planes = np.where(below >= 0, color, planes)
        return planes

    picture = canvas.paint(shade)
    for layer, tree_size in ((4, 0.55), (5, 1.2)):
        _forest(
            canvas, picture, tops[layer], (bgr(near) * 0.7 + bgr(far) * (0.25 - 0.2 * (layer - 4))).ravel(), tree_size
        )
    return picture


def _skylines(canvas: Canvas, layers: int) -> list[Field]:
    """The uppermost row of each ridge in each column, the farthest ridge first."""
    tops = []
    for layer in range(layers):
        rough = 0.5 * canvas.skyline(canvas.width / (2.0 + 0.6 * layer), 0.55)
        rough = rough + 0.5 * ridged(canvas.skyline(canvas.width / 3.5, 0.54))
        top: Field = (0.45 + 0.095 * layer - (0.34 - 0.03 * layer) * (rough - 0.3)) * np.float32(canvas.height)
        tops.append(top.astype(np.float32))
    return tops


def _forest(canvas: Canvas, picture: Image, ground: Field, color: npt.NDArray[np.floating], size: float) -> None:
    """Conifers along a ridge and down the slope before it, the nearer ones in front and lighter."""
    rng, high = canvas.rng, size * 46 * canvas.unit
    rows = 6
    count = int(1.3 * rows * canvas.width / (0.28 * high))
    left = rng.integers(0, canvas.width, count)
    down = np.sort(rng.uniform(0, 1, count) ** 1.5)
    tall = high * rng.uniform(0.5, 1.25, count)
    tints = rng.uniform(0.6, 1.4, count) * (0.8 + 0.8 * down)
    tiers = np.arange(9)
    narrow = np.where(tiers % 2, 0.55, 1)
    for x, drop, height, tint in zip(left, down, tall, tints, strict=True):
        side = height * 0.24 * (tiers + 0.7) / tiers.size * narrow * rng.uniform(0.8, 1.2, tiers.size)
        edge = side + 1j * height * (tiers + np.where(tiers % 2, 0.2, 1)) / tiers.size
        outline = np.concatenate([[0], edge, (-edge.conj())[::-1]])
        top = ground[x] + drop * 0.55 * rows * high - 0.85 * height
        if top < canvas.height:
            fill(picture, outline[None] + (x + 1j * top), color * tint)


def relief(canvas: Canvas) -> Image:
    """A shaded map of an archipelago with contour lines."""
    side = min(canvas.height, canvas.width)
    ground = palette(
        *(
            ((0, "#0c2c4a"), (0.38, "#225c78"), (0.43, "#5c9498"), (0.435, "#cec298"), (0.48, "#8c9a64"),
             (0.62, "#5c7448"), (0.76, "#92805e"), (0.9, "#d2ccc0"), (1, "#fcfcfc")),
            ((0, "#2a1a14"), (0.38, "#6a3420"), (0.43, "#8c4a2c"), (0.435, "#b86a3c"), (0.6, "#d89a5c"),
             (0.8, "#e8c490"), (1, "#fff0d0")),
            ((0, "#061a30"), (0.38, "#0e4a66"), (0.43, "#3aa0a8"), (0.435, "#f2e4c0"), (0.47, "#5c9a4c"),
             (0.7, "#2c6a3c"), (0.88, "#5a6a50"), (1, "#e4ecec")),
            ((0, "#16222e"), (0.38, "#34506a"), (0.43, "#7c9cb4"), (0.435, "#e4e8ea"), (0.7, "#c4d4dc"),
             (1, "#ffffff")),
        )[canvas.variant % 4]
    )  # fmt: skip
    height = canvas.noise(0.5 * side, 0.47) * 0.6 + ridged(canvas.noise(0.4 * side, 0.44)) * 0.4
    cv2.normalize(height, height, 0, 1, cv2.NORM_MINMAX)
    height += np.float32(_SHORE - np.quantile(height[::4, ::4], 0.4))  # so much is water, wherever the noise went
    steep = np.float32(75 * canvas.unit ** (1 / 0.6))
    lines = np.float32(28)

    def shade(rows: slice) -> Planes:
        z = height[rows]
        right, down = slopes_of_rows(height, rows)
        slope = (right + down) * steep
        light = 0.98 - np.float32(0.62) * slope / (1 + np.abs(slope))
        level = z * lines
        near = np.abs(level - np.rint(level))
        steps = (np.abs(right) + np.abs(down)) * lines
        contour = near < np.maximum(steps * np.float32(0.75), 1e-4)
        light = np.where(contour & (steps < 0.3), light * np.float32(0.62), light)
        light = np.where(z < _SHORE, 0.9 + 0.1 * light, light)
        planes: Planes = colors(ground, z) * light
        return planes

    return canvas.paint(shade)
