#!/usr/bin/env bash
# CLAHE cuts a picture into tiles. Where the number of tiles does not divide a side, OpenCV mirrors a few pixels at its end.
# But where it divides the height and not the width, it adds rows too, as many as there are tiles, and the other way
# round: 64 rows in 8 tiles have 9 rows in each, not 8, and a column more or less changes most pixels of the picture.
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
picture = np.random.default_rng(0).integers(0, 256, (64, 60), np.uint8)


def clahe(image):
    return cv2.createCLAHE(2.0, (8, 8)).apply(image)[:64, :60]


print("guess: of 64 x 60 pixels in 8 x 8 tiles four columns are missing, and no row")
found = clahe(picture)
seen = {}
for rows in (0, 8):
    mirrored = cv2.copyMakeBorder(picture, 0, rows, 0, 4, cv2.BORDER_REFLECT_101)
    seen[rows] = int(np.count_nonzero(clahe(mirrored) != found))
    print(f"seen:  with 4 columns and {rows} rows mirrored beforehand {seen[rows]:,} of {found.size:,} pixels differ")
assert seen[0] > 0 and seen[8] == 0, "it is different now"
PYTHON
