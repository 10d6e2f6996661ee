"""Small pictures and parameters that are hard for the kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from strip_pictures import GAIN, ON_DEVICE, PICTURES, Generator, parameters

from imgproc.operations import OPERATIONS
from imgproc.operations.cuda.device import Device, buffer
from imgproc.operations.cuda.layout import Layout, pack, unpack
from imgproc.operations.gaussian.cuda import _blur_tile


@dataclass(frozen=True)
class Picture:
    """A picture and the parameters of every operation."""

    kind: str
    image: np.ndarray
    parameters: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.kind} {self.image.shape}: {self.parameters}"


def checkerboard(rng: Generator, height: int, width: int) -> np.ndarray:
    """Squares of two grays: every gradient has equals beside it."""
    side = int(rng.integers(1, 4))
    y, x = np.mgrid[:height, :width] // side
    return np.where((y + x) % 2, *rng.integers(0, 256, 2)).astype(np.uint8)


def lines(rng: Generator, height: int, width: int) -> np.ndarray:
    """Black and white rows or columns: the longest gradients there are."""
    image = np.zeros((height, width), np.uint8)
    image[rng.random(height) < 0.3] = 255
    if rng.random() < 0.5:
        image[:, rng.random(width) < 0.3] = 255
    return image


PAINTS = (*PICTURES, checkerboard, lines)


def picture(rng: Generator, largest: int = 48) -> Picture:
    """Any; one in three in colour, one in seven only a few pixels wide or high."""
    height, width = (int(side) for side in rng.integers(1, largest + 1, 2))
    if rng.random() < 1 / 7:
        height, width = rng.permutation([int(rng.integers(1, 5)), width])
    paint = PAINTS[rng.integers(len(PAINTS))]
    channels = [paint(rng, int(height), int(width)) for _ in range(3 if rng.random() < 1 / 3 else 1)]
    if len(channels) == 3 and rng.random() < 0.3:
        channels[rng.integers(3)] = channels[rng.integers(3)]  # equal gradients in two channels
    image = np.stack(channels, axis=2) if len(channels) > 1 else channels[0]
    values = parameters(rng)
    return Picture(paint.__name__, image, values | _odd_thresholds(rng, values))


def _odd_thresholds(rng: Generator, values: dict[str, Any]) -> dict[str, float]:
    """Now and then swapped, equal, or in quarters, as cv2.Canny takes them too."""
    low, high, kind = values["canny_low"], values["canny_high"], rng.random()
    if kind < 0.1:
        return {"canny_low": high, "canny_high": low}
    if kind < 0.2:
        return {"canny_high": low}
    if kind < 0.3:
        return {"canny_low": low + 0.25, "canny_high": high + rng.integers(0, 4 * GAIN[values["aperture"]]) / 4}
    return {}


def run(device: Device, name: str, image: np.ndarray, p: dict[str, Any]) -> np.ndarray:
    """One image to the device, the operation, and the result back."""
    operation, words = OPERATIONS[name], pack(image)
    source = buffer(device, "image", words.size, np.uint32)
    device.upload(words, source)
    result = operation.cuda.launch(device, source, image.shape, operation.adapted(image, p))
    shape = operation.result_shape(image.shape, p)
    found = np.empty(Layout.of(shape).words, np.uint32)
    device.download(result, found)
    device.wait()
    return unpack(found, shape)


def wrong_pixels(device: Device, name: str, image: np.ndarray, values: dict[str, Any]) -> int:
    """How many pixels differ from OpenCV's on one thread."""
    cv2.setNumThreads(1)
    wanted = OPERATIONS[name].apply(image, values)
    found = run(device, name, image, values)
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    return int(np.count_nonzero(found != wanted))


def check_narrow(device: Device, seed: int, kernels: Sequence[int], shared: int) -> int:
    """Blurs of gray and colour by these kernels in the narrow tiles that otherwise only large ones get, with so many
    bytes of shared memory; how many cases these were."""
    usual, rng = device.sizes, np.random.default_rng(seed)
    device.sizes = replace(usual, blur_rows=10_000, shared_bytes=shared)  # no tile has as many rows
    for kernel in kernels:
        assert _blur_tile(device.sizes, kernel // 4 + 2, kernel // 2 + 2).columns == usual.narrow_words
        for shape in ((11, 30), (29, 14, 3)):
            image = rng.integers(0, 256, shape, np.uint8)
            wrong = wrong_pixels(device, "gaussian", image, {"kernel": kernel, "sigma": float(rng.uniform(0, 50))})
            assert wrong == 0, f"{wrong} wrong pixels: {shape}, kernel {kernel}"
    device.sizes = usual
    return 2 * len(kernels)


def check(device: Device, seed: int, count: int, largest: int = 48) -> int:
    """Every operation on so many pictures; how many cases these were."""
    cases = 0
    for number in range(count):
        tried = picture(np.random.default_rng([seed, number]), largest)
        for name in ON_DEVICE:
            wrong = wrong_pixels(device, name, tried.image, tried.parameters)
            assert wrong == 0, f"{wrong} wrong pixels: {name}, seed {seed}, picture {number}: {tried}"
            cases += 1
    return cases
