#!/usr/bin/env bash
# The mean of the pixels below a mask is picture.weighted(mask).mean() in xarray. The products are added up in the type
# of the pixels, and the weights in their own: of sums of bytes the last 8 bits are left. A picture that is 200 all over
# has a mean of 0.005 below a mask of True and False, and one of 8 with weights that are bytes too. picture.mean() is
# right, and so is weighted with pixels and weights of float32. integrate adds neighbours as bytes, too.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  xarray==2026.9.0 numpy==2.4.6
environment/bin/python - <<'PYTHON'
import numpy as np
import xarray

print(f"xarray {xarray.__version__}, numpy {np.__version__}")
rows, columns = 300, 200
gray = np.full((rows, columns), 200)
ramp = np.tile(np.arange(columns) + 50, (rows, 1))
ways = {  # the types of the pixels and of the weights, and the weights
    "bytes below a mask of True and False": ("uint8", "bool", ramp > 100),
    "bytes below a mask of 0 and 1": ("uint8", "uint8", ramp > 100),
    "bytes with bytes as weights": ("uint8", "uint8", ramp),
    "16 bits below a mask of True and False": ("uint16", "bool", ramp > 100),
    "16 bits with 16 bits as weights": ("uint16", "uint16", ramp),
    "float32 below a mask of True and False": ("float32", "bool", ramp > 100),
    "float32 with float32 as weights": ("float32", "float32", ramp),
}
print("guess: whatever the weights, the mean of a picture that is 200 all over is 200")
means = {}
for name, (pixels, kind, weights) in ways.items():
    picture = xarray.DataArray(gray.astype(pixels), dims=("y", "x"))
    means[name] = float(picture.weighted(xarray.DataArray(weights.astype(kind), dims=("y", "x"))).mean())
    print(f"seen:  {name}: {means[name]:.3f}")
    assert float(picture.mean()) == 200, "it is different now"
for name, mean in means.items():
    assert (mean == 200) == name.startswith("float32") and (mean == 200 or mean < 100), "it is different now"
sums = {}
for kind in ("uint8", "float32"):
    line = xarray.DataArray(gray.astype(kind), dims=("y", "x"), coords={"x": np.arange(float(columns))})
    sums[kind] = float(line.integrate("x")[0])
    print(f"seen:  {kind}: the integral of a row of {columns} pixels is {sums[kind]:,.0f}")
assert sums == {"uint8": 14_328, "float32": 39_800}, "it is different now"
PYTHON
