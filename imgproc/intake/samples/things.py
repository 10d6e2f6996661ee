"""Sample pictures of things: a city, ferns. Each function draws one kind on a canvas."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from imgproc.intake.samples.fields import Canvas, bgr, colors, fill, line, palette
from imgproc.operations.contract import Image

_FAR, _MIDDLE, _NEAR = 0, 1, 2


def night_city(canvas: Canvas) -> Image:
    """A skyline at night with lit windows, mirrored in water."""
    top, middle, low = (
        ("#0a1022", "#2c3454", "#965c4e"),
        ("#050d1c", "#12304a", "#3c7884"),
        ("#140a24", "#43245c", "#c0586a"),
        ("#0c0c10", "#2a2a34", "#7c6a58"),
    )[canvas.variant % 4]
    height, width, shore = canvas.height, canvas.width, int(0.7 * canvas.height)
    glow = palette((0, top), (0.5, middle), (0.78, low), (1, low))
    picture = canvas.paint(
        lambda rows: colors(glow, np.broadcast_to(canvas.y[rows] / height, (rows.stop - rows.start, width)))
    )
    stars = canvas.rng.integers(0, [shore // 2 or 1, width], (int(width * shore / 900 / canvas.unit), 2))
    picture[stars[:, 0], stars[:, 1]] = canvas.rng.integers(120, 240, (len(stars), 1))
    for layer in (_FAR, _MIDDLE, _NEAR):
        x = -int(canvas.rng.integers(0, 20) * canvas.unit)
        while x < width:
            x += _tower(canvas, picture, x, shore, layer)
    small = cv2.resize(picture, None, fx=1 / 8, fy=1 / 8, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), max(0.8, 1.3 * canvas.unit))
    picture[:shore] = cv2.addWeighted(picture, 0.95, cv2.resize(small, (width, height)), 0.35, 0)[:shore]
    _mirror(canvas, picture, shore)
    return picture


def _tower(canvas: Canvas, picture: Image, x: int, shore: int, layer: int) -> int:
    """Draw one building; returns how far on the next one stands."""
    rng, unit = canvas.rng, canvas.unit * (0.75, 0.9, 1.1)[layer]
    step_x, step_y = max(3, round(7 * unit)), max(4, round(9 * unit))
    columns = int(rng.integers(4, 11))
    middle = 1 - 0.5 * abs((x + columns * step_x / 2) / canvas.width - 0.5)
    tall = shore * rng.uniform((0.35, 0.25, 0.12)[layer], (0.88, 0.62, 0.40)[layer]) * middle
    floors = max(1, int(tall / step_y))
    shade = bgr(("#262d48", "#181e34", "#0c101e")[layer]).ravel() * rng.uniform(0.8, 1.25)
    wide, tall = columns * step_x, floors * step_y
    block = np.empty((floors, step_y, columns, step_x, 3), np.float32)
    block[:] = shade
    warm = rng.random((floors, columns, 1), np.float32)
    color = np.concatenate([128 - 70 * warm, 206 - 40 * warm, np.full_like(warm, 255)], axis=2)
    # Whole floors are dark or busy, as in real offices.
    busy = rng.beta(1.2, 1.6, (floors, 1)) * (0.7, 0.8, 0.95)[layer]
    bright = np.where(rng.random((floors, columns)) < busy, rng.uniform(0.5, 1, (floors, columns)), 0.08)
    lit = color * (bright * (0.6, 0.8, 1.0)[layer])[..., None].astype(np.float32)
    block[:, step_y // 3 :, :, step_x // 3 :] = np.maximum(lit, shade)[:, None, :, None]
    flat = block.reshape(tall, wide, 3)
    flat[: max(1, step_y // 2)] = shade * 1.3
    flat[:, : max(1, step_x // 4)] = shade * 1.6
    left, right = max(0, x), min(canvas.width, x + wide)
    if right > left:
        picture[shore - tall : shore, left:right] = np.clip(flat[:, left - x : right - x], 0, 255)
        if rng.random() < 0.4 and layer != _NEAR:
            mast = int((left + right) / 2)
            picture[max(0, shore - tall - 5 * step_y) : shore - tall, mast : mast + max(1, step_x // 4)] = shade
    return wide + int(rng.integers(0, 2) * step_x)


def _mirror(canvas: Canvas, picture: Image, shore: int) -> None:
    depth = canvas.height - shore
    ripple = canvas.noise(36 * canvas.unit, 0.5, height=depth) - np.float32(0.5)
    away = (np.arange(depth, dtype=np.float32) / max(1, depth))[:, None]
    land = picture[shore - depth : shore]
    for top in range(0, depth, 64):
        rows = slice(top, min(depth, top + 64))
        wave = ripple[rows] * np.float32(26 * canvas.unit) * (0.3 + 2 * away[rows])
        source_y = depth - 1 - np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] + wave
        mirrored = cv2.remap(
            land, canvas.x + np.float32(0.5) * wave, source_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
        picture[shore + rows.start : shore + rows.stop] = cv2.addWeighted(mirrored, 0.66, mirrored, 0, 6)


def fern(canvas: Canvas) -> Image:
    """Fern fronds, leaflet by leaflet, before a blurred thicket."""
    tints, back = (
        (("#3c5e34", "#6c9a48", "#a8d068"), ("#0a1410", "#182c22", "#385a40")),
        (("#5a4420", "#a8702c", "#e8b04c"), ("#140c08", "#2c1c12", "#5a3c24")),
        (("#24504e", "#3c8c80", "#90d0b8"), ("#060e14", "#12242e", "#2c4c58")),
        (("#54502c", "#94983c", "#dce07c"), ("#10120a", "#262c16", "#4c5630")),
    )[canvas.variant % 4]
    height, width, rng = canvas.height, canvas.width, canvas.rng
    thicket = palette((0, back[0]), (0.6, back[1]), (1, back[2]))
    shrink = 6
    small = Canvas(-(-height // shrink), -(-width // shrink), canvas.variant, rng)
    light = small.noise(0.4 * small.width, 0.4)
    blurred = small.paint(lambda rows: colors(thicket, light[rows]))
    for _ in range(7):
        _frond(small, blurred, rng.uniform(0, 1), rng.uniform(0.5, 0.9), bgr(tints[0]).ravel() * 0.7, 12)
    blurred = cv2.GaussianBlur(blurred, (0, 0), 0.011 * small.width).astype(np.uint8)
    picture = cv2.resize(blurred, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    count = 8
    for index, x in enumerate(rng.permutation(np.linspace(0.08, 0.92, count))):
        nearness = index / (count - 1)
        dark, bright = bgr(tints[0]).ravel(), bgr(tints[1 + index % 2]).ravel()
        _frond(canvas, picture, x, rng.uniform(0.55, 1.0), dark + (bright - dark) * nearness, 24 * canvas.unit**0.5)
    return picture


def _frond(
    canvas: Canvas, picture: Image, foot: float, size: float, color: npt.NDArray[np.float32], pairs: float
) -> None:
    """One frond from the lower rim, its foot at this share of the width. Its stem bends; leaves stand on both
    sides of the stem, leaflets on both sides of each leaf."""
    rng, length = canvas.rng, size * 0.95 * canvas.height
    pairs = max(6, round(pairs * (0.6 + 0.4 * size)))
    along = np.linspace(0, 1, 4 * pairs)
    lean = rng.uniform(-0.5, 0.5)
    direction = np.pi / 2 + lean + rng.uniform(0.2, 1.0) * np.sign(lean) * along**1.5
    stem = foot * canvas.width + 1.04j * canvas.height + np.cumsum(length / along.size * np.exp(-1j * direction))
    line(picture, stem, color * 0.75, max(1, round(0.008 * length)))
    shape = _leaflet()
    for at in range(along.size // 10, along.size - 2, 2):
        side, t = (1 if at // 2 % 2 else -1), along[at]
        reach = 0.34 * length * (1 - t) ** 0.9 * min(1, 0.4 + 3.2 * t) * rng.uniform(0.93, 1.05)
        blade = 0.8 * length / pairs * (1 - 0.45 * t)
        out = np.exp(-1j * (direction[at] + side * (1.2 - 0.35 * t)))
        inner = np.linspace(0.05, 1, max(3, round(reach / (0.5 * blade))))
        heading = out * np.exp(1j * side * 0.3 * inner)
        leaf = stem[at] + reach * inner * heading
        tone = color * (0.62 + 0.3 * t + rng.uniform(-0.06, 0.06))
        for turn, bright in ((1.0, 1.2), (-1.0, 0.82)):
            spine = blade * (1.1 - inner**2) * heading * np.exp(1j * turn * 0.9)
            fill(picture, leaf[:, None] + spine[:, None] * shape[None], tone * bright)
        line(picture, leaf, tone * 0.7, max(1, round(0.05 * blade)))


def _leaflet() -> npt.NDArray[np.complex128]:
    """The outline of a leaflet from its foot at 0 to its tip at 1, in the complex plane."""
    t = np.linspace(0, 1, 6)
    half = 0.21 * np.sin(np.pi * t**0.8)
    return np.concatenate([t + 1j * half, (t - 1j * half)[-2:0:-1]])
