"""What work costs on this machine, measured through the real techniques once they are warm."""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2

from benchmarks.cluster_model import Costs, Transfer
from imgproc.backends import technique
from imgproc.backends.base import Backend, Options
from imgproc.backends.sharing.transport import image_task
from imgproc.backends.task import Task, TaskResult
from imgproc.measure.process_tree import cpu_seconds, own_tree
from imgproc.operations import DEFAULT_OPERATIONS, parse_parameters
from imgproc.pixels.job import ImageJob
from imgproc.pixels.stopwatch import Stopwatch
from imgproc.settings import Settings

DEADLINE = 120.0
#: Tasks that do nothing, in one pass.
EMPTY = 1000
TRANSFERS: tuple[Transfer, ...] = ("paths", "bytes")


@dataclass(frozen=True)
class Used:
    """CPU seconds of one pass, and what passed through the driver."""

    driver: float
    relay: float
    workers: float
    moved: int


@dataclass(frozen=True)
class Pictures:
    """``megapixels`` of each file, in their order."""

    files: Sequence[Path]
    megapixels: Sequence[float]

    @property
    def bytes(self) -> int:
        return sum(file.stat().st_size for file in self.files)


def nothing(payload: None, stopwatch: Stopwatch) -> None:
    """A task that does nothing."""


def look_at(files: Sequence[Path]) -> Pictures:
    """The pictures, largest first, as runs take them."""
    sizes = {file: cv2.imread(str(file), cv2.IMREAD_GRAYSCALE).size / 1e6 for file in files}
    ordered = sorted(files, key=lambda file: -sizes[file])
    return Pictures(ordered, [sizes[file] for file in ordered])


def measure(name: str, pictures: Pictures, rounds: int, workers: int) -> dict[Transfer, Costs]:
    """The costs of a technique with either transfer; medians of so many rounds, with one worker and with ``workers``.

    They are CPU time, which other programs on the machine change little.
    """
    with tempfile.TemporaryDirectory(prefix="cluster-costs-") as folder:
        alone, _ = passes(name, 1, pictures, rounds, Path(folder))
        beside, start = passes(name, workers, pictures, rounds, Path(folder))
        results = sum(file.stat().st_size for file in Path(folder).iterdir())
    megapixels = sum(pictures.megapixels)
    return {
        transfer: _costs(alone, beside[transfer], transfer, pictures, results / megapixels, workers, start)
        for transfer in TRANSFERS
    }


def _costs(
    alone: dict[str, Used], beside: Used, transfer: Transfer, pictures: Pictures, result_bytes: float, workers: int,
    start: float,
) -> Costs:  # fmt: skip
    empty, one, images, megapixels = alone["empty"], alone[transfer], len(pictures.files), sum(pictures.megapixels)
    driver, relay = empty.driver / EMPTY, empty.relay / EMPTY

    def by_byte(seconds: float, by_task: float) -> float:
        # Where only names travel, a task costs there what an empty one does.
        return max(0.0, seconds - by_task * images) / one.moved if transfer == "bytes" else 0.0

    return Costs(
        driver_task=driver,
        driver_byte=by_byte(one.driver, driver),
        relay_task=relay,
        relay_byte=by_byte(one.relay, relay),
        worker_task=empty.workers / EMPTY,
        worker_megapixel=max(0.0, one.workers - empty.workers / EMPTY * images) / megapixels,
        contention=max(0.0, beside.workers / one.workers - 1) / max(1, workers - 1),
        start=start,
        source_bytes_megapixel=pictures.bytes / megapixels,
        result_bytes_megapixel=result_bytes,
        message_bytes=alone["paths"].moved / images,
    )


def passes(name: str, workers: int, pictures: Pictures, rounds: int, out: Path) -> tuple[dict[str, Used], float]:
    """By what was done: the medians of its passes; and the seconds that the start took."""
    found: dict[str, list[Used]] = {}
    with closing(technique(name).load()(workers, Options(settings=Settings.from_environment()))) as backend:
        begin = time.perf_counter()
        backend.start()
        start = time.perf_counter() - begin
        for number in range(rounds + 1):
            for what in ("empty", *TRANSFERS):
                used = _pass(backend, _tasks(what, pictures, out))
                if number:  # the first is a warm-up
                    found.setdefault(what, []).append(used)
    return {what: _median(used) for what, used in found.items()}, start


def _tasks(what: str, pictures: Pictures, out: Path) -> list[Task]:
    if what == "empty":
        return [Task(index, nothing, None) for index in range(EMPTY)]
    parameters = parse_parameters({})
    outputs = [
        tuple((name, str(out / f"{n}_{name}.png")) for name in DEFAULT_OPERATIONS) for n in range(len(pictures.files))
    ]
    return [
        image_task(index, ImageJob(str(file), files, parameters), what)
        for index, (file, files) in enumerate(zip(pictures.files, outputs, strict=True))
    ]


def _pass(backend: Backend, tasks: list[Task]) -> Used:
    processes = {*own_tree(), *backend.helpers}
    before = {pid: cpu_seconds([pid]) for pid in processes}
    own = time.process_time()
    results = list(backend.run(tasks, deadline=DEADLINE))
    own = time.process_time() - own
    _check(results)
    used = {pid: cpu_seconds([pid]) - seconds for pid, seconds in before.items()}
    workers = {result.worker.pid for result in results if result.worker}
    relays = processes - workers - {os.getpid()}
    return Used(
        own,
        sum(used[pid] for pid in relays),
        sum(used.get(pid, 0.0) for pid in workers),
        sum(result.bytes_moved or 0 for result in results),
    )


def _check(results: Sequence[TaskResult]) -> None:
    if failed := next((result.error for result in results if result.error), None):
        raise SystemExit(f"An image failed while costs were measured: {failed}")


def _median(passes: Sequence[Used]) -> Used:
    columns = zip(*(vars(used).values() for used in passes), strict=True)
    return Used(*map(statistics.median, columns))


def save(costs: dict[str, dict[Transfer, Costs]], file: Path) -> None:
    """By technique and transfer, with four digits."""
    plain = {
        name: {
            transfer: {key: float(f"{value:.4g}") for key, value in asdict(one).items()}
            for transfer, one in both.items()
        }
        for name, both in costs.items()
    }
    file.write_text(json.dumps(plain, indent=2) + "\n")


def load(file: Path) -> dict[str, dict[Transfer, Costs]]:
    """What ``save`` wrote."""
    plain = json.loads(file.read_text())
    return {name: {transfer: Costs(**one) for transfer, one in both.items()} for name, both in plain.items()}
