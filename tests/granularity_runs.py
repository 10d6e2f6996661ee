"""Runs over batch sizes whose truth is known: times by a closed form and noise, derived as real ones are."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

from imgproc.measure.derive import comparisons_of, derive, derive_points
from imgproc.measure.granularity import granularity
from imgproc.measure.results import Round, SpanRecord, TechniqueMeasurement
from imgproc.numbers import counted
from imgproc.operations import parse_parameters
from imgproc.runs.record import ImageRecord, Record, RunSettings

#: Seconds: of an image with one thread, of handing out a batch to two workers, of starting these.
IMAGE, HANDING, START = 0.010, 0.015, 0.1
WORKERS = 2


def two_workers(images: int) -> float:
    """So that a batch of 3 images takes as long as sequentially."""
    return HANDING + IMAGE * images / WORKERS


def granularity_run(
    sizes: Sequence[int] = (1, 2, 4, 8, 16, 32),
    parallel: Callable[[int], float] = two_workers,
    *,
    noise: float = 0.002,
    rounds: int = 7,
    startup: float = START,
    seed: int = 5,
    others: Mapping[int, Callable[[int], float]] | None = None,
) -> Record:
    """A run over batches of ``sizes``, the last of which is the whole work.

    Args:
        parallel: seconds that the technique takes for so many images; one thread takes ``IMAGE`` for each.
        noise: the standard deviation of a round's logarithm.
        others: the same of other numbers of workers that are measured too.
    """
    ways = {WORKERS: parallel, **(others or {})}
    most = max(ways)
    asked = RunSettings(
        ["canny"], parse_parameters({}), "threading", workers=most, worker_counts=sorted(ways), over="images", seed=7
    )
    record = Record("0123456789ab", "scale", asked, state="done", environment={"cores_usable": most})
    record.images = [ImageRecord(k, f"photo {k + 1}.jpg", 2000, 1500, "JPEG", 9) for k in range(sizes[-1])]
    chance = random.Random(seed)
    for size in reversed(sizes):
        of_all = [("threading", f"Threads, {counted(count, 'worker')}", count, ways[count](size)) for count in ways]
        for name, label, workers, seconds in (of_all[0], ("sequential", "Sequential", 1, IMAGE * size), *of_all[1:]):
            whole = size == sizes[-1]
            m = TechniqueMeasurement(name, label, workers, identical=True, startup_seconds=startup * (workers > 1))
            if not whole:
                m.label += f", {counted(size, 'image')}"
                m.point, m.images, m.megapixels = float(size), size, 3.0 * size
            m.rounds = [Round(seconds * chance.lognormvariate(0, noise)) for _ in range(rounds)]
            m.spans = [
                SpanRecord(k % workers + 1, k, "canny", k // workers * IMAGE, (k // workers + 1) * IMAGE, number)
                for number in range(1, rounds + 1)
                for k in range(size)
            ]
            (record.techniques if whole else record.points).append(m)
    record.points.sort(key=lambda m: m.point or 0)
    conclude(record)
    return record


def by_chunks(chunk: int, images: int = 64) -> float:
    """So that handing over 3 images at a time takes as long as sequentially: each batch costs a worker ``HANDING``, and
    one that is left over has the other worker wait."""
    batches = -(-images // chunk)
    return -(-batches // WORKERS) * (HANDING + IMAGE * chunk)


def task_run(sizes: Sequence[int] = (1, 2, 4, 8, 16, 32, 64), *, images: int = 64, rounds: int = 7) -> Record:
    """A run over how many of so many images are handed over at a time, by ``by_chunks``."""
    asked = RunSettings(
        ["canny"], parse_parameters({}), "multiprocessing", workers=WORKERS, worker_counts=[WORKERS], over="task",
        seed=7,
    )  # fmt: skip
    record = Record("0123456789ab", "scale", asked, state="done", environment={"cores_usable": WORKERS})
    record.images = [ImageRecord(k, f"photo {k + 1}.jpg", 2000, 1500, "JPEG", 9) for k in range(images)]
    chance = random.Random(5)

    def add(to: list[TechniqueMeasurement], m: TechniqueMeasurement, seconds: float) -> None:
        m.rounds = [Round(seconds * chance.lognormvariate(0, 0.002)) for _ in range(rounds)]
        m.spans = [
            SpanRecord(k % m.workers + 1, k, "canny", k // m.workers * IMAGE, (k // m.workers + 1) * IMAGE, number)
            for number in range(1, rounds + 1)
            for k in range(images)
        ]
        to.append(m)

    for size in sizes:
        label = f"Pool, {WORKERS} workers" + (f", {size} at a time" if size > sizes[0] else "")
        m = TechniqueMeasurement(
            "multiprocessing", label, WORKERS, identical=True, startup_seconds=START, chunk_size=size,
            point=float(size) if size > sizes[0] else None,
        )  # fmt: skip
        add(record.points if size > sizes[0] else record.techniques, m, by_chunks(size, images))
    add(record.techniques, TechniqueMeasurement("sequential", "Sequential", identical=True), IMAGE * images)
    conclude(record)
    return record


def conclude(record: Record) -> None:
    """Derive everything again, after a change to what was measured."""
    count, megapixels = len(record.images), record.megapixels
    comparisons = comparisons_of(record.techniques, record.points)
    derive(record.techniques, images=count, megapixels=megapixels, comparisons=comparisons)
    baseline = next(m for m in record.techniques if m.name == "sequential")
    derive_points(record.points, comparisons, images=count, megapixels=megapixels, baseline=baseline)
    asked = record.settings
    record.granularity = granularity(
        asked.over, asked.technique, record.techniques, record.points, images=count, megapixels=megapixels
    )
    record.conclude()
