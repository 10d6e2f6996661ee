#!/usr/bin/env bash
# jax.numpy.histogram counts in float32, where adding 1 to 16,777,216 changes nothing: no bin ever holds more. Of a
# picture of 24 megapixels that is one gray all over, a third of the pixels is missing, without a warning. NumPy's
# histogram, of the same name and arguments, and jax.numpy.bincount count in whole numbers.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
environment/bin/python - <<'PYTHON'
import jax
import jax.numpy as jnp
import numpy as np

print(f"JAX {jax.__version__}, numpy {np.__version__}")
picture = np.full((4000, 6000), 7, np.uint8)
seen = {
    "numpy.histogram": np.histogram(picture, bins=256, range=(0, 256))[0],
    "jax.numpy.histogram": jnp.histogram(picture, bins=256, range=(0, 256))[0],
    "jax.numpy.bincount": jnp.bincount(picture.ravel(), length=256),
}
print(f"guess: all {picture.size:,} pixels are counted")
for name, counts in seen.items():
    print(f"seen:  {name}: {int(counts[7]):,} ({counts.dtype})")
assert [int(counts[7]) for counts in seen.values()] == [24_000_000, 2**24, 24_000_000], "it is different now"
PYTHON
