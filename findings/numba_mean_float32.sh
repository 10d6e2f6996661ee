#!/usr/bin/env bash
# The mean of a float32 picture by NumPy, in a function that Numba compiles, is not NumPy's: Numba adds the pixels one
# after the other into one float32. Such a sum stands still at 16,777,216, where adding 1 changes nothing any more. A
# white picture of 24 megapixels (1.0 each) then has a mean of 0.70, and with parallel=True the mean depends on the
# number of threads, each of which has a sum of its own. NumPy adds in pairs and gets 1.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  numba==0.68.1 numpy==2.4.6
environment/bin/python - <<'PYTHON'
import os

os.environ["NUMBA_NUM_THREADS"] = "2"  # so that two can be asked for on any machine
import numba
import numpy as np

print(f"Numba {numba.__version__}, numpy {np.__version__}")


@numba.njit
def mean(picture):
    return picture.mean()


@numba.njit(parallel=True)
def mean_in_parallel(picture):
    return picture.mean()


white = np.ones((4000, 6000), np.float32)
print("guess: the mean of a picture that is 1.0 all over is 1.0")
seen = {"NumPy": white.mean(), "Numba": mean(white)}
for threads in (1, 2):
    numba.set_num_threads(threads)
    seen[f"Numba, parallel, threads: {threads}"] = mean_in_parallel(white)
for name, value in seen.items():
    print(f"seen:  {name}: {value:.4f}")
assert [round(float(value), 3) for value in seen.values()] == [1.0, 0.699, 0.699, 1.0], "it is different now"
PYTHON
