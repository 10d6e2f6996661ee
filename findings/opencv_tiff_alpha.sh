#!/usr/bin/env bash
# OpenCV, asked for colours without alpha (IMREAD_COLOR), drops the alpha of a PNG and leaves the colours as they are
# stored. Of a TIFF with the same pixels, whose alpha is marked as unassociated just like PNG's, it multiplies the
# colours by the alpha, as if the picture lay on black. So the same picture has two looks, by the file it was saved
# in.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check opencv-python-headless==5.0.0.93 numpy==2.4.6 pillow==13.0.0
environment/bin/python - <<'PYTHON'
import cv2
import numpy as np
import PIL
from PIL import Image

print(f"OpenCV {cv2.__version__}, Pillow {PIL.__version__}, numpy {np.__version__}")
y, x = np.mgrid[0:100, 0:256]
colours = np.dstack([255 - x, 2 * y, x // 2 + y]).astype(np.uint8)
alpha = x.astype(np.uint8)
for name in ("picture.png", "picture.tif"):
    Image.fromarray(np.dstack([colours, alpha])).save(name)

png, tiff = (cv2.imread(name, cv2.IMREAD_COLOR)[:, :, ::-1] for name in ("picture.png", "picture.tif"))
multiplied = colours * (alpha[:, :, None] / 255)
print("guess: both give the colours that were saved")
print(f"seen:  PNG: by up to {np.abs(png.astype(int) - colours).max()} from the colours")
print(f"seen:  TIFF: by up to {np.abs(tiff.astype(int) - colours).max()} from the colours, "
      f"by up to {np.abs(tiff - multiplied).max():.1f} from the colours times alpha")
assert (png == colours).all() and np.abs(tiff - multiplied).max() <= 1, "it is different now"
PYTHON
