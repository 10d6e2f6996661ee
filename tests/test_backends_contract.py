"""Every technique of the table keeps the contract of ``Backend``, whatever its tasks and workers do."""

import math
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from benchmarks.holds.kills import killed_workers
from imgproc.backends import TECHNIQUES
from imgproc.backends.base import Backend, BackendError, Options
from imgproc.backends.dask import workers as dask_workers
from imgproc.backends.mpi import launch
from imgproc.backends.pools import processes, watcher
from imgproc.backends.pools import threaded as threaded_base
from imgproc.backends.pools.joblib_loky import JoblibLoky
from imgproc.backends.pools.multiprocessing_pool import MultiprocessingPool
from imgproc.backends.pools.processes import ProcessBackend
from imgproc.backends.pools.watcher import kill
from imgproc.backends.schedules import SCHEDULES, USUAL
from imgproc.backends.sharing.transport import image_task
from imgproc.backends.task import Task
from imgproc.operations import DEFAULT_OPERATIONS, parse_parameters
from imgproc.pixels.codecs import decode
from imgproc.pixels.job import ImageJob
from imgproc.pixels.proof import pixels_sha256
from tests import backend_faults as faults
from tests.backend_kinds import (
    COPIED,
    INLINE,
    INTERPRETERS,
    KILLABLE,
    NAMES,
    ON_GPU,
    PINNED,
    PROCESSES,
    THREADED,
    each,
    kind,
)

ROOT = Path(__file__).resolve().parents[1]
LONG = 60.0
unix = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL or SIGSTOP")


@pytest.fixture(scope="module")
def running():
    """The backend of a name, started with 2 workers; each is started once, to save time."""
    backends = {}

    def start(name):
        if name not in backends:
            backends[name] = kind(name)(2)
        backends[name].start()
        return backends[name]

    yield start
    for backend in backends.values():
        backend.close()


@pytest.fixture(params=each(NAMES))
def backend(request, running):
    return running(request.param)


@pytest.fixture(params=each(KILLABLE))
def killable(request, running):
    return running(request.param)


@pytest.fixture(params=each([*COPIED, *ON_GPU]))
def copying(request, running):
    return running(request.param)


@pytest.fixture(params=each(ON_GPU))
def on_gpu(request, running):
    return running(request.param)


@pytest.fixture(params=THREADED)
def threaded(request, running):
    return running(request.param)


def hands(backend):
    """How many tasks it works on at a time."""
    return backend.workers


def run(backend, *tasks, deadline=LONG):
    """Results by index; exactly one each."""
    results = list(backend.run([Task(i, *task) for i, task in enumerate(tasks)], deadline=deadline))
    assert sorted(r.index for r in results) == list(range(len(tasks)))
    return sorted(results, key=lambda r: r.index)


def meet(backend, folder):
    """The worker of each of ``hands(backend)`` tasks that wait for each other."""
    folder.mkdir()
    results = run(backend, *[(faults.meet, (str(folder), hands(backend)))] * hands(backend))
    assert all(r.value for r in results), [r.error for r in results]
    return [r.worker for r in results]


def values(results):
    return [(r.value, r.error, r.attempts) for r in results]


def doubled(count):
    return [(2 * n, None, 1) for n in range(count)]


def assert_doubled(backend, results):
    """As ``doubled``; but what one that died had at the same time as another it did twice."""
    if backend.name in ON_GPU:
        results = [replace(result, attempts=1) for result in results]
    assert values(results) == doubled(len(results))


@pytest.mark.parametrize("name", each([*THREADED, *COPIED]))
def test_tasks_that_would_take_too_much_memory_together_are_done_one_after_the_other(name, running, tmp_path):
    backend = running(name)
    tasks = [Task(n, faults.company, str(tmp_path), memory=6) for n in range(5)]
    try:
        for room, most in ((11.0, 1), (12.0, 2)):
            backend.most_memory = room
            results = list(backend.run(tasks, deadline=LONG))
            assert sorted(r.index for r in results) == list(range(5))
            assert max(r.value for r in results) == most
        backend.most_memory = 1.0  # less than one takes: that one is done all the same
        assert [r.value for r in backend.run(tasks, deadline=LONG)] == [1] * 5
    finally:
        backend.most_memory = math.inf


