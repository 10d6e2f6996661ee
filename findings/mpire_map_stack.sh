#!/usr/bin/env bash
# mpire's WorkerPool.map over a stack of pictures (one NumPy array) does not call the function for each picture but for
# each piece that a worker gets: the mean of 100 pictures comes back as 8 numbers. Over a list of pictures it calls the
# function for each, and glues the results one below the other: 100 pictures of 8 rows come back as one of 800.
# Pool.map of Python's multiprocessing gives 100 numbers and 100 pictures for both.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  mpire==2.10.2 numpy==2.4.6
cat > stacks.py <<'PYTHON'
from importlib.metadata import version

import numpy as np
from mpire import WorkerPool


def mean(picture):
    return float(np.mean(picture))


def turned(picture):
    return picture[::-1]


if __name__ == "__main__":
    print(f"mpire {version('mpire')}, numpy {np.__version__}")
    print("guess: map calls the function once for each picture and gives back a list of as many results")
    stack = np.random.default_rng(0).integers(0, 256, (100, 8, 6), np.uint8)
    with WorkerPool(2) as pool:
        means = {name: len(pool.map(mean, pictures)) for name, pictures in (("stack", stack), ("list", list(stack)))}
        made = pool.map(turned, list(stack))
        apart = pool.map(turned, list(stack), concatenate_numpy_output=False)
    for name, count in means.items():
        print(f"seen:  means of a {name} of 100 pictures: {count} numbers")
    print(f"seen:  a list of 100 pictures turned: {type(made).__name__} {getattr(made, 'shape', len(made))}")
    assert means == {"stack": 8, "list": 100}, "it is different now"
    assert isinstance(made, np.ndarray) and made.shape == (800, 6) and len(apart) == 100, "it is different now"
PYTHON
environment/bin/python stacks.py
