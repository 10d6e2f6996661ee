#!/usr/bin/env bash
# cv2.distanceTransform with the precise mask, called twice with the same picture on one thread, gives floats whose last
# bit differs: what Intel's IPP in the wheel computes depends on where in memory the result lies. Programs that compare
# results by hash or by == find two calls of one function unequal. Without IPP the calls agree.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  opencv-python-headless==5.0.0.93 numpy==2.4.6
cat > twice.py <<'PYTHON'
import cv2
import numpy as np

cv2.setNumThreads(1)
y, x = np.mgrid[0:811, 0:1003]
outside = ((y - 400) ** 2 + (x - 500) ** 2 > 100**2).astype(np.uint8)
room = np.empty(811 * 1003 + 16, np.float32)
found = set()
for shift in range(16):  # each call writes to another place
    place = room[shift : shift + outside.size].reshape(outside.shape)
    cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE, place)
    found.add(place.tobytes())
print(len(found))
PYTHON
environment/bin/python -c 'import cv2, numpy; print(f"OpenCV {cv2.__version__}, numpy {numpy.__version__}")'
echo "guess: sixteen calls with the same picture on one thread give one result"
with=$(environment/bin/python twice.py)
without=$(OPENCV_IPP=disabled environment/bin/python twice.py 2>/dev/null)
echo "seen:  $with results with IPP, which is what the wheel uses on x86-64, $without without"
[[ $(uname -m) != x86_64 ]] || [[ $with -gt 1 && $without -eq 1 ]] || { echo "it is different now"; exit 1; }
