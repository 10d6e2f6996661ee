#!/usr/bin/env bash
# ImageOps.equalize counts the pixels that are not of the lightest level, divides that by 255, and cuts off what is
# behind the point. On a page with 500 pixels of gray on white that gives 1 instead of 1.96: the grays are spread over
# twice the range that there is, and the lighter half of them turns white. With fewer than 255 such pixels nothing is
# done at all. A small picture, 25 by 20 pixels, fares the same.
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
from PIL import Image, ImageOps

print(f"Pillow {PIL.__version__}, numpy {np.__version__}")
print("guess: the grays on a white page are spread over 0 to 255 evenly, however many pixels they have")
seen = {}
for count in (200, 500, 20_000):
    page = np.full((1000, 1000), 255, np.uint8)
    page.flat[:count] = np.linspace(50, 200, count).astype(np.uint8)
    grays = np.asarray(ImageOps.equalize(Image.fromarray(page))).flat[:count]
    seen[count] = round(float(np.mean(grays == 255)), 2)
    print(
        f"seen:  {count:,} gray pixels of a million: {grays.min()} to {grays.max()}, median {np.median(grays):.0f}, "
        f"white: {seen[count]:.0%}"
    )
assert seen == {200: 0, 500: 0.49, 20_000: 0.01}, "it is different now"
PYTHON
