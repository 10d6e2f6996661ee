"""Numba's kernels without a GPU: simulated, compiled for the CPU, and compiled for GPUs that are not there."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parent

pytestmark = pytest.mark.skipif(find_spec("numba") is None, reason="numba is not installed")


def program(name: str, *arguments: object, **environment: str) -> str:
    command = [sys.executable, str(HERE / name), *map(str, arguments)]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("seed", "pictures", "largest"), [(50, 10, 12), (51, 3, 36), pytest.param(52, 60, 12, marks=pytest.mark.slow)]
)
def test_every_pixel_of_some_cases_in_the_simulator(seed, pictures, largest):
    found = program("numba_cases.py", "simulated", seed, pictures, largest, NUMBA_ENABLE_CUDASIM="1")
    assert int(found) == 3 * pictures + 4


def test_every_pixel_of_7516_cases_compiled_for_the_cpu():
    # To compile takes longer than to run, so it is not asked for much.
    quick = {"NUMBA_OPT": "1", "NUMBA_LOOP_VECTORIZE": "0", "NUMBA_SLP_VECTORIZE": "0"}
    assert int(program("numba_cases.py", "compiled", 60, 2500, 48, **quick)) == 7516


def nvvm() -> Path | None:
    """Where the package nvidia-cuda-nvcc-cu12 has the part of CUDA's compiler that Numba uses."""
    roots = find_spec("nvidia").submodule_search_locations if find_spec("nvidia") else []
    found = [Path(root) / "cuda_nvcc" for root in roots or []]
    return next((folder for folder in found if (folder / "nvvm").is_dir()), None)


@pytest.mark.slow
@pytest.mark.skipif(nvvm() is None, reason="nvidia-cuda-nvcc-cu12 is not installed")
@pytest.mark.parametrize("capability", [75, 90])
def test_every_kernel_is_compiled_for_a_gpu(capability):
    """The types are right, every function became part of its kernel, and nothing is kept in slow local memory."""
    found = program("numba_ptx.py", capability, CUDA_HOME=str(nvvm()), NUMBA_ENABLE_CUDASIM="0").splitlines()
    assert len(found) == 8
    assert all(line.endswith("calls 0 local 0") for line in found), found
