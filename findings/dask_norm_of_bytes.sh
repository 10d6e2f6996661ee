#!/usr/bin/env bash
# dask.array.linalg.norm has NumPy's name and manual, but squares the pixels in their own type, where NumPy goes to
# floating point first: 16 squared is 0 in bytes. The norm of a picture comes out far too small, and that of int16 as
# NaN. dask.array.average multiplies by the weights in the same way: with weights from 50 to 249, also bytes, a picture
# that is 200 all over has a mean of 1.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  "dask[array]==2026.8.0" numpy==2.4.6
environment/bin/python - <<'PYTHON'
import warnings

import dask
import dask.array
import numpy as np

warnings.simplefilter("ignore", RuntimeWarning)  # of square roots of negative sums
print(f"dask {dask.__version__}, numpy {np.__version__}")
random = np.random.default_rng(0)
pictures = {
    "uint8": random.integers(0, 256, (200, 300), np.uint8),
    "uint16": random.integers(0, 65536, (200, 300)).astype(np.uint16),
    "int16": random.integers(-32768, 32768, (200, 300)).astype(np.int16),
    "float32": random.random((200, 300), np.float32),
}
print("guess: the norm of a picture, and its mean with weights, are those of NumPy")
right = {}
for name, picture in pictures.items():
    for chunks in ((200, 300), (100, 100)):
        found = float(dask.array.linalg.norm(dask.array.from_array(picture, chunks)).compute())
        wanted = float(np.linalg.norm(picture))
        right[name, chunks] = np.isclose(found, wanted, rtol=1e-4)
        assert right[name, chunks] or np.isnan(found) or found < wanted / 10, "it is different now"
    print(f"seen:  norm of {name}: {found:,.0f} instead of {wanted:,.0f}")
assert all(value == (name == "float32") for (name, _), value in right.items()), "it is different now"
columns = dask.array.linalg.norm(dask.array.from_array(pictures["int16"]), axis=0).compute()
print(f"seen:  norm of each column of int16: {np.isnan(columns).mean():.0%} of them are NaN")
assert np.isnan(columns).mean() > 0.2 and np.isfinite(np.linalg.norm(pictures["int16"], axis=0)).all()
gray, weights = np.full((200, 300), 200, np.uint8), np.tile(np.arange(250, dtype=np.uint8)[50:], (300, 1)).T
found = float(dask.array.average(dask.array.from_array(gray), weights=dask.array.from_array(weights)).compute())
print(f"seen:  mean of {gray[0, 0]} all over with weights from {weights.min()} to {weights.max()}: {found:.0f}")
assert np.average(gray, weights=weights) == 200, "it is different now"
assert round(found) == 1, "it is different now"
PYTHON
