"""Affinity: which CPUs workers are pinned to, that they are, and what a run says of it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeRun
from test_execute import run  # noqa: F401  a fixture

from imgproc.backends import TECHNIQUES, places
from imgproc.backends.base import Options
from imgproc.backends.task import Task
from imgproc.errors import UserError
from imgproc.measure.protocol import Contender
from imgproc.report.commands import command
from imgproc.report.schedules import affinity
from imgproc.runs import parsing
from imgproc.runs.parsing import parse_settings
from imgproc.runs.record import Record
from imgproc.settings import Settings

SIZES = ((40, 50), (60, 70), (50, 60), (30, 40))
linux = pytest.mark.skipif(sys.platform != "linux", reason="workers are pinned on Linux only")


def nap_and_say_where(seconds: float, _: Any) -> list[int]:
    time.sleep(seconds)
    return sorted(os.sched_getaffinity(0))


@pytest.fixture
def cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four CPUs on two cores: 0 and 2, 1 and 3."""
    for cpu, siblings in {0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}.items():
        folder = tmp_path / f"cpu{cpu}/topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{siblings}\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 1, 0, 2}, raising=False)
    monkeypatch.setattr(places, "CAN_PIN", True)
    return tmp_path


@pytest.mark.parametrize(("how", "workers", "threads", "expected"), [
    ("off", 3, 1, []),
    ("spread", 3, 1, [[0], [1], [2]]),
    ("close", 3, 1, [[0], [2], [1]]),
    ("spread", 5, 1, [[0], [1], [2], [3], [0]]),
    ("close", 2, 2, [[0, 2], [1, 3]]),
    ("spread", 1, 8, [[0, 1, 2, 3]]),
])  # fmt: skip
def test_cores_come_first_or_the_hardware_threads_of_one(
    cores: Path, how: str, workers: int, threads: int, expected: list[list[int]]
) -> None:
    assert places.places(how, workers, threads, cores) == expected


def test_where_the_system_does_not_say_each_cpu_is_a_core(cores: Path) -> None:
    assert places.places("close", 4, root=cores / "nothing") == [[0], [1], [2], [3]]


@linux
@pytest.mark.parametrize("name", ["threading", "futures-threads", "asyncio", "multiprocessing", "mpi", "dask"])
def test_workers_are_where_they_were_pinned_and_the_caller_is_not(name: str) -> None:
    if not TECHNIQUES[name].availability().ok:
        pytest.skip(f"{name} cannot run here")
    before = os.sched_getaffinity(0)
    with closing(TECHNIQUES[name].load()(2, Options(affinity="spread"))) as backend:
        backend.start()
        found = list(backend.run([Task(n, nap_and_say_where, 0.05) for n in range(8)], deadline=60.0))
        allowed = backend.places
    there = {(r.worker.pid, r.worker.thread): r.value for r in found if r.worker}
    assert len(allowed) == len(there) == 2 and sorted(there.values()) == sorted(allowed)
    assert all(len(cpus) == 1 for cpus in allowed) and os.sched_getaffinity(0) == before


@linux
def test_the_baseline_is_on_one_core_for_as_long_as_it_works() -> None:
    before = os.sched_getaffinity(0)
    with closing(TECHNIQUES["sequential"].load()(1, Options(affinity="spread"))) as backend:
        backend.start()
        running = backend.run([Task(n, nap_and_say_where, 0.001) for n in range(3)], deadline=60.0)
        there = [next(running).value]
        assert backend.places == there == [[min(before)]] and os.sched_getaffinity(0) == {min(before)}
        there += [one.value for one in running]
        assert there == 3 * backend.places and os.sched_getaffinity(0) == before
        running = backend.run([Task(0, nap_and_say_where, 0.001), Task(1, nap_and_say_where, 0.001)], deadline=60.0)
        next(running)
        running.close()  # who is cancelled
        assert os.sched_getaffinity(0) == before


