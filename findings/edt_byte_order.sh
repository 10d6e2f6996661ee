#!/usr/bin/env bash
# edt, a distance transform with several threads, returns 0 for every pixel where the bytes of the mask lie in another
# order than the machine's, as those of FITS files and of many others do. To NumPy they are uint16 or float32 all the
# same; to edt they are types that it does not know, for which it computes nothing and says nothing, as for float16.
# SciPy's transform takes them all.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  edt==3.1.2 scipy==1.17.1 numpy==2.4.6
environment/bin/python - <<'PYTHON'
from importlib.metadata import version

import edt
import numpy as np
from scipy import ndimage

print(f"edt {version('edt')}, SciPy {version('scipy')}, numpy {np.__version__}")
mask = np.zeros((40, 60), bool)
mask[10:30, 10:50] = True
wanted = ndimage.distance_transform_edt(mask)
assert wanted.max() == 10
print("guess: the middle of a box of 20 rows is 10 pixels away from its edge, whatever the type of the mask")
most = {}
for kind in ("bool", "uint8", "uint16", "int32", "float32", "float64", ">u2", ">i4", ">f4", ">f8", "float16"):
    picture = mask.astype(kind)
    assert (ndimage.distance_transform_edt(picture) == wanted).all()
    for threads in (1, 2):
        found = edt.edt(picture, parallel=threads)
        most[kind] = float(found.max())
        assert np.allclose(found, wanted) if most[kind] else not found.any(), "it is different now"
    print(f"seen:  {kind}: {most[kind]:.0f}")
assert {kind for kind, value in most.items() if not value} == {">u2", ">i4", ">f4", ">f8", "float16"}, (
    "it is different now"
)
PYTHON
