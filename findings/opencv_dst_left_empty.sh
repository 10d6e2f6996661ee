#!/usr/bin/env bash
# OpenCV's functions take an array for their result (dst), so that no memory is allotted for each picture, or that the
# result lands in memory that processes share. An array of another type or size is left as it was, without an error: the
# result is a new array that only the return value tells. NumPy raises for the same with out=, and OpenCV itself does
# for an array with gaps.
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
picture = np.full((100, 200), 7, np.uint8)
arrays = {
    "that fits": np.zeros((100, 200), np.uint8),
    "of another type": np.zeros((100, 200), np.float32),
    "with width and height swapped": np.zeros((200, 100), np.uint8),
    "with one row more": np.zeros((101, 200), np.uint8),
    "with gaps": np.zeros((100, 400), np.uint8)[:, ::2],
}
print("guess: the result is in the array, or an error is raised")
seen = {}
for name, array in arrays.items():
    try:
        cv2.GaussianBlur(picture, (5, 5), 0, dst=array)
    except cv2.error:
        seen[name] = "an error"
    else:
        seen[name] = "the result is in it" if array.any() else "left empty"
    print(f"seen:  an array {name}: {seen[name]}")
assert list(seen.values()) == ["the result is in it", *["left empty"] * 3, "an error"], "it is different now"
PYTHON
