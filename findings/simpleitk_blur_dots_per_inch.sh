#!/usr/bin/env bash
# SimpleITK measures a blur in the unit of the picture's spacing, and takes that spacing from the file: of TIFF and JPEG
# from the dots per inch, in millimetres. A sigma of 2 in a scan of 300 dots per inch is one of 23.6 pixels. The same
# pixels in a PNG with the same dots per inch, or in a TIFF without, are blurred by 2.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  simpleitk==2.5.7 pillow==13.0.0 numpy==2.4.6
environment/bin/python - <<'PYTHON'
import numpy as np
import PIL
import SimpleITK as sitk
from PIL import Image

print(f"SimpleITK {sitk.Version.VersionString()}, Pillow {PIL.__version__}, numpy {np.__version__}")
line = np.zeros((301, 301), np.uint8)
line[:, 150] = 255
seen = {}
print("guess: a sigma of 2 blurs by two pixels, as the pixels of all four files are the same")
for name, options in (
    ("plain.tif", {}),
    ("300.tif", {"dpi": (300, 300)}),
    ("300.jpg", {"dpi": (300, 300), "quality": 100}),
    ("300.png", {"dpi": (300, 300)}),
):
    Image.fromarray(line).save(name, **options)
    image = sitk.Cast(sitk.ReadImage(name), sitk.sitkFloat32)
    same = np.abs(sitk.GetArrayFromImage(image) - line).max() <= 2  # JPEG is not exact
    blurred = sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(image, 2.0))
    profile = blurred[150] / blurred[150].sum()
    seen[name] = float(np.sqrt((profile * (np.arange(301) - 150) ** 2).sum()))
    print(f"seen:  {name}: same pixels: {same}, blurred by {seen[name]:.1f} pixels")
    assert same
wide = {name for name, sigma in seen.items() if sigma > 20}
assert wide == {"300.tif", "300.jpg"} and seen["plain.tif"] < 2.5, "it is different now"
PYTHON
