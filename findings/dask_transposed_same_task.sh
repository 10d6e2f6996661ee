#!/usr/bin/env bash
# Dask names a task by a hash of its arguments, and takes tasks of one name for the same work. Of an array it hashes the
# bytes in the order in which they lie in memory, the type and the shape. A square picture and its transposed view are
# alike in all three: a client that is given both works on one of them only, and hands its result out for the other too.
# So do scatter, a product with a Dask array and delayed(pure=True). Of a memory-mapped file not even the type is hashed:
# two readings of it, with the low and with the high byte first, are one array.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  "dask[array]==2026.8.0" distributed==2026.8.0 numpy==2.4.6
cat >main.py <<'PYTHON'
import dask
import dask.array
import distributed
import numpy as np


def given(client, pictures):
    """What comes back of pictures by each way: whether it is the pictures, in this order."""
    ones = dask.array.ones(pictures[0].shape, dtype=np.int64)
    copies = dask.delayed(np.array, pure=True)
    results = {
        "client.map": client.gather(client.map(np.array, pictures)),
        "client.map(pure=False)": client.gather(client.map(np.array, pictures, pure=False)),
        "client.scatter": client.gather(client.scatter(pictures)),
        "dask array * picture": dask.compute(*(ones * picture for picture in pictures)),
        "delayed(pure=True)": dask.compute(*(copies(picture) for picture in pictures)),
    }
    return {way: all(map(np.array_equal, found, pictures)) for way, found in results.items()}


if __name__ == "__main__":
    print(f"Dask {dask.__version__}, distributed {distributed.__version__}, numpy {np.__version__}")
    picture = np.random.default_rng(0).integers(0, 256, (100, 100), np.uint8)
    print("guess: a picture and the same turned on its side are two pictures, and have two results")
    with distributed.Client(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None, set_as_default=False
    ) as client:
        view = given(client, [picture, picture.T])
        copied = given(client, [picture, picture.T.copy()])
    for way, right in view.items():
        print(f"seen:  {way}: {'two results' if right else 'one result twice'}")
    (picture // 2).astype("<u2").tofile("picture.raw")
    low, high = (np.memmap("picture.raw", order, "r", shape=picture.shape) for order in ("<u2", ">u2"))
    print(f"guess: the largest of the file's numbers is {low.max()} read low byte first, {high.max()} high byte first")
    largest = dask.compute(*(dask.array.from_array(reading).max() for reading in (low, high)))
    print(f"seen:  {largest[0]} and {largest[1]}")
    assert all(copied.values()), "it is different now"
    assert [way for way, right in view.items() if right] == ["client.map(pure=False)"], "it is different now"
    assert largest[0] == largest[1], "it is different now"
PYTHON
environment/bin/python main.py
