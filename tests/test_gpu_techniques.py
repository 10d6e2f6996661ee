"""Which GPU techniques can run here and why not; runs with one; what becomes of them when the GPU fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from strip_pictures import ON_DEVICE

from imgproc.backends import TECHNIQUES, Technique
from imgproc.backends.base import BackendError
from imgproc.backends.gpu import nvidia
from imgproc.backends.gpu.pipeline import GpuPipeline
from imgproc.measure.results import TechniqueMeasurement
from imgproc.operations import DEFAULT_OPERATIONS, parse_parameters
from imgproc.report import costs
from imgproc.report.text import comparison
from imgproc.runs.execute import process
from imgproc.runs.passes import RunFolders
from imgproc.runs.record import ImageRecord, Record, RunSettings
from imgproc.runs.verify import verify
from imgproc.settings import Settings
from tests.backend_kinds import SHIM, GpuShim
from tests.conftest import jpeg

compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++ here")
ROOT = Path(__file__).resolve().parent.parent
INSTALL = 'pip install "numba-cuda[cu12]" cupy-cuda12x'


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """Puts in the place of NVIDIA's driver a library that says this."""

    def make(version=12080, devices=1, init=0, functions=("cuDriverGetVersion", "cuInit", "cuDeviceGetCount")):
        bodies = {
            "cuDriverGetVersion": f"int cuDriverGetVersion(int *v) {{ *v = {version}; return 0; }}",
            "cuInit": f"int cuInit(unsigned flags) {{ return {init}; }}",
            "cuDeviceGetCount": f"int cuDeviceGetCount(int *n) {{ *n = {devices}; return 0; }}",
        }
        source, library = tmp_path / "driver.cpp", tmp_path / "driver.so"
        source.write_text("\n".join(f'extern "C" {bodies[name]}' for name in functions))
        subprocess.run(["g++", "-shared", "-fPIC", str(source), "-o", str(library)], check=True)
        found = nvidia.driver(str(library))
        monkeypatch.setattr(nvidia, "driver", lambda: found)
        return found

    return make


def test_without_a_driver_there_is_no_cuda_device(monkeypatch):
    none = nvidia.driver("no-such-library.so")
    assert none is None
    monkeypatch.setattr(nvidia, "driver", lambda: none)
    for name in ("numba", "cupy", "pycuda"):
        found = TECHNIQUES[name].availability()
        assert (found.ok, found.command) == (False, "")
        assert found.reason == "There is no CUDA device here: NVIDIA’s driver is not installed."


@compiler
@pytest.mark.parametrize(("devices", "init"), [(0, 0), (3, 100)])
def test_a_driver_without_a_device(driver, devices, init):
    assert driver(devices=devices, init=init) == nvidia.Driver((12, 8), 0)
    assert TECHNIQUES["cupy"].availability().reason == "There is no CUDA device here: NVIDIA’s driver finds none."


@compiler
@pytest.mark.parametrize(("version", "said"), [(11040, "11.4"), (11080, "11.8"), (10020, "10.2")])
def test_a_driver_that_is_too_old(driver, version, said):
    driver(version=version)
    found = TECHNIQUES["numba"].availability()
    assert found.reason == f"NVIDIA’s driver is too old for CUDA 12: it knows CUDA up to {said}."
    assert found.command == "install NVIDIA’s driver 525 or newer"


@compiler
@pytest.mark.parametrize(("name", "command"), [("cupy", INSTALL), ("numba", INSTALL), ("pycuda", "pip install pycuda")])
def test_a_package_that_is_not_installed(driver, monkeypatch, name, command):
    driver()
    monkeypatch.setattr(nvidia, "find_spec", lambda package: None)
    found = TECHNIQUES[name].availability()
    assert (found.ok, found.command) == (False, command)
    assert found.reason == f"The Python package {name} is not installed."


@compiler
@pytest.mark.parametrize("version", [12000, 12080, 13000])
def test_a_device_and_the_packages(driver, monkeypatch, version):
    driver(version=version)
    monkeypatch.setattr(nvidia, "find_spec", lambda package: object())
    assert all(TECHNIQUES[name].availability().ok for name in ("numba", "cupy", "pycuda"))


