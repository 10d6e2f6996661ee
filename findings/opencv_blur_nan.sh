#!/usr/bin/env bash
# Scientific pictures mark missing pixels with NaN. GaussianBlur and filter2D lose the pixels within reach of one.
# cv2.blur and boxFilter lose all pixels below it as well, down to the lower edge: they carry a sum from row to row, add
# the row that comes in and take off the row that leaves, and NaN minus NaN is NaN. A picture that is cut into strips
# for several workers thus differs from the whole one.
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
picture = np.ones((1000, 200), np.float32)
picture[100, 100] = np.nan
filters = {
    "GaussianBlur": lambda part: cv2.GaussianBlur(part, (5, 5), 0),
    "filter2D": lambda part: cv2.filter2D(part, -1, np.full((5, 5), 1 / 25)),
    "blur": lambda part: cv2.blur(part, (5, 5)),
}
print("guess: with a window of 5 by 5, one missing pixel makes 25 missing")
lost = {}
for name, function in filters.items():
    whole = np.isnan(function(picture))
    # the lower half, with the two rows that it borrows from the upper half
    strip = np.isnan(function(picture[498:])[2:])
    lost[name] = int(whole.sum()), int(whole[500:].sum()), int(strip.sum())
    print(
        f"seen:  {name}: {lost[name][0]} missing, {lost[name][1]} of them in the lower half; "
        f"in the lower half by itself: {lost[name][2]}"
    )
assert lost == {"GaussianBlur": (25, 0, 0), "filter2D": (25, 0, 0), "blur": (4510, 2500, 0)}, "it is different now"
PYTHON
