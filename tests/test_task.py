"""A task is run, stamped, and never raises."""

import errno
import hashlib
import pickle
import time
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from imgproc.backends.task import Task, run_task
from imgproc.errors import UserError
from imgproc.files import write_whole
from imgproc.operations import OPERATIONS, parse_parameters
from imgproc.pixels.codecs import decode, encode
from imgproc.pixels.inner_threads import one_opencv_thread, pin_threads
from imgproc.pixels.job import ImageJob, process_image
from imgproc.pixels.previews import PREVIEW_SIDE
from imgproc.pixels.proof import CheckJob, check_outputs, pixels_sha256
from imgproc.pixels.stopwatch import Stopwatch


def work(error, stopwatch):
    raise error


@pytest.fixture
def job(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    source = tmp_path / "a.png"
    source.write_bytes(encode(image, "png"))
    outputs = tuple((name, str(tmp_path / f"a_{name}.png")) for name in OPERATIONS)
    return ImageJob(str(source), outputs, parse_parameters({}))


def test_every_stage_is_stamped_in_order(job):
    result = run_task(Task(7, process_image, job))
    assert result.index == 7 and result.error is None
    each = [stage for name in OPERATIONS for stage in (name, "encode", "write")]
    assert [s.stage for s in result.spans] == ["read", "decode", *each]
    times = [t for s in result.spans for t in (s.start, s.end)]
    assert times == sorted(times)
    assert pickle.loads(pickle.dumps(result)) == result


@pytest.mark.parametrize("color", [False, True])
def test_the_files_hold_plain_opencvs_pixels(job, color):
    job = ImageJob(job.source, job.outputs, job.parameters, "png", color)
    processed = run_task(Task(0, process_image, job)).value
    assert (processed.width, processed.height) == (120, 90)
    flag = cv2.IMREAD_COLOR if color else cv2.IMREAD_GRAYSCALE
    image = cv2.imread(job.source, flag)
    for output in processed.outputs:
        expected = OPERATIONS[output.operation].apply(image, job.parameters)
        data = Path(output.path).read_bytes()
        assert len(data) == output.bytes
        assert np.array_equal(decode(data, color=expected.ndim == 3), expected)


def test_hashes_are_of_the_written_files(job, tmp_path):
    run_task(Task(0, process_image, job))
    files = tuple((name, path, str(tmp_path / f"p_{name}.jpg")) for name, path in job.outputs)
    hashes = check_outputs(CheckJob(files, color=False), Stopwatch())
    assert all(0 < found.shown < 1 for found in hashes.values())
    image = cv2.imread(job.source, cv2.IMREAD_GRAYSCALE)
    for name, operation in OPERATIONS.items():
        expected = operation.apply(image, job.parameters)
        assert (
            hashes[name].pixels_sha256 == hashlib.sha256(b"%dx%dx1:" % expected.shape + expected.tobytes()).hexdigest()
        )
        assert max(cv2.imread(str(tmp_path / f"p_{name}.jpg")).shape) <= PREVIEW_SIDE


def test_the_hash_tells_shapes_apart():
    image = np.zeros((4, 6), np.uint8)
    assert len({pixels_sha256(a) for a in (image, image.T, image.reshape(2, 4, 3))}) == 3
    assert pixels_sha256(np.asfortranarray(image)) == pixels_sha256(image)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (UserError("The file is damaged."), "The file is damaged."),
        (MemoryError(), "not enough memory"),
        (FileNotFoundError(2, "No such file or directory", "/secret/path"), "could not be read"),
        (ValueError("/secret/path"), "Unexpected ValueError"),
    ],
)
def test_a_failing_task_is_a_result_in_plain_words(error, said):
    result = run_task(Task(3, work, error))
    assert said in result.error
    assert "secret" not in result.error
    assert result.worker is not None


def test_a_stage_within_another_interrupts_it():
    stopwatch = Stopwatch()
    with stopwatch.stage("encode"):
        for _ in range(2):
            with stopwatch.stage("gaussian"):
                time.sleep(0.001)
    spans = stopwatch.spans
    assert [s.stage for s in spans] == ["encode", "gaussian", "encode", "gaussian", "encode"]
    assert all(one.end == other.start for one, other in pairwise(spans))
    assert all(s.end - s.start >= 0.001 for s in spans if s.stage == "gaussian")


def test_opencv_works_on_one_thread_until_the_block_ends():
    assert pin_threads(3) == 3
    try:
        with pytest.raises(KeyError), one_opencv_thread():
            assert cv2.getNumThreads() == 1
            raise KeyError
        assert cv2.getNumThreads() == 3
    finally:
        assert pin_threads() == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_in_words(number):
    result = run_task(Task(0, work, OSError(number, "of the system")))
    assert result.error == "The disk is full, so a file could not be written."


def test_a_file_is_whole_or_not_there(tmp_path, monkeypatch):
    target = tmp_path / "out.png"
    write_whole(target, b"old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError):
        write_whole(target, b"new")
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["out.png"]
