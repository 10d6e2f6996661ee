#!/usr/bin/env bash
# A TIFF may say that 0 is white (PhotometricInterpretation 0). Pillow inverts such a picture where its samples have 8
# bits, so that it looks as it should, and does not invert it where they have 16: the same picture is then shown as a
# negative.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check pillow==13.0.0 numpy==2.4.6 tifffile==2026.3.3
environment/bin/python - <<'PYTHON'
import numpy as np
import PIL
import tifffile
from PIL import Image

print(f"Pillow {PIL.__version__}, tifffile {tifffile.__version__}, numpy {np.__version__}")
stored = np.add.outer(np.arange(100), np.arange(150)).astype(np.uint8)
seen = {}
print("guess: both are inverted, as 0 is white and Pillow's modes have 0 for black")
for bits, samples in ((8, stored), (16, stored.astype(np.uint16) * 257)):
    tifffile.imwrite("picture.tif", samples, photometric="miniswhite")
    with Image.open("picture.tif") as image:
        found = np.asarray(image)
        largest = 2**bits - 1
        seen[bits] = "inverted" if (found == largest - samples).all() else "as stored" if (found == samples).all() else "?"
        print(f"seen:  {bits} bits: mode {image.mode}, {seen[bits]}")
assert seen == {8: "inverted", 16: "as stored"}, "it is different now"
PYTHON
