#!/usr/bin/env bash
# Two ProcessPool(2) of pathos are one: their functions run in the same two processes. Whoever closes and joins the one,
# as he would a Pool of multiprocessing, has closed the other too, and every ProcessPool(2) made from then on, in a with
# statement as well. ProcessPool(3) is another and works; so does ProcessPool(2) after clear() or restart().
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  pathos==0.3.5 multiprocess==0.70.19
cat > pools.py <<'PYTHON'
import os
from importlib.metadata import version

from pathos.multiprocessing import ProcessPool


def process(number):
    return os.getpid()


def square(number):
    return number * number


def tried(pool):
    try:
        return pool.map(square, range(3))
    except ValueError as problem:
        return f"ValueError: {problem}"


if __name__ == "__main__":
    print(f"pathos {version('pathos')}, multiprocess {version('multiprocess')}")
    print("guess: each ProcessPool has processes of its own, and ends with them alone")
    first, second = ProcessPool(2), ProcessPool(2)
    ids = [set(pool.map(process, range(200), chunksize=1)) for pool in (first, second)]
    print(f"seen:  processes of the first: {len(ids[0])}, of the second: {len(ids[1])}, of both: {len(ids[0] | ids[1])}")
    first.close()
    first.join()
    after = tried(second)
    with ProcessPool(2) as third:
        later = tried(third)
    other = tried(ProcessPool(3))
    print(f"seen:  the second, once the first is closed: {after}")
    print(f"seen:  a third, made after that: {later}; one of 3 processes: {other}")
    second.clear()
    cleared = tried(ProcessPool(2))
    print(f"seen:  one of 2 after clear(): {cleared}")
    assert ids[0] | ids[1] == ids[0] and len(ids[0]) == 2, "it is different now"
    assert after == later == "ValueError: Pool not running", "it is different now"
    assert other == cleared == [0, 1, 4], "it is different now"
PYTHON
environment/bin/python pools.py
