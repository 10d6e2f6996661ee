#!/usr/bin/env bash
# OpenCV turns a TIFF by its tag Orientation. Where the picture is stored in tiles and the orientation swaps left and
# right, it mirrors every tile in its own place and leaves the tiles where they are: the picture falls into pieces,
# without an error. The same picture in strips is mirrored as it should be.
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
y, x = np.mgrid[0:256, 0:256]
stored = np.dstack([x, y, (x + y) // 2]).astype(np.uint8)
mirrored = [(274, "H", 1, 2, True)]  # the tag Orientation: the first column is at the right
tifffile.imwrite("tiles.tif", stored, tile=(64, 64), photometric="rgb", extratags=mirrored)
tifffile.imwrite("strips.tif", stored, rowsperstrip=64, photometric="rgb", extratags=mirrored)

tiles, strips = (cv2.imread(name, cv2.IMREAD_COLOR)[:, :, ::-1] for name in ("tiles.tif", "strips.tif"))
each_tile = stored.reshape(256, 4, 64, 3)[:, :, ::-1].reshape(256, 256, 3)
print("guess: both are the stored picture with left and right swapped")
print(f"seen:  strips: {np.mean(strips != stored[:, ::-1]):.1%} of the samples are wrong")
print(f"seen:  tiles: {np.mean(tiles != stored[:, ::-1]):.1%} are wrong; it is the picture with each tile mirrored alone: "
      f"{(tiles == each_tile).all()}")
assert (strips == stored[:, ::-1]).all() and (tiles == each_tile).all(), "it is different now"
PYTHON
