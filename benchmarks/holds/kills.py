"""Rows 3 and 4: kill -9 of workers, of the app and of its runner."""

from __future__ import annotations

import random
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from benchmarks.holds.watching import Leftovers, app_of
from benchmarks.web_load import Promise, exactly, under
from imgproc.backends.base import Backend, BackendError
from imgproc.backends.task import Task
from imgproc.pixels.job import ImageJob, process_image
from imgproc.runs.record import FINAL_STATES
from tests.backend_kinds import AVAILABLE, KILLABLE, kind
from tests.live_app import gone, is_runner
from tests.many_images import assert_done, many_images

TECHNIQUES = [name for name in KILLABLE if name in AVAILABLE]
WORKERS = 2
SIDE = 700
#: Longest after which a worker that is just starting is killed, in seconds.
STARTING = 0.5
#: Programs that are started along with workers and are none.
_NO_WORKERS = ("mpiexec", "resource_tracker")


@dataclass
class Outcome:
    """What became of the images of a technique; ``slowest``: the longest that work stood still after a kill."""

    kills: int = 0
    wrong: int = 0
    failed: int = 0
    slowest: float = 0.0

    def stood_still(self, seconds: float) -> None:
        self.slowest = max(self.slowest, seconds)


def killed_workers(scale: float, seed: int, names: Sequence[str] = TECHNIQUES) -> Iterator[Promise]:
    """Row 3: workers of each technique are killed while they work, while they start, and while others start in the
    place of one that was killed."""
    kills, images = max(1, round(20 * scale)), max(8, round(100 * scale))
    chance = random.Random(seed)
    for name in names:
        for how, (what, moment) in enumerate(_MOMENTS.items()):
            outcome = Outcome()
            with tempfile.TemporaryDirectory(prefix="holds-") as folder:
                backend = kind(name)(WORKERS)
                try:
                    backend.start()  # what all workers have in common is there from now on
                    moment(backend, Path(folder), kills, images if how == 0 else 8, chance, outcome)
                finally:
                    backend.close(kill=True)
            what = f"{name}: {outcome.kills} workers killed {what}"
            yield exactly(f"{what}: images lost or wrong", 0, outcome.wrong)
            yield exactly("… runs failed", 0, outcome.failed)
            yield under("… work stood still for, at most", 5.0, outcome.slowest)


def _at_work(backend: Backend, folder: Path, kills: int, images: int, chance: random.Random, outcome: Outcome) -> None:
    """All in one run: who gave back a result is killed at the next image."""
    every = max(1, int(0.75 * images / kills))

    def kill(number: int, worker: int) -> None:
        if number % every == 0 and outcome.kills < kills and psutil.pid_exists(worker):
            time.sleep(0.05 * chance.random())
            with suppress(psutil.Error):
                psutil.Process(worker).kill()
                outcome.kills += 1

    _run(backend, many_images(folder, images, SIDE), folder, outcome, kill)


def _at_start(backend: Backend, folder: Path, kills: int, images: int, chance: random.Random, outcome: Outcome) -> None:
    jobs = many_images(folder, images, SIDE)
    for _ in range(kills):
        backend.close(kill=True)
        with _killing_a_new_one(chance.uniform(0, STARTING), outcome) as killed_at:
            try:
                backend.start()
            except BackendError as problem:
                print(f"    {problem}")
                outcome.failed += 1
                continue
            finally:
                if killed_at:
                    outcome.stood_still(time.perf_counter() - killed_at[0])
        _run(backend, jobs, folder, outcome)


def _at_restart(
    backend: Backend, folder: Path, kills: int, images: int, chance: random.Random, outcome: Outcome
) -> None:
    jobs = many_images(folder, images, SIDE)
    for _ in range(kills):
        with _killing_a_new_one(chance.uniform(0, STARTING), outcome):

            def kill(number: int, worker: int) -> None:
                if number == 2:
                    with suppress(psutil.Error):
                        psutil.Process(worker).kill()

            _run(backend, jobs, folder, outcome, kill)
            with suppress(BackendError):
                backend.start()  # all that there were


_MOMENTS = {"at work": _at_work, "while they start": _at_start, "while they start again": _at_restart}


