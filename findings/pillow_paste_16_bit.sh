#!/usr/bin/env bash
# A box of 16-bit gray that is filled with 1000 by Pillow's paste has the level 59,624: both bytes of each pixel become
# the low byte of the number, without an error. 200 makes 51,400, and 4096 makes black. Drawn as a rectangle, pasted
# with a mask or pasted as a picture, the level is what was asked for.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  pillow==13.0.0 numpy==2.4.6
environment/bin/python - <<'PYTHON'
import numpy as np
import PIL
from PIL import Image, ImageDraw

print(f"Pillow {PIL.__version__}, numpy {np.__version__}")
box = (10, 10, 30, 20)
size = (20, 10)
ways = {
    "paste(level, box)": lambda picture, level: picture.paste(level, box),
    "paste(level, box, mask)": lambda picture, level: picture.paste(level, box, Image.new("L", size, 255)),
    "paste(picture, box)": lambda picture, level: picture.paste(Image.new(picture.mode, size, level), box),
    "rectangle": lambda picture, level: ImageDraw.Draw(picture).rectangle((10, 10, 29, 19), level),
}
print("guess: a box that is filled with a level has this level")
seen = {}
for name, way in ways.items():
    for mode in ("I;16", "I"):
        for level in (200, 1000, 4096, 65535):
            picture = Image.new(mode, (60, 40))
            way(picture, level)
            levels = set(np.asarray(picture)[10:20, 10:30].ravel().tolist())
            assert len(levels) == 1
            seen[name, mode, level] = levels.pop()
for level in (200, 1000, 4096, 65535):
    print(f"seen:  I;16, paste({level}, box): {seen['paste(level, box)', 'I;16', level]}")
for (name, mode, level), found in seen.items():
    expected = level % 256 * 257 if (name, mode) == ("paste(level, box)", "I;16") else level
    assert found == expected, "it is different now"
PYTHON
