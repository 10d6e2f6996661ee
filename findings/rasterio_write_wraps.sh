#!/usr/bin/env bash
# What does not fit into 8 bits is clipped when rasterio reads it: 300 of a file of 16 bits becomes 255 in an array of
# uint8, and 254.6 is rounded to 255. Writing the same array into a file of 8 bits wraps it round: 300 becomes 44, a
# bright pixel a dark one, and 254.6 becomes 254. Nothing is said of either. In a file of 12 bits (nbits) writing clips
# too.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  rasterio==1.4.4 numpy==2.4.6
environment/bin/python - <<'PYTHON'
import warnings

import numpy as np
import rasterio

warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
print(f"rasterio {rasterio.__version__} (GDAL {rasterio.__gdal_version__}), numpy {np.__version__}")


def stored(pixels, kind, read_as=None, **how):
    size = {"width": pixels.shape[1], "height": pixels.shape[0]}
    with rasterio.open("picture.tif", "w", driver="GTiff", count=1, dtype=kind, **size, **how) as file:
        file.write(pixels, 1)
    with rasterio.open("picture.tif") as file:
        return file.read(1, out_dtype=read_as)[0].tolist()


whole = np.array([[0, 255, 256, 300, 5000]], np.uint16)
real = np.array([[0, 0.6, 1.5, 100.9, 254.6]], np.float32)
print("guess: what does not fit is clipped and what is between two levels rounded, in whichever direction it goes")
seen = {}
for pixels in (whole, real):
    kind = pixels.dtype.name
    seen[kind] = {"read": stored(pixels, kind, "uint8"), "written": stored(pixels, "uint8")}
    for way, found in seen[kind].items():
        print(f"seen:  {way} as uint8: {', '.join(f'{value:g}' for value in pixels[0])} become {found}")
found = stored(whole, "uint16", nbits=12)
print(f"seen:  written with 12 bits: {whole[0].tolist()} become {found}")
assert seen["uint16"] == {"read": [0, 255, 255, 255, 255], "written": [0, 255, 0, 44, 136]}, "it is different now"
assert seen["float32"] == {"read": [0, 1, 2, 101, 255], "written": [0, 0, 1, 100, 254]}, "it is different now"
assert found == [0, 255, 256, 300, 4095], "it is different now"
PYTHON
