#!/usr/bin/env bash
# TIFF's compression 32771 is run lengths of fax codes in which each row begins at an even byte. libtiff, through
# Pillow as through OpenCV, does not read back what it wrote itself: after a row that ends in an odd byte its reader
# looks for the next even byte in the wrong place. It warns, and returns a picture with wrong rows.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check pillow==13.0.0 numpy==2.4.6
environment/bin/python - <<'PYTHON'
import warnings

import numpy as np
import PIL
from PIL import Image, features

print(f"Pillow {PIL.__version__}, libtiff {features.version('libtiff')}, numpy {np.__version__}")
page = np.ones((90, 203), bool)
for top in range(4, 84, 9):
    for left in range(5, 183, 17):
        page[top : top + 5, left : left + (left * 7 + top * 3) % 15] = False

seen = {}
for compression in ("tiff_ccitt", "tiff_raw_16", "group3", "group4"):
    Image.fromarray(page).save("page.tif", compression=compression)
    with Image.open("page.tif") as image:
        number = image.tag_v2[259]
        seen[number] = np.mean(np.asarray(image) != page)
print("guess: what was saved comes back")
for number, wrong in seen.items():
    print(f"seen:  compression {number}: {wrong:.1%} of the pixels are wrong")
assert [number for number, wrong in seen.items() if wrong] == [32771], "it is different now"
PYTHON
