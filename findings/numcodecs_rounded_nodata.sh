#!/usr/bin/env bash
# Rasters mark pixels that are not there by the lowest float32, -3.4028235e+38. numcodecs' BitRound and Quantize round
# numbers for better compression, and round that one to minus infinity, whatever the number of bits or digits that are
# kept. What comes back from Zarr is not equal to the mark any more: a mask by it is empty, and the mean of the picture
# is minus infinity.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  numcodecs==0.16.6 zarr==3.1.6 numpy==2.4.6
environment/bin/python - <<'PYTHON'
from importlib.metadata import version

import numcodecs
import numpy as np
import zarr

print(f"numcodecs {version('numcodecs')}, zarr {zarr.__version__}, numpy {np.__version__}")
missing = np.finfo(np.float32).min
picture = np.random.default_rng(0).random((200, 300), np.float32) * 100
picture[:50] = missing
print(f"guess: rounded pixels are near what they were, and those that are {missing} stay it")
codecs = [numcodecs.BitRound(keepbits=bits) for bits in (3, 7, 12, 22)]
codecs += [numcodecs.Quantize(digits=digits, dtype="f4") for digits in (1, 2, 3)]
for codec in codecs:
    stored = zarr.create_array(
        "picture.zarr", shape=picture.shape, chunks=(100, 100), dtype="f4", fill_value=missing, filters=[codec],
        zarr_format=2, overwrite=True,
    )  # fmt: skip
    stored[:] = picture
    found = stored[:]
    assert np.allclose(found[50:], picture[50:], rtol=0.07, atol=0.07)
    left = int((found == missing).sum())
    mean = found[found != missing].mean(dtype=np.float64)
    print(f"seen:  {codec}: {left:,} of 15,000 are left, the mean of the others is {mean:.1f}")
    assert left == 0 and np.isneginf(found[:50]).all(), "it is different now"
PYTHON
