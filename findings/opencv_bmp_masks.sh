#!/usr/bin/env bash
# A BMP with 32 bits a pixel may say by three masks where in the 32 bits its red, green and blue are. OpenCV heeds
# masks of 16-bit pixels, and ignores those of 32-bit pixels where the header is the usual one of 40 bytes: a picture
# whose masks say X B G R comes out with red and blue swapped, without an error.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check opencv-python-headless==5.0.0.93 numpy==2.4.6
environment/bin/python - <<'PYTHON'
import struct

import cv2
import numpy as np

print(f"OpenCV {cv2.__version__}, numpy {np.__version__}")
y, x = np.mgrid[0:50, 0:80]
red, green, blue = (3 * x).astype(np.uint32), (4 * y).astype(np.uint32), (x + y).astype(np.uint32)


def bmp(places):
    """A BMP in which red, green and blue are shifted by so many bits."""
    words = red << places[0] | green << places[1] | blue << places[2]
    body = words[::-1].astype("<u4").tobytes()
    info = struct.pack("<IiiHHIIiiII", 40, 80, 50, 1, 32, 3, len(body), 0, 0, 0, 0)
    masks = struct.pack("<III", *(0xFF << place for place in places))
    return struct.pack("<2sIII", b"BM", 14 + 40 + 12 + len(body), 0, 14 + 40 + 12) + info + masks + body


right = np.dstack([blue, green, red])  # OpenCV's order
swapped = np.dstack([red, green, blue])
usual, other = (cv2.imdecode(np.frombuffer(bmp(p), np.uint8), cv2.IMREAD_COLOR) for p in ((16, 8, 0), (0, 8, 16)))
print("guess: both files show the same colours")
print(f"seen:  masks X R G B: right: {(usual == right).all()}")
print(f"seen:  masks X B G R: right: {(other == right).all()}, red and blue swapped: {(other == swapped).all()}")
assert (usual == right).all() and (other == swapped).all(), "it is different now"
PYTHON
