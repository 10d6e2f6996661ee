#!/usr/bin/env bash
# libvips keeps what it has opened, by its name. When a file has been written anew by somebody else, opening that name
# again gives the picture that was there before, even if the file was deleted in between and the new one has another
# size: neither time nor size of the file is looked at. A program that runs for long and is handed the same name twice
# works on the old picture. revalidate=True looks again.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  pyvips==3.2.0 pyvips-binary==8.18.7 pillow==13.0.0 numpy==2.4.6
environment/bin/python - <<'PYTHON'
import os

import numpy as np
import PIL
import pyvips
from PIL import Image

libvips = ".".join(str(pyvips.version(part)) for part in range(3))
print(f"pyvips {pyvips.__version__}, libvips {libvips}, Pillow {PIL.__version__}, numpy {np.__version__}")


def written(level, size, name):
    Image.fromarray(np.full((size, size), level, np.uint8)).save(name)


print("guess: the picture that the file holds when it is opened")
seen = {}
for name in ("picture.png", "picture.jpg", "picture.tif"):
    written(10, 40, name)
    pyvips.Image.new_from_file(name).avg()
    os.remove(name)
    written(200, 60, name)
    again = pyvips.Image.new_from_file(name)
    fresh = pyvips.Image.new_from_file(name, revalidate=True)
    seen[name] = [(image.width, round(image.avg())) for image in (again, fresh)]
    (old_width, old_level), (new_width, new_level) = seen[name]
    print(
        f"seen:  {name}, level 10, then 200 and 60 pixels wide: level {old_level} and {old_width} pixels wide, "
        f"with revalidate {new_level} and {new_width}"
    )
assert all(found == [(40, 10), (60, 200)] for found in seen.values()), "it is different now"
PYTHON
