#!/usr/bin/env bash
# OpenCV's wheel has no decoder for the JPEG 2000 that a TIFF may hold (nor for JPEG XL and others in TIFF). Asked for
# 8 bits it prints a line on standard error and returns a picture of the right size that is black all over, where for
# other compressions it lacks, ZSTD for one, it returns None. A program that checks for None takes the black picture
# for good.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check opencv-python-headless==5.0.0.93 numpy==2.4.6 tifffile==2026.3.3 imagecodecs==2026.3.6
environment/bin/python - <<'PYTHON'
import os

os.environ["OPENCV_LOG_LEVEL"] = "SILENT"
import cv2
import numpy as np
import tifffile

print(f"OpenCV {cv2.__version__}, tifffile {tifffile.__version__}, numpy {np.__version__}")
y, x = np.mgrid[0:128, 0:128]
stored = np.dstack([x + 100, y + 100, x + y]).astype(np.uint8)
seen = {}
for compression in ("lzw", "zstd", "jpeg2000", "jpegxl"):
    tifffile.imwrite("picture.tif", stored, photometric="rgb", compression=compression)
    found = cv2.imread("picture.tif", cv2.IMREAD_COLOR)
    seen[compression] = "None" if found is None else "the picture" if np.ptp(found) else "a picture that is black all over"
print("guess: the picture, or None where there is no decoder")
for compression, what in seen.items():
    print(f"seen:  {compression}: {what}")
black = [compression for compression, what in seen.items() if "black" in what]
assert black == ["jpeg2000", "jpegxl"] and seen["zstd"] == "None", "it is different now"
PYTHON
