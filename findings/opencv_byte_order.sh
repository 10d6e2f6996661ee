#!/usr/bin/env bash
# FITS files of astronomy store the high byte of a pixel first, and astropy hands their pictures out in that order: to
# NumPy it is a type of its own (>i2, >f4), and every calculation is right. OpenCV takes such an array without an error
# and its bytes in the other order, so all that it does is done to other pixels. Some functions hide that, since they
# only move pixels and write them as they read them. Converted by astype to the order of the machine it is right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  opencv-python-headless==5.0.0.93 astropy==8.0.2 numpy==2.4.6
environment/bin/python - <<'PYTHON'
import astropy
import cv2
import numpy as np
from astropy.io import fits

print(f"OpenCV {cv2.__version__}, astropy {astropy.__version__}, numpy {np.__version__}")
slope = np.tile(np.arange(1000, 1400), (300, 1))
ways = {
    "mean": lambda picture: cv2.mean(picture)[0],
    "largest": lambda picture: cv2.minMaxLoc(picture)[1],
    "largest after a blur": lambda picture: cv2.blur(picture, (3, 3)).max(),
    "largest after halving": lambda picture: cv2.resize(picture, (200, 150), interpolation=cv2.INTER_AREA).max(),
    "pixels above 1199": lambda picture: (cv2.threshold(picture, 1199, 1, cv2.THRESH_BINARY)[1] == 1).sum(),
}
print("guess: a picture of a FITS file is the same to OpenCV as the same numbers from elsewhere")
seen = {}
for kind in (np.int16, np.float32):
    fits.PrimaryHDU(slope.astype(kind)).writeto("picture.fits", overwrite=True)
    picture = fits.getdata("picture.fits")
    assert picture.dtype == np.dtype(kind).newbyteorder(">") and (picture == slope).all()
    for name, way in ways.items():
        wanted, found = float(way(picture.astype(kind))), float(way(picture))
        seen[kind, name] = wanted, found
        print(f"seen:  {picture.dtype}, {name}: {found:.6g} instead of {wanted:.6g}")
assert seen[np.int16, "mean"][0] == seen[np.float32, "mean"][0] == 1199.5, "it is different now"
assert all(abs(found - wanted) > 0.5 for wanted, found in seen.values()), "it is different now"
turned = cv2.flip(picture, 1)
assert (turned.view(picture.dtype) == slope[:, ::-1]).all() and turned.dtype == np.float32, "it is different now"
PYTHON
