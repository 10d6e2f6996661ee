#!/usr/bin/env bash
# A dilation takes the largest pixel of a neighbourhood: a picture that is 100 all over stays as it is. mahotas.dilate
# makes it 101 and mahotas.erode 99, with no argument but the picture. The ones of the default neighbourhood, a cross,
# are heights that are added to the pixels (or taken off them), where OpenCV takes them for members. Ten dilations
# brighten a picture by ten levels.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  mahotas==1.4.19 opencv-python-headless==5.0.0.93 numpy==2.4.6
environment/bin/python - <<'PYTHON'
import cv2
import mahotas
import numpy as np

print(f"mahotas {mahotas.__version__}, OpenCV {cv2.__version__}, numpy {np.__version__}")
picture = np.random.default_rng(0).integers(20, 236, (200, 300), np.uint8)
cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
print("guess: the default, a cross of 3 by 3, gives the largest (smallest) of five pixels")
seen = {}
for name, by_mahotas, by_opencv in (
    ("dilate", mahotas.dilate(picture), cv2.dilate(picture, cross)),
    ("erode", mahotas.erode(picture), cv2.erode(picture, cross)),
):
    seen[name] = set(np.unique(by_mahotas.astype(int) - by_opencv).tolist())
    print(f"seen:  {name}: mahotas minus OpenCV, of all pixels: {seen[name]}")
flat = np.full((50, 50), 100, np.uint8)
for _ in range(10):
    flat = mahotas.dilate(flat)
print(f"seen:  a picture that is 100 all over, dilated ten times: {set(np.unique(flat).tolist())}")
assert seen == {"dilate": {1}, "erode": {-1}} and (flat == 110).all(), "it is different now"
PYTHON
