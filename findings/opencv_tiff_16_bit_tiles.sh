#!/usr/bin/env bash
# OpenCV reads a TIFF of 16-bit gray in tiles, whose width is no multiple of the width of a tile, with the right
# pixels where it is asked for the samples as they are (IMREAD_UNCHANGED), and scrambled in the last column of tiles
# where it is asked for 8 bits (IMREAD_GRAYSCALE), without an error. There, row after row begins too early in the
# tile: with tiles of 256 and 232 columns left, 244 samples behind the row before instead of 256.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check opencv-python-headless==5.0.0.93 numpy==2.4.6 tifffile==2026.3.3
environment/bin/python - <<'PYTHON'
import cv2
import numpy as np
import tifffile

print(f"OpenCV {cv2.__version__}, tifffile {tifffile.__version__}, numpy {np.__version__}")
y, x = np.mgrid[0:600, 0:1000]
stored = (x * 40 + y * 17).astype(np.uint16)
tifffile.imwrite("tiles.tif", stored, tile=(256, 256), photometric="minisblack")

as_they_are = cv2.imread("tiles.tif", cv2.IMREAD_UNCHANGED)
gray = cv2.imread("tiles.tif", cv2.IMREAD_GRAYSCALE)
wrong = gray != stored >> 8
print("guess: the high byte of every sample")
print(f"seen:  unchanged: {np.mean(as_they_are != stored):.1%} of the samples are wrong")
print(f"seen:  gray: {wrong[:, :768].mean():.1%} wrong in the whole tiles, {wrong[:, 768:].mean():.1%} in the last column")
assert (as_they_are == stored).all() and not wrong[:, :768].any() and wrong[:, 768:].mean() > 0.5, "it is different now"
PYTHON
