#!/usr/bin/env bash
# OpenCV's random numbers have a state of their own in each thread, and cv2.setRNGSeed sets that of the thread which
# calls it. Every other thread begins with the same numbers, whatever the seed: noise that is added to pictures by
# several threads is the same noise on all of them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  opencv-python-headless==5.0.0.93 numpy==2.4.6
environment/bin/python - <<'PYTHON'
import threading

import cv2
import numpy as np

print(f"OpenCV {cv2.__version__}, numpy {np.__version__}")


def noise():
    return cv2.randn(np.zeros((100, 100), np.float32), 0, 10)


def of_threads(count):
    """The noise that so many new threads make, each its own picture."""
    found = []
    threads = [threading.Thread(target=lambda: found.append(noise())) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


cv2.setRNGSeed(1)
first, second = noise(), noise()
threads = of_threads(4)
cv2.setRNGSeed(2)
other_seed = of_threads(4)
same = all((picture == threads[0]).all() for picture in threads)
heeded = not (other_seed[0] == threads[0]).all()
print("guess: four threads make four pictures of noise, and others with another seed")
print(f"seen:  two pictures of one thread are the same: {(first == second).all()}")
print(f"seen:  the pictures of four threads are the same: {same}")
print(f"seen:  another seed changes what threads make: {heeded}")
assert not (first == second).all() and same and not heeded, "it is different now"
PYTHON
