"""Scale runs whose truth is known: times by closed forms, with or without noise, derived as real ones are."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial

from imgproc.backends import TECHNIQUES
from imgproc.measure.curves import Scaling, scaling
from imgproc.measure.derive import derive, derive_weak
from imgproc.measure.laws import amdahl, gustafson
from imgproc.measure.results import Round, SpanRecord, TechniqueMeasurement
from imgproc.measure.statistics import Rules
from imgproc.numbers import counted
from imgproc.operations import parse_parameters
from imgproc.runs.record import ImageRecord, Record, RunSettings

Law = Callable[[int], float]
ROUNDS, IMAGES, MEGAPIXELS, SEQUENTIAL = 7, 12, 36.0, 1.2


def measured(
    name: str, label: str, seconds: float, workers: int = 1, cv2_threads: int = 1, *, copies=1, noise=0.0, rounds=ROUNDS
) -> TechniqueMeasurement:
    """Rounds around ``seconds``, which is their median and their geometric mean; the disturbances cancel in pairs."""
    rng = random.Random(f"{label} {seconds}")
    factors = [1.0] * (rounds % 2 or min(rounds, 2))
    while len(factors) < rounds:
        factor = 1 + noise * rng.uniform(0.2, 1)
        factors += [factor, 1 / factor]
    rng.shuffle(factors)
    m = TechniqueMeasurement(name, label, workers, cv2_threads, copies=copies, identical=True, startup_seconds=0.002)
    m.rounds = [Round(seconds * factor) for factor in factors]
    m.first_round_seconds = seconds * 1.1
    m.spans = [
        SpanRecord(worker + 1, worker, "canny", 0.0, 0.9 * r.wall_seconds, number)
        for number, r in enumerate(m.rounds, 1)
        for worker in range(workers)
    ]
    return m


def scale_run(
    counts: Sequence[int] = (1, 2, 4),
    strong: Law = lambda p: amdahl(p, 0.05),
    scaled: Law | None = lambda p: gustafson(p, 0.05),
    *,
    technique: str = "threading",
    inner: Sequence[int] = (1,),
    grid: Callable[[int, int], float] = lambda workers, inner: amdahl(workers, 0.05) * (0.8 if workers > 1 else 1.3),
    cores: int | None = 8,
    noise: float = 0.002,
    rounds: int = ROUNDS,
) -> Record:
    """A scale run of a technique.

    Args:
        strong: the speedup of a number of workers; ``scaled`` that of weak scaling, None: it was not measured.
        grid: the speedup with ``inner`` OpenCV threads in each worker.
    """
    parameters, swept = parse_parameters({}), {"worker_counts": list(counts), "cv2_threads": list(inner)}
    asked = RunSettings(["canny"], parameters, technique, **swept, seed=7)
    record = Record("0123456789ab", "scale", asked, state="done", environment={"cores_usable": cores} if cores else {})
    record.images = [ImageRecord(k, f"photo {k + 1}.jpg", 2000, 1500, "JPEG", 9) for k in range(IMAGES)]
    unit = TECHNIQUES[technique].unit
    timed = partial(measured, technique, noise=noise, rounds=rounds)
    for p in counts:
        name, ways = f"{TECHNIQUES[technique].label}, {counted(p, unit)}", (1, p) if unit == "thread" else (p, 1)
        record.techniques.append(timed(name, SEQUENTIAL / strong(p), *ways))
        if scaled and p > 1:
            seconds = p * SEQUENTIAL / scaled(p)
            record.weak.append(timed(f"{name}, {p} times the images", seconds, *ways, copies=p))
    for many in inner:
        for m in record.techniques[: len(counts) if many > 1 else 0]:
            label = f"{m.label} with {many} OpenCV threads each"
            record.techniques.append(timed(label, SEQUENTIAL / grid(m.workers, many), m.workers, many))
    record.techniques.append(measured("sequential", "Sequential", SEQUENTIAL, noise=noise, rounds=rounds))
    conclude(record)
    return record


def conclude(record: Record, rules: Rules | None = None) -> Scaling:
    """Derive everything again, after a change to what was measured, or by the rules of an earlier version."""
    rules = rules or record.settings.rules
    derive(record.techniques, images=IMAGES, megapixels=MEGAPIXELS, rules=rules)
    baseline = next((m for m in record.techniques if m.name == "sequential" and m.rounds), None)
    derive_weak(record.weak, baseline, images=IMAGES, megapixels=MEGAPIXELS, rules=rules)
    cores = record.environment.get("cores_usable")
    record.scaling = scaling(record.settings.technique, record.techniques, record.weak, cores=cores)
    record.conclude(rules)
    return record.scaling


def fail(record: Record, label: str, reason: str) -> Record:
    """One of its measurements could not be finished."""
    for ms in (record.techniques, record.weak):
        for index, m in enumerate(ms):
            if m.label == label:
                same = (m.name, m.label, m.workers, m.cv2_threads)
                ms[index] = TechniqueMeasurement(*same, copies=m.copies, reason=reason)
    conclude(record)
    return record
