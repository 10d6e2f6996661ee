#!/usr/bin/env bash
# An OME-Zarr has a stack of planes in several sizes. ome-zarr's write_image makes the smaller ones from each chunk of a
# Dask array for itself, and a chunk of one plane, as microscopes' files are read, cannot be halved: it stays one plane,
# and what is then too much is cut off at the end. So the level of half the planes has the first half of the stack, and
# not every second plane: a viewer that zooms out shows other planes at the same depth. With chunks of more planes, or
# as a NumPy array, the levels are right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  ome-zarr==0.18.0 zarr==3.1.6 "dask[array]==2026.8.0" scikit-image==0.26.0 numpy==2.4.6
environment/bin/python - <<'PYTHON'
import warnings
from importlib.metadata import version

import dask.array
import numpy as np
import zarr
from ome_zarr.writer import write_image

warnings.simplefilter("ignore")
print(f"ome-zarr {version('ome-zarr')}, dask {version('dask')}, scikit-image {version('scikit-image')}")
depth = 32
planes = np.broadcast_to(np.arange(depth, dtype=np.uint16)[:, None, None] * 100, (depth, 64, 64)).copy()
print("guess: the levels of a stack go from its first plane to its last, whatever the chunks")
given = {"NumPy": planes}
given |= {f"chunks of {count} planes": dask.array.from_array(planes, (count, 64, 64)) for count in (8, 2, 1)}
last = {}
for number, (name, stack) in enumerate(given.items()):
    factors = [{"z": factor, "y": factor, "x": factor} for factor in (2, 4)]
    write_image(stack, f"{number}.zarr", axes="zyx", scale_factors=factors)
    stored = zarr.open_group(f"{number}.zarr", mode="r")
    levels = [stored[key][:] for key in sorted(stored.array_keys())]
    assert [len(level) for level in levels] == [32, 16, 8] and (levels[0] == planes).all()
    last[name] = [round(float(level[-1].mean()) / 100) for level in levels]
    print(f"seen:  {name}: the last plane of the levels is number {', '.join(map(str, last[name]))}")
    if name == "chunks of 1 planes":
        assert [(level == planes[: len(level), :1, :1]).all() for level in levels] == [True] * 3, "it is different now"
assert last.pop("chunks of 1 planes") == [31, 15, 7], "it is different now"
assert all(numbers[1] >= 30 and numbers[2] >= 29 for numbers in last.values()), "it is different now"
PYTHON
