"""One large image and all the workers: strips against whole-image OpenCV and against other libraries.

    python benchmarks/one_image.py [--megapixels 100] [--workers 2] [--rounds 5] [--tables operations files restarts]

A photograph is drawn, and kept for the run as JPEG files. In the first table it lies in memory, and each operation
is done by OpenCV on one thread and on several, by our strips, and by other libraries where they are installed; Canny
also on one weak line up and down through every cut, the worst that can be cut. In the second table programs read
the file and write edges, blur and equalized picture as PNG files; in the third the file has restart markers, as those
of some cameras have, so that strips decode it in pieces.

Programs take turns in shuffled rounds after one warm-up that is not counted; pools are warm. Shown are medians, how
many times as fast that is as the first row, and how many pixels differ from whole-image OpenCV on one thread, in the
worst of the rounds; if any of ours do, the exit status is 1. Targets are for two workers, 100 megapixels and a
machine with nothing else to do.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.one_image_peers import L2, PEERS, Peer
from benchmarks.whole_jobs.programs import textbook_loop
from imgproc.backends import BASELINE, TECHNIQUES
from imgproc.backends.base import Backend
from imgproc.backends.sharing import buffers
from imgproc.backends.strips.tasks import StripJob, work_on_strip
from imgproc.backends.task import Task
from imgproc.intake.samples import JPEG_QUALITY, KINDS
from imgproc.intake.samples.fields import Canvas
from imgproc.measure.environment import environment, usable_cores
from imgproc.measure.load import MachineLoad
from imgproc.measure.lock import machine_lock
from imgproc.measure.protocol import Contender
from imgproc.operations import DEFAULT_OPERATIONS, OPERATIONS, parse_parameters
from imgproc.operations.canny.cpu import without_ipp
from imgproc.operations.contract import Image, Operation, StripWork
from imgproc.operations.rows import Rows, cut
from imgproc.parameters import Parameters
from imgproc.pixels.codecs import decode
from imgproc.pixels.inner_threads import pin_threads
from imgproc.runs.passes import Passes, RunFolders
from imgproc.runs.progress import Tracker
from imgproc.runs.record import ImageRecord, OutputRecord, Record, RunSettings
from imgproc.runs.splitting import PER_WORKER

PARAMETERS = parse_parameters({})
DEADLINE = 600.0  # seconds for one task
SNAKE = "canny, worst case"
FILES, RESTARTS = "from file to files", "from a file with restart markers"
#: How many times as fast as one thread strips should be, with threads and with processes.
TARGETS = {"canny": (1.9, 1.8), "gaussian": (1.75, 1.75), "equalize": (1.75, 1.75), SNAKE: (0.5, 0.5)}
#: How many times as fast as the textbook program, and as our own sequential one, strips should be.
FILE_TARGETS = 3.0, 1.6


@dataclass
class Row:
    """A program and what was measured of it.

    ``run`` returns the seconds it took and what ``pixels`` finds its results in; those of the first row of a
    ``group`` are right. Others are compared with those that are named as a ``base``; ``targets`` are for each of them.
    """

    group: str
    name: str
    run: Callable[[], tuple[float, Any]] = lambda: (0.0, None)
    pixels: Callable[[Any], Sequence[Image]] = lambda image: [image]
    threads: int = 1
    ours: bool = False
    base: str = ""
    targets: tuple[float, ...] = ()
    missing: str = ""
    seconds: list[float] = field(default_factory=list)
    different: int = 0

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def timed(program: Callable[[], Any]) -> Callable[[], tuple[float, Any]]:
    def run() -> tuple[float, Any]:
        start = time.perf_counter()
        result = program()
        return time.perf_counter() - start, result

    return run


def apply_in_strips(
    operation: Operation, source: Image, parameters: Parameters, strips: Sequence[Rows], run: Callable[..., Any] = map
) -> Image:
    """What ``operation.apply`` gives, made on strips; ``run`` does those of a phase, at once or one by one."""
    out, given = np.empty(operation.result_shape(source.shape, parameters), np.uint8), None
    parameters = operation.adapted(source, parameters)
    for phase in operation.on_strips.phases:
        partials = run(partial(_on_rows, phase.work, source, out, parameters, given), strips)
        given = phase.merge(out, strips, list(partials))
    return out


def _on_rows(work: StripWork, source: Image, out: Image, parameters: Parameters, given: Any, rows: Rows) -> Any:
    return work(source, rows.of(out), rows, parameters, given)


#: OpenCV's own calls with our defaults.
PLAIN: dict[str, Callable[[Image], Any]] = {
    "canny": lambda image: cv2.Canny(image, 100, 200),
    "gaussian": lambda image: cv2.GaussianBlur(image, (5, 5), 0),
    "equalize": cv2.equalizeHist,
}


def one_thread(name: str, image: Image) -> Image:
    """The reference for every pixel."""
    with without_ipp():
        return PLAIN[name](image)


def operation_rows(photo: Image, workers: int, stack: ExitStack) -> Iterator[Row]:
    """Each operation in memory; leaving ``stack`` ends the pools and removes shared memory."""
    threads = stack.enter_context(ThreadPoolExecutor(workers))
    processes = TECHNIQUES["multiprocessing"].load()(workers)
    stack.callback(processes.close, kill=True)
    processes.start()
    strips = cut(len(photo), PER_WORKER * workers)
    for picture, groups in ((photo, tuple(DEFAULT_OPERATIONS)), (snake(photo.shape), (SNAKE,))):
        shared = stack.enter_context(buffers.image_buffers(picture.size, 2, across_processes=True))
        shared[0].hold(0, picture)
        for group in groups:
            name = group.partition(",")[0]
            whole = timed(partial(OPERATIONS[name].apply, picture, PARAMETERS))
            on_threads = timed(partial(apply_in_strips, OPERATIONS[name], picture, PARAMETERS, strips, threads.map))
            on_processes = timed(partial(by_processes, processes, shared, picture.shape, name, strips))
            target, processes_target = TARGETS[group]
            yield Row(group, "OpenCV, one thread, IPP off", timed(partial(one_thread, name, picture)), base="IPP off")
            yield Row(group, "sequential: whole, one thread, IPP on", whole, base="IPP on")
            yield Row(group, f"OpenCV, {workers} threads of its own", whole, threads=workers)
            yield Row(group, f"{len(strips)} strips, {workers} threads", on_threads, ours=True, targets=(target,))
            yield Row(
                group,
                f"{len(strips)} strips, {workers} processes",
                on_processes,
                ours=True,
                targets=(processes_target,),
            )
            for peer in PEERS.get(group, ()):
                yield peer_row(group, peer, picture, -(-len(picture) // len(strips)), workers)
    # Libraries whose Canny measures gradients by the root of squares, against OpenCV's when it does.
    l2 = timed(partial(cv2.Canny, photo, 100, 200, L2gradient=True))
    yield Row(L2, "OpenCV, one thread", l2, base="one thread")
    for peer in PEERS[L2]:
        yield peer_row(L2, peer, photo, -(-len(photo) // len(strips)), workers)


def peer_row(group: str, peer: Peer, image: Image, rows: int, workers: int) -> Row:
    try:
        return Row(group, peer.name, timed(peer.make(image, rows, workers)))
    except (ImportError, OSError):
        return Row(group, peer.name, missing=f"not installed: pip install {peer.package}")


def by_processes(
    backend: Backend,
    shared: tuple[buffers.ImageBuffers, buffers.Handle],
    shape: tuple[int, ...],
    name: str,
    strips: Sequence[Rows],
) -> Image:
    """An operation on strips of what is in the first slot of buffers; the result is in the second, and stays."""
    own, handle = shared
    operation, given = OPERATIONS[name], None
    out = own.get(1, operation.result_shape(shape, PARAMETERS))
    for number, phase in enumerate(operation.on_strips.phases):
        jobs = [StripJob(handle, shape, 1, name, rows, PARAMETERS, given, number) for rows in strips]
        tasks = [Task(k, work_on_strip, job) for k, job in enumerate(jobs)]
        results = sorted(backend.run(tasks, deadline=DEADLINE), key=lambda result: result.index)
        if errors := [result.error for result in results if result.error]:
            raise SystemExit(f"{name}: {errors[0]}")
        given = phase.merge(out, strips, [result.value for result in results])
    return out


def snake(shape: tuple[int, ...]) -> Image:
    """One line up and down through the whole picture, too weak to be kept but for its bright head."""
    height, width = shape[:2]
    image = np.full((height, width), 100, np.uint8)
    ends = 4, height - 5
    line = [(x, y) for k, x in enumerate(range(4, width - 4, 8)) for y in (ends if k % 2 == 0 else ends[::-1])]
    cv2.polylines(image, [np.array(line)], False, 140)
    image[4:20, 4] = np.geomspace(200, 140, 16).astype(np.uint8)
    return image


def file_rows(
    group: str, file: Path, shape: tuple[int, ...], workers: int, out: Path, stack: ExitStack
) -> Iterator[Row]:
    """Programs from the file to three files in the folder ``out``, which is not there yet."""
    names = [f"0000_{name}.png" for name in DEFAULT_OPERATIONS]  # as the textbook program names them

    def read_back(_: Any) -> list[Image]:
        images = [decode((out / name).read_bytes()) for name in names]
        shutil.rmtree(out)
        return images

    def textbook(threads: int) -> Row:
        def program() -> None:
            out.mkdir()
            textbook_loop(threads)([str(file)], str(out))

        name = f"textbook, OpenCV’s {threads} threads" if threads > 1 else "textbook, one thread"
        return Row(group, name, timed(program), read_back, threads=threads, base="textbook" if threads == 1 else "")

    def ours(contender: Contender, split: str) -> Row:
        record = Record(
            "0" * 12, "compare", RunSettings(list(DEFAULT_OPERATIONS), PARAMETERS, workers=workers, split=split)
        )
        outputs = [OutputRecord(*pair) for pair in zip(DEFAULT_OPERATIONS, names, strict=True)]
        record.images = [ImageRecord(0, file.name, shape[1], shape[0], "JPEG", file.stat().st_size, outputs=outputs)]
        tracker = Tracker(lambda _: None, rounds=1, budget=0, contenders=1)
        passes = Passes(record, RunFolders({0: file}, out, None, out), tracker)

        def run() -> tuple[float, None]:
            done = passes.run_pass(contender, record.images, out, "measured")
            if error := done.results[0].error:
                raise SystemExit(f"{contender.technique.label}: {error}")
            return done.round.wall_seconds / contender.copies, None  # without what it takes to watch over memory

        if contender.copies > 1:
            return Row(group, f"{contender.copies} times the file at once, each", run, read_back)
        alone = contender.technique.name == BASELINE
        name = BASELINE if alone else f"{contender.technique.name}, {workers} workers, split={split}"
        targets = FILE_TARGETS if split == "always" else ()
        return Row(group, name, run, read_back, ours=True, base=BASELINE if alone else "", targets=targets)

    yield textbook(1)
    yield textbook(workers)
    for technique in (BASELINE, "threading", "multiprocessing"):
        contender = Contender(TECHNIQUES[technique], workers, deadline=DEADLINE)
        stack.callback(contender.close, kill=True)
        contender.start()
        for split in ("never",) if technique == BASELINE else ("never", "always"):
            yield ours(contender, split)
    # What these cores can do together when nothing has to be shared or waited for.
    contender = Contender(TECHNIQUES["multiprocessing"], workers, deadline=DEADLINE, copies=workers)
    stack.callback(contender.close, kill=True)
    contender.start()
    yield ours(contender, "never")


def measure(rows: Sequence[Row], rounds: int) -> None:
    """One warm-up in order and the rounds in shuffled ones; the pixels are compared every time."""
    right: dict[str, Sequence[Image]] = {}
    for number in range(rounds + 1):
        print("warm-up" if number == 0 else f"round {number} of {rounds}", end="\r", file=sys.stderr, flush=True)
        for row in rows if number == 0 else random.sample(rows, len(rows)):
            if not row.missing:
                pin_threads(row.threads)
                seconds, result = row.run()
                found = row.pixels(result)
                differ = sum(map(different, found, right.setdefault(row.group, found)))
                row.different = max(row.different, differ)
                if number > 0:
                    row.seconds.append(seconds)
                del result, found  # before the next one needs the memory, and before shared memory goes
    print(end="\r" + 20 * " " + "\r", file=sys.stderr, flush=True)


def different(image: Image, right: Image) -> int:
    """How many pixels differ; all where the sizes do."""
    return int(np.count_nonzero(image != right)) if image.shape == right.shape else right.size


def show(rows: Sequence[Row]) -> None:
    for group in dict.fromkeys(row.group for row in rows):
        of_group = [row for row in rows if row.group == group]
        bases = [row for row in of_group if row.base]
        ratios = "".join(f"{f'to {base.base}':>15}{'target':>8}" for base in bases)
        print(f"\n{group:<44}{'median':>9}{'range':>16}{ratios}  pixels that differ")
        for row in of_group:
            if row.missing:
                print(f"{row.name:<44}{row.missing}")
                continue
            spread = f"{min(row.seconds):.3f}-{max(row.seconds):.3f}"
            ratios = ""
            for base, target in zip_longest(bases, row.targets):
                ratios += f"{base.median / row.median:>14.2f}x{f'{target:g}x' if target else '':>8}"
            print(f"{row.name:<44}{row.median:>7.3f} s{spread:>16}{ratios}  {row.different:,}")


def photograph(file: Path, restarts: Path, megapixels: float) -> Image:
    """Draw it, of any size, and write it without restart markers and with one after each row of blocks; returns its
    gray pixels as they come out of the files."""
    kind = KINDS[0]
    height = int((megapixels * 1e6 / kind.aspect) ** 0.5)
    picture = kind.paint(Canvas(height, int(height * kind.aspect), 0, np.random.default_rng(0)))
    how = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    cv2.imwrite(str(file), picture, how)
    cv2.imwrite(str(restarts), picture, [*how, cv2.IMWRITE_JPEG_RST_INTERVAL, -(-picture.shape[1] // 16)])
    return decode(file.read_bytes())


def main() -> int:
    tables = ["operations", "files", "restarts"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, default=100.0)
    parser.add_argument("--workers", type=int, default=usable_cores())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tables", nargs="+", choices=tables, default=tables)
    chosen = parser.parse_args()
    wrong = []
    with tempfile.TemporaryDirectory(prefix="one-image-") as folder:
        file, restarts = Path(folder, "photograph.jpg"), Path(folder, "restarts.jpg")
        photo = photograph(file, restarts, chosen.megapixels)
        facts = environment()
        print(f"{photo.size / 1e6:.1f} megapixels; {facts['cpu']}, {facts['cores_usable']} cores")
        for table in chosen.tables:
            with machine_lock(lambda _: None), ExitStack() as stack:
                if table == "operations":
                    rows = list(operation_rows(photo, chosen.workers, stack))
                else:
                    source = (FILES, file) if table == "files" else (RESTARTS, restarts)
                    rows = list(file_rows(*source, photo.shape, chosen.workers, Path(folder, "out"), stack))
                load = MachineLoad()
                load.start()
                measure(rows, chosen.rounds)
                others = load.stop()
            show(rows)
            print(f"\nOther programs used {others or 0:.2f} cores meanwhile.")
            wrong += [f"{row.group}, {row.name}" for row in rows if row.ours and row.different]
    print(f"\nPIXELS DIFFER: {'; '.join(wrong)}" if wrong else "\nAll of ours have the pixels of the whole image.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