# Results


def test_one_result_per_task_with_its_index_spans_and_worker(backend):
    results = run(backend, *((faults.double, n) for n in range(40)))
    assert values(results) == doubled(40)
    stages = ["transfer", "canny", "transfer"] if backend.capabilities.memory != "shared" else ["canny"]
    assert all([s.stage for s in r.spans] == stages for r in results)
    assert all(r.worker.cv2_threads == backend.cv2_threads for r in results)


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_tasks_than_workers(backend, count):
    assert values(run(backend, *((faults.double, n) for n in range(count)))) == doubled(count)


def test_indexes_need_not_start_at_zero(backend):
    results = backend.run([Task(index, faults.double, index) for index in (900, 7, 10**6)], deadline=LONG)
    assert sorted((r.index, r.value) for r in results) == [(7, 14), (900, 1800), (10**6, 2 * 10**6)]


def test_a_failed_task_is_a_result_in_plain_words(backend, tmp_path):
    results = run(
        backend,
        (faults.double, 0),
        (faults.refuse, "The kernel must be odd."),
        (faults.fail, None),
        (faults.lose_file, str(tmp_path / "gone")),
        (faults.fail_unpicklably, None),
        (faults.leave, None),
        (faults.double, 6),
    )
    assert [r.error for r in results] == [
        None,
        "The kernel must be odd.",
        "Unexpected ZeroDivisionError while working on this image.",
        "A file could not be read or written: No such file or directory.",
        "Unexpected Unpicklable while working on this image.",
        "Unexpected SystemExit while working on this image.",
        None,
    ]
    assert (results[0].value, results[6].value) == (0, 12)
    assert all(r.attempts == 1 and r.worker for r in results)


def test_ctrl_c_ends_what_runs_in_the_callers_thread_and_is_any_other_tasks_error(backend):
    tasks = [(faults.interrupt, None), (faults.double, 1)]
    if backend.name in INLINE:
        with pytest.raises(KeyboardInterrupt):
            run(backend, *tasks)
    else:
        failed, good = run(backend, *tasks)
        assert failed.error == "Unexpected KeyboardInterrupt while working on this image."
        assert good.value == 2


def test_what_cannot_be_pickled_costs_one_task(copying):
    tasks = [(faults.double, 0), (faults.give_lock, None), (faults.give_trap, None), (lambda p, s: 1, None)]
    results = run(copying, *tasks, (faults.double, faults.Trap()), (faults.double, 5))
    errors = [r.error for r in results]
    assert errors[0] is errors[5] is None
    assert errors[1] == "Unexpected TypeError while working on this image."
    assert errors[2] == errors[4] == "Unexpected ValueError while working on this image."
    assert "while handing this image to a worker." in errors[3]


def test_every_technique_makes_the_same_pixels_as_plain_opencv(backend, tmp_path):
    if not (found := backend.availability()).ok:
        pytest.skip(found.reason)
    image = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 256, (301, 403), np.uint8), (7, 7), 0)
    cv2.imwrite(str(tmp_path / "in.png"), image)
    jobs = []
    for n in range(4):
        outputs = tuple((name, str(tmp_path / f"{n}_{name}.png")) for name in (*DEFAULT_OPERATIONS, "gaussian+canny"))
        jobs.append(ImageJob(str(tmp_path / "in.png"), outputs, parse_parameters({})))
    expected = {
        "canny": cv2.Canny(image, 100, 200),
        "gaussian": cv2.GaussianBlur(image, (5, 5), 0),
        "equalize": cv2.equalizeHist(image),
        "gaussian+canny": cv2.Canny(cv2.GaussianBlur(image, (5, 5), 0), 100, 200),
    }
    hashes = {name: pixels_sha256(pixels) for name, pixels in expected.items()}
    tasks = [image_task(n, job, able=backend.capabilities) for n, job in enumerate(jobs)]
    assert [r.error for r in backend.run(tasks, deadline=LONG)] == [None] * 4
    for job in jobs:
        assert {name: pixels_sha256(decode(Path(path).read_bytes())) for name, path in job.outputs} == hashes


# Workers


