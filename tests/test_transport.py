"""However pixels reach the workers, the files are the same; nothing of them is left behind; what it costs is known."""

import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing, suppress
from dataclasses import replace
from itertools import pairwise
from multiprocessing import resource_tracker
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from imgproc.backends import TECHNIQUES
from imgproc.backends.base import Options
from imgproc.backends.sharing import buffers
from imgproc.backends.sharing import memory as shared
from imgproc.backends.sharing.transport import TRANSFERS, EncodedResults, image_task
from imgproc.backends.task import Task, run_task
from imgproc.operations import DEFAULT_OPERATIONS, parse_parameters
from imgproc.pixels.codecs import FORMATS, encode
from imgproc.pixels.job import ImageJob, process_image
from imgproc.pixels.stopwatch import Stopwatch
from tests.backend_kinds import INLINE, THREADED, kind
from tests.file_contents import contents

ROOT = Path(__file__).resolve().parents[1]
LONG = 60.0
CARRYING = [name for name, t in TECHNIQUES.items() if t.load().capabilities.carries]
TRAVELLING = [name for name, transfer in TRANSFERS.items() if transfer.carrier]
WIDTH, HEIGHT = 311, 203
PROJECT = Path(__file__).resolve().parent.parent
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists its shared memory")


def blocks(pid=None):
    """The blocks of shared memory that a process, or this one, has made and that are there."""
    return [file.name for file in shared.FOLDER.glob(f"imgproc-*-{pid or os.getpid()}-*")]


@pytest.fixture(scope="module")
def running():
    """The technique of a name with 2 workers, started; one of each at a time, and the same for many tests."""
    backends = {}

    def start(name, **options):
        backend, had = backends.get(name, (None, None))
        if had != options:
            if backend:
                backend.close()
            backend = TECHNIQUES[name].load()(2, Options(**options))
            backends[name] = backend, options
        backend.start()
        return backend

    yield start
    for backend, _ in backends.values():
        backend.close()


