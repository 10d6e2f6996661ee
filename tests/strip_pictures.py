"""Small pictures that are hard to cut, and parameters and strips for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from hypothesis import strategies as st

from imgproc.backends import TECHNIQUES
from imgproc.backends.phases import Plan, flat, numbered, together
from imgproc.backends.strips.plan import split_image
from imgproc.backends.task import TaskResult, run_task
from imgproc.measure.protocol import Contender, Pass
from imgproc.operations import OPERATIONS, PARAMETERS, parse_parameters
from imgproc.operations.rows import Rows, cut
from imgproc.pixels.codecs import decode, encode
from imgproc.pixels.job import ImageJob
from imgproc.pixels.stopwatch import Stopwatch

Generator = np.random.Generator
DEFAULTS = parse_parameters({})
#: The operations that are done on strips, and those that are done on a GPU.
IN_STRIPS = [name for name, operation in OPERATIONS.items() if operation.strips]
ON_DEVICE = [name for name, operation in OPERATIONS.items() if operation.cuda]

# What one step of brightness gives as gradient at each aperture.
GAIN = {3: 4, 5: 48, 7: 640}
GROUND = 100
MOST = int(PARAMETERS["canny_high"].maximum)
MOST_KERNEL = int(PARAMETERS["kernel"].maximum)
#: Kernel and sigma, for hypothesis.
BLURS = st.one_of(
    st.fixed_dictionaries({"kernel": st.integers(0, 49).map(lambda half: 2 * half + 1), "sigma": st.floats(0, 50)}),
    st.fixed_dictionaries(
        {"kernel": st.integers(50, MOST_KERNEL // 2).map(lambda half: 2 * half + 1), "sigma": st.floats(0, 50)}
    ),
    st.fixed_dictionaries({"kernel": st.just(0), "sigma": st.floats(0, 50, exclude_min=True)}),
)
WEAK = 8  # brightness of a snake above its ground


@dataclass(frozen=True)
class Case:
    """One operation on one picture in some strips."""

    kind: str
    name: str
    image: np.ndarray
    parameters: dict[str, Any]
    strips: tuple[Rows, ...]

    def __str__(self) -> str:
        heights = [rows.stop - rows.start for rows in self.strips]
        return f"{self.name} of {self.kind} {self.image.shape} in strips of {heights}: {self.parameters}"


def noise(rng: Generator, height: int, width: int) -> np.ndarray:
    return rng.integers(0, 256, (height, width), np.uint8)


def soft(rng: Generator, height: int, width: int) -> np.ndarray:
    """Smooth noise at full contrast: long edges, weak and strong by turns."""
    blurred = cv2.GaussianBlur(noise(rng, height, width), (0, 0), rng.uniform(0.4, 4))
    return cv2.normalize(blurred, None, 0, 255, cv2.NORM_MINMAX).reshape(height, width)


def plateaus(rng: Generator, height: int, width: int) -> np.ndarray:
    """Few levels in squares: equal gradients side by side."""
    side, levels = int(rng.integers(1, 9)), int(rng.integers(2, 5))
    small = rng.integers(0, levels, (-(-height // side), -(-width // side))) * (255 // (levels - 1))
    return small.repeat(side, 0).repeat(side, 1)[:height, :width].astype(np.uint8)


def ramp(rng: Generator, height: int, width: int) -> np.ndarray:
    """A slope in any direction, sometimes in steps and folded."""
    y, x = np.mgrid[:height, :width]
    slope = (y * rng.uniform(-6, 6) + x * rng.uniform(-6, 6)) // int(rng.integers(1, 20))
    return (slope * int(rng.integers(1, 30)) % 256).astype(np.uint8)


def constant(rng: Generator, height: int, width: int) -> np.ndarray:
    """One gray, or all but one pixel of it."""
    image = np.full((height, width), rng.integers(0, 256), np.uint8)
    if rng.random() < 0.5:
        image[rng.integers(height), rng.integers(width)] = rng.integers(0, 256)
    return image


def snake(rng: Generator, height: int, width: int) -> np.ndarray:
    """One weak line up and down (or to and fro) through the whole picture; only its head, at either end or nowhere,
    is bright enough to keep it."""
    if rng.random() < 0.3:
        return np.ascontiguousarray(_snake(rng, width, height).T)
    return _snake(rng, height, width)


def _snake(rng: Generator, height: int, width: int) -> np.ndarray:
    image = np.full((height, width), GROUND, np.uint8)
    pitch, margin, thickness = int(rng.integers(8, 13)), int(rng.integers(2, 5)), int(rng.integers(1, 4))
    ends = [margin, height - 1 - margin]
    points = []
    for number, x in enumerate(range(4, width - 4, pitch)):
        points += [(x, ends[number % 2]), (x, ends[1 - number % 2])]
    if not points:
        return image
    cv2.polylines(image, [np.array(points)], False, GROUND + WEAK, thickness)
    if rng.random() < 0.8:
        _head(image, points if rng.random() < 0.5 else points[::-1], thickness)
    if rng.random() < 0.2:  # a gap: what is behind it is lost
        y = int(rng.integers(height))
        image[y : y + 3, : width // 2] = GROUND
    return image


def _head(image: np.ndarray, points: list[tuple[int, int]], thickness: int) -> None:
    """Bright at the first of these points, and less and less so towards the second."""
    (x, y), (_, end) = points[:2]
    step = 1 if end > y else -1
    for distance, bright in enumerate(np.geomspace(100, WEAK, 16)):
        if (end - y - step * distance) * step >= 0:
            at = (x, y + step * distance)
            cv2.line(image, at, at, GROUND + int(bright), thickness)


def spiral(rng: Generator, height: int, width: int) -> np.ndarray:
    """A weak line around and around, bright in the middle."""
    image = np.full((height, width), GROUND, np.uint8)
    angle = np.linspace(0, 60, 300)
    radius = angle * rng.uniform(1, 2)
    x, y = width / 2 + radius * np.cos(angle), height / 2 + radius * np.sin(angle)
    points = np.stack([x, y], axis=1).round().astype(np.int32)
    bright = GROUND + np.maximum(WEAK, np.geomspace(120, 1, 300))
    for start, end, value in zip(points, points[1:], bright, strict=False):
        cv2.line(image, start.tolist(), end.tolist(), float(value), 2)
    return image


PICTURES: tuple[Callable[[Generator, int, int], np.ndarray], ...] = (
    noise,
    soft,
    soft,
    plateaus,
    ramp,
    constant,
    snake,
    snake,
    snake,
    spiral,
)


def picture(rng: Generator, paint: Callable[[Generator, int, int], np.ndarray], largest: int) -> np.ndarray:
    """A picture of any size up to ``largest``, one in three in colour."""
    least = largest // 3 if paint in (snake, spiral) else 1
    height, width = (int(side) for side in rng.integers(least, largest + 1, 2))
    if rng.random() > 1 / 3:
        return paint(rng, height, width)
    if rng.random() < 0.5:  # in one channel only
        channels = [np.full((height, width), rng.integers(0, 256), np.uint8) for _ in range(3)]
        channels[rng.integers(3)] = paint(rng, height, width)
    else:
        channels = [paint(rng, height, width) for _ in range(3)]
    return np.stack(channels, axis=2)


def thresholds(rng: Generator, aperture: int) -> dict[str, Any]:
    """Those that make a snake weak most often; else any, also equal, 0, 255 and the largest."""
    kind = rng.random()
    if kind < 0.5:
        gain, name = (GAIN[3], "scaled") if kind < 0.1 else (GAIN[aperture], "raw")
        return {"canny_low": WEAK * gain // 2, "canny_high": int(1.9 * WEAK * gain), "thresholds": name}
    usual = [0, 1, 255, 10_000, MOST, *(int(rng.integers(0, 300 * GAIN[aperture])) for _ in range(4))]
    low, high = sorted(min(MOST, int(t)) for t in rng.choice(usual, 2))
    return {"canny_low": low, "canny_high": high, "thresholds": str(rng.choice(["raw", "raw", "scaled", "auto"]))}


def parameters(rng: Generator) -> dict[str, Any]:
    aperture = int(rng.choice([3, 5, 7]))
    kernel = 2 * int(rng.integers(0, rng.choice([6, 6, 6, 6, 6, 6, 6, 6, 50, MOST_KERNEL // 2 + 1]))) + 1
    sigma = float(rng.choice([0, rng.uniform(0, 3), rng.uniform(0, 50)]))
    if sigma and rng.random() < 0.2:
        kernel = 0
    return {
        **DEFAULTS,
        **thresholds(rng, aperture),
        "aperture": aperture,
        "l2gradient": bool(rng.integers(2)),
        "kernel": kernel,
        "sigma": sigma,
    }


def some_strips(rng: Generator, height: int) -> tuple[Rows, ...]:
    """A few of any heights, or equal ones, or one for every row."""
    kind = rng.random()
    if kind < 0.15:
        return cut(height, height)
    if kind < 0.4:
        return cut(height, int(rng.integers(1, 9)))
    cuts = rng.choice(np.arange(1, height), min(height - 1, int(rng.integers(1, 6))), replace=False)
    edges = [0, *sorted(cuts.tolist()), height]
    return tuple(map(Rows, edges[:-1], edges[1:]))


def case(rng: Generator, largest: int) -> Case:
    """Any case; Canny most often, as it is the hardest."""
    paint = PICTURES[rng.integers(len(PICTURES))]
    name = "canny" if rng.random() < 0.6 else str(rng.choice(IN_STRIPS))
    image = picture(rng, paint, largest)
    return Case(paint.__name__, name, image, parameters(rng), some_strips(rng, len(image)))


def job(
    folder: Path,
    pixels: np.ndarray,
    chosen: dict[str, Any] = DEFAULTS,
    *,
    format: str = "png",
    color: bool = False,
    operations: Sequence[str] = tuple(IN_STRIPS),
) -> ImageJob:
    """A file with these pixels, and what is to be made of it in the same folder."""
    source = folder / "in.png"
    source.write_bytes(encode(pixels, "png"))
    outputs = tuple((name, str(folder / f"{name}.out")) for name in operations)
    return ImageJob(str(source), outputs, chosen, format, color)


def carried_out(plan: Plan) -> list[TaskResult]:
    """The results of a plan, whose tasks are done here one by one."""
    results = None
    while True:
        try:
            phase = numbered(plan.send(results))
        except StopIteration as end:
            return end.value
        results = []
        for task in phase:
            carrier = task.carrier() if task.carrier else None
            done = run_task(carrier.send(task, Stopwatch()) if carrier else task)
            if carrier and done.error is None:
                done = replace(done, value=carrier.receive(done.value, Stopwatch()))
            results.append(replace(done, index=task.of_image))


def wrong_pixels(work: ImageJob, pixels: np.ndarray) -> dict[str, int]:
    """How many pixels of each output are not those of the whole image; nothing where all are right."""
    wrong = {}
    for name, path in work.outputs:
        whole = OPERATIONS[name].apply(pixels, work.parameters)
        found = decode(Path(path).read_bytes(), color=whole.ndim == 3)
        wrong[name] = int(np.count_nonzero(found != whole)) if found.shape == whole.shape else whole.size
    return {name: count for name, count in wrong.items() if count}


def wrong_files(work: ImageJob, pixels: np.ndarray) -> list[str]:
    """The outputs that are not, byte by byte, the files of the whole image."""
    wholes = {name: OPERATIONS[name].apply(pixels, work.parameters) for name, _ in work.outputs}
    files = {name: encode(one, work.format, bilevel=OPERATIONS[name].bilevel) for name, one in wholes.items()}
    return [name for name, path in work.outputs if Path(path).read_bytes() != files[name]]


def carried_out_by_workers(
    technique: str,
    source: Path,
    size: tuple[int, int],
    folder: Path,
    color: bool = False,
    strips: int = 4,
    operations: Sequence[str] = tuple(IN_STRIPS),
    chosen: dict[str, Any] = DEFAULTS,
) -> tuple[ImageJob, Pass]:
    """Operations on a file, cut into strips for two workers of a technique; the size is (height, width)."""
    outputs = tuple((name, str(folder / f"{name}.png")) for name in operations)
    work = ImageJob(str(source), outputs, chosen, "png", color)
    with closing(Contender(TECHNIQUES[technique], 2, deadline=60)) as contender:
        contender.start()
        across = contender.backend.capabilities.memory == "copied"
        plan = split_image(0, work, size, strips, across_processes=across)
        return work, contender.run(flat(together([plan])), lambda _: None)
