#!/usr/bin/env bash
# warpAffine, warpPerspective and remap do the same to each channel, so a plane should come out the same whether it is
# given alone or with others. OpenCV 5 interpolates (INTER_LINEAR) at the exact position in 1, 3 or 4 channels of uint8,
# uint16 and float32. In 2 or 5 channels, and in any of int16 and float64, the position is rounded to a 32nd of a pixel,
# as it was for all before: most pixels of a picture with much detail are others, by up to 2.4 % of its range. Bands that
# are cut apart for several workers do not fit those that were left together.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  opencv-python-headless==5.0.0.93 numpy==2.4.6
environment/bin/python - <<'PYTHON'
import cv2
import numpy as np

print(f"OpenCV {cv2.__version__}, numpy {np.__version__}")
plane = np.random.default_rng(0).integers(0, 30_001, (200, 300)).astype(np.float32)
turn = cv2.getRotationMatrix2D((150, 100), 10, 1)
tilt = np.vstack([turn, [1e-4, 0, 1]])
across, down = (np.float32(places) for places in np.meshgrid(np.arange(300) + 0.3, np.arange(200) + 0.7))
ways = {
    "warpAffine": lambda picture: cv2.warpAffine(picture, turn, (300, 200)),
    "warpPerspective": lambda picture: cv2.warpPerspective(picture, tilt, (300, 200)),
    "remap": lambda picture: cv2.remap(picture, across, down, cv2.INTER_LINEAR),
}
print("guess: a plane comes out the same, however many channels it is given with")
seen = {}
for name, way in ways.items():
    for kind in (np.uint16, np.float32):
        alone = way(plane.astype(kind)).astype(np.float64)
        for channels in (2, 3, 4, 5):
            found = way(cv2.merge([plane.astype(kind)] * channels))[..., 0]
            apart = np.abs(found - alone)
            seen[name, kind, channels] = (apart > 1).mean(), apart.max()
for (name, kind, channels), (share, most) in seen.items():
    if channels in (2, 3):
        given = f"{np.dtype(kind).name}, {channels} channels"
        print(f"seen:  {name}, {given}: {share:.0%} of the pixels differ, by up to {most:.0f} of 30,000")
for (_, _, channels), (share, most) in seen.items():
    assert (share > 0.5 and most > 200) if channels in (2, 5) else most == 0, "it is different now"
exact = plane[:-1, :-1] * 0.21 + plane[:-1, 1:] * 0.09 + plane[1:, :-1] * 0.49 + plane[1:, 1:] * 0.21
for name, picture in (("float32", plane), ("float64", plane.astype(np.float64))):
    found = ways["remap"](picture)[:-1, :-1]
    seen[name] = float(np.abs(found - exact).max())
    print(f"seen:  remap, one channel of {name}: off the exact value by up to {seen[name]:.2f}")
assert seen["float32"] < 1 and seen["float64"] > 200, "it is different now"
PYTHON