@pytest.fixture(params=CARRYING)
def backend(request, running):
    yield running(request.param)
    assert blocks() == []


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A photograph-like picture, in colour."""
    noise = np.random.default_rng(4).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    path = tmp_path_factory.mktemp("in") / "in.png"
    path.write_bytes(encode(cv2.GaussianBlur(noise, (9, 9), 0), "png"))
    return path


def job(source, folder, name="a", format="png", color=False):
    extension = FORMATS[format].extension
    outputs = tuple((op, str(folder / f"{name}_{op}.{extension}")) for op in DEFAULT_OPERATIONS)
    return ImageJob(str(source), outputs, parse_parameters({}), format, color)


def files(job):
    return [contents(path) for _, path in job.outputs]


def run(backend, *tasks, deadline=LONG):
    results = list(backend.run(tasks, deadline=deadline))
    assert sorted(r.index for r in results) == [t.index for t in tasks]
    return sorted(results, key=lambda r: r.index)


def through(task):
    """What becomes of a task without any workers: its value and its spans, in the caller and in the worker."""
    carrier, caller = task.carrier(), Stopwatch()
    try:
        sent = pickle.loads(pickle.dumps(carrier.send(task, caller)))
        result = pickle.loads(pickle.dumps(run_task(sent)))
        if result.error:
            return result, caller, carrier
        return replace(result, value=carrier.receive(result.value, caller)), caller, carrier
    finally:
        carrier.release()
        carrier.release()


# What is made


def test_every_transfer_on_every_technique_makes_the_same_files(backend, source, tmp_path):
    expected, tasks, jobs = {}, [], []
    for format in FORMATS:
        for color in (False, True):
            done = job(source, tmp_path, f"expected-{format}-{color}", format, color)
            process_image(done, Stopwatch())
            for transfer in TRANSFERS:
                jobs.append(job(source, tmp_path, f"{transfer}-{format}-{color}", format, color))
                tasks.append(image_task(len(tasks), jobs[-1], transfer))
                expected[len(jobs) - 1] = files(done)
    results = run(backend, *tasks)
    assert [r.error for r in results] == [None] * len(tasks)
    for index, result in enumerate(results):
        assert files(jobs[index]) == expected[index]
        assert (result.value.width, result.value.height) == (WIDTH, HEIGHT)
        assert [(o.operation, o.path) for o in result.value.outputs] == list(jobs[index].outputs)
        assert all(o.bytes == Path(o.path).stat().st_size for o in result.value.outputs)


@pytest.mark.parametrize("transfer", TRANSFERS)
@pytest.mark.parametrize("name", [*INLINE, *THREADED])
def test_techniques_that_share_memory_move_nothing(name, transfer, source, tmp_path):
    backend, done, plain = kind(name)(2), job(source, tmp_path), job(source, tmp_path, "plain")
    backend.start()
    result = run(backend, image_task(0, done, transfer))[0]
    backend.close()
    process_image(plain, Stopwatch())
    assert files(done) == files(plain)
    assert (result.bytes_moved, result.caller_spans) == (None, ())
    assert "transfer" not in {span.stage for span in result.spans}


def test_paths_is_the_default_and_has_no_carrier(source, tmp_path):
    made = job(source, tmp_path)
    assert image_task(3, made) == Task(3, process_image, made)
    assert next(iter(TRANSFERS)) == "paths" and TRANSFERS["paths"].carrier is None


# What it costs


@pytest.mark.parametrize("transfer", TRANSFERS)
@pytest.mark.parametrize("color", [False, True])
def test_the_bytes_that_are_moved(backend, transfer, color, source, tmp_path):
    tasks = [image_task(n, job(source, tmp_path, str(n), color=color), transfer) for n in range(2)]
    pixels, channels = WIDTH * HEIGHT, 3 if color else 1
    payload = pixels * channels * 3 + pixels  # the image, two results like it, and edges
    for result in run(backend, *tasks):
        assert result.error is None
        if transfer == "paths":
            assert 100 < result.bytes_moved < 10_000
        elif transfer == "bytes":
            files = source.stat().st_size + sum(output.bytes for output in result.value.outputs)
            assert files <= result.bytes_moved < files + 10_000
        else:
            assert payload <= result.bytes_moved < payload + 10_000


@pytest.mark.parametrize("transfer", TRANSFERS)
@pytest.mark.parametrize("chunk", [1, 3])
@pytest.mark.parametrize("name", CARRYING)
def test_spans_of_one_worker_do_not_overlap_and_lie_inside_the_run(name, chunk, transfer, running, source, tmp_path):
    backend, lanes = running(name, chunk_size=chunk), {}
    for _ in range(2):
        begin = time.perf_counter()
        results = run(backend, *[image_task(n, job(source, tmp_path, str(n)), transfer) for n in range(11)])
        end = time.perf_counter()
        for result in results:
            for worker, spans in ((result.worker.pid, result.spans), ("caller", result.caller_spans)):
                lanes.setdefault(worker, []).extend(spans)
                assert all(begin <= span.start <= span.end <= end for span in spans)
            assert_stages(result, transfer)
    for spans in lanes.values():
        spans.sort(key=lambda span: span.start)
        assert all(one.end <= next_.start for one, next_ in pairwise(spans))


def assert_stages(result, transfer):
    """The caller does what the worker does not, and both move data."""
    worker = [span.stage for span in result.spans if span.stage != "transfer"]
    caller = [span.stage for span in result.caller_spans if span.stage != "transfer"]
    files = ["encode", "write"] * len(DEFAULT_OPERATIONS)
    if transfer == "paths":
        assert caller == [] and sorted(worker) == sorted(["read", "decode", *DEFAULT_OPERATIONS, *files])
    elif transfer == "bytes":
        assert caller == ["read", *["write"] * len(DEFAULT_OPERATIONS)]
        assert worker == ["decode", *(stage for name in DEFAULT_OPERATIONS for stage in (name, "encode"))]
    else:
        assert caller == ["read", "decode", *files] and worker == list(DEFAULT_OPERATIONS)
    for spans in (result.spans, result.caller_spans):
        assert "transfer" in {span.stage for span in spans}
    assert result.spans[0].stage == "transfer"  # until the payload is there


def test_the_callers_own_opencv_works_on_one_thread_meanwhile(backend, source, tmp_path):
    tasks = [image_task(n, job(source, tmp_path, str(n)), "arrays") for n in range(4)]
    cv2.setNumThreads(3)
    try:
        with closing(backend.run(tasks, deadline=LONG)) as results:
            for _ in results:
                assert cv2.getNumThreads() == 1
        assert cv2.getNumThreads() == 3
        with closing(backend.run(tasks, deadline=LONG)) as results:
            next(results)
        assert cv2.getNumThreads() == 3
        run(backend, image_task(0, job(source, tmp_path)))
        assert cv2.getNumThreads() == 3
    finally:
        cv2.setNumThreads(1)


def test_few_images_are_ready_ahead(backend, source, tmp_path):
    tasks = [image_task(n, job(source, tmp_path, str(n)), "shared") for n in range(30)]
    most = 0
    for _ in backend.run(tasks, deadline=LONG):
        if shared.FOLDER.exists():
            most = max(most, len(blocks()))
    assert most <= 3 * backend.workers


# What goes wrong


@pytest.mark.parametrize("transfer", TRANSFERS)
def test_an_error_is_that_tasks_alone_whoever_had_it(backend, transfer, source, tmp_path):
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(source.read_bytes()[:-3000])
    good = [job(source, tmp_path, f"good{n}") for n in range(4)]
    jobs = [
        good[0],
        job(damaged, tmp_path, "damaged"),
        good[1],
        job(tmp_path / "gone.png", tmp_path, "gone"),
        job(source, tmp_path / "no folder", "unwritable"),
        good[2],
        replace(job(source, tmp_path, "wrong"), parameters={}),
        good[3],
    ]
    results = run(backend, *(image_task(n, job, transfer) for n, job in enumerate(jobs)))
    assert [r.error for r in results] == [
        None,
        "The file ends in the middle of the picture. Copy it again from where it came.",
        None,
        "A file could not be read or written: No such file or directory.",
        "A file could not be read or written: No such file or directory.",
        None,
        "Unexpected KeyError while working on this image.",
        None,
    ]
    assert all(r.attempts == 1 and r.worker and r.bytes_moved for r in results)
    assert all((r.value is None) == (r.error is not None) for r in results)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("transfer", TRANSFERS)
def test_a_killed_worker_costs_no_image(backend, transfer, tmp_path):
    large = tmp_path / "large.png"
    large.write_bytes(encode(np.random.default_rng(1).integers(0, 256, (400, 500), np.uint8), "png"))
    jobs = [
        replace(job(large, tmp_path, str(n)), parameters=parse_parameters({"kernel": "31", "sigma": "9"}))
        for n in range(8)
    ]
    results = []
    for result in backend.run([image_task(n, job, transfer) for n, job in enumerate(jobs)], deadline=LONG):
        results.append(result)
        if len(results) in (1, 4):
            with suppress(ProcessLookupError):  # the first death may have cost the library the other worker too
                os.kill(result.worker.pid, signal.SIGKILL)
    assert sorted(r.index for r in results) == list(range(8))
    assert [r.error for r in results] == [None] * 8
    assert len({tuple(files(job)) for job in jobs}) == 1
    assert blocks() == []


@pytest.mark.parametrize("transfer", TRAVELLING)
def test_an_early_end_leaves_nothing(backend, transfer, source, tmp_path):
    tasks = [image_task(n, job(source, tmp_path, str(n)), transfer) for n in range(20)]
    with closing(backend.run(tasks, deadline=LONG)) as results:
        next(results)
    assert blocks() == []
    with pytest.raises(KeyError), closing(backend.run(tasks, deadline=LONG)) as results:
        for result in results:
            raise KeyError(result.index)
    assert blocks() == []
    assert [r.error for r in run(backend, *tasks[:3])] == [None] * 3


@pytest.mark.parametrize("name", CARRYING)
@pytest.mark.parametrize("transfer", TRAVELLING)
def test_a_program_that_uses_it_says_nothing_and_leaves_nothing(name, transfer, source, tmp_path):
    program = [sys.executable, "-m", "tests.backend_faults", name, "carry", transfer, str(source), str(tmp_path)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as running:
        out, err = running.communicate(timeout=60)
    assert (running.returncode, out, err) == (0, "None\n" * 6, "")
    assert blocks(running.pid) == []


@linux
@pytest.mark.parametrize("name", CARRYING)
def test_a_killed_callers_blocks_are_removed(name, source, tmp_path):
    program = [sys.executable, "-m", "tests.backend_faults", name, "carry-on", "shared", str(source), str(tmp_path)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, cwd=ROOT, stderr=subprocess.DEVNULL) as running:
        assert running.stdout.readline() == b"None\n"
        until = time.monotonic() + 20
        while not blocks(running.pid):
            assert time.monotonic() < until
        running.kill()
        running.wait()
        until = time.monotonic() + 15
        while blocks(running.pid):
            assert time.monotonic() < until
            time.sleep(0.05)


@linux
def test_what_a_caller_left_that_was_killed_with_its_helpers_is_removed(source, tmp_path, monkeypatch):
    program = [sys.executable, "-m", "tests.backend_faults", "multiprocessing", "carry-on", "shared", source, tmp_path]
    with subprocess.Popen(program, stdout=subprocess.PIPE, cwd=ROOT, start_new_session=True) as running:
        assert running.stdout.readline() == b"None\n"
        shared.remove_abandoned()  # not while it lives
        family = psutil.Process(running.pid).children(recursive=True)
        until, left = time.monotonic() + 60, []
        while not left and time.monotonic() < until:  # it removes a block as soon as it is done with it
            os.killpg(running.pid, signal.SIGCONT)
            time.sleep(random.uniform(0.01, 0.1))
            os.killpg(running.pid, signal.SIGSTOP)
            time.sleep(0.02)  # until it has stopped
            left = blocks(running.pid)
        os.killpg(running.pid, signal.SIGKILL)
        psutil.wait_procs(family, timeout=10)
    assert left and blocks(running.pid) == left
    monkeypatch.setattr(shared, "_swept", False)
    through(image_task(0, job(source, tmp_path), "shared"))
    assert blocks(running.pid) == []


# Blocks and carriers by themselves


@pytest.mark.parametrize("transfer", TRAVELLING)
@pytest.mark.parametrize("color", [False, True])
def test_a_carrier_without_workers(transfer, color, source, tmp_path):
    done, plain = job(source, tmp_path, "a", color=color), job(source, tmp_path, "b", color=color)
    result, caller, _ = through(image_task(7, done, transfer))
    assert (result.index, result.error) == (7, None)
    process_image(plain, Stopwatch())
    assert files(done) == files(plain)
    own = ["read", *["write"] * 3] if transfer == "bytes" else ["read", "decode", *["encode", "write"] * 3]
    assert [s.stage for s in caller.spans if s.stage != "transfer"] == own
    assert blocks() == []


def test_a_file_that_changed_on_its_way_is_not_decoded(source, tmp_path):
    task = image_task(0, job(source, tmp_path), "bytes")
    sent = task.carrier().send(task, Stopwatch())
    data = bytearray(sent.payload.data)
    data[len(data) // 2] ^= 1
    result = run_task(replace(sent, payload=replace(sent.payload, data=bytes(data))))
    assert result.error == "The file was damaged on its way to the worker."
    assert run_task(sent).error is None


def test_an_error_in_the_middle_leaves_no_block(source, tmp_path, monkeypatch):
    wrong = replace(job(source, tmp_path), parameters={})
    assert "KeyError" in through(image_task(0, wrong, "shared"))[0].error
    with pytest.raises(OSError, match="No such file"):
        through(image_task(0, job(source, tmp_path / "gone"), "shared"))
    assert blocks() == []


LITTLE = """
import sys
import numpy as np
from imgproc.errors import UserError
from imgproc.backends.sharing import memory as shared

