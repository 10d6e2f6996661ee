#!/usr/bin/env bash
# cv2.stackBlur of a picture of 16 bits that is 60,000 everywhere gives 42,007, 38,288 or 2,656, depending on the
# kernel: what vector instructions do is done with 16-bit products that overflow. Only the last columns of each
# thread's part, which are left over for plain instructions, are right. Pictures of bytes come out one level away in
# some pixels for the same reason, and so do other pixels with each number of threads.
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
print("guess: a blur of one gray is that gray, and the number of threads changes no pixel")
gray = np.full((64, 1003), 60_000, np.uint16)
wrong = {}
for size in (5, 9, 101):
    cv2.setNumThreads(1)
    columns = (cv2.stackBlur(gray, (size, size)) != gray).any(axis=0)
    wrong[size] = int(columns.sum())
    darkest = cv2.stackBlur(gray, (size, size)).min()
    print(f"seen:  16 bits, kernel {size}: {wrong[size]} of 1,003 columns are not 60,000 but down to {darkest:,}")

y, x = np.mgrid[0:811, 0:1003]
bytes_ = ((x * 7 + y * 13) % 256).astype(np.uint8)
differ = {}
for size in (5, 7, 9):
    found = []
    for threads in (1, 2):
        cv2.setNumThreads(threads)
        found.append(cv2.stackBlur(bytes_, (size, size)))
    differ[size] = int((found[0] != found[1]).sum())
    print(f"seen:  8 bits, kernel {size}: {differ[size]} pixels are others with 2 threads than with 1")
assert min(wrong.values()) > 900 and differ[5] and differ[9] and not differ[7], "it is different now"
PYTHON
