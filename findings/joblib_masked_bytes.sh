#!/usr/bin/env bash
# joblib.Memory keeps a function's results and hands them out again when it is called with the same arguments. Of an
# array it hashes the values, the type and the shape. A masked array, which marks the pixels that do not count, is an
# array to it, and the mask is not hashed: the mean of a picture of bytes under a second mask is the one under the first,
# also in a later run of the program. With pixels of more bytes the same call ends in a ValueError about shapes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  joblib==1.6.0 numpy==2.4.6
environment/bin/python - <<'PYTHON'
import joblib
import numpy as np

print(f"joblib {joblib.__version__}, numpy {np.__version__}")
picture = np.tile(np.arange(256, dtype=np.uint8), (100, 1))
masks = {"without dark pixels": picture < 128, "without bright pixels": picture >= 128}
kept = joblib.Memory("results", verbose=0)


@kept.cache
def mean(masked):
    return float(masked.mean())


wanted = {name: float(np.ma.array(picture, mask=mask).mean()) for name, mask in masks.items()}
print("guess: the mean of a masked picture is " + ", ".join(f"{value} {name}" for name, value in wanted.items()))
seen = {name: mean(np.ma.array(picture, mask=mask)) for name, mask in masks.items()}
for name, value in seen.items():
    print(f"seen:  {name}: {value}")
errors = []
for kind in (np.uint16, np.int32, np.float32, np.float64):
    try:
        mean(np.ma.array(picture.astype(kind), mask=masks["without dark pixels"]))
    except ValueError as problem:
        errors.append(kind)
        print(f"seen:  {np.dtype(kind).name}: ValueError: {problem}")
assert list(wanted.values()) == [191.5, 63.5] and list(seen.values()) == [191.5, 191.5], "it is different now"
assert len(errors) == 4, "it is different now"
PYTHON
