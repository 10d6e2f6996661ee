#!/usr/bin/env bash
# pyspng reads PNG files of 16 bits with a plane of alpha that they do not have: gray comes as two planes and RGB as four,
# the last of them 65,535 everywhere. Files of 8 bits come as they are, so a program that works on those gets arrays of
# another shape from a camera's 16 bits, or takes the mean of gray and 65,535.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  pyspng==0.1.4 opencv-python-headless==5.0.0.93 numpy==2.4.6
environment/bin/python - <<'PYTHON'
from importlib.metadata import version

import cv2
import numpy as np
import pyspng

print(f"pyspng {version('pyspng')}, OpenCV {cv2.__version__} as the writer")
print("guess: planes in an array are planes in the file")
planes = {}
for name, channels in (("gray", ()), ("RGB", (3,))):
    for dtype in (np.uint8, np.uint16):
        picture = np.full((4, 6, *channels), 200, dtype)
        file = cv2.imencode(".png", picture)[1].tobytes()
        assert file[25] == (2 if channels else 0)  # the colour type has no alpha
        found = pyspng.load(file)
        planes[name, dtype] = found.shape[2:]
        print(f"seen:  {name}, {dtype.__name__}: {picture.shape} was saved, {found.shape} is loaded, mean {found.mean():,.0f}")
assert planes["gray", np.uint16] == (2,) and planes["RGB", np.uint16] == (4,), "it is different now"
assert planes["gray", np.uint8] in ((), (1,)) and planes["RGB", np.uint8] == (3,), "it is different now"
PYTHON
