#!/usr/bin/env bash
# pyvips' gaussblur(sigma) cuts the bell off where it has fallen to a fifth of its height, unless min_ampl says
# otherwise: the blur spreads a fifth less than its sigma says. OpenCV, SciPy and Pillow are within a few per cent.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  pyvips==3.2.0 pyvips-binary==8.18.7 opencv-python-headless==5.0.0.93 scipy==1.17.1 pillow==13.0.0 numpy==2.4.6
environment/bin/python - <<'PYTHON'
import cv2
import numpy as np
import PIL
import pyvips
import scipy
from PIL import Image, ImageFilter
from scipy import ndimage

libvips = ".".join(str(pyvips.version(part)) for part in range(3))
print(
    f"pyvips {pyvips.__version__}, libvips {libvips}, OpenCV {cv2.__version__}, SciPy {scipy.__version__}, "
    f"Pillow {PIL.__version__}, numpy {np.__version__}"
)
SIGMA = 5.0
# a bright line, whose blur is the kernel
line = np.zeros((101, 101), np.float32)
line[:, 50] = 5000
bytes_ = np.zeros((101, 101), np.uint8)
bytes_[:, 50] = 255
vips = pyvips.Image.new_from_array(line)
blurred = {
    "OpenCV": cv2.GaussianBlur(line, (0, 0), SIGMA),
    "SciPy": ndimage.gaussian_filter(line, SIGMA),
    "Pillow": np.asarray(Image.fromarray(bytes_).filter(ImageFilter.GaussianBlur(SIGMA))).astype(float),
    "pyvips": vips.gaussblur(SIGMA, precision="float").numpy(),
    "pyvips, min_ampl=0.01": vips.gaussblur(SIGMA, precision="float", min_ampl=0.01).numpy(),
}
print(f"guess: all spread a line by {SIGMA} pixels (standard deviation), but for a few per cent")
seen = {}
for name, picture in blurred.items():
    profile = picture[50] / picture[50].sum()
    seen[name] = float(np.sqrt((profile * (np.arange(101) - 50) ** 2).sum()))
    print(f"seen:  {name}: {seen[name]:.2f}")
off = [name for name, sigma in seen.items() if abs(sigma - SIGMA) > 0.1 * SIGMA]
assert off == ["pyvips"] and seen["pyvips"] < 4.1, "it is different now"
PYTHON
