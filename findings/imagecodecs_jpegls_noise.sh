#!/usr/bin/env bash
# JPEG-LS stores any picture without loss; one of pure noise takes a little more room than its pixels. jpegls_encode
# sets no more room aside than the pixels take: noise of all 8 or 16 bits of a sample, in a picture of some size, ends
# in an error that speaks of a buffer. So does a picture of which only two thirds are noise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  imagecodecs==2026.3.6 numpy==2.4.6
environment/bin/python - <<'PYTHON'
import imagecodecs
import numpy as np

print(f"imagecodecs {imagecodecs.__version__}, numpy {np.__version__}")
random = np.random.default_rng(0)
noise = random.integers(0, 256, (300, 300), np.uint8)
pictures = {
    "gray that gets lighter": np.add.outer(np.arange(300), np.arange(300)).astype(np.uint8),
    "noise of 7 bits": noise // 2,
    "noise of 8 bits": noise,
    "noise of 16 bits": random.integers(0, 65536, (300, 300), np.uint16),
}
print("guess: each comes back as it was")
failed = {}
for codec in ("jpegls", "jpegxl", "png"):
    failed[codec] = []
    for name, picture in pictures.items():
        try:
            data = getattr(imagecodecs, f"{codec}_encode")(picture)
        except RuntimeError as problem:
            failed[codec].append(name)
            print(f"seen:  {codec}: {name}: {type(problem).__name__}: {str(problem).split(' returned ')[-1]}")
            continue
        assert (getattr(imagecodecs, f"{codec}_decode")(data) == picture).all()
        print(f"seen:  {codec}: {name}: comes back, in {len(data) / picture.nbytes:.2f} of the room")
assert failed == {"jpegls": ["noise of 8 bits", "noise of 16 bits"], "jpegxl": [], "png": []}, "it is different now"
PYTHON