def test_what_is_not_pinned_says_why() -> None:
    for technique in TECHNIQUES.values():
        made = technique.load()(2, Options(affinity="close"))
        assert (made.affinity == "off") == bool(made.unpinned) == bool(made.capabilities.unpinned)
    elsewhere = Settings(DASK_SCHEDULER="tcp://127.0.0.1:1")
    made = TECHNIQUES["dask"].load()(2, Options(affinity="close", settings=elsewhere))
    assert made.affinity == "off" and made.unpinned == places.OF_ANOTHER
    asked = Contender(TECHNIQUES["dask"], 2, deadline=1, options=Options(affinity="close", settings=elsewhere))
    assert asked.measurement.unpinned == places.OF_ANOTHER
    asked = Contender(TECHNIQUES["dask"], 2, deadline=1, options=Options(settings=elsewhere))
    assert asked.measurement.unpinned == ""  # nobody asked


@linux
def test_a_dask_worker_that_comes_in_the_place_of_another_is_pinned_there() -> None:
    with closing(TECHNIQUES["dask"].load()(2, Options(affinity="spread"))) as backend:
        backend.start()

        def where() -> dict[tuple[int, int], list[int]]:
            found = list(backend.run([Task(n, nap_and_say_where, 0.2) for n in range(6)], deadline=60.0))
            return {(r.worker.pid, r.worker.thread): r.value for r in found if r.worker}

        def both(without: int = 0) -> dict[tuple[int, int], list[int]]:
            until = time.monotonic() + 60
            while len(found := where()) < 2 or any(pid == without for pid, _ in found):
                assert time.monotonic() < until  # Dask notices a death, and starts another worker, in its own time
            return found

        before = both()
        died = next(pid for pid, _ in before)
        os.kill(died, signal.SIGKILL)
        after = both(without=died)
        allowed = backend.places
    assert sorted(after.values()) == sorted(before.values()) == sorted(allowed)


@linux
def test_a_run_records_and_tells_it(run: Callable[..., Any]) -> None:  # noqa: F811
    asked = {"techniques": ["threading", "opencv"], "affinity": "spread", "rounds": 1, "budget": 2}
    record, _ = run("auto", SIZES, "compare", **asked)
    names = ("threading", "opencv", "sequential")
    threads, opencv, baseline = (next(t for t in record.techniques if t.name == name) for name in names)
    assert baseline.affinity == places.places("spread", 1) and baseline.unpinned == ""
    assert threads.affinity == places.places("spread", 2) and opencv.affinity == []
    told = " ".join(affinity(record))
    cpus = " / ".join(str(cpus[0]) for cpus in threads.affinity)
    assert told.startswith("Affinity spread: ") and f"CPUs of the workers of threads: {cpus}." in told
    assert f"CPUs of the workers of sequential: {threads.affinity[0][0]}." in told
    assert "Not pinned were the workers of OpenCV’s own threads: its threads are those of a library." in told
    assert "--affinity spread" in command(record) and all(t.identical for t in record.techniques)
    assert Record.from_dict(record.to_dict()).techniques[0].affinity == record.techniques[0].affinity


def test_smt_siblings_are_named(make_run: MakeRun) -> None:
    record = make_run()
    assert affinity(record) == []
    record.settings.affinity = "close"
    record.techniques[0].affinity = [[0], [4]]
    record.environment["smt"] = {"active": True, "siblings": ["0,4", "1-2"]}
    assert "Hardware threads of one core (SMT siblings) are 0 and 4." in affinity(record)
    record.techniques[0].affinity = [[0], [1]]
    assert "No two of these are hardware threads of one core." in affinity(record)


def test_elsewhere_it_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "CAN_PIN", False)
    with pytest.raises(UserError, match=r"on Linux only\. Choose off\.") as problem:
        parse_settings("parallel", {"affinity": ["spread"]}, Settings())
    assert problem.value.field == "affinity"
    assert parse_settings("parallel", {"affinity": ["off"]}, Settings()).affinity == "off"
    monkeypatch.setattr(places, "CAN_PIN", False)
    assert places.places("spread", 2) == []