block = shared.create(1_500_000, 3)
block.put(0, np.ones(800_000, np.uint8))
for more in (lambda: block.put(1, np.ones(1_000_000, np.uint8)), lambda: block.reserve(2, 0, 1_000_000)):
    try:
        more()
    except UserError as problem:
        print(problem.message)
print(block.get(0, (800_000,)).sum())
block.remove()
"""


@linux
def test_too_little_shared_memory_is_said_and_kills_nobody():
    """With 1 MB of it, really."""
    little = 'mount -t tmpfs -o size=1m tmpfs /dev/shm && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", little, "sh"]
    if not shutil.which("unshare") or subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a file system of its own")
    ran = subprocess.run(
        [*command, sys.executable, "-c", LITTLE], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(PROJECT)}, timeout=60,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    *told, intact = ran.stdout.splitlines()
    assert len(told) == 2 and all("not enough shared memory" in words and "--split never" in words for words in told)
    assert intact == "800000"


def test_how_an_image_was_read_travels_with_its_files(source, tmp_path):
    job = ImageJob(str(source), (("canny", str(tmp_path / "canny.png")),), parse_parameters({}))
    carrier = TRANSFERS["bytes"].carrier()
    carrier.send(image_task(0, job, "bytes"), Stopwatch())
    done = carrier.receive(EncodedResults(WIDTH, HEIGHT, (b"edges",), ("12 bits",)), Stopwatch())
    assert done.notes == ("12 bits",) and (tmp_path / "canny.png").read_bytes() == b"edges"


def test_who_attaches_does_not_own(monkeypatch):
    told = set()  # as the tracker keeps them: being told twice is being told
    monkeypatch.setattr(resource_tracker, "register", lambda name, kind: told.add(name))
    monkeypatch.setattr(resource_tracker, "unregister", lambda name, kind: told.remove(name))
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    block = shared.create(image.nbytes, 2)
    block.put(0, image)
    other = shared.attach(block.name, image.nbytes)
    assert len(told) == 1
    assert np.array_equal(other.get(0, (3, 4)), image)
    other.put(1, image.T.copy())
    assert np.array_equal(block.get(1, (4, 3)), image.T)
    with pytest.raises(ValueError, match="do not fit"):
        other.put(1, np.zeros((99, 99), np.uint8))
    other.close()
    block.remove()
    assert not told


@linux
def test_who_removes_what_a_killed_caller_left_is_told_before_there_is_anything(monkeypatch):
    there = []

    def register(name, kind):
        there.append(Path(f"{shared.FOLDER}{name}").exists())

    monkeypatch.setattr(resource_tracker, "register", register)
    monkeypatch.setattr(resource_tracker, "unregister", lambda name, kind: None)
    shared.create(1, 1).remove()
    assert not there[0]


@linux
def test_memory_of_a_removed_block_is_free_though_others_have_it_still():
    block = shared.create(1 << 20, 1)
    block.put(0, np.ones(1 << 20, np.uint8))
    other = shared.attach(block.name, 1 << 20)
    with (shared.FOLDER / block.name).open() as file:
        assert os.fstat(file.fileno()).st_blocks * 512 == 1 << 20
        block.remove()
        assert os.fstat(file.fileno()).st_blocks == 0
    other.close()


@linux
def test_a_worker_maps_buffers_once_and_lets_go_of_them_for_the_next():
    def mapped():
        maps = Path("/proc/self/maps").read_text().splitlines()
        return [line.split("-")[0] for line in maps if "imgproc-" in line and name in line]

    def work(handle, fail=False):
        with buffers.open_buffers(handle) as found:
            found.get(0, (8,))[:] = 1
            if fail:
                raise KeyError

    for end in ("other buffers", "an error"):
        with buffers.image_buffers(8, 1, across_processes=True) as (_, handle):
            name = handle.block
            own = mapped()
            work(handle)
            first = mapped()
            work(handle)
            assert mapped() == first and len(first) == len(own) + 1 == 2
            if end == "an error":
                with pytest.raises(KeyError):
                    work(handle, fail=True)
            else:
                with buffers.image_buffers(8, 1, across_processes=True) as (_, other):
                    work(other)
            assert mapped() == own
    assert blocks() == []