def test_all_workers_are_ready_and_pinned(backend, tmp_path):
    workers = meet(backend, tmp_path / "meeting")
    assert len({(w.pid, w.thread) for w in workers}) == hands(backend)
    assert (os.getpid() in {w.pid for w in workers}) == (not backend.capabilities.killable)
    for result in run(backend, *[(faults.report_threads, None)] * 4):
        threads = result.value
        assert threads.pop("opencv") == backend.cv2_threads == result.worker.cv2_threads
        assert threads and set(threads.values()) == {1}  # BLAS, OpenMP


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="there are no scheduling groups here")
def test_workers_share_the_processor_with_other_programs_as_the_caller_does(backend):
    """Linux gives each session a part of its own: on a busy machine one technique would be favoured."""
    found = {result.value for result in run(backend, *[(faults.scheduling_group, None)] * 4)}
    assert found == {Path("/proc/self/autogroup").read_text(encoding="ascii")}


def test_workers_are_those_obtained():
    assert {name: kind(name)(3).workers for name in NAMES} == {name: 1 if name in INLINE else 3 for name in NAMES}


def test_capabilities_are_class_attributes():
    for name in NAMES:
        found = kind(name)
        assert issubclass(found, Backend) and found.name == name
        assert found.availability().ok or name in (*ON_GPU, *INTERPRETERS)
        assert found.capabilities.killable == (found.capabilities.memory != "shared" and name not in INTERPRETERS)
    assert {"multiprocessing", "futures-processes", "joblib", "mpi", "dask"} <= {*PROCESSES}
    assert {"numba", "cupy", "pycuda", "gpu-shim"} <= {*ON_GPU}
    assert INTERPRETERS == ["interpreters"]
    assert {"sequential", "opencv", "numba-parallel"} <= {*INLINE}
    assert {"threading", "futures-threads", "asyncio"} <= {*THREADED}


def test_capabilities_say_which_options_there_are():
    able = {name: t.load().capabilities for name, t in TECHNIQUES.items()}
    assert {name for name, a in able.items() if a.inner_threads} == {*THREADED, *PROCESSES} - {"textbook"}
    assert {name for name, a in able.items() if a.chunks} == {name for name, a in able.items() if a.carries}
    assert [name for name, a in able.items() if a.carries] == PROCESSES
    assert [name for name, a in able.items() if a.alone] == ["joblib"]
    here = {"fork", "forkserver", "spawn"}.intersection(multiprocessing.get_all_start_methods())  # joblib may add some
    for name in ("multiprocessing", "futures-processes"):
        assert sorted(able[name].start_methods) == sorted(here)
        assert able[name].start_methods[0] != "fork"
    assert able["joblib"].start_methods == ("loky",) and able["threading"].start_methods == ()
    assert able["dask"].start_methods == ("spawn",)


def test_what_a_technique_cannot_do_stays_at_the_default():
    asked = Options(cv2_threads=3, start_method="spawn", chunk_size=5)
    got = {name: t.load()(2, asked) for name, t in TECHNIQUES.items()}
    shown = {name: (b.cv2_threads, b.start_method, b.chunk_size) for name, b in got.items()}
    expected = {
        "sequential": (1, None, 1),
        "opencv": (2, None, 1),  # its own number of threads is what is asked for as workers
        "numba-parallel": (1, None, 1),  # as OpenCV, with Numba's threads
        "threading": (3, None, 1),
        "futures-threads": (3, None, 1),
        "asyncio": (3, None, 1),
        "interpreters": (1, None, 1),
        "multiprocessing": (3, "spawn", 5),
        "textbook": (cv2.getNumberOfCPUs(), "spawn", 5),  # as many as OpenCV takes, whatever is asked for
        "futures-processes": (3, "spawn", 5),
        "joblib": (3, "loky", 5),
        **{name: (1, None, 1) for name in ON_GPU if name in TECHNIQUES},
        "mpi": (3, None, 5),
        "dask": (3, "spawn", 5),
    }
    assert {name: shown[name] for name in expected} == expected


def test_techniques_in_one_process_take_turns():
    backends = [TECHNIQUES[name].load()(2) for name in (*INLINE, *THREADED)]
    for backend in backends:
        backend.start()
    for backend in (*backends, *reversed(backends)):
        assert run(backend, (faults.double, 1))[0].worker.cv2_threads == backend.cv2_threads
    for backend in backends:
        backend.close()


