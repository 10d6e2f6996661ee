#!/usr/bin/env bash
# SimpleITK's noise filters take a seed, and the same seed makes another picture with another number of threads: each
# thread draws numbers of its own for its part. The number is that of the machine's cores unless said otherwise, so a
# seed that is written down with a result repeats it only on machines with as many cores.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  simpleitk==2.5.7 numpy==2.4.6
environment/bin/python - <<'PYTHON'
import numpy as np
import SimpleITK as sitk

print(f"SimpleITK {sitk.Version.VersionString()}, numpy {np.__version__}")
print("guess: a seed makes the same noise, however many threads make it")
picture = sitk.GetImageFromArray(np.full((400, 500), 128, np.uint8))
filters = (sitk.AdditiveGaussianNoise, sitk.SaltAndPepperNoise, sitk.ShotNoise, sitk.SpeckleNoise)
share = {}
for noise in filters:
    found = {}
    for threads in (1, 1, 2, 4):
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
        made = sitk.GetArrayFromImage(noise(picture, seed=42))
        assert threads not in found or (made == found[threads]).all()
        found[threads] = made
    share[noise.__name__] = [float((found[threads] != found[1]).mean()) for threads in (2, 4)]
    two, four = share[noise.__name__]
    print(f"seen:  {noise.__name__}: {two:.0%} of the pixels are others with 2 threads than with 1, {four:.0%} with 4")
assert all(0 < two < four for two, four in share.values()), "it is different now"
PYTHON
