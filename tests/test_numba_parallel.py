"""The operations by Numba's ``prange``: OpenCV's pixels to the last bit, on as many threads as the record says."""

from contextlib import closing

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import imgproc
from imgproc.backends import TECHNIQUES
from imgproc.backends.base import BackendError
from imgproc.backends.pools import numba_parallel
from imgproc.backends.task import Task
from imgproc.measure.alarms import _oversubscribed
from imgproc.measure.results import TechniqueMeasurement
from imgproc.operations import OPERATIONS, not_by_numba, parse_parameters
from tests import backend_faults as faults

numba = pytest.importorskip("numba", reason="numba is not installed")

NAME = "numba-parallel"
QUICK = {"workers": 2, "rounds": 2, "budget": 1, "progress": False}
ALONE = QUICK | {"workers": 1}
WRITTEN = [name for name, operation in OPERATIONS.items() if operation.prange]
#: As many of each as a wrong border, rounding or direction would show in.
PARAMETERS = st.fixed_dictionaries(
    {
        "kernel": st.sampled_from([1, 3, 5, 7, 9, 11, 31, 75]),
        "sigma": st.sampled_from([0.0, 0.4, 1.0, 2.5, 9.0, 50.0]),
        "aperture": st.sampled_from([3, 5, 7]),
        "l2gradient": st.booleans(),
        "canny_low": st.integers(0, 300),
        "canny_high": st.integers(300, 900),
        "thresholds": st.sampled_from(["raw", "scaled", "auto"]),
    }
)


@pytest.fixture(autouse=True)
def one_opencv_thread():
    cv2.setNumThreads(1)


def picture(seed, height, width, color, smooth):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3)[: 2 + color], np.uint8)
    return cv2.GaussianBlur(image, (0, 0), 2) if smooth else image


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([*WRITTEN, "gaussian+canny", "canny+gaussian"]), PARAMETERS, st.integers(0, 2**32 - 1),
    st.integers(1, 60), st.integers(1, 60), st.booleans(), st.booleans(), st.integers(1, 2),
)  # fmt: skip
def test_pixels_are_those_of_opencv(name, parameters, seed, height, width, color, smooth, threads):
    image, p = picture(seed, height, width, color, smooth), parse_parameters(parameters)
    before = image.copy()
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    made = OPERATIONS[name].apply_by_prange(image, p)
    assert made.dtype == np.uint8 and np.array_equal(made, OPERATIONS[name].apply(image, p))
    assert np.array_equal(image, before)


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("name", WRITTEN)
def test_pixels_of_a_large_picture_and_of_views_are_those_of_opencv(name, color):
    image = picture(3, 700, 900, color, True)
    image = cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX)
    for view in (image, image[::-1], image[5:300, 7:401]):
        p = parse_parameters({"canny_low": 20, "canny_high": 60})
        wanted = OPERATIONS[name].apply(np.ascontiguousarray(view), p)
        assert np.array_equal(OPERATIONS[name].apply_by_prange(view, p), wanted)


@pytest.mark.parametrize("value", [0, 7, 255])
def test_one_gray_stays(value):
    image = np.full((4, 5), value, np.uint8)
    assert np.array_equal(OPERATIONS["equalize"].apply_by_prange(image, parse_parameters({})), image)


def test_what_has_no_program_for_numba_is_refused_and_named(tmp_path):
    assert not_by_numba(WRITTEN) == ""
    assert not_by_numba(["median", "canny"]) == "Median filter has no program for Numba."
    with pytest.raises(ValueError, match="median is not written in Numba"):
        OPERATIONS["gaussian+median"].apply_by_prange(np.zeros((3, 3), np.uint8), parse_parameters({}))
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((9, 9), np.uint8))
    with pytest.raises(imgproc.UserError, match="Median filter has no program"):
        imgproc.process("median", str(tmp_path / "a.png"), tmp_path / "out", technique=NAME)
    found = imgproc.compare("median", str(tmp_path / "a.png"), techniques=["threading", NAME], **QUICK)
    [missing] = [t for t in found.record.techniques if t.name == NAME]
    assert not missing.available and missing.reason == "Median filter has no program for Numba."


def test_it_uses_as_many_of_numbas_threads_as_it_says_and_not_more_than_there_are():
    for asked in (1, 2, 500):
        expected = min(asked, numba.config.NUMBA_NUM_THREADS)
        with closing(TECHNIQUES[NAME].load()(asked)) as backend:
            backend.start()
            [result] = backend.run([Task(0, faults.report_threads, None)], deadline=60)
            assert (backend.workers, backend.cv2_threads, backend.numba_threads) == (1, 1, expected)
            assert result.worker.numba_threads == numba.get_num_threads() == expected
            assert set(result.value.values()) == {1}  # OpenCV's, BLAS's, and OpenMP's but for Numba


def test_the_record_counts_numbas_threads(tmp_path):
    for n in range(2):
        cv2.imwrite(str(tmp_path / f"{n}.png"), picture(n, 300, 400, False, True))
    found = imgproc.compare("gaussian", str(tmp_path / "*.png"), techniques=[NAME], **QUICK)
    [measured] = [t for t in found.record.techniques if t.name == NAME]
    threads = min(2, numba.config.NUMBA_NUM_THREADS)
    assert measured.identical and measured.rounds
    assert (measured.workers, measured.cv2_threads, measured.numba_threads, measured.threads) == (
        1,
        1,
        threads,
        threads,
    )
    found.save(tmp_path / "run.json")
    assert imgproc.load(tmp_path / "run.json") == found.record


def test_threads_that_are_not_those_asked_for_fail_the_run(tmp_path, monkeypatch):
    cv2.imwrite(str(tmp_path / "a.png"), picture(1, 90, 90, False, True))
    monkeypatch.setattr(numba, "set_num_threads", lambda _: None)
    numba.config.NUMBA_NUM_THREADS > 1 or pytest.skip("Numba has one thread here")
    numba.np.ufunc.parallel.set_num_threads(2)
    found = imgproc.compare(
        "gaussian", str(tmp_path / "a.png"), techniques=["threading", NAME], **QUICK | {"workers": 1}
    )
    assert "ran with 2 of Numba’s threads instead of 1" in found.reason(NAME)


def test_more_threads_than_cores_are_said_to_be_numbas():
    m = TechniqueMeasurement(NAME, "Numba’s own threads", 1, numba_threads=4)
    [alarm] = _oversubscribed(m, {"cores_usable": 2})
    assert alarm.message.startswith("4 Numba threads share 2 usable cores") and "Numba threads" in alarm.advice


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (RuntimeError("cannot cache function: no locator available"), "NUMBA_CACHE_DIR can name one"),
        (ValueError("secret"), "could not compile or load its operations (ValueError)"),
    ],
)
def test_what_cannot_be_compiled_is_said_without_a_librarys_words(monkeypatch, problem, words):
    def fails(name):
        raise problem

    monkeypatch.setattr(numba_parallel, "import_module", fails)
    with pytest.raises(BackendError) as told:
        TECHNIQUES[NAME].load()(2).start()
    assert words in str(told.value) and "secret" not in str(told.value)
