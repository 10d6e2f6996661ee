#!/usr/bin/env bash
# A predictor stores each sample as its difference to the one before it. tifffile writes one into a TIFF that is
# compressed by LERC too, where libtiff, and with it GDAL and rasterio, does not look for any: nearly every pixel that
# they read is wrong, without a warning. Floating-point samples are lost altogether: the predictor sorts their bytes,
# LERC takes what is then there for numbers, and tifffile itself reads others, and NaN, of its own file.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  tifffile==2026.3.3 imagecodecs==2026.3.6 rasterio==1.4.4 numpy==2.4.6
environment/bin/python - <<'PYTHON'
import warnings

import numpy as np
import rasterio
import tifffile

warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
print(f"tifffile {tifffile.__version__}, rasterio {rasterio.__version__} (GDAL {rasterio.__gdal_version__})")
random = np.random.default_rng(0)
pictures = {
    "uint8": random.integers(0, 256, (200, 300), np.uint8),
    "uint16": random.integers(0, 65536, (200, 300)).astype(np.uint16),
    "float32": random.normal(size=(200, 300)).astype(np.float32),
}
print("guess: a predictor changes how well a file is compressed, and no pixel")
seen = {}
for name, picture in pictures.items():
    for predictor in (False, True):
        tifffile.imwrite("picture.tif", picture, compression="lerc", predictor=predictor)
        with rasterio.open("picture.tif") as file:
            found = {"tifffile": tifffile.imread("picture.tif"), "rasterio": file.read(1)}
        for reader, pixels in found.items():
            seen[name, predictor, reader] = float((pixels != picture).mean())
            if predictor:
                lost = float(np.isnan(pixels).mean())
                share = seen[name, predictor, reader]
                print(f"seen:  {name}, read by {reader}: {share:.1%} of the pixels are wrong, {lost:.1%} are NaN")
assert all(share == 0 for (_, predictor, _), share in seen.items() if not predictor), "it is different now"
assert all(seen[name, True, "rasterio"] > 0.9 for name in pictures), "it is different now"
wrong = [seen[name, True, "tifffile"] for name in pictures]
assert wrong[:2] == [0, 0] and wrong[2] > 0.01, "it is different now"
PYTHON
