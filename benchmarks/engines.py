"""What techniques with worker processes cost for each task, and how fast they are on photographs.

    python benchmarks/engines.py [PATH ...] [--technique NAME ...] [--workers N] [--rounds 8] [--chunk-size 8]
    python benchmarks/engines.py --driver-memory [--technique NAME ...] [--workers N] [--count 1000] [--megapixels 2]

Dispatch is the time of a round of tasks that do nothing, divided by their number: one task handed over at a time, and
so many at once as ``--chunk-size`` says. Then the photographs (drawn where no paths are given), read and written by
the workers. All take turns in shuffled rounds, warm. Speed is that of the first technique divided into each, as the
median of the paired ratios of the rounds.

``--driver-memory`` has files travel to the workers and results back, and shows the most memory that the process which
hands them out ever had (Linux).
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from imgproc.backends import TECHNIQUES
from imgproc.backends.base import Backend, Options
from imgproc.backends.sharing.transport import BYTES, PATHS, image_task
from imgproc.backends.task import Task
from imgproc.intake.paths import find_images
from imgproc.intake.samples import draw_many
from imgproc.measure.environment import environment, usable_cores
from imgproc.measure.lock import machine_lock
from imgproc.operations import DEFAULT_OPERATIONS, parse_parameters
from imgproc.pixels.job import ImageJob
from imgproc.pixels.stopwatch import Stopwatch
from imgproc.settings import Settings

EMPTY_TASKS = 400
DEADLINE = 120.0
DEFAULT = [name for name in ("multiprocessing", "mpi", "dask") if name in TECHNIQUES]
Times = dict[str, dict[str, list[float]]]


def nothing(payload: None, stopwatch: Stopwatch) -> None:
    """A task that does nothing."""


def photographs(files: Sequence[Path], out: Path, transfer: str = PATHS) -> list[Task]:
    """A task for each file."""
    tasks = []
    for number, file in enumerate(files):
        outputs = tuple((name, str(out / f"{number:04d}_{name}.png")) for name in DEFAULT_OPERATIONS)
        tasks.append(image_task(number, ImageJob(str(file), outputs, parse_parameters({})), transfer))
    return tasks


def timed(backend: Backend, tasks: Sequence[Task]) -> float:
    """Seconds for all of them.

    Raises:
        SystemExit: one failed.
    """
    start = time.perf_counter()
    for result in backend.run(tasks, deadline=DEADLINE):
        if result.error:
            raise SystemExit(f"{backend.name}: {result.error}")
    return time.perf_counter() - start


def measure(chosen: argparse.Namespace, files: Sequence[Path], out: Path) -> tuple[Times, dict[str, float]]:
    """Seconds by technique and kind of work, a round each; and what starting took."""
    times: Times = defaultdict(lambda: defaultdict(list))
    startup = {}
    # Named as other processes find it: this file may run as a program, which they do not.
    do_nothing = import_module("benchmarks.engines").nothing
    empty = [Task(number, do_nothing, None) for number in range(EMPTY_TASKS)]
    with ExitStack() as stack:
        work: list[tuple[str, str, Callable[[], float]]] = []
        for name in chosen.technique:
            single = TECHNIQUES[name].load()(chosen.workers, Options(settings=Settings.from_environment()))
            batched = TECHNIQUES[name].load()(
                chosen.workers, Options(chunk_size=chosen.chunk_size, settings=Settings.from_environment())
            )
            for backend in (single, batched):
                stack.callback(backend.close)
                start = time.perf_counter()
                backend.start()
                startup.setdefault(name, time.perf_counter() - start)
            work += [
                (name, "single", lambda b=single: timed(b, empty)),
                (name, "batched", lambda b=batched: timed(b, empty)),
                (name, "photographs", lambda b=single: timed(b, photographs(files, out))),
            ]
        for number in range(chosen.rounds + 1):
            random.shuffle(work)
            for name, kind, run in work:
                seconds = run()
                if number:  # the first round is a warm-up
                    times[name][kind].append(seconds)
    return times, startup


def show(chosen: argparse.Namespace, times: Times, startup: dict[str, float]) -> None:
    first = chosen.technique[0]
    print(
        f"{'':<20}{'start-up':>10}{'dispatch':>14}{f'{chosen.chunk_size} at once':>14}{'photographs':>13}{'speed':>8}"
    )
    for name in chosen.technique:
        mine, ratios = times[name], []
        for own, other in zip(mine["photographs"], times[first]["photographs"], strict=True):
            ratios.append(other / own)
        single, batched = (1000 * statistics.median(mine[kind]) / EMPTY_TASKS for kind in ("single", "batched"))
        print(
            f"{name:<20}{startup[name]:>8.2f} s{single:>11.2f} ms{batched:>11.2f} ms"
            f"{statistics.median(mine['photographs']):>11.2f} s{statistics.median(ratios):>8.2f}"
        )


def drive(name: str, workers: int, count: int, folder: Path) -> None:
    """Have all files travel, remove what comes back, and print the most memory that this process had, in MB."""
    drawn = sorted((folder / "in").iterdir())
    files = [drawn[number % len(drawn)] for number in range(count)]
    out = folder / "out"
    out.mkdir()
    backend = TECHNIQUES[name].load()(workers, Options(settings=Settings.from_environment()))
    try:
        for result in backend.run(photographs(files, out, BYTES), deadline=DEADLINE):
            if result.error:
                raise SystemExit(f"{name}: {result.error}")
            for output in result.value.outputs:
                Path(output.path).unlink()
    finally:
        backend.close()
        shutil.rmtree(out)
    status = Path("/proc/self/status").read_text()
    print(int(status.partition("VmHWM:")[2].split()[0]) / 1024)


def driver_memory(chosen: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="engines-") as folder:
        (Path(folder) / "in").mkdir()
        list(draw_many(Path(folder, "in"), min(20, chosen.count), chosen.megapixels, 0, chosen.workers))
        for name in chosen.technique:
            arguments = ["--drive", name, folder, "--workers", str(chosen.workers), "--count", str(chosen.count)]
            start = time.perf_counter()
            # A process of its own: the most that it had is of nothing else.
            done = subprocess.run([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True, check=True)
            seconds = time.perf_counter() - start
            print(
                f"{name:<20}{chosen.count} images of {chosen.megapixels:g} megapixels in {seconds:.1f} s: "
                f"the driver had at most {float(done.stdout):.0f} MB"
            )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*")
    parser.add_argument("--technique", action="append", help="one to measure, repeated for more")
    parser.add_argument("--workers", type=int, default=usable_cores())
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--chunk-size", type=int, default=8)
    parser.add_argument("--count", type=int, help="how many images (16, or 1000 with --driver-memory)")
    parser.add_argument("--megapixels", type=float, help="of each drawn image (6, or 2 with --driver-memory)")
    parser.add_argument("--driver-memory", action="store_true")
    parser.add_argument("--drive", nargs=2, metavar=("NAME", "FOLDER"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    chosen.technique = chosen.technique or DEFAULT
    chosen.count = chosen.count or (1000 if chosen.driver_memory else 16)
    chosen.megapixels = chosen.megapixels or (2 if chosen.driver_memory else 6)
    if unknown := set(chosen.technique) - set(TECHNIQUES):
        parser.error(f"no such technique: {', '.join(unknown)}")
    return chosen


def main() -> None:
    chosen = arguments()
    if chosen.drive:
        drive(chosen.drive[0], chosen.workers, chosen.count, Path(chosen.drive[1]))
        return
    with machine_lock(lambda _: None), tempfile.TemporaryDirectory(prefix="engines-") as folder:
        if chosen.driver_memory:
            driver_memory(chosen)
            return
        out = Path(folder, "out")
        out.mkdir()
        files = find_images(chosen.paths, out).files or sorted(
            draw_many(Path(folder), chosen.count, chosen.megapixels, 0, chosen.workers)
        )
        facts = environment()
        print(f"{len(files)} images; {facts['cpu']}, {facts['cores_usable']} cores; {chosen.workers} workers")
        show(chosen, *measure(chosen, files, out))


if __name__ == "__main__":
    main()
