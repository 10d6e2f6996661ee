#!/usr/bin/env bash
# Pillow opens a TIFF of 16-bit gray whose bytes are stored high byte first, as ImageJ writes them, in the mode I;16B.
# Where resize or thumbnail has to weigh several pixels (all filters but NEAREST), it takes the bytes in the other order
# and writes them so: what is the same all over stays as it is, and a slope from 1,000 to 1,300 gets noise of up to
# 42,156. Saved as JPEG 2000, each pixel has its bytes swapped. With the low byte first (I;16) both are right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  pillow==13.0.0 tifffile==2026.3.3 numpy==2.4.6
environment/bin/python - <<'PYTHON'
import numpy as np
import PIL
import tifffile
from PIL import Image
from PIL.Image import Resampling

print(f"Pillow {PIL.__version__}, numpy {np.__version__}")
slope = np.tile(np.linspace(1000, 1300, 400).astype(np.uint16), (300, 1))
pictures = {}
for name, order in (("low byte first", "<"), ("high byte first", ">")):
    tifffile.imwrite(f"{name}.tif", slope, byteorder=order, photometric="minisblack")
    pictures[name] = Image.open(f"{name}.tif")
    assert (np.asarray(pictures[name]) == slope).all()
print("guess: a slope from 1,000 to 1,300 has these levels in any size, whatever the order of the bytes in its file")
seen = {}
for name, picture in pictures.items():
    for way in Resampling:
        small = np.asarray(picture.resize((200, 150), way))
        seen[name, way.name] = int(small.min()), int(small.max())
    lowest, highest = seen[name, "BILINEAR"]
    print(f"seen:  {name} ({picture.mode}): resized by BILINEAR, {lowest:,} to {highest:,}")
    picture.save("picture.jp2", irreversible=False)
    stored = np.asarray(Image.open("picture.jp2"))
    seen[name, "JPEG 2000"] = int(stored.min()), int(stored.max())
    print(f"seen:  {name} ({picture.mode}): saved as JPEG 2000, {stored.min():,} to {stored.max():,}")
for (name, way), (lowest, highest) in seen.items():
    right = 990 <= lowest <= 1010 and 1290 <= highest <= 1310
    assert right == (name == "low byte first" or way == "NEAREST"), "it is different now"
assert [picture.mode for picture in pictures.values()] == ["I;16", "I;16B"], "it is different now"
assert (stored == slope.byteswap()).all(), "it is different now"
PYTHON
