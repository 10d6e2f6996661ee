"""What is predicted and calibrated, in plain text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from imgproc.backends import BASELINE, TECHNIQUES
from imgproc.measure.results import TechniqueMeasurement
from imgproc.numbers import NBSP, NOTHING, counted, megapixels, seconds
from imgproc.runs.advisor.calibration import Calibration
from imgproc.runs.advisor.prediction import Batch, Prediction
from imgproc.runs.record import Record

#: Stages that are shown of a calibration: what is done to files as cameras write them.
_SHOWN = ("decode JPEG gray", "decode JPEG colour", "decode PNG gray", "decode TIFF gray")


def advice_table(found: Sequence[Prediction], taken: Prediction, batch: Batch, sentence: str) -> str:
    """A line for each way of running a batch, the fastest first, then what to take and why."""
    megapixels = sum(image.megapixels for image in batch.images)
    settings = batch.settings
    wide = max(len(one.technique) for one in found)
    rows = [
        f"{one.technique:<{wide}}  {one.workers:>7}  {seconds(one.start_seconds):>9}  {seconds(one.seconds):>9}  "
        f"{seconds(one.job_seconds):>9}  {'' if one.measured else 'from another machine’s figures'}".rstrip()
        for one in found
    ]
    what = f"{', '.join(settings.operations)} of {counted(len(batch.images), 'image')}, {megapixels:.3g} megapixels"
    return "\n".join(
        [
            f"Predicted for {what}, as {settings.format}:",
            f"{'technique':<{wide}}  {'workers':>7}  {'start-up':>9}  {'images':>9}  {'total':>9}",
            *rows,
            "",
            f"Take: --technique {taken.technique} --workers {taken.workers}",
            sentence,
        ]
    )


def plan(
    record: Record,
    contenders: Sequence[TechniqueMeasurement],
    missing: Sequence[TechniqueMeasurement],
    known: Sequence[Prediction],
    out: Path | None,
) -> str:
    """What a command would do: which images by which ways, how long a pass of each is expected to take, and where
    results go.

    Args:
        known: predictions for the workers of the settings.
        out: the folder for results; None where none are kept.
    """
    asked, good = record.settings, record.good_images
    images = f"{counted(len(good), 'image')}, {megapixels(record.megapixels)} megapixels"
    lines = [f"Would {_VERBS[record.mode]} {images}: {', '.join(asked.operations)}, as {asked.format}."]
    lines += [f"Left out: {image.name}: {image.error}" for image in record.images if image.error]
    times = {(one.technique, one.workers): one.seconds for one in known}
    expected_seconds: list[float | None] = []
    for t in contenders:
        expected = times.get((t.name, t.workers)) if t.copies == 1 and t.point is None and t.cv2_threads == 1 else None
        expected_seconds.append(expected)
        about = f": about {seconds(expected)} a round" if expected else ""
        lines.append(f"  {t.label}, {counted(t.workers, 'worker')}{about}")
    lines += [f"  not {t.label}: {t.reason}" for t in missing]
    if asked.budget:
        rounds = f"{'at least ' if record.mode == 'compare' else ''}{counted(asked.rounds, 'round')}"
        lines.append(f"Then {rounds} of each in shuffled order, for at most {asked.budget:g} s.")
        lines += _longer_budget(record, expected_seconds)
    if out is not None:
        lines.append(f"{counted(len(good) * len(asked.operations), 'file')} would be written into {out}.")
    return "\n".join(lines).replace(NBSP, " ") + "\n"


def _longer_budget(record: Record, expected: Sequence[float | None]) -> Iterator[str]:
    """The time budget that all images need by these seconds of a pass of each, where they need a longer one and all
    are known."""
    asked = record.settings
    known = [seconds_taken for seconds_taken in expected if seconds_taken]
    passes = asked.starts * (asked.rounds_of_start + 1) + 1  # the warm-ups, and reading back what they made
    needed = 10 * math.ceil(passes * sum(known) / 10)
    if len(known) == len(expected) and needed > asked.budget:
        yield f"A sample of the images would be measured: all of them need about {needed} s, --budget {needed}."


_VERBS = {
    "sequential": "process", "parallel": "process", "compare": "compare techniques on", "scale": "scale a technique on"
}  # fmt: skip


def calibration_table(calibration: Calibration, workers: int) -> str:
    """What the stages of a megapixel cost here on one thread, and what each technique adds."""
    lines = ["Milliseconds per megapixel, one thread, drawn photographs:"]
    lines += [f"  {key:<24} {1000 * _per_megapixel(calibration, key):6.2f}" for key in _shown(calibration)]
    lines += [
        "",
        f"With {counted(workers, 'worker')}:",
        f"  {'technique':<18} {'start-up':>9} {'per task':>9} {'work':>7}",
    ]
    for technique in TECHNIQUES:
        threads = 1 if technique == BASELINE else workers
        costs = calibration.way(technique, threads) if calibration.measured(technique) else None
        if costs is None:
            lines.append(f"  {technique:<18} {NOTHING:>9}")
            continue
        start = calibration.overhead(technique, threads).start
        work = (costs[2] + costs[3]) / 2
        lines.append(f"  {technique:<18} {seconds(start):>9} {seconds(float(costs[1])):>9} {work:6.2f}x")
    lines.append("“work”: how many times as long as on one thread alone its workers are busy with the same images.")
    return "\n".join(lines)


def _shown(calibration: Calibration) -> list[str]:
    own = [key for key in calibration.stages if key.count(" ") == 1 and key.endswith((" gray", " colour"))]
    return [key for key in (*_SHOWN, *sorted(own)) if key in calibration.stages]


def _per_megapixel(calibration: Calibration, key: str) -> float:
    """Of an image of one megapixel in a file of half a megabyte."""
    [seconds_taken] = calibration.stage_seconds()(np.array([[1.0, 1.0, 0.5]]), key)
    return float(seconds_taken)
