#!/usr/bin/env bash
# scipy.ndimage.gaussian_filter gives a picture of bytes back as bytes. It does not round to them, it cuts off what is
# behind the point, and that after the rows and again after the columns: each call darkens the picture by one level of
# 255 on average, and ten calls by ten. The same filter in floating point, rounded afterwards, does not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  scipy==1.17.1 numpy==2.4.6
environment/bin/python - <<'PYTHON'
import numpy as np
import scipy
from scipy import ndimage

print(f"SciPy {scipy.__version__}, numpy {np.__version__}")
picture = np.random.default_rng(0).integers(50, 206, (400, 600), np.uint8)
print("guess: a blur leaves the mean of a picture where it is, to a hundredth or so")
seen = {}
for name, start in (("bytes", picture), ("float64", picture.astype(float))):
    for calls in (1, 10):
        found = start
        for _ in range(calls):
            found = ndimage.gaussian_filter(found, 1.5)
        seen[name, calls] = np.rint(found).mean() - picture.mean()
        print(f"seen:  {name}, calls: {calls}: the mean moves by {seen[name, calls]:+.2f}")
moves = [round(float(move)) for move in seen.values()]
assert moves == [-1, -10, 0, 0], "it is different now"
PYTHON