@compiler
def test_something_else_of_that_name_is_no_driver(driver):
    assert driver(functions=("cuInit",)) is None


def test_to_ask_imports_no_library_of_a_technique_and_makes_no_context():
    code = (
        "import sys; from imgproc.backends import TECHNIQUES;"
        "[(one.availability(), one.load().capabilities) for one in TECHNIQUES.values()];"
        "print(sorted({'numba', 'cupy', 'pycuda', 'llvmlite', 'joblib', 'distributed', 'dask', 'mpi4py'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


# The child


class Missing(GpuPipeline):
    name, adapter, packages = "missing", "no_such_gpu_library.device", ()


def test_a_package_that_cannot_be_loaded_is_said():
    backend = Missing(2)
    with pytest.raises(BackendError, match="the Python package no_such_gpu_library cannot be loaded"):
        backend.start()
    backend.close()


@compiler
def test_a_gpu_that_fails_at_the_start_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("SHIM_FAILS", str(tmp_path))
    backend = GpuShim(2)
    with pytest.raises(BackendError, match="The GPU could not be started: the shim is broken"):
        backend.start()
    backend.close()


@compiler
def test_too_slow_a_start_is_said_and_leaves_no_process(monkeypatch):
    monkeypatch.setattr("imgproc.backends.gpu.pipeline.START_SECONDS", 0.01)
    backend = GpuShim(2)
    with pytest.raises(BackendError, match=r"it was not ready within 0\.01 seconds"):
        backend.start()
    assert backend._child is None


@compiler
def test_the_callers_process_loads_no_gpu_library(tmp_path):
    code = (
        "import sys; from tests.backend_kinds import GpuShim; from tests import backend_faults as faults;"
        "from imgproc.backends.task import Task\n"
        "if __name__ == '__main__':\n"
        "    backend = GpuShim(2)\n"
        "    found = [result.value for result in backend.run([Task(0, faults.double, 4)], deadline=60)]\n"
        "    print(found, 'shim_gpu' in sys.modules)\n"
        "    backend.close()\n"
    )
    file = tmp_path / "program.py"
    file.write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "[8] False\n"


# Runs


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs with the technique of the shim, as if it stood in the table."""
    row = Technique(SHIM, "GPU that is none", "tests.backend_kinds:GpuShim", "", "", "", "", "thread")
    monkeypatch.setitem(TECHNIQUES, SHIM, row)

    def do(mode="parallel", count=3, color=False, budget=30.0, **asked):
        sources = {}
        for n in range(count):
            sources[n] = tmp_path / f"{n}.jpg"
            sources[n].write_bytes(jpeg(90 + 7 * n, 60, n))
        record = Record(
            "0" * 12,
            mode,
            RunSettings(
                ON_DEVICE, parse_parameters({}), technique=SHIM, workers=2, budget=budget, color=color, **asked
            ),
        )
        record.images = [ImageRecord(n, p.name, 90 + 7 * n, 60, "JPEG", p.stat().st_size) for n, p in sources.items()]
        places = RunFolders(sources, tmp_path / "out", None, tmp_path / "work")
        process(record, places, Settings())
        return record

    return do


@compiler
@pytest.mark.parametrize("color", [False, True])
def test_a_run_with_a_gpu_has_the_baselines_pixels_and_both_scopes(run, color):
    record = run(color=color)
    gpu, base = record.techniques
    assert gpu.identical and len(gpu.rounds) >= 6 and gpu.speedup is not None
    assert {"h2d", "kernel", "d2h"} <= set(gpu.stages) and not {"canny", "gaussian", "equalize"} & set(gpu.stages)
    assert gpu.startup_seconds > 0
    assert set(gpu.operations_seconds) == set(base.operations_seconds) == set(ON_DEVICE)
    assert gpu.operations_images == base.operations_images == [0, 1, 2]
    ratio = sum(base.operations_seconds.values()) / sum(gpu.operations_seconds.values())
    assert gpu.operations_speedup == pytest.approx(ratio)
    assert verify(record) == []
    again = Record.from_dict(record.to_dict())
    assert again.techniques[0].operations_seconds == gpu.operations_seconds
    gpu.operations_speedup *= 2
    assert any("operations_speedup" in sentence for sentence in verify(record))


@compiler
def test_a_gpu_that_is_lost_costs_its_figures_only(run, monkeypatch, tmp_path):
    monkeypatch.setenv("SHIM_FAILS", str(tmp_path / "lost"))
    rounds = []
    real = GpuShim.run

    def fail_later(self, tasks, *, deadline):
        rounds.append(len(tasks))
        if len(rounds) == 4:
            (tmp_path / "lost").touch()
        yield from real(self, tasks, deadline=deadline)

    monkeypatch.setattr(GpuShim, "run", fail_later)
    record = run(mode="compare", techniques=["threading", SHIM])
    gpu = next(t for t in record.techniques if t.name == SHIM)
    assert "The GPU failed in the middle of the work (the shim is broken)" in gpu.reason
    assert gpu.speedup is None
    threads = next(t for t in record.techniques if t.name == "threading")
    assert threads.identical and threads.speedup is not None


@compiler
def test_short_memory_is_said_in_the_record(run, monkeypatch):
    monkeypatch.setenv("SHIM_MEMORY", str(60_000))
    said = []
    for _ in range(10):  # on a busy machine images may come one at a time, for which there is enough
        record = run(count=6, budget=0)
        assert [i.error for i in record.images] == [None] * 6
        said += record.techniques[0].warnings
        if said:
            break
    assert any("memory was short, so it took" in words for words in said)


def measured(name, speedup, seconds, alone, **stages):
    found = TechniqueMeasurement(name, TECHNIQUES[name].label if name in TECHNIQUES else name)
    found.speedup, found.median_seconds, found.stages = speedup, seconds, stages
    found.operations_seconds = dict.fromkeys(DEFAULT_OPERATIONS, alone / 3)
    found.operations_images = [0, 2]
    return found


def test_the_two_scopes_are_put_into_words():
    record = Record("0" * 12, "compare", RunSettings(list(DEFAULT_OPERATIONS), parse_parameters({})))
    base = measured("sequential", 1.0, 4.0, 0.9, canny=0.5, gaussian=0.2, equalize=0.1, encode=3.2)
    gpu = measured("cupy", 2.1, 1.9, 0.009)
    record.techniques = [gpu, base]
    assert costs.scopes(record) is None  # nothing was compared
    gpu.operations_speedup = 100.0
    found = costs.scopes(record)
    assert found.title == "A GPU does the operations 100\u00a0times as fast, the whole job 2.10\u00a0times"
    assert "they are only 20\u00a0% of the time" in found.sentence and found.images == 2
    assert [t.name for t in found.rows] == ["cupy", "sequential"]
    gpu.operations_speedup = 0.4
    assert "do not fill a GPU" in costs.scopes(record).sentence
    gpu.operations_speedup = 100.0
    assert "CUDA with CuPy: the operations alone, with the pixels on the GPU, are 100x as fast" in comparison(record)


def test_the_page_of_a_run_with_a_gpu_shows_both(client, make_run):
    base = measured("sequential", 1.0, 4.0, 0.9, canny=0.5, gaussian=0.2, equalize=0.1, encode=3.2)
    gpu = measured("cupy", 2.1, 1.9, 0.009)
    gpu.operations_speedup = 100.0
    record = make_run()
    for found, given in zip(record.techniques, (gpu, base), strict=False):
        found.operations_seconds, found.operations_images = given.operations_seconds, given.operations_images
        found.operations_speedup = given.operations_speedup
    record.save(client.application.config["SETTINGS"].RESULTS_DIR / record.id)
    page = client.get(f"/runs/{record.id}").text
    assert "A GPU does the operations 100" in page and "Operations alone, 2 images" in page
    assert "<td>9.00\u00a0ms</td><td>100.00×</td>" in page
