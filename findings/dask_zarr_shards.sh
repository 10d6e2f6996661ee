#!/usr/bin/env bash
# dask's to_zarr takes chunks= and shards= for the Zarr array that it makes, and still writes with one task for each chunk
# of its own array. Several tasks that write into one file of Zarr's read it, change their part and write it back at the
# same time, so each loses what the others wrote: about half of a picture comes back as zeros, without an error or a
# warning. An array of Zarr's that exists already is written in parts that fit.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  "dask[array]==2026.8.0" zarr==3.1.6 numpy==2.4.6
environment/bin/python - <<'PYTHON'
import warnings
from importlib.metadata import version

import dask
import dask.array
import numpy as np
import zarr

warnings.simplefilter("error")
dask.config.set(scheduler="threads", num_workers=4)
print(f"dask {version('dask')}, zarr {zarr.__version__}")
picture = np.random.default_rng(0).integers(1, 256, (1024, 1024), np.uint8)  # nowhere 0
tiles = dask.array.from_array(picture, (64, 64))


def lost(name, **options):
    dask.array.to_zarr(tiles, f"{name}.zarr", **options)
    found = zarr.open_array(f"{name}.zarr")[:]
    assert ((found == picture) | (found == 0)).all()
    return float((found != picture).mean())


print("guess: what to_zarr wrote without an error is the picture")
shares = {
    "its own chunks": lost("own"),
    "chunks of 256 x 256": lost("chunks", chunks=(256, 256)),
    "shards of 256 x 256": lost("shards", shards=(256, 256)),
}
for name, share in shares.items():
    print(f"seen:  {name}: {share:.0%} of the pixels are lost")
there = zarr.create_array("there.zarr", shape=picture.shape, chunks=(64, 64), shards=(256, 256), dtype=np.uint8)
dask.array.to_zarr(tiles, there)
print(f"seen:  into an array with such shards that is there already: {(there[:] != picture).mean():.0%} are lost")
own, chunks, shards = shares.values()
assert own == 0 and (there[:] == picture).all() and chunks > 0.05 and shards > 0.05, "it is different now"
PYTHON
