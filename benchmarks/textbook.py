"""The textbook programs against this one, on the same photographs, in one run.

    python benchmarks/textbook.py [PATH ...] [--rounds 5] [--workers N]

Without paths, sample pictures are drawn. Every program reads the same files and writes Canny edges, a Gaussian
blur and an equalized picture of each as PNG. Programs take turns in shuffled rounds after one warm-up; pools are warm
(their start-up is not counted), which favours the textbook. Medians are shown, and ratios to the first row.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from imgproc.backends import TECHNIQUES
from imgproc.backends.phases import whole
from imgproc.backends.sharing.transport import image_task
from imgproc.intake.paths import find_images
from imgproc.intake.samples import draw_many
from imgproc.measure.environment import environment, usable_cores
from imgproc.measure.protocol import Contender
from imgproc.operations import OPERATIONS, parse_parameters
from imgproc.pixels.codecs import decode
from imgproc.pixels.inner_threads import pin_threads
from imgproc.pixels.job import ImageJob
from imgproc.runs.passes import on_gpu

Row = tuple[str, Callable[[Path], None]]


def textbook(path: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What tutorials show: read, three calls."""
    gray = cv2.imread(path, cv2.IMREAD_GRAYSCALE)
    return cv2.Canny(gray, 100, 200), cv2.GaussianBlur(gray, (5, 5), 0), cv2.equalizeHist(gray)


def write(out: Path, number: int, results: tuple[np.ndarray, ...]) -> None:
    for name, result in zip(OPERATIONS, results, strict=True):
        cv2.imwrite(str(out / f"{number:04d}_{name}.png"), result)


def loop(files: list[Path], threads: int) -> Callable[[Path], None]:
    def program(out: Path) -> None:
        cv2.setNumThreads(threads)
        for number, file in enumerate(files):
            write(out, number, textbook(str(file)))

    return program


def pool_map(files: list[Path], pool: multiprocessing.pool.Pool) -> Callable[[Path], None]:
    """Workers send arrays back and the parent writes them."""

    def program(out: Path) -> None:
        for number, results in enumerate(pool.map(textbook, [str(file) for file in files])):
            write(out, number, results)

    return program


def ours(files: list[Path], contender: Contender) -> Callable[[Path], None]:
    parameters = parse_parameters({})

    def program(out: Path) -> None:
        tasks = [
            image_task(
                number,
                ImageJob(str(file), tuple((n, str(out / f"{number:04d}_{n}.png")) for n in OPERATIONS), parameters),
                on_device=on_gpu(contender),
            )
            for number, file in sorted(enumerate(files), key=lambda pair: -pair[1].stat().st_size)
        ]
        for result in contender.run(whole(tasks), lambda _: None).results:
            if result.error:
                raise SystemExit(f"{files[result.index]}: {result.error}")

    return program


def same_pixels(a: Path, b: Path) -> bool:
    names = sorted(file.name for file in a.iterdir())
    return names == sorted(file.name for file in b.iterdir()) and all(
        np.array_equal(decode((a / name).read_bytes()), decode((b / name).read_bytes())) for name in names
    )


def measure(rows: list[Row], rounds: int, scratch: Path) -> dict[str, tuple[list[float], int, bool]]:
    """Seconds of each round, bytes written, and whether the pixels are the first row's; by the row's name."""
    measured: dict[str, tuple[list[float], int, bool]] = {}
    reference = scratch / "reference"
    for number in range(rounds + 1):
        order = rows if number == 0 else random.sample(rows, len(rows))
        for name, program in order:
            out = reference if not measured else scratch / "out"
            out.mkdir()
            start = time.perf_counter()
            program(out)
            seconds = time.perf_counter() - start
            if number == 0:  # the warm-up is not counted; it proves the pixels
                size = sum(file.stat().st_size for file in out.iterdir())
                measured[name] = [], size, same_pixels(reference, out)
            else:
                measured[name][0].append(seconds)
            if out != reference:
                shutil.rmtree(out)
    return measured


def show(measured: dict[str, tuple[list[float], int, bool]], images: int) -> None:
    base = statistics.median(next(iter(measured.values()))[0])
    print(f"{'program':<46}{'median':>9}{'range':>16}{'images/s':>10}{'MB out':>8}{'ratio':>8}  pixels")
    for name, (times, size, same) in measured.items():
        median = statistics.median(times)
        spread = f"{min(times):.3f}-{max(times):.3f}"
        print(
            f"{name:<46}{median:>7.3f} s{spread:>16}{images / median:>10.1f}{size / 1e6:>8.1f}{base / median:>7.2f}x"
            f"  {'same' if same else 'DIFFERENT'}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=usable_cores())
    chosen = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="textbook-"))
    contenders = [
        Contender(t, 1 if t.name == "sequential" else chosen.workers, deadline=120)
        for t in TECHNIQUES.values()
        if t.availability().ok
    ]
    # Plain workers as in tutorials, except for the start method: forking after OpenCV's threads have run can hang.
    pool = multiprocessing.get_context("spawn").Pool(chosen.workers, pin_threads)
    try:
        files = (
            find_images(chosen.paths, scratch).files
            if chosen.paths
            else list(draw_many(scratch / "samples", 14, 8.0, 0, chosen.workers))
        )
        rows: list[Row] = [
            ("textbook loop, one thread", loop(files, 1)),
            (f"textbook loop, OpenCV's {chosen.workers} threads", loop(files, chosen.workers)),
            (f"textbook Pool({chosen.workers}).map returning arrays", pool_map(files, pool)),
        ]
        for contender in contenders:
            contender.start()
            m = contender.measurement
            workers = f", {m.workers} workers" if m.workers > 1 else ""
            rows.append((f"{m.name}{workers}", ours(files, contender)))
        facts = environment()
        print(f"{len(files)} images; {facts['cpu']}, {facts['cores_usable']} cores; PNG by {facts['png_encoder']}")
        measured = measure(rows, chosen.rounds, scratch)
        show(measured, len(files))
        medians = {name: statistics.median(times) for name, (times, _, _) in measured.items()}
        names = list(medians)
        best = min(names[3:], key=medians.__getitem__)
        print(f"\nsequential is {medians[names[0]] / medians['sequential']:.2f} times as fast as the textbook loop")
        print(f"{best} is {medians[names[2]] / medians[best]:.2f} times as fast as the textbook Pool.map")
    finally:
        pool.terminate()
        for contender in contenders:
            contender.close(kill=True)
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
