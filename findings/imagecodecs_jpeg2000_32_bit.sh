#!/usr/bin/env bash
# JPEG 2000 without loss, by OpenJPEG in imagecodecs, does not bring pictures of uint32 back. With 26 bits or more in
# use nearly every pixel is another one (the help of jpeg2k_encode asks whether 26 bits are the limit). But a picture
# of 256 labels is not safe either: some pixels come back off by one, and so have the label of another object. As
# uint16 or int32 the same labels come back, and by OpenJPH (htj2k_encode) all of these pictures do.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  imagecodecs==2026.3.6 numpy==2.4.6
environment/bin/python - <<'PYTHON'
from importlib.metadata import version

import imagecodecs
import numpy as np

openjpeg = next(part for part in imagecodecs.version().split(", ") if part.startswith("openjpeg"))
print(f"imagecodecs {version('imagecodecs')} ({openjpeg}), numpy {np.__version__}")
labels = (np.arange(512 * 512) // 1024).reshape(512, 512)
noise = np.random.default_rng(0).integers(0, 1 << 31, (512, 512))
pictures = {f"256 labels as {kind}": labels.astype(kind) for kind in ("uint16", "int32", "uint32")}
pictures |= {f"noise of {bits} bits as uint32": (noise >> 31 - bits).astype(np.uint32) for bits in (24, 25, 26, 31)}
print("guess: compressed without loss, every pixel comes back")
wrong = {}
for name, picture in pictures.items():
    stored = imagecodecs.jpeg2k_encode(picture, level=0, reversible=True)
    apart = np.abs(imagecodecs.jpeg2k_decode(stored).astype(np.int64) - picture)
    wrong[name] = int((apart > 0).sum())
    most = f", by up to {apart.max():,}" if wrong[name] else ""
    print(f"seen:  {name}: {wrong[name]:,} of {picture.size:,} pixels are wrong{most}")
    assert "labels" not in name or apart.max() <= 1, "it is different now"
    other = imagecodecs.htj2k_decode(imagecodecs.htj2k_encode(picture))
    assert (other == picture).all(), "it is different now"
assert wrong["256 labels as uint16"] == wrong["256 labels as int32"] == 0, "it is different now"
assert wrong["256 labels as uint32"] > 100 and wrong["noise of 25 bits as uint32"] > 1_000, "it is different now"
assert min(wrong[f"noise of {bits} bits as uint32"] for bits in (26, 31)) > 200_000, "it is different now"
print("seen:  by OpenJPH all of them come back")
PYTHON
