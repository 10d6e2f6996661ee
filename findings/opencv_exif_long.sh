#!/usr/bin/env bash
# OpenCV turns a JPEG by the orientation in its Exif. Some writers store that number as LONG instead of SHORT. In
# little-endian Exif such a file is turned, in big-endian Exif it is not: OpenCV looks at the first two of the four
# bytes, whatever the type, and in big-endian order those are 0. Pillow turns both.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check opencv-python-headless==5.0.0.93 numpy==2.4.6 pillow==13.0.0
environment/bin/python - <<'PYTHON'
import io
import struct

import cv2
import numpy as np
import PIL
from PIL import Image, ImageOps

print(f"OpenCV {cv2.__version__}, Pillow {PIL.__version__}, numpy {np.__version__}")
plain = cv2.imencode(".jpg", np.zeros((40, 80), np.uint8))[1].tobytes()


def turned(order, type_):
    """The JPEG with Exif of orientation 6, a quarter turn, which makes it taller than wide."""
    value = struct.pack(order + {3: "H", 4: "I"}[type_], 6).ljust(4, b"\0")
    directory = struct.pack(order + "HHHI", 1, 274, type_, 1) + value + bytes(4)
    exif = b"Exif\0\0" + {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HI", 42, 8) + directory
    return plain[:2] + struct.pack(">HH", 0xFFE1, len(exif) + 2) + exif + plain[2:]


print("guess: all four come out 40 wide and 80 high")
seen = {}
for order in "<>":
    for type_ in (3, 4):
        data = turned(order, type_)
        by_opencv = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE).shape[::-1]
        by_pillow = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).size
        name = f"{'little' if order == '<' else 'big'}-endian {'SHORT' if type_ == 3 else 'LONG'}"
        seen[name] = by_opencv == (40, 80)
        print(f"seen:  {name}: OpenCV {by_opencv}, Pillow {by_pillow}")
assert [name for name, right in seen.items() if not right] == ["big-endian LONG"], "it is different now"
PYTHON
