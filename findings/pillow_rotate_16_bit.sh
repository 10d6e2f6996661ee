#!/usr/bin/env bash
# Pillow opens a PNG of 16-bit gray as one of 16 bits (I;16, whose support its manual calls limited), and resizes it
# with all filters as it should. rotate and transform with BILINEAR or BICUBIC take its bytes for pixels of 8 bits: each
# pixel of the left half comes out as two, its low byte and its high byte, and the right half is gone, without an error.
# A picture that is 1000 all over comes back as 232 and 3 side by side. With NEAREST, and where it is converted to the
# modes I or F before, it is right.
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
from PIL import Image
from PIL.Image import Resampling, Transform

print(f"Pillow {PIL.__version__}, numpy {np.__version__}")
pixels = np.full((60, 80), 1000, np.uint16)
Image.fromarray(pixels).save("gray.png")
picture = Image.open("gray.png")
ways = {
    "resize(BILINEAR)": lambda picture: picture.resize((40, 30), Resampling.BILINEAR),
    "rotate(NEAREST)": lambda picture: picture.rotate(7, Resampling.NEAREST),
    "rotate(BILINEAR)": lambda picture: picture.rotate(7, Resampling.BILINEAR),
    "rotate(BICUBIC)": lambda picture: picture.rotate(7, Resampling.BICUBIC),
    "transform(AFFINE, nothing moves, BILINEAR)": lambda picture: picture.transform(
        picture.size, Transform.AFFINE, (1, 0, 0, 0, 1, 0), Resampling.BILINEAR
    ),
}
print("guess: the middle of a picture that is 1000 all over is 1000, whatever is done with its geometry")


def middle(picture):
    rows, columns = picture.height // 2, picture.width // 2
    return sorted(set(np.asarray(picture)[rows - 5 : rows + 5, columns - 5 : columns + 5].ravel().tolist()))


seen = {name: middle(way(picture)) for name, way in ways.items()}
for name, levels in seen.items():
    print(f"seen:  {picture.mode}, {name}: {levels[0]} to {levels[-1]}")
for mode in ("I", "F"):
    levels = [middle(way(picture.convert(mode))) for way in ways.values()]
    print(f"seen:  mode {mode}, each of these: {sorted(set(map(tuple, levels)))}")
    assert levels == [[1000]] * len(ways), "it is different now"
*right, _, _, unmoved = seen.values()
assert picture.mode == "I;16" and right[:2] == [[1000], [1000]] and unmoved == [3, 232], "it is different now"
assert all(seen[name][-1] < 256 for name in ("rotate(BILINEAR)", "rotate(BICUBIC)")), "it is different now"
ramp = Image.fromarray(np.arange(4, dtype=np.uint16).reshape(1, 4) + 256)
moved = np.asarray(ramp.transform(ramp.size, Transform.AFFINE, (1, 0, 0, 0, 1, 0), Resampling.BILINEAR))
print(f"seen:  256, 257, 258, 259 that are not moved: {', '.join(map(str, moved[0]))}")
assert moved[0].tolist() == [0, 1, 1, 1], "it is different now"
PYTHON