def test_opencv_gives_the_process_its_threads_back():
    backend = TECHNIQUES["opencv"].load()(2)
    cv2.setNumThreads(3)
    try:
        backend.start()
        assert run(backend, (faults.double, 1))[0].worker.cv2_threads == backend.cv2_threads == 2
        assert backend.workers == 1
        backend.close()
        assert cv2.getNumThreads() == 3
    finally:
        cv2.setNumThreads(1)


def test_start_and_close_twice_and_again(backend):
    backend.close()
    backend.close(kill=True)
    backend.start()
    backend.start()
    assert values(run(backend, (faults.double, 0))) == doubled(1)
    backend.close()
    backend.close()
    backend.start()
    assert values(run(backend, (faults.double, 0), (faults.double, 1))) == doubled(2)


def test_close_before_start():
    for name in NAMES:
        kind(name)(2).close()


def test_an_early_end_stops_the_dispatch_and_another_run_works(backend, tmp_path):
    tasks = [Task(i, faults.touch, str(tmp_path / str(i))) for i in range(60)]
    with closing(backend.run(tasks, deadline=LONG)) as results:
        next(results)
    time.sleep(0.15)
    touched = len(list(tmp_path.iterdir()))
    assert touched < 10
    assert values(run(backend, *((faults.double, n) for n in range(9)))) == doubled(9)
    assert len(list(tmp_path.iterdir())) == touched


@pytest.mark.parametrize("name", each([name for name in KILLABLE if name != "dask"]))  # it has futures of its own
def test_a_run_that_another_thread_closed_leaves_the_next_its_own_results(running, name):
    """Both have tasks of the same indexes, which must not be taken for each other."""
    killable = running(name)
    tasks = [Task(n, faults.nap_and_tell, (0.05, f"first {n}")) for n in range(40)]
    first = []

    def run_first():
        with suppress(Exception):  # what becomes of it is its technique's affair
            first.extend(killable.run(tasks, deadline=LONG))

    stale = threading.Thread(target=run_first)
    stale.start()
    while not first and stale.is_alive():
        time.sleep(0.01)
    killable.close(kill=True)
    results = run(killable, *((faults.nap_and_tell, (0.0, f"second {n}")) for n in range(40)))
    assert [r.value for r in results] == [f"second {n}" for n in range(40)]
    stale.join(LONG)
    assert not stale.is_alive() and all(r.error or r.value == f"first {r.index}" for r in first)


def test_close_with_kill_is_quick(backend):
    seconds = 0 if backend.name in INLINE else 30
    results = backend.run(
        [Task(0, faults.double, 1), *(Task(i, faults.nap, seconds) for i in (1, 2, 3))], deadline=LONG
    )
    assert next(results).value == 2
    before = time.perf_counter()
    results.close()
    backend.close(kill=True)
    assert time.perf_counter() - before < 10
    backend.start()
    assert values(run(backend, (faults.double, 0))) == doubled(1)


# Options


@contextmanager
def started(name, **options):
    if name == "joblib" and JoblibLoky._started:
        JoblibLoky._started.close()
    backend = TECHNIQUES[name].load()(2, Options(**options))
    try:
        backend.start()
        yield backend
    finally:
        backend.close()


@pytest.mark.parametrize("name", PINNED)
def test_every_worker_has_the_inner_threads_that_were_asked_for(name):
    with started(name, cv2_threads=3) as backend:
        for result in run(backend, *[(faults.report_threads, None)] * 4):
            assert result.value["opencv"] == backend.cv2_threads == result.worker.cv2_threads == 3
            assert result.worker.other_threads == 1
    cv2.setNumThreads(1)


@pytest.mark.parametrize("name", PINNED)
def test_fewer_inner_threads_than_were_asked_for_are_said(name, monkeypatch):
    """As by a build of OpenCV without threads."""
    monkeypatch.setattr(threaded_base, "pin_threads", faults.pin_one_thread)
    monkeypatch.setattr(processes, "begin_work", faults.begin_with_one_thread)
    monkeypatch.setattr(launch, "RANK", ("-m", "mpi4py", "-m", "tests.backend_faults", "rank"))
    monkeypatch.setattr(dask_workers, "join", faults.join_with_one_thread)
    with started(name, cv2_threads=3) as backend:
        assert backend.cv2_threads == 1
        assert run(backend, (faults.double, 1))[0].worker.cv2_threads == 1


