#!/usr/bin/env bash
# A comparison in NumPy gives a mask of True and False, and OpenCV 5, unlike OpenCV 4, takes it. bitwise_not turns all
# bits of its bytes: 1 becomes 254 and 0 becomes 255. The array is one of bool, in which only 0 is False, so what should
# be the mask's opposite is True everywhere, without an error: it selects all pixels in NumPy and, as a mask, in OpenCV.
# bitwise_xor with True, bitwise_and and bitwise_or keep to 0 and 1.
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
picture = np.tile(np.arange(256, dtype=np.uint8), (100, 1))
bright = picture >= 128
print(f"guess: bitwise_not of a mask of bright pixels selects the dark ones, {np.count_nonzero(~bright):,} of 25,600")
dark = cv2.bitwise_not(bright)
seen = {
    "selected in NumPy": picture[dark].size,
    "counted by OpenCV": cv2.countNonZero(dark),
    "copied by OpenCV with this mask": cv2.countNonZero(cv2.copyTo(np.full_like(picture, 1), dark)),
    "selected by bitwise_xor with True": picture[cv2.bitwise_xor(bright, np.ones_like(bright))].size,
}
print(f"seen:  an array of {dark.dtype}, whose bytes are {np.unique(dark.view(np.uint8)).tolist()}")
for name, count in seen.items():
    print(f"seen:  {name}: {count:,}")
assert dark.dtype == bool and list(seen.values()) == [25_600] * 3 + [12_800], "it is different now"
PYTHON
