#!/usr/bin/env bash
# tifffile writes an array of True and False with one bit for each sample, and a gray one comes back as it was. Of RGB
# (three masks in one picture) nearly half of the samples come back wrong, whatever the compression: the bits of eight
# pixels are packed into one byte of reds, one of greens and one of blues, where the file says, and a reader takes, that
# red, green and blue of one pixel follow each other.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  tifffile==2026.3.3 imagecodecs==2026.3.6 numpy==2.4.6
environment/bin/python - <<'PYTHON'
import numpy as np
import tifffile

print(f"tifffile {tifffile.__version__}, numpy {np.__version__}")
masks = np.random.default_rng(0).random((60, 80, 3)) < 0.5
print("guess: True and False come back as they were written")
seen = {}
for compression in (None, "zlib", "lzw", "packbits"):
    for name, picture in (("gray", masks[..., 0]), ("RGB", masks)):
        photometric = "rgb" if name == "RGB" else "minisblack"
        tifffile.imwrite("masks.tif", picture, photometric=photometric, compression=compression)
        found = tifffile.imread("masks.tif")
        assert found.shape == picture.shape and found.dtype == bool
        seen[name, compression] = float((found != picture).mean())
    share = seen["RGB", compression]
    print(f"seen:  compression {compression or 'none'}: of RGB {share:.0%} of the samples are wrong, of gray none")
assert all(share == 0 for (name, _), share in seen.items() if name == "gray"), "it is different now"
assert all(0.4 < share < 0.6 for (name, _), share in seen.items() if name == "RGB"), "it is different now"
tifffile.imwrite("masks.tif", masks, photometric="rgb")
with tifffile.TiffFile("masks.tif") as file:
    page = file.pages.first
    assert (page.bitspersample, page.samplesperpixel, page.planarconfig) == (1, 3, 1), "it is different now"
    file.filehandle.seek(page.dataoffsets[0])
    stored = np.frombuffer(file.filehandle.read(page.databytecounts[0]), np.uint8).reshape(60, 10, 3)
bits = np.unpackbits(np.moveaxis(stored, 2, 1), axis=2).astype(bool)  # rows, colours, columns
print("seen:  in the file: a byte of eight reds, one of eight greens, one of eight blues, and so on")
assert (np.moveaxis(bits, 1, 2) == masks).all(), "it is different now"
PYTHON