METHODS = [(name, method) for name in PROCESSES for method in TECHNIQUES[name].load().capabilities.start_methods]
FORKING = [name for name, method in METHODS if method == "fork" and name in PINNED]


@pytest.mark.parametrize(("name", "method"), METHODS)
def test_every_start_method(name, method, tmp_path):
    cv2.setNumThreads(4)
    cv2.GaussianBlur(np.zeros((2000, 2000), np.uint8), (5, 5), 0)  # now OpenCV has threads of its own here
    try:
        with started(name, start_method=method) as backend:
            assert backend.start_method == method
            assert cv2.getNumThreads() == 4
            workers = meet(backend, tmp_path / "meeting")
            assert len({w.pid for w in workers} - {os.getpid()}) == 2
            assert values(run(backend, *((faults.blur, n) for n in range(6)))) == [(n, None, 1) for n in range(6)]
            for result in run(backend, *[(faults.report_threads, None)] * 4):
                assert result.value.pop("opencv") == backend.cv2_threads and set(result.value.values()) == {1}
            if os.name != "nt":
                os.kill(workers[0].pid, signal.SIGKILL)
                assert [r.value for r in run(backend, *((faults.blur, n) for n in range(6)))] == [*range(6)]
    finally:
        cv2.setNumThreads(1)


@pytest.mark.parametrize("name", FORKING)
def test_forked_workers_can_have_inner_threads(name):
    cv2.setNumThreads(4)
    cv2.GaussianBlur(np.zeros((2000, 2000), np.uint8), (5, 5), 0)
    try:
        for threads in (2, 3):
            with started(name, start_method="fork", cv2_threads=threads) as backend:
                for result in run(backend, *((faults.blur, n) for n in range(4))):
                    assert (result.error, result.worker.cv2_threads) == (None, threads)
    finally:
        cv2.setNumThreads(1)


@pytest.mark.parametrize("name", FORKING)
def test_forked_workers_that_hang_at_the_start_are_refused_in_plain_words(name, monkeypatch):
    monkeypatch.setattr(processes, "begin_work", faults.never_begin)
    monkeypatch.setattr(processes, "FORK_SECONDS", 0.5)
    backend = TECHNIQUES[name].load()(2, Options(start_method="fork"))
    others = set(multiprocessing.active_children())
    before = time.perf_counter()
    with pytest.raises(BackendError, match="Choose forkserver or spawn"):
        backend.start()
    assert time.perf_counter() - before < 20
    assert set(multiprocessing.active_children()) <= others


@pytest.mark.parametrize("name", PROCESSES)
@pytest.mark.parametrize("size", [1, 3, 50])
def test_chunks_of_any_size_give_one_result_per_task(name, size, tmp_path):
    with started(name, chunk_size=size) as backend:
        results = run(backend, *((faults.double, n) for n in range(20)), (faults.fail, None), (lambda p, s: 1, None))
        assert values(results[:20]) == doubled(20)
        assert "ZeroDivisionError" in results[20].error and "while handing this image" in results[21].error
        assert values(run(backend)) == []
        tasks = [Task(i, faults.touch, str(tmp_path / str(i))) for i in range(60)]
        with closing(backend.run(tasks, deadline=LONG)) as early:
            assert next(early).error is None
        assert values(run(backend, (faults.double, 0))) == doubled(1)


@pytest.mark.parametrize("name", PROCESSES)
def test_a_chunk_goes_to_one_worker_and_comes_back_at_once(name):
    with started(name, chunk_size=3) as backend:
        results = list(backend.run([Task(i, faults.nap, 0.02) for i in range(12)], deadline=LONG))
    for start in range(0, 12, 3):
        chunk = results[start : start + 3]
        assert [r.index - chunk[0].index for r in chunk] == [0, 1, 2] and chunk[0].index % 3 == 0
        assert len({r.worker.pid for r in chunk}) == 1


