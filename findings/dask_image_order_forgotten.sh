#!/usr/bin/env bash
# dask-image's affine_transform and rotate take an order: 0 for the nearest pixel, 1 for linear interpolation. Dask takes
# two arrays of one name for the same, and dask-image makes the name of a result from all arguments but the order. Each
# is right when it is computed alone. Computed together, subtracted or stacked, they are both one of the two: who compares
# interpolations finds no difference.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  dask-image==2026.5.0 "dask[array]==2026.8.0" scipy==1.17.1 numpy==2.4.6
environment/bin/python - <<'PYTHON'
from importlib.metadata import version

import dask
import dask.array
import numpy as np
from dask_image import ndinterp

print(f"dask-image {version('dask-image')}, dask {version('dask')}")
picture = dask.array.from_array(np.random.default_rng(0).random((100, 100)), (50, 50))
ways = {
    "affine_transform": lambda order: ndinterp.affine_transform(picture, np.array([[1, 0.1], [-0.1, 1]]), order=order),
    "rotate": lambda order: ndinterp.rotate(picture, 10, reshape=False, order=order),
}
print("guess: the nearest pixel and linear interpolation differ, however they are computed")
seen = []
for name, way in ways.items():
    near, linear = way(0), way(1)
    together = dask.compute(near, linear)
    differences = {
        "computed one after the other": near.compute() - linear.compute(),
        "computed together": together[0] - together[1],
        "subtracted and computed": (near - linear).compute(),
    }
    for how, difference in differences.items():
        seen.append(float(np.abs(difference).max()))
        print(f"seen:  {name}, {how}: they differ by up to {seen[-1]:.2f}")
assert [value > 0.3 for value in seen] == [True, False, False] * 2 and seen.count(0) == 4, "it is different now"
PYTHON
