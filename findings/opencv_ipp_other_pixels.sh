#!/usr/bin/env bash
# OpenCV's wheels for Intel and AMD hold a closed library, IPP, that takes over some calls. Its lengths of vectors are not
# rounded to the nearest: that of (5, 12), which is 13 and fits any float, comes out above it. Its bilateral filter of small
# diameters differs from OpenCV's own by one level in half of the pixels, its cubic resizing in some of a hundred.
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
cv2.setNumThreads(1)
x, y = np.full((1, 64), 5, np.float32), np.full((1, 64), 12, np.float32)
picture = cv2.blur(np.random.default_rng(0).integers(0, 256, (480, 640), np.uint8), (3, 3))
calls = {
    "magnitude of (5, 12)": lambda: cv2.magnitude(x, y),
    "bilateralFilter, 5": lambda: cv2.bilateralFilter(picture, 5, 75, 75),
    "resize, cubic": lambda: cv2.resize(picture, (448, 336), interpolation=cv2.INTER_CUBIC),
}
print("guess: a faster implementation gives the same results")
differ = {}
for name, call in calls.items():
    results = []
    for on in (False, True):
        cv2.ipp.setUseIPP(on)
        results.append(call())
    own, ipp = (result.astype(float) for result in results)
    differ[name] = np.mean(own != ipp)
    print(f"seen:  {name}: {differ[name]:.1%} differ, by up to {np.abs(own - ipp).max():.2g}")
cv2.ipp.setUseIPP(True)
print(f"seen:  the length of (5, 12) with IPP is {cv2.magnitude(x, y)[0, 0]:.9f}")
assert min(differ.values()) > 0, "it is different now (it takes a processor with IPP to show)"
PYTHON