@unix
@pytest.mark.parametrize("name", PROCESSES)
def test_a_worker_that_dies_or_hangs_in_the_middle_of_a_chunk_costs_one_task(name, tmp_path):
    kill = (faults.signal_self, (signal.SIGKILL, str(tmp_path), 1))
    with started(name, chunk_size=3) as backend:
        results = run(backend, *((faults.double, n) for n in range(4)), kill, *[(faults.nap, 0.01)] * 5)
        assert values(results[:4]) == doubled(4)
        assert values(results[4:5]) == [(2, None, 2)]
        assert [(r.error, r.attempts) for r in results[5:]] == [(None, 1)] * 5
        hanging = [(faults.nap, 0.2), (faults.nap, 30), *((faults.double, n) for n in range(4))]
        results = run(backend, *hanging, deadline=3)  # far from the nap's time, also on a busy machine
        assert [r.error is None for r in results] == [True, False, True, True, True, True]
        assert results[1].attempts == 2 and "longer than the limit" in results[1].error


@pytest.fixture(params=each([name for name in (*THREADED, *PROCESSES) if not kind(name).capabilities.unscheduled]))
def scheduled(request, running):
    """A backend that follows schedules; the usual one again afterwards."""
    backend = running(request.param)
    yield backend
    backend.schedule = SCHEDULES[USUAL]


@unix
@pytest.mark.parametrize(("schedule", "shares"), [("static", ((0, 1), (2, 3))), ("cyclic", ((0, 2), (1, 3)))])
def test_shares_that_are_fixed_beforehand_keep_the_contract(scheduled, schedule, shares, tmp_path):
    scheduled.schedule = SCHEDULES[schedule]
    found = run(scheduled, *[(faults.nap, 0.1)] * 4)
    who = [(r.worker.pid, r.worker.thread) for r in found]
    assert all(who[one] == who[other] for one, other in shares) and len(set(who)) == 2
    assert values(run(scheduled, *((faults.double, n) for n in range(7)))) == doubled(7)
    results = run(scheduled, (faults.fail, None), *((faults.double, n) for n in range(3)))
    assert "ZeroDivisionError" in results[0].error and [r.value for r in results[1:]] == [0, 2, 4]
    if scheduled.capabilities.killable:
        kill = (faults.signal_self, (signal.SIGKILL, str(tmp_path), 1))
        results = run(scheduled, *((faults.double, n) for n in range(4)), kill, *[(faults.nap, 0.01)] * 4)
        assert values(results[:5]) == [*doubled(4), (2, None, 2)]
        assert [(r.error, r.attempts) for r in results[5:]] == [(None, 1)] * 4


# Death


@unix
def test_each_worker_is_killed_in_the_middle_of_a_task(killable, tmp_path):
    for number in range(len(meet(killable, tmp_path / "meeting"))):
        folder = tmp_path / str(number)
        folder.mkdir()
        kill = (faults.signal_self, (signal.SIGKILL, str(folder), 1))
        results = run(killable, *((faults.double, n) for n in range(5)), kill, *((faults.double, n) for n in range(5)))
        assert_doubled(killable, results[:5])
        assert [r.value for r in results[6:]] == [2 * n for n in range(5)]
        assert (results[5].value, results[5].attempts, results[5].error) == (2, 2, None)
        assert results[5].worker.pid != int((folder / "1").read_text())  # who died
        assert len(meet(killable, tmp_path / f"again{number}")) == killable.workers


@unix
@pytest.mark.parametrize("name", each([name for name in PROCESSES if issubclass(kind(name), ProcessBackend)]))
def test_who_is_ended_by_the_library_with_one_that_died_is_not_to_blame(name, running, tmp_path, monkeypatch):
    """However late we come to look, on a busy machine."""
    wait = watcher.wait

    def late(sentinels, timeout=None):
        found = wait(sentinels, timeout)
        if timeout is None:
            time.sleep(0.5)
        return found

    monkeypatch.setattr(watcher, "wait", late)
    backend = running(name)
    backend.close()
    backend.start()
    (tmp_path / "meeting").mkdir()
    tasks = [(faults.die_beside, (str(tmp_path / "meeting"), death)) for death in (str(tmp_path / "died"), "")]
    assert values(run(backend, *tasks)) == [(True, None, 2), (True, None, 1)]


