#!/usr/bin/env bash
# scikit-image's gabor gives the response to a wave, which is below zero as often as above, in the type of the picture:
# in bytes there is nothing below zero, so about half of the pixels come out wrong, most of them near 255, as if they
# were the strongest. So it is in 16 bits. sobel, laplace and most other filters of the package make floating point of
# bytes first.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  scikit-image==0.26.0 scipy==1.17.1 numpy==2.4.6
environment/bin/python - <<'PYTHON'
import numpy as np
import scipy
import skimage
from skimage import filters

print(f"scikit-image {skimage.__version__}, SciPy {scipy.__version__}, numpy {np.__version__}")
across, down = np.meshgrid(np.arange(120), np.arange(80))
stripes = np.rint(128 + 100 * np.sin(across * 0.6) + 20 * np.cos(down * 0.3))
wanted = filters.gabor(stripes, frequency=0.1)
assert all(part.dtype == np.float64 and part.min() < -20 for part in wanted)
print(f"guess: the response goes from {wanted[1].min():.0f} to {wanted[1].max():.0f}, whatever the type of the picture")
for kind in (np.uint8, np.uint16):
    for name, part, right in zip(("real", "imaginary"), filters.gabor(stripes.astype(kind), frequency=0.1), wanted):
        below = right < -1
        apart = np.abs(part.astype(float) - right)
        share = f"{(apart > 1).mean():.0%} of the pixels are wrong"
        print(f"seen:  {part.dtype}, {name}: {part.min()} to {part.max()}, {share}")
        assert part.dtype == kind and (apart[below] > 1).all() and below.mean() > 0.4, "it is different now"
        assert (apart[right > 0] <= 1).all(), "it is different now"
    assert filters.laplace(stripes.astype(kind)).min() < 0, "it is different now"
PYTHON
