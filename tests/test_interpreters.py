"""What is peculiar to interpreters: what loads there, those that hang, and on which Python there are any."""

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import imgproc
from imgproc.backends import TECHNIQUES, cannot_run
from imgproc.backends.pools import interpreters
from imgproc.backends.task import Task
from tests import backend_faults as faults

ROOT = Path(__file__).resolve().parents[1]
NAME = "interpreters"
FOUND = TECHNIQUES[NAME].availability()
can_call = pytest.mark.skipif(not FOUND.calls, reason=FOUND.reason)
QUICK = {"workers": 2, "rounds": 2, "budget": 1, "progress": False}


def without_anything():
    """A function that travels whole, and so needs no module of these tests."""
    return lambda number: number * number


def with_numpy():
    def add(number):
        import numpy as np

        return int(np.int64(number) + 1)

    return add


# On which Python, and what for


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="this Python has them")
def test_an_older_python_says_which_is_needed():
    assert not FOUND.calls
    assert "needs Python 3.14 or newer; this is Python 3." in FOUND.reason and "3.14" in FOUND.command
    with pytest.raises(imgproc.UserError, match=r"cannot run here.*Python 3\.14"):
        imgproc.process(without_anything(), [1, 2], technique=NAME, workers=2)


@pytest.mark.parametrize(
    ("answers", "ok", "items", "words"),
    [
        ("print('none')", True, False, ""),
        ("print('numpy')", False, True, "NumPy does not load"),
        ("print('cv2')", False, True, "OpenCV does not load"),
        ("raise SystemExit(3)", False, False, "failed"),
        ("import os; os.abort()", False, False, "failed"),
        ("import time; time.sleep(60)", False, False, "longer than 2 seconds"),
    ],
)
def test_it_is_tried_in_a_process_of_its_own_which_may_do_whatever_it_will(monkeypatch, answers, ok, items, words):
    monkeypatch.setattr(interpreters, "_TRIAL", answers)
    monkeypatch.setattr(interpreters, "_TRIAL_SECONDS", 2)
    found = interpreters._tried.__wrapped__(sys.executable, tuple(sys.path))
    assert (found.ok, found.items, found.calls) == (ok, items, ok or items)
    assert words in found.reason


def test_without_a_python_to_try_it_with_it_says_so():
    found = interpreters._tried.__wrapped__(str(ROOT / "no python"), ())
    assert not found.calls and "could not be tried" in found.reason


def test_what_runs_in_an_interpreter_needs_nothing_that_does_not_load_there():
    """On any Python: neither NumPy nor OpenCV nor psutil, and it is a function of one's own that is called."""
    program = """
import pickle, sys
for name in ("numpy", "cv2", "psutil"):
    sys.modules[name] = None
exec(sys.argv[1], {"path": sys.path, "ready": type("Ready", (), {"put": print})})
from imgproc.backends.envelopes import EnvelopePacker
from imgproc.backends.task import Task
from imgproc.backends.worker_loop import run_batch
from imgproc.functions.travel import Carried, Parcel
from imgproc.runs.tasks.calls import Call, call
packer = EnvelopePacker()
batch = packer.pack([Task(0, call, Call(Carried(lambda x: x + 1), Parcel(41)))])
[result] = packer.results(run_batch(pickle.loads(pickle.dumps(batch))), {0})
print(result.value.value, result.worker.cv2_threads, result.worker.other_threads)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, interpreters._BEGIN], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert (done.stdout, done.stderr) == ("None\n42 1 1\n", "")


def test_it_does_not_work_on_images_unless_numpy_and_opencv_load():
    if FOUND.ok:
        pytest.skip("they do")
    assert cannot_run(TECHNIQUES[NAME], 2)
    assert (cannot_run(TECHNIQUES[NAME], 2, items=True) is None) == FOUND.calls
    [listed] = [one for one in imgproc.techniques() if one.name == NAME]
    assert (listed.available, listed.calls) == (False, FOUND.calls)


# Functions of one's own


@can_call
def test_functions_in_pure_python_are_called_there_and_proved():
    offset = 3
    found = imgproc.compare(lambda x: x * x + offset, range(12), techniques=[NAME, "threading"], **QUICK)
    [measured] = [t for t in found.record.techniques if t.name == NAME]
    assert measured.identical and measured.workers == 2 and measured.rounds
    assert imgproc.process(without_anything(), range(5), technique=NAME, workers=2) == [0, 1, 4, 9, 16]


@can_call
def test_a_function_that_needs_numpy_is_no_speedup_and_says_why():
    found = imgproc.compare(with_numpy(), range(4), techniques=[NAME, "threading"], **QUICK)
    if not FOUND.ok:
        assert found.speedup(NAME) is None and "differ" in found.reason(NAME)


@can_call
def test_interpreters_are_those_asked_for_and_none_has_anothers_modules():
    with closing(TECHNIQUES[NAME].load()(2)) as backend:
        backend.start()
        first = list(backend.run([Task(n, faults.tell, n) for n in range(8)], deadline=60))
        assert {result.worker.pid for result in first} == {os.getpid()}
        assert len({result.worker.thread for result in first}) <= 2
        assert all(result.bytes_moved > 0 and result.attempts == 1 for result in first)


# Those that hang


@can_call
def test_one_that_hangs_is_given_up_and_its_task_tried_again(tmp_path):
    # In a program of its own, which an interpreter that hangs does not hold up, nor crash, at its end.
    (tmp_path / "calls").mkdir()
    program = """
import atexit, sys
from contextlib import closing
from imgproc.backends import TECHNIQUES
from imgproc.backends.task import Task
from tests.backend_faults import hang_at_first, tell, touch
atexit.register(print, "goodbye", flush=True)
backend = TECHNIQUES["interpreters"].load()(2)
hang = Task(0, hang_at_first, (sys.argv[1], int(sys.argv[2])))
with closing(backend.run([Task(n, touch, f"{sys.argv[1]}-{n}") for n in range(60)], deadline=60)) as results:
    next(results)
others = [Task(n, tell, n) for n in range(1, 9)]
results = sorted(backend.run([hang, *others], deadline=1), key=lambda one: one.index)
print([(one.value, one.attempts, one.error) for one in results[:2]], len(results))
print([one.value for one in backend.run([Task(7, tell, "again")], deadline=60)])
backend.close(kill=True)
"""
    for times, first in (
        (1, (2, 2, None)),
        (9, (None, 2, "This image took longer than the limit of 1 seconds, twice.")),
    ):
        for file in (tmp_path / "calls").iterdir():
            file.unlink()
        done = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / "calls"), str(times)],
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=90,
        )
        assert len(list(tmp_path.glob("calls-*"))) < 10  # what was not begun when its run ended is not begun later
        expected = f"{[first, (1, 1, None)]} 9\n['again']\ngoodbye\n"
        assert (done.returncode, done.stdout, done.stderr) == (0, expected, "")