@unix
def test_workers_killed_from_outside_while_all_work(killable, tmp_path):
    pids = [w.pid for w in meet(killable, tmp_path / "meeting")]
    results = []
    for result in killable.run([Task(i, faults.nap, 0.25) for i in range(10)], deadline=LONG):
        results.append(result)
        if pids and len(results) in (1, 5):
            time.sleep(0.1)  # until the next task is begun
            pid = pids.pop()
            if psutil.pid_exists(pid):  # the first death may have cost the library the other worker too
                os.kill(pid, signal.SIGKILL)
    assert sorted(r.index for r in results) == list(range(10))
    assert [r.error for r in results] == [None] * 10
    assert 1 <= sum(r.attempts == 2 for r in results) <= 2 * killable.workers


@unix
def test_a_worker_killed_in_the_middle_of_a_large_batch(killable, tmp_path):
    for moment, bytes_in, bytes_out in (("it is given a task", 4 * 10**7, 10), ("it gives it back", 10, 4 * 10**7)):
        died = tmp_path / moment
        tasks = [(faults.die_after, (bytes(bytes_in), bytes_out, str(died))) for _ in range(6)]
        before = time.perf_counter()
        results = run(killable, *tasks, deadline=60)
        assert [(r.error, r.value) for r in results] == [(None, bytes(bytes_out))] * 6
        assert died.exists()
        assert time.perf_counter() - before < 40
    before = time.perf_counter()
    killable.close()
    assert time.perf_counter() - before < 5


@unix
def test_a_task_that_always_kills_its_worker_fails_after_two_tries(killable, tmp_path):
    results = run(
        killable,
        *((faults.double, n) for n in range(4)),
        (faults.signal_self, (signal.SIGKILL, str(tmp_path), 9)),
        *((faults.nap, 0.05) for _ in range(4)),
    )
    assert_doubled(killable, results[:4])
    assert results[4].attempts == 2 and "ended without an answer, twice" in results[4].error
    assert [r.error for r in results[5:]] == [None] * 4


@unix
def test_an_idle_workers_death_costs_nothing(killable, tmp_path):
    for worker in meet(killable, tmp_path / "meeting"):
        os.kill(worker.pid, signal.SIGKILL)
    assert values(run(killable, *((faults.double, n) for n in range(20)))) == doubled(20)


@unix
@pytest.mark.parametrize("name", each(PROCESSES))
def test_a_worker_killed_while_workers_start_or_start_again_costs_nothing(name, tmp_path):
    """The short form of row 3 of ``benchmarks/holds``. Pools wait a minute for workers that will not come."""
    if name == "joblib" and JoblibLoky._started:
        JoblibLoky._started.close()
    found = list(killed_workers(0.05, 1, [name]))
    assert len(found) == 9
    for promise in found:
        assert promise.kept or ("stood still" in promise.what and float(promise.reached.split()[0]) < 25), promise


@unix
def test_a_worker_stopped_at_a_task_is_replaced_at_the_deadline(killable, tmp_path):
    stop = (faults.signal_self, (signal.SIGSTOP, str(tmp_path), 1))
    results = run(killable, *((faults.double, n) for n in range(5)), stop, deadline=2)
    assert_doubled(killable, results[:5])
    assert (results[5].value, results[5].attempts) == (2, 2)


@unix
def test_a_task_that_always_hangs_fails_after_two_tries_and_keeps_no_worker(killable, tmp_path):
    results = run(killable, (faults.double, 0), (faults.nap, 30), deadline=2)
    assert values(results[:1]) == doubled(1)
    assert results[1].attempts == 2 and "longer than the limit of 2 seconds" in results[1].error
    meet(killable, tmp_path / "meeting")


@pytest.mark.parametrize("name", each(PROCESSES))
def test_the_deadline_of_a_new_workers_first_task_begins_when_what_it_needs_is_loaded(running, name):
    backend = running(name)
    backend.close(kill=True)
    slow = (faults.go_by, faults.SlowToUnpickle(2.5))
    assert values(run(backend, slow, (faults.double, 2), deadline=1.5)) == [(None, None, 1), (4, None, 1)]


@unix
def test_idle_workers_stopped_do_not_stop_the_run(killable, tmp_path):
    for worker in meet(killable, tmp_path / "meeting"):
        os.kill(worker.pid, signal.SIGSTOP)
    assert [r.error for r in run(killable, *((faults.double, n) for n in range(6)), deadline=2)] == [None] * 6


