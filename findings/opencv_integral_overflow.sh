#!/usr/bin/env bash
# cv2.integral gives the sum of all pixels above and to the left of each. Of a picture of bytes the sums are int32
# unless one asks for more, and they wrap without a word once they pass 2,147,483,647: a white picture of 8.5
# megapixels, a third of what a camera makes, ends in a negative sum.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  opencv-python-headless==5.0.0.93 numpy==2.4.6
environment/bin/python - <<'PYTHON'
import cv2
import numpy as np

print(f"OpenCV {cv2.__version__}, numpy {np.__version__}")
print("guess: the last sum is the sum of all pixels, or an error is raised")
seen = []
for megapixels in (8, 9):
    white = np.full((megapixels * 1000, 1000), 255, np.uint8)
    sums = cv2.integral(white)
    right = int(white.sum())
    seen.append(int(sums[-1, -1]) - right)
    print(f"seen:  {megapixels} megapixels: {sums.dtype}, {sums[-1, -1]:,} instead of {right:,}")
asked = cv2.integral(white, sdepth=cv2.CV_64F)
print(f"seen:  {megapixels} megapixels, with sdepth=cv2.CV_64F: {asked[-1, -1]:,.0f}")
assert seen == [0, -(2**32)] and asked[-1, -1] == right, "it is different now"
PYTHON
