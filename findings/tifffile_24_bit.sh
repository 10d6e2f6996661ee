#!/usr/bin/env bash
# tifffile takes a TIFF of whole numbers of 24 bits and gives a picture, not an error. In a little-endian file the
# bytes of each sample come out in the wrong order; in a big-endian file too, and shifted left by 8 bits. Samples of
# 16 and 32 bits, written in the same way, are right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check numpy==2.4.6 tifffile==2026.3.3 imagecodecs==2026.3.6
environment/bin/python - <<'PYTHON'
import struct

import numpy as np
import tifffile

print(f"tifffile {tifffile.__version__}, numpy {np.__version__}")
stored = (np.add.outer(np.arange(40) * 70_000, np.arange(60) * 1_001) + 0x010203).astype(np.uint32)


def tiff(bits, order):
    """An uncompressed gray TIFF of one strip."""
    width = bits // 8
    every = stored.astype(order + "u4").view(np.uint8).reshape(-1, 4)
    body = (every[:, :width] if order == "<" else every[:, 4 - width :]).tobytes()
    tags = {256: 60, 257: 40, 258: bits, 259: 1, 262: 1, 273: 8, 277: 1, 278: 40, 279: len(body)}
    entries = b"".join(struct.pack(order + "HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HI", 42, 8 + len(body))
    return head + body + struct.pack(order + "H", len(tags)) + entries + bytes(4)


print("guess: the stored numbers, or an error")
seen = {}
for bits in (16, 24, 32):
    for order in "<>":
        with open("picture.tif", "wb") as file:
            file.write(tiff(bits, order))
        found = tifffile.imread("picture.tif")
        right = stored & 2**bits - 1
        seen[bits, order] = bool((found == right).all())
        name = "little" if order == "<" else "big"
        print(f"seen:  {bits} bits, {name}-endian: 0x{right[0, 0]:06x} is read as 0x{int(found[0, 0]):06x}, right: {seen[bits, order]}")
assert {key for key, right in seen.items() if not right} == {(24, "<"), (24, ">")}, "it is different now"
PYTHON