def test_workers_that_keep_dying_end_the_run():
    class Doomed(MultiprocessingPool):
        def _submit(self, *what):
            kill(self._workers)
            super()._submit(*what)

    backend = Doomed(2)
    with pytest.raises(BackendError, match="kept ending"):
        run(backend, (faults.nap, 1))
    with pytest.raises(BackendError, match="kept ending"):
        run(backend, (faults.nap, 1))


@unix
@pytest.mark.parametrize("name", each(NAMES))
def test_no_process_outlives_a_killed_parent(name):
    with subprocess.Popen(
        [sys.executable, "-m", "tests.backend_faults", name], stdout=subprocess.PIPE, cwd=ROOT
    ) as parent:
        assert parent.stdout.readline() == b"ready\n"
        family = psutil.Process(parent.pid).children(recursive=True)
        assert len(family) >= (2 if name in PROCESSES else 1 if name in ON_GPU else 0)
        parent.kill()
    _, left = psutil.wait_procs(family, timeout=20)
    for process in left:
        process.kill()
    assert not left


# Threads cannot be killed


@pytest.fixture
def gate():
    faults.GATE.clear()
    faults.CALLS.clear()
    yield
    faults.GATE.set()


def test_a_hung_thread_is_replaced_and_its_task_tried_again(threaded, gate):
    results = run(threaded, (faults.hang, 1), *((faults.double, n) for n in range(9)), deadline=1)
    assert (results[0].value, results[0].attempts, results[0].error) == (2, 2, None)
    assert [r.value for r in results[1:]] == [2 * n for n in range(9)]
    assert len(set(faults.CALLS)) == 2


def test_a_task_that_always_hangs_a_thread_fails_and_the_rest_goes_on(threaded, gate, tmp_path):
    results = run(threaded, *[(faults.hang, 8)] * 3, *((faults.double, n) for n in range(9)), deadline=1)
    assert all(r.attempts == 2 and "longer than the limit of 1 seconds" in r.error for r in results[:3])
    assert values(results[3:]) == doubled(9)
    assert len(meet(threaded, tmp_path / "meeting")) == threaded.workers


def test_what_an_abandoned_run_left_hanging_is_not_blamed_on_the_next(threaded, gate):
    with closing(threaded.run([Task(0, faults.double, 0), Task(3, faults.hang, 1)], deadline=LONG)) as results:
        assert next(results).value == 0
    time.sleep(1.6)
    assert [r.attempts for r in run(threaded, *[(faults.nap, 0.15)] * 4, deadline=1.5)] == [1] * 4
    threaded.close(kill=True)


@pytest.mark.parametrize("name", THREADED)
def test_a_hung_thread_does_not_hold_up_the_end_of_the_program(name):
    program = [sys.executable, "-m", "tests.backend_faults", name, "hang"]
    done = subprocess.run(program, capture_output=True, timeout=50, cwd=ROOT, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[(0, None, 2), (1, 8, 1)]\n", "")


# joblib's own ways


def test_joblib_never_runs_in_the_callers_process(running, monkeypatch):
    running("joblib").close()
    kind = TECHNIQUES["joblib"].load()
    with pytest.raises(BackendError, match="2 workers or more"):
        kind(1).start()
    monkeypatch.setattr("joblib._parallel_backends.LokyBackend.effective_n_jobs", lambda self, n_jobs: 1)
    with pytest.raises(BackendError, match="own process"):
        kind(2).start()


def test_joblib_leaves_no_folder_behind(running):
    """Where a program starts it again and again, as one that serves runs does."""
    backend = running("joblib")
    for _ in range(2):
        backend.close()
        backend.start()
        assert_doubled(backend, run(backend, *((faults.double, n) for n in range(8))))
    backend.close()
    places = {Path(tempfile.gettempdir()), Path("/dev/shm")}
    left = [path for place in places for path in place.glob(f"joblib_memmapping_folder_{os.getpid()}_*")]
    assert left == []


def test_a_second_joblib_is_refused_while_one_is_started(running):
    second = TECHNIQUES["joblib"].load()(2)
    first = running("joblib")
    with pytest.raises(BackendError, match="another one is in use"):
        second.start()
    second.close()
    assert values(run(first, (faults.double, 0))) == doubled(1)
