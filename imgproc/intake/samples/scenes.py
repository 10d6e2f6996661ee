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
    line,
    look_up,
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


def waves(canvas: Canvas) -> Image:
    """The sea under a low sun."""
    sky_stops, deep, shine = (
        (((0, "#48688c"), (0.6, "#a8b0b4"), (0.9, "#f4cea0"), (1, "#fcdcb0")), "#0e2e42", "#ffd8a0"),
        (((0, "#16204a"), (0.6, "#7a4a80"), (0.9, "#f08a68"), (1, "#ffc080")), "#101a3a", "#ffb078"),
        (((0, "#2a78b8"), (0.6, "#88c0e0"), (0.9, "#dceef4"), (1, "#f0f8f8")), "#06405c", "#f4fcff"),
        (((0, "#20282e"), (0.6, "#606a70"), (0.9, "#a8aca8"), (1, "#c8c8c0")), "#14201f", "#e0e4e0"),
    )[canvas.variant % 4]
    height, width = canvas.height, canvas.width
    horizon = canvas.rng.uniform(0.3, 0.42) * height
    sun_x = np.float32(canvas.rng.uniform(0.3, 0.7) * width)
    sky, swell, cloud = palette(*sky_stops), _swell(canvas.rng), canvas.noise(0.5 * width, 0.56)

    def shade(rows: slice) -> Planes:
        y = canvas.y[rows]
        if y[0] < horizon:
            planes = colors(sky, np.broadcast_to(y / np.float32(horizon), (y.size, width)))
            planes += np.clip(cloud[rows] - 0.5, 0, 1) * bgr("#ffe0c8")
            away = np.hypot(canvas.x - sun_x, y - np.float32(0.72 * horizon)) / width
            planes += np.exp(away * -9) * bgr("#5a4622")
            planes = np.where(away < 0.028, bgr("#fff8e8"), planes)
            if y[-1] < horizon:
                return planes
        sea = _sea(canvas, y - np.float32(horizon), canvas.x - sun_x, swell, (deep, sky_stops[-1][1], shine))
        water: Planes = sea if y[0] >= horizon else np.where(y >= horizon, sea, planes)
        return water

    return canvas.paint(shade)


def _sea(
    canvas: Canvas, below: Field, beside: Field, swell: Field, tints: tuple[str, str, str]
) -> npt.NDArray[np.float32]:
    """Rows of water: ``below`` the horizon and ``beside`` the sun in pixels; tints of depth, sky and sunlight."""
    height, width = canvas.height, canvas.width
    deep, sky, shine = map(bgr, tints)
    below = np.maximum(below, 1)
    # Perspective: a point of the sea is the farther away the nearer it is to the horizon.
    distance = np.float32(0.25 * height) / below
    slope = np.zeros((below.size, width), np.float32)
    tilt = slope.copy()
    for scale, weight in ((150, 0.55), (460, 0.4), (1000 * canvas.unit**0.7, 0.22)):
        across = (canvas.x - np.float32(0.5 * width)) * distance * np.float32(scale / width)
        beyond = np.broadcast_to(distance * np.float32(scale * 1.6) + np.float32(scale), across.shape)
        wave = look_up(swell, across, beyond, cv2.BORDER_WRAP)
        # Waves smaller than a pixel are not drawn.
        fade = np.float32(weight) * np.clip(below / np.float32(scale / 1000 * 0.16 * height), 0.12, 1)
        slope += wave[..., 0] * fade
        tilt += wave[..., 1] * fade
    mirror = np.clip(0.36 - 0.27 * slope + 0.35 * distance / (1 + distance), 0, 1)
    sea = deep * (1 + 0.5 * np.abs(tilt))
    sea = sea + (sky * np.float32(0.85) - sea) * mirror
    path = np.exp(-((beside / (np.float32(0.05 * width) + 0.22 * below)) ** 2))
    glint = np.clip(-1.2 * slope + 0.5 * tilt - 0.5, 0, 1) * path
    water: Planes = sea + glint * shine * np.float32(2.2)
    return water


def _swell(rng: np.random.Generator, size: int = 512) -> Field:
    """A tile of water that fits itself on all sides: how it slopes away from and along the beholder's view."""
    frequency_y, frequency_x = np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size), indexing="ij")
    length = np.hypot(frequency_x, frequency_y)
    length[0, 0] = 1
    # Wind blows towards the beholder: crests lie across the view.
    spectrum = length**-2.1 * (0.15 + (frequency_y / length) ** 2) * np.exp(-((0.02 / length) ** 2))
    random = rng.normal(size=(2, size, size))
    waves = spectrum * (random[0] + 1j * random[1])
    tile = np.stack([np.fft.ifft2(waves * 1j * along).real for along in (frequency_y, frequency_x)], axis=-1)
    swell: Field = (tile / tile[..., 0].std()).astype(np.float32)
    return swell


def nebula(canvas: Canvas) -> Image:
    """Clouds of gas and a crowd of stars."""
    height, width = canvas.height, canvas.width
    side = min(height, width)
    hue = 0 if canvas.variant == 0 else canvas.rng.uniform(0, 360)
    gas_color = palette((0, "#07090f"), (0.3, "#3a2440"), (0.55, "#a05a78"), (0.8, "#e8a070"), (1, "#fff0d0"), hue=hue)
    veil_color = palette((0, "#3c78aa"), (1, "#3c78aa"), hue=hue)[:, :1, None]
    gas, dust = canvas.noise(0.7 * side, 0.54), canvas.noise(0.6 * side, 0.56)
    lean = np.float32(canvas.rng.uniform(-0.7, 0.7))
    stars = _stars(canvas, gas)

    def shade(rows: slice) -> Planes:
        y = canvas.y[rows] - np.float32(0.5 * height)
        across = (y + lean * (canvas.x - np.float32(0.5 * width))) / side + (gas[rows] - 0.5) * np.float32(0.8)
        band = np.exp(across * across * -14)
        dark = ridged(dust[rows])
        dark = dark * dark
        planes = colors(gas_color, band * (0.15 + 0.95 * gas[rows]) * (1 - 0.85 * dark * dark))
        planes += veil_color * (band * np.clip(dust[rows] - 0.5, 0, 1) * np.float32(1.6))
        return planes

    picture, disc = canvas.paint(shade), np.exp(2j * np.pi * np.arange(12) / 12)
    for y, x, light, warm in stars:
        radius = 0.5 + 0.45 * light * canvas.unit**0.5
        color = np.array([255 - 70 * warm, 250 - 20 * warm, 235 + 20 * warm])
        fill(picture, (x + 1j * y + radius * disc)[None], color)
        if light > 3.2:
            for ray in (3 * radius, 3j * radius):
                line(picture, x + 1j * y + np.array([-ray, ray]), color, 1)
    return picture


def _stars(canvas: Canvas, gas: Field) -> npt.NDArray[np.float64]:
    """Rows of (y, x, light, warmth): few bright ones, many faint ones, more where there is gas."""
    count = int(canvas.height * canvas.width / 170 / canvas.unit)
    place = canvas.rng.random((count, 2)) * [canvas.height, canvas.width]
    crowd = gas[place[:, 0].astype(int), place[:, 1].astype(int)]
    place = place[canvas.rng.random(count) < 0.35 + 0.65 * crowd]
    light = np.minimum(canvas.rng.pareto(1.8, len(place)), 6)
    return np.column_stack([place, light, canvas.rng.random(len(place))])
