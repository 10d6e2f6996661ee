#!/usr/bin/env bash
# cv2.mean and cv2.sumElems answer in floating point of 64 bits, which sums of photon counts or of many frames need. Of
# one channel of 32-bit whole numbers they add four neighbours at a time in 32 bits, which wraps without a word: the mean
# of a picture that is 1,073,741,824 all over is 0. OpenCV 5 is the first that takes uint32 at all. With a mask that
# leaves nothing out, in three equal channels, and by cv2.meanStdDev or cv2.norm the same picture has the right mean. Of
# int32 the same happens to what vector instructions leave over: a row of few pixels, or the last ones of a picture.
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
level = 2**30
picture = np.full((480, 640), level, np.uint32)
print(f"guess: the mean of a picture that is {level:,} all over is {level:,}")
seen = {
    "cv2.mean": cv2.mean(picture)[0],
    "cv2.sumElems / pixels": cv2.sumElems(picture)[0] / picture.size,
    "cv2.mean of 8 pixels of int32": cv2.mean(np.full((1, 8), level, np.int32))[0],
    "cv2.mean, 1 less in each pixel": cv2.mean(picture - 1)[0] + 1,
    "cv2.mean with a mask of all pixels": cv2.mean(picture, mask=np.ones(picture.shape, np.uint8))[0],
    "cv2.mean of three such channels": cv2.mean(cv2.merge([picture] * 3))[0],
    "cv2.meanStdDev": cv2.meanStdDev(picture)[0][0, 0],
    "cv2.norm / pixels": cv2.norm(picture, cv2.NORM_L1) / picture.size,
    "NumPy": picture.mean(),
}
for name, mean in seen.items():
    print(f"seen:  {name}: {mean:,.0f}")
assert [round(float(mean)) for mean in seen.values()] == [0] * 3 + [level] * 6, "it is different now"
PYTHON
