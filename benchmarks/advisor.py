"""Whether the advisor is right: what it picks and predicts for batches that it has not seen, beside what each technique
takes.

    python benchmarks/advisor.py [--batches 40] [--seed 1] [--rounds 3] [--workers N] [--most-megapixels 100]

Batches are drawn from the seed: 1 to 2,000 images of 0.03 to 25 megapixels, some or all operations, gray or colour,
JPEG, PNG or TIFF in and PNG, JPEG or WebP out, large images cut or whole. The calibration of this machine is used as it
is kept; without one the machine is calibrated first. Nothing is learned meanwhile.

A technique's time is that of a whole job, from the start of its workers to its last file: the median of several in
shuffled order, but of one alone where it takes more than three times as long as the fastest. For each batch: what was
picked, its time predicted and measured, and the fastest technique with its time. The pick should be within 10 % of the
fastest in nine of ten batches, and its predicted time within 20 % of the measured one; else the exit status is 1.
Nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from imgproc.intake.samples import KINDS, draw
from imgproc.measure.environment import usable_cores
from imgproc.measure.load import MachineLoad
from imgproc.measure.lock import machine_lock
from imgproc.numbers import seconds
from imgproc.operations import DEFAULT_OPERATIONS, parse_parameters
from imgproc.runs.advisor.calibrate import calibrate
from imgproc.runs.advisor.calibration import Calibration
from imgproc.runs.advisor.choice import batch_of, pick, predictions
from imgproc.runs.advisor.pace import pace_seconds
from imgproc.runs.advisor.prediction import Batch, Prediction
from imgproc.runs.execute import process
from imgproc.runs.headers import look_at
from imgproc.runs.passes import RunFolders
from imgproc.runs.record import Record, RunSettings
from imgproc.settings import Settings

GOOD_PICK, GOOD_TIME, WANTED = 1.10, 0.20, 0.9
#: A technique that takes so many times as long as the fastest is not run again.
HOPELESS = 3.0
SETTINGS = Settings.from_environment()


@dataclass(frozen=True)
class Drawn:
    """A batch as files, and how it is called in the table."""

    batch: Batch
    sources: dict[int, Path]
    name: str


@dataclass(frozen=True)
class Verdict:
    """What came of one batch: the pick's time over the fastest one's, and the predicted over the measured."""

    pick: float
    time: float


def draw_batch(rng: random.Random, folder: Path, workers: int, most_megapixels: float) -> Drawn:
    """Draws the pictures of one batch into a folder, each file of its own content and size, up to a few kinds."""
    size = 0.03 * (25 / 0.03) ** rng.random()
    count = max(1, min(round(2000 ** rng.random()), int(most_megapixels / size)))
    suffix = rng.choices([".jpg", ".png", ".tif"], [3, 1, 1])[0]
    spread = rng.choice([1.0, 4.0])
    operations = rng.sample(list(DEFAULT_OPERATIONS), rng.randint(1, len(DEFAULT_OPERATIONS)))
    settings = RunSettings(
        [name for name in DEFAULT_OPERATIONS if name in operations],
        parse_parameters({}),
        workers=workers,
        budget=0.0,
        color=rng.random() < 0.3,
        format=rng.choices(["png", "jpeg", "webp"], [7, 2, 1])[0],
        split=rng.choices(["auto", "never", "always"], [8, 1, 1])[0],
    )
    kinds = [draw(rng.randrange(len(KINDS)), min(25.0, max(0.05, size)), seed=rng.randrange(1000)) for _ in range(2)]
    contents = [cv2.imencode(suffix, _resized(kind, rng.uniform(1, spread)))[1].tobytes() for kind in kinds * 4]
    sources = {index: folder / f"{index}{suffix}" for index in range(count)}
    for index, file in sources.items():
        file.write_bytes(contents[index % len(contents)])
    images = look_at([*sources.values()], SETTINGS)
    megapixels = sum(image.megapixels for image in images)
    how = (
        f"{suffix[1:]} to {settings.format}{' colour' if settings.color else ''}, {'+'.join(n[0] for n in operations)}"
    )
    return Drawn(batch_of(images, settings), sources, f"{count} x {megapixels / count:.2f} MP, {how}, {settings.split}")


def _resized(image: cv2.typing.MatLike, smaller: float) -> cv2.typing.MatLike:
    scale = smaller**-0.5
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def job_seconds(drawn: Drawn, technique: str, folder: Path) -> float:
    """One whole job with a technique."""
    asked = replace(drawn.batch.settings, technique=technique)
    images = [replace(image, outputs=[]) for image in drawn.batch.images]
    record = Record("0" * 12, "sequential" if technique == "sequential" else "parallel", asked, images)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        process(record, RunFolders(drawn.sources, Path(work) / "out", None, Path(work) / "work"), SETTINGS)
    [measured] = record.techniques
    return (measured.startup_seconds or 0.0) + (measured.first_round_seconds or 0.0)


def measure(drawn: Drawn, techniques: Sequence[str], rounds: int, folder: Path, rng: random.Random) -> dict[str, float]:
    """Median seconds of a job by technique."""
    found: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        fastest = min((statistics.median(times) for times in found.values()), default=0.0)
        again = [t for t in techniques if t not in found or statistics.median(found[t]) < HOPELESS * fastest]
        for technique in rng.sample(again, len(again)):
            found[technique].append(job_seconds(drawn, technique, folder))
    return {technique: statistics.median(times) for technique, times in found.items()}


def try_batch(calibration: Calibration, drawn: Drawn, rounds: int, folder: Path, rng: random.Random) -> Verdict:
    """Predicts, measures, and prints a row."""
    found: list[Prediction] = predictions(calibration, drawn.batch, drawn.batch.settings.workers, pace_seconds())
    chosen = pick(found, baseline=True)
    assert chosen is not None
    measured = measure(drawn, [one.technique for one in found], rounds, folder, rng)
    best = min(measured, key=measured.__getitem__)
    verdict = Verdict(measured[chosen.technique] / measured[best], chosen.job_seconds / measured[chosen.technique] - 1)
    print(
        f"{drawn.name:<58} {chosen.technique:<17} {seconds(chosen.job_seconds):>9} {verdict.time:>+6.0%} "
        f"{seconds(measured[chosen.technique]):>9}   {best:<17} {seconds(measured[best]):>9} {verdict.pick:5.2f}",
        flush=True,
    )
    return verdict


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=usable_cores())
    parser.add_argument("--most-megapixels", type=float, default=100.0)
    arguments = parser.parse_args()
    with machine_lock(lambda _: None), tempfile.TemporaryDirectory() as folder:
        calibration = Calibration.load(SETTINGS.cache_dir)
        if not calibration.passes:
            calibration, _ = calibrate(SETTINGS, arguments.workers)
            calibration.save(SETTINGS.cache_dir)
        head = f"{'batch':<58} {'picked':<17} {'predicted':>9} {'':>6} {'measured':>9}"
        print(f"{head}   {'fastest':<17} {'measured':>9} ratio")
        load = MachineLoad()
        load.start()
        verdicts = []
        for number in range(arguments.batches):
            rng = random.Random(f"{arguments.seed} {number}")
            with tempfile.TemporaryDirectory(dir=folder) as pictures:
                drawn = draw_batch(rng, Path(pictures), arguments.workers, arguments.most_megapixels)
                verdicts.append(try_batch(calibration, drawn, arguments.rounds, Path(folder), rng))
        busy = load.stop()
    picks = sum(v.pick <= GOOD_PICK for v in verdicts)
    times = sum(abs(v.time) <= GOOD_TIME for v in verdicts)
    print(f"\nPick within 10 % of the fastest: {picks} of {len(verdicts)}; predicted within 20 %: {times}.")
    print(f"Other programs used {busy or 0:.2f} cores meanwhile.")
    return 0 if min(picks, times) >= WANTED * len(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
