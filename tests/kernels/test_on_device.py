"""Images through a GPU that is the CPU: the pixels, how the GPU's memory is shared, and what happens when it fails."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import shim_device
import shim_gpu
from kernel_cases import picture
from shim_device import SMALL, build
from strip_pictures import ON_DEVICE

from imgproc.backends.gpu import on_device
from imgproc.backends.gpu.on_device import Accelerator, DeviceLost, needed
from imgproc.errors import UserError
from imgproc.operations import OPERATIONS, parse_parameters
from imgproc.pixels.codecs import decode, encode
from imgproc.pixels.job import ImageJob
from imgproc.pixels.stopwatch import Stopwatch

pytestmark = pytest.mark.skipif(shim_device.COMPILER is None, reason="there is no g++ here")

DEFAULTS = parse_parameters({})
NAMES = ON_DEVICE
GB = 1 << 30


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    return build(tmp_path_factory.mktemp("kernels"), SMALL)


@pytest.fixture
def library(kernels, monkeypatch):
    """A GPU with this much memory, and a way to make it fail."""
    monkeypatch.setattr(shim_gpu, "_library", kernels)
    monkeypatch.setattr(shim_gpu, "gpu", shim_gpu.Gpu(GB))
    return shim_gpu


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)


def run(gpu, image, parameters=DEFAULTS):
    return [result.copy() for result in gpu.run(image, NAMES, parameters, Stopwatch())]


def assert_right(found, image, parameters=DEFAULTS):
    cv2.setNumThreads(1)
    for name, result in zip(NAMES, found, strict=True):
        assert np.array_equal(result, OPERATIONS[name].apply(image, parameters)), name


def test_images_of_all_sizes_by_many_threads_have_opencvs_pixels(library):
    gpu = Accelerator(library)
    pictures = [picture(np.random.default_rng([5, n]), 60) for n in range(80)]
    with ThreadPoolExecutor(6) as threads:
        found = list(threads.map(lambda p: run(gpu, p.image, p.parameters), pictures))
    for one, results in zip(pictures, found, strict=True):
        assert_right(results, one.image, one.parameters)
    assert gpu.most == on_device.LANES and gpu.take_note() == ""


def test_chains_have_the_pixels_of_their_parts_beside_these_alone(library):
    """Colour becomes gray on the way, thresholds are of the picture between, and some blurs do nothing."""
    gpu = Accelerator(library, lanes=2)
    chains = "gaussian+canny", "canny+gaussian", "canny+gaussian+equalize", "gaussian+canny+gaussian", "canny+canny"
    names = [*ON_DEVICE, *chains, "equalize+gaussian+canny+gaussian+equalize"]
    for seed in range(6):
        for sizes in ((40, 50), (31, 33, 3), (31, 33), (60, 64, 3)):
            image = np.random.default_rng([seed, *sizes]).integers(0, 256, sizes, np.uint8)
            image = cv2.GaussianBlur(image, (5, 5), 0) if seed % 2 else image
            p = parse_parameters({"thresholds": "auto" if seed % 3 else "raw", "kernel": str((5, 1, 9)[seed % 3])})
            found = [result.copy() for result in gpu.run(image, names, p, Stopwatch())]
            for name, result in zip(names, found, strict=True):
                assert np.array_equal(result, OPERATIONS[name].apply(image, p)), (name, sizes, seed)
    assert gpu.time_alone(image, names, p, 1).keys() == set(names)


@pytest.mark.parametrize("name", ["gaussian+canny", "canny+canny+gaussian", "equalize+gaussian"])
def test_no_more_memory_is_taken_for_a_chain_than_was_said(library, name):
    gpu = Accelerator(library, lanes=1)
    for shape in ((100, 120), (90, 77, 3)):
        library.gpu.most = library.gpu.taken
        gpu.run(np.zeros(shape, np.uint8), [name], DEFAULTS, Stopwatch())
        used = library.gpu.most
        weights = 20_000  # what is kept whatever the size
        assert needed([name], shape) / 2 < used < needed([name], shape) + weights


def test_stages_of_an_image_follow_each_other(library):
    gpu, stopwatch = Accelerator(library), Stopwatch()
    gpu.run(noise(40, 50), NAMES, DEFAULTS, stopwatch)
    assert [span.stage for span in stopwatch.spans] == ["transfer", "h2d", "kernel", "d2h"]
    for one, following in zip(stopwatch.spans, stopwatch.spans[1:], strict=False):
        assert one.start <= one.end <= following.start + 1e-9
    kernel = stopwatch.spans[2]
    assert kernel.end - kernel.start > 0.0


def test_memory_is_kept_from_image_to_image_and_grows_with_them(library):
    gpu = Accelerator(library, lanes=1)
    taken = []
    for side in (50, 30, 50, 80):
        run(gpu, noise(side, side))
        taken.append(library.gpu.taken)
    assert taken[0] == taken[1] == taken[2] < taken[3]


def test_there_are_so_many_lanes_and_each_has_one_image_at_a_time(library, monkeypatch):
    made, owners, shared = [], {}, []
    lane, upload, wait = library.lane, shim_gpu.ShimLane.upload, shim_gpu.ShimLane.wait

    def make():
        made.append(lane())
        return made[-1]

    def begin(self, host, array):
        if owners.setdefault(self, threading.get_ident()) != threading.get_ident():
            shared.append(self)
        time.sleep(0.002)
        upload(self, host, array)

    def end(self):
        wait(self)
        owners.pop(self, None)

    monkeypatch.setattr(library, "lane", make)
    gpu = Accelerator(library, lanes=2)
    monkeypatch.setattr(shim_gpu.ShimLane, "upload", begin)
    monkeypatch.setattr(shim_gpu.ShimLane, "wait", end)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: run(gpu, noise(30, 40, n)), range(24)))
    assert len(made) == 2 and not shared


def test_the_batch_is_halved_when_memory_is_short_and_every_image_is_done(library):
    image = noise(100, 120)
    size = needed(NAMES, image.shape)
    library.gpu.size = int(2.5 * size)
    gpu = Accelerator(library, lanes=4)
    with ThreadPoolExecutor(4) as threads:
        for found in threads.map(lambda n: run(gpu, noise(100, 120, n)), range(12)):
            assert len(found) == len(NAMES)
    assert gpu.most in (1, 2)
    assert f"it took {gpu.most} images at a time" in gpu.take_note() and gpu.take_note() == ""
    assert library.gpu.most <= library.gpu.size and library.gpu.given_back >= 1
    assert_right(run(gpu, image), image)


def test_memory_that_runs_out_in_the_middle_is_survived(library, monkeypatch):
    """As when another program takes what was free a moment ago."""
    monkeypatch.setattr(library, "free_bytes", lambda: GB)
    image = noise(100, 120)
    library.gpu.size = int(1.6 * needed(NAMES, image.shape))
    gpu = Accelerator(library, lanes=4)
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda n: run(gpu, noise(100, 120, n)), range(8)))
    for n, found in enumerate(results):
        assert_right(found, noise(100, 120, n))
    assert gpu.most == 1


def test_an_image_that_never_fits_is_refused_in_words_and_the_next_is_done(library):
    large, small = noise(200, 300), noise(20, 30)
    library.gpu.size = needed(NAMES, large.shape) // 2
    gpu = Accelerator(library)
    with pytest.raises(UserError, match=r"of the GPU’s memory, of which .* are free") as told:
        run(gpu, large)
    assert told.value.code == "too_large"
    assert_right(run(gpu, small), small)


def test_a_gpu_that_fails_is_given_up_for_good(library, monkeypatch, tmp_path):
    gpu = Accelerator(library)
    run(gpu, noise(20, 30))
    monkeypatch.setenv("SHIM_FAILS", str(tmp_path / "now"))
    (tmp_path / "now").touch()
    with pytest.raises(DeviceLost, match="the shim is broken"):
        run(gpu, noise(20, 30))
    (tmp_path / "now").unlink()
    assert gpu.lost == "the shim is broken"
    with pytest.raises(DeviceLost):
        run(gpu, noise(20, 30))


def test_our_own_mistakes_are_not_the_gpus(library):
    gpu = Accelerator(library)
    with pytest.raises(KeyError):
        gpu.run(noise(20, 30), NAMES, {}, Stopwatch())
    assert gpu.lost == ""
    assert_right(run(gpu, noise(20, 30)), noise(20, 30))


def test_operations_are_timed_alone(library):
    gpu = Accelerator(library)
    found = gpu.time_alone(noise(64, 64), NAMES, DEFAULTS, repeats=3)
    assert set(found) == set(NAMES) and all(0 < seconds < 5 for seconds in found.values())


def test_what_an_operation_takes_from_the_whole_picture_is_its_own_stage(library):
    gpu, stopwatch, image = Accelerator(library), Stopwatch(), noise(40, 50)
    auto = parse_parameters({"thresholds": "auto", "aperture": 5})
    found = [result.copy() for result in gpu.run(image, NAMES, auto, stopwatch)]
    assert_right(found, image, auto)
    assert [span.stage for span in stopwatch.spans] == ["transfer", "canny", "h2d", "kernel", "d2h"]


def test_what_it_takes_from_the_whole_picture_is_timed_with_it(library, monkeypatch):
    adaptation = OPERATIONS["canny"].adaptation

    def slow(image, p):
        time.sleep(0.2)
        return adaptation.parameters(image, p)

    monkeypatch.setitem(
        OPERATIONS, "canny", replace(OPERATIONS["canny"], adaptation=replace(adaptation, parameters=slow))
    )
    auto = parse_parameters({"thresholds": "auto"})
    assert Accelerator(library).time_alone(noise(20, 30), ["canny"], auto, repeats=2)["canny"] > 0.2


@pytest.mark.parametrize("color", [False, True])
def test_from_file_to_files(library, monkeypatch, color, tmp_path):
    monkeypatch.setattr(on_device, "_accelerator", Accelerator(library))
    image = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 256, (61, 83, 3), np.uint8), (5, 5), 0)
    source = tmp_path / "in.png"
    source.write_bytes(encode(image, "png"))
    outputs = tuple((name, str(tmp_path / f"{name}.png")) for name in NAMES)
    job = ImageJob(str(source), outputs, DEFAULTS, "png", color)
    done = on_device.process_image_on_device(job, stopwatch := Stopwatch())
    assert (done.width, done.height) == (83, 61)
    decoded = decode(source.read_bytes(), color=color)
    for name, path in outputs:
        found = decode(Path(path).read_bytes(), color=color and not OPERATIONS[name].bilevel)
        assert np.array_equal(found, OPERATIONS[name].apply(decoded, DEFAULTS)), name
    stages = ["read", "decode", "transfer", "h2d", "kernel", "d2h", *["encode", "write"] * 3]
    assert [span.stage for span in stopwatch.spans] == stages


def test_no_gpu_was_opened():
    with pytest.raises(RuntimeError, match="no GPU was opened"):
        on_device.accelerator()
