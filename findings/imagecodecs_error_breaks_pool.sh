#!/usr/bin/env bash
# Worker processes send the errors of their tasks to the parent pickled. Several of imagecodecs' errors (WebP, AVIF,
# deflate) can be pickled and not unpickled: their class takes the name of a function and a number, and only the
# message is kept. The parent fails while it reads such an error, and concurrent.futures takes that for the death of a
# worker: one damaged file ends the whole pool and every task in it. An error that unpickles is that one task's alone.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  imagecodecs==2026.3.6 numpy==2.4.6
cat >work.py <<'PYTHON'
import imagecodecs


def decode(name, data):
    return getattr(imagecodecs, f"{name}_decode")(data)
PYTHON
cat >main.py <<'PYTHON'
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import imagecodecs
import numpy as np
from work import decode

if __name__ == "__main__":
    print(f"imagecodecs {imagecodecs.__version__}, numpy {np.__version__}")
    picture = np.add.outer(np.arange(40), np.arange(60)).astype(np.uint8).repeat(3).reshape(40, 60, 3)
    print("guess: the task with the damaged file fails, the tasks after it work")
    seen = {}
    for name in ("webp", "jpeg8"):
        good = getattr(imagecodecs, f"{name}_encode")(picture)
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            futures = [pool.submit(decode, name, data) for data in (good, b"damaged" + good, good)]
            outcome = []
            for future in futures:
                problem = future.exception()
                outcome.append("a picture" if problem is None else type(problem).__name__)
        seen[name] = outcome
        print(f"seen:  {name}, good, damaged, good: {', '.join(outcome)}")
    broken = "BrokenProcessPool"
    assert seen == {
        "webp": ["a picture", broken, broken],
        "jpeg8": ["a picture", "Jpeg8Error", "a picture"],
    }, "it is different now"
PYTHON
environment/bin/python main.py