def _run(
    backend: Backend,
    jobs: list[ImageJob],
    folder: Path,
    outcome: Outcome,
    after: Callable[[int, int], None] = lambda *_: None,
) -> None:
    """The jobs, with ``after`` called with the number of each result and the worker it is from."""
    for job in jobs:
        for _, path in job.outputs:
            Path(path).unlink(missing_ok=True)
    last, lost = time.perf_counter(), {*range(len(jobs))}
    try:
        for number, result in enumerate(backend.run([Task(n, process_image, job) for n, job in enumerate(jobs)],
                                                    deadline=60), 1):  # fmt: skip
            now = time.perf_counter()
            outcome.stood_still(now - last)
            lost -= {result.index} if result.error is None else set()
            after(number, result.worker.pid if result.worker else 0)
            last = time.perf_counter()
    except BackendError as problem:
        print(f"    {problem}")
        outcome.failed += 1
        return
    outcome.wrong += len(lost)
    try:
        assert_done([job for n, job in enumerate(jobs) if n not in lost], folder)
    except AssertionError:
        outcome.wrong += 1


@contextmanager
def _killing_a_new_one(seconds: float, outcome: Outcome) -> Iterator[list[float]]:
    """Meanwhile the first process of this program that is new is killed so many seconds after it was seen; when, is in
    the list then."""
    me, over, at = psutil.Process(), threading.Event(), list[float]()
    before = set(me.children(recursive=True))

    def watch() -> None:
        while not over.wait(0.005):
            for process in set(me.children(recursive=True)) - before:
                with suppress(psutil.Error):
                    if any(word in " ".join(process.cmdline()) for word in _NO_WORKERS):
                        continue
                    time.sleep(seconds)
                    process.kill()
                    at.append(time.perf_counter())
                    outcome.kills += 1
                    return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield at
    finally:
        over.set()
        thread.join()


# ---------------------------------------------------------------- the app and its runner

_VICTIMS = ("app", "runner", "both")


def killed_app(scale: float, seed: int) -> Iterator[Promise]:
    """Row 4: the app, its runner or both are killed at any moment of a run of each technique in turn."""
    chance = random.Random(seed)
    kills = max(len(_VICTIMS), round(24 * scale))
    names = [name for name in AVAILABLE if name != "sequential"]
    accepted: list[str] = []
    back: list[float] = []
    orphans, states = 0, dict[str, int]()
    with (
        tempfile.TemporaryDirectory(prefix="holds-") as place,
        Leftovers(Path(place)) as left,
        app_of(Path(place)) as live,
    ):
        live.start()
        for number in range(kills):
            fields = {"mode": "parallel", "technique": names[number % len(names)], "workers": "2", "budget": "1"}
            answer = live.post([], samples="6", sample_megapixels="2", **fields)
            if answer.status_code == 202:
                accepted.append(answer.json()["id"])
            time.sleep(chance.uniform(0, 3))
            victim = _VICTIMS[number % len(_VICTIMS)]
            app, family = live.process, live.family()
            runner = next(filter(is_runner, family), None)
            began = time.monotonic()
            if victim != "runner":
                app.kill()
            if victim != "app" and runner:
                with suppress(psutil.Error):
                    runner.kill()
            if victim == "runner":
                live.runner()
            else:
                live.close()
                orphans += len(gone([process for process in family if process.pid != app.pid], 5))
                began = time.monotonic()
                live.start()
                live.wait(lambda: _is_well(live.http), "an answer", 60)
            back.append(time.monotonic() - began)
        for run_id in accepted:
            state = live.finished(run_id, 300)["state"]
            states[state] = states.get(state, 0) + 1
        live.http.get("/")
        live.stop()
        half = left.of_runs()
        shutil.rmtree(Path(place) / "cache", ignore_errors=True)
        others = left.elsewhere()
    said = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
    yield exactly(f"{kills} kills of app, runner, both: accepted runs that ended ({said})", len(accepted),
                  sum(n for state, n in states.items() if state in FINAL_STATES))  # fmt: skip
    yield under("… back after, at most", 5.0, max(back))
    yield exactly("… processes that outlived the app by 5 s", 0, orphans)
    yield exactly(f"… half files, scratch, uploads without a run {half or ''}".strip(), 0, len(half))
    yield exactly(f"… left in temporary folders and shared memory {others or ''}".strip(), 0, len(others))


def _is_well(http: httpx.Client) -> bool:
    try:
        return http.get("/healthz").status_code == 200
    except httpx.HTTPError:
        return False
