#!/usr/bin/env bash
# A CLAHE object of OpenCV holds settings, and apply looks like a function of a picture. It keeps the tables of the
# picture at work in the object as well, and lets go of Python's lock: threads that share one object mix up the tables
# of their pictures, and most results are wrong, without an error. An object for each thread gives the right pixels.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  opencv-python-headless==5.0.0.93 numpy==2.4.6
environment/bin/python - <<'PYTHON'
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

print(f"OpenCV {cv2.__version__}, numpy {np.__version__}")
cv2.setNumThreads(1)
pictures = [np.random.default_rng(seed).integers(0, 60 * seed + 60, (600, 800), np.uint8) for seed in range(4)]
right = [cv2.createCLAHE(4.0, (8, 8)).apply(picture) for picture in pictures]
shared = cv2.createCLAHE(4.0, (8, 8))
shared.apply(pictures[0])  # its buffers have their size from here on


def wrong(number, own):
    clahe = cv2.createCLAHE(4.0, (8, 8)) if own else shared
    return bool((clahe.apply(pictures[number % 4]) != right[number % 4]).any())


print("guess: the pixels do not depend on other threads")
seen = {}
for name, own, threads in (("shared, one thread", False, 1), ("shared", False, 4), ("one for each call", True, 4)):
    with ThreadPoolExecutor(threads) as pool:
        seen[name] = sum(pool.map(wrong, range(400), [own] * 400))
    print(f"seen:  {name}: {seen[name]} of 400 pictures are wrong")
assert seen["shared"] > 0 and sum(seen.values()) == seen["shared"], "it is different now (it takes two cores to show)"
PYTHON
