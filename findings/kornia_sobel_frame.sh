#!/usr/bin/env bash
# kornia_rs.imgproc.sobel takes what lies outside of the picture for black: a picture that is 100 all over gets a frame
# of gradients, as strong as those of a step from 0 to 100. The library's other filters (Gaussian, box, median, its
# Canny) repeat or mirror the pixels at the edge, as OpenCV does, and find nothing in such a picture.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  kornia-rs==0.2.0 numpy==2.4.6
environment/bin/python - <<'PYTHON'
import kornia_rs
import numpy as np
from kornia_rs import imgproc

print(f"kornia-rs {kornia_rs.__version__}, numpy {np.__version__}")
flat = np.full((50, 60, 1), 100, np.uint8)
filters = {
    "gaussian_blur": imgproc.gaussian_blur(flat, (5, 5), (1.5, 1.5)),
    "box_blur": imgproc.box_blur(flat, (5, 5)),
    "median_blur": imgproc.median_blur(flat, 3),
    "canny": imgproc.canny(flat, 50.0, 100.0),
    "sobel": imgproc.sobel(flat.astype(np.float32), 3),
}
print("guess: nothing happens at the edge of a picture that is 100 all over")
seen = {}
for name, found in filters.items():
    middle = found[10:-10, 10:-10].max()
    seen[name] = float(found.max() - middle)
    print(f"seen:  {name}: {middle:g} in the middle, up to {found.max():g} at the edge")
assert [name for name, more in seen.items() if more] == ["sobel"] and seen["sobel"] > 400, "it is different now"
PYTHON
