"""Machines and containers that lack something: each says at once what is the matter and what to do, or does without.

A row is a situation: the namespaces it needs, what a shell does to make it, the command, and what is said.
"""

import time
from dataclasses import dataclass

import pytest
from shells import PROCESS, namespace, results, shell

from imgproc.backends import TECHNIQUES

#: Nothing can be written to but /dev/shm, where results go.
READ_ONLY = "mount -t tmpfs none /dev/shm && mount --bind / / && mount -o remount,ro,bind / && unset TMPDIR"
NO_SPACE = (
    "mount -t tmpfs -o size=64k none /var/tmp && export TMPDIR=/var/tmp && "
    "dd if=/dev/zero of=/var/tmp/full bs=4k count=15 2>/dev/null"
)
NO_INODES = "mount -t tmpfs -o nr_inodes=4 none /var/tmp && export TMPDIR=/var/tmp"
LONG = "export TMPDIR=$(mktemp -d /tmp/imgproc-%sXXXX) && trap 'rm -rf $TMPDIR' EXIT"
NO_FOLDER = "There is no folder for temporary files that can be written to. Set TMPDIR to one."
FULL = "Temporary files cannot be made (No space left on device). Free some space where they go, set TMPDIR"
TWO = f"{PROCESS} --workers 2 --technique"


def long(name: int) -> str:
    """A folder for temporary files whose path has so many bytes."""
    return LONG % ("0" * (name - len("/tmp/imgproc-XXXX")))


@dataclass(frozen=True)
class Situation:
    """``techniques``: the command is tried with each; ``said``: in what it prints; ``made``: how many results."""

    name: str
    setup: str
    said: str
    techniques: tuple[str, ...] = ("",)
    command: str = TWO
    kinds: tuple[str, ...] = ("--mount",)
    status: int = 1
    made: int = 0


PROCESSES = ("multiprocessing", "futures-processes", "joblib", "mpi", "dask")
SITUATIONS = (
    Situation("read-only", READ_ONLY, NO_FOLDER, PROCESSES, f"out=/dev/shm/out; {TWO}"),
    Situation("read-only threads", READ_ONLY, "(threading, 2 workers)", ("threading",),
              f"out=/dev/shm/out; {TWO}", status=0),
    Situation("read-only measured", READ_ONLY, "Other measured runs on this machine could not be kept out", ("",),
              '$imgproc process "$photo" --out /dev/shm/out --budget 1 --technique threading', status=0),
    Situation("read-only compare", READ_ONLY, NO_FOLDER, ("",), '$imgproc compare "$photo"', status=2),
    Situation("read-only sample", READ_ONLY, "1 pictures in", ("",),
              "$imgproc sample /dev/shm/out --count 1 --megapixels 0.1", status=0),
    Situation("full", NO_SPACE, FULL, PROCESSES),
    Situation("no inodes", NO_INODES, FULL, PROCESSES),
    Situation("TMPDIR of 75", long(75), "", ("multiprocessing", "mpi"), kinds=(), status=0, made=3),
    Situation("TMPDIR of 76", long(76), "76 bytes, and 75 are the most. Set TMPDIR to a shorter one. Or "
              "choose spawn", ("multiprocessing", "futures-processes"), kinds=()),
    Situation("TMPDIR of 110", long(110), "110 bytes, and 79 are the most. Set TMPDIR to a shorter one",
              ("mpi",), kinds=()),
    Situation("TMPDIR of 110, others", long(110), "", ("joblib", "dask"), kinds=(), status=0,
              made=3),
    Situation("TMPDIR of 110, spawn", long(110), "", ("multiprocessing",), f"{PROCESS} --workers 2 "
              "--start-method spawn --technique", kinds=(), status=0, made=3),
    Situation("TMPDIR of 110, sample", long(110), "1 pictures in", ("",),
              '$imgproc sample "$out" --count 1 --megapixels 0.1', kinds=(), status=0),
    Situation("no loopback", "true", "This machine cannot reach itself at 127.0.0.1.", ("dask",), kinds=("--net",)),
    Situation("no loopback, others", "true", "", ("multiprocessing", "mpi"), kinds=("--net",), status=0, made=3),
    Situation("OpenCV's threads", "export OPENCV_FOR_THREADS_NUM=auto", "OPENCV_FOR_THREADS_NUM must be a number, not "
              "“auto”. Unset it", kinds=(), command=PROCESS, status=2),
    Situation("loky's processors", "export LOKY_MAX_CPU_COUNT=x", "LOKY_MAX_CPU_COUNT must be a number, not “x”.",
              ("joblib",), kinds=(), status=2),
    Situation("loky's pickler", "export LOKY_PICKLER=x", "LOKY_PICKLER must be cloudpickle, pickle or another module "
              "that has a Pickler, not “x”.", ("threading",), kinds=(), status=2),
    Situation("Numba's optimizing", "export NUMBA_OPT=x", "NUMBA_OPT must be 0, 1, 2, 3 or max, not “x”.",
              kinds=(), command=PROCESS, status=2),
    Situation("joblib's method", "export JOBLIB_START_METHOD=x", "JOBLIB_START_METHOD must be one of", ("threading",),
              kinds=(), status=2),
    Situation("OpenCV's limit", "export OPENCV_IO_MAX_IMAGE_PIXELS=x", "OPENCV_IO_MAX_IMAGE_PIXELS must be a number",
              ("",), "$imgproc serve --port 0", kinds=(), status=2),
    Situation("uploads nowhere", "export UPLOADS_DIR=", "UPLOADS_DIR is empty. Name a folder", kinds=(),
              command="$imgproc serve --port 0", status=1),
    Situation("one core", "true", "Parallel (joblib, 2 workers)", ("joblib",),
              f"taskset -c $(taskset -cp $$ | sed 's/.*: //; s/[,-].*//') {PROCESS} --technique", kinds=(), status=0,
              made=3),
    Situation("16 files", "ulimit -n 16", "A process may have 16 files open here, and so many workers take about",
              PROCESSES, f"{PROCESS} --workers 8 --technique", kinds=()),
    Situation("24 files", "ulimit -n 24", "", ("multiprocessing", "joblib", "mpi"), kinds=(), status=0, made=3),
)  # fmt: skip


@pytest.mark.parametrize(
    ("situation", "technique"),
    [pytest.param(row, name, id=f"{row.name} {name}".strip()) for row in SITUATIONS for name in row.techniques],
)
def test_what_is_the_matter_is_said_at_once(situation, technique, photo):
    if technique and not TECHNIQUES[technique].availability().ok:
        pytest.skip(f"{technique} is not installed")
    first = namespace(situation.setup, *situation.kinds) if situation.kinds else []
    setup = "" if situation.kinds else f"{situation.setup} && "
    since = time.monotonic()
    done = shell(f"{setup}{situation.command} {technique}".strip(), photo, *first)
    told = done.stdout + done.stderr
    assert done.returncode == situation.status, told
    assert situation.said in told and "Traceback" not in told
    assert results(photo) == situation.made
    assert time.monotonic() - since < 30  # some waited a minute
