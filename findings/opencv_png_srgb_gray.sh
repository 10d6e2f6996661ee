#!/usr/bin/env bash
# A chunk sRGB in a PNG says what the colours mean, and OpenCV's colours (IMREAD_COLOR) are the same with it and
# without. In gray (IMREAD_GRAYSCALE) they are not: libpng, which makes the gray, then weighs the light that the
# colours stand for instead of the stored numbers. Levels move by up to 71 of 255. Image editors write this chunk by
# default.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check opencv-python-headless==5.0.0.93 numpy==2.4.6
environment/bin/python - <<'PYTHON'
import struct
import zlib

import cv2
import numpy as np

print(f"OpenCV {cv2.__version__}, numpy {np.__version__}")
y, x = np.mgrid[0:256, 0:256]
colours = np.dstack([x, y, 255 - x]).astype(np.uint8)


def png(*more):
    rows = b"".join(b"\0" + row.tobytes() for row in colours)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 256, 256, 8, 2, 0, 0, 0)), *more, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    parts = [struct.pack(">I", len(b)) + n + b + struct.pack(">I", zlib.crc32(n + b)) for n, b in chunks]
    return np.frombuffer(b"\x89PNG\r\n\x1a\n" + b"".join(parts), np.uint8)


plain, srgb = png(), png((b"sRGB", b"\0"))
moved = {}
for name, flag in (("colour", cv2.IMREAD_COLOR), ("gray", cv2.IMREAD_GRAYSCALE)):
    moved[name] = int(np.abs(cv2.imdecode(plain, flag).astype(int) - cv2.imdecode(srgb, flag)).max())
print("guess: the chunk changes neither, or both")
print(f"seen:  levels move by up to {moved['colour']} in colour and {moved['gray']} in gray")
assert moved["colour"] == 0 and moved["gray"] > 50, "it is different now"
PYTHON
