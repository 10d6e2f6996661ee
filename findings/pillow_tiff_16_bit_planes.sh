#!/usr/bin/env bash
# Pillow reads a TIFF of RGB with 16 bits a sample in 8 bits, each the high byte. Where the same samples are stored in
# planes (PlanarConfiguration 2) instead of pixel by pixel, it takes the bytes of a plane for samples of 8 bits: low
# and high bytes come out as pixels of their own, and the lower half of the picture is missing, without an error.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check pillow==13.0.0 numpy==2.4.6 tifffile==2026.3.3
environment/bin/python - <<'PYTHON'
import numpy as np
import PIL
import tifffile
from PIL import Image

print(f"Pillow {PIL.__version__}, tifffile {tifffile.__version__}, numpy {np.__version__}")
y, x = np.mgrid[0:128, 0:200]
stored = np.dstack([300 * x, 500 * y, 100 * (x + y)]).astype(np.uint16)
tifffile.imwrite("pixels.tif", stored, photometric="rgb")
tifffile.imwrite("planes.tif", np.moveaxis(stored, 2, 0), photometric="rgb", planarconfig="separate")

high = stored >> 8
seen = {}
print("guess: both are the high bytes, or an error is raised")
for name in ("pixels.tif", "planes.tif"):
    with Image.open(name) as image:
        seen[name] = np.asarray(image)
        print(f"seen:  {name}: mode {image.mode}, {np.mean(seen[name] != high):.1%} of the samples are not the high byte")
every_byte = np.moveaxis(stored, 2, 0).astype("<u2").view(np.uint8).reshape(3, 256, 200)
as_bytes = (seen["planes.tif"] == np.moveaxis(every_byte[:, :128], 0, 2)).all()
print(f"seen:  planes.tif: the first half of each plane's bytes: {as_bytes}")
assert (seen["pixels.tif"] == high).all() and as_bytes, "it is different now"
PYTHON
