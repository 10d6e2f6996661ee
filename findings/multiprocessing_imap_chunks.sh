#!/usr/bin/env bash
# A program that goes on after a bad picture asks Pool.imap for the next result in a loop and notes the errors. That
# works, until a chunksize is given for speed: the error then takes the other results of its chunk along, and the
# iterator ends behind it as if all were done. The results of all later chunks are never seen, though the workers made
# them. imap_unordered does the same.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >work.py <<'PYTHON'
def work(number):
    if number == 205:
        raise ValueError("this one is bad")
    return number
PYTHON
cat >main.py <<'PYTHON'
import multiprocessing
import platform

from work import work

TASKS = 1000


def results(iterator):
    """How many results came, and how many errors, until the iterator said that it was at its end."""
    good = bad = 0
    while True:
        try:
            next(iterator)
            good += 1
        except StopIteration:
            return good, bad
        except ValueError:
            bad += 1


if __name__ == "__main__":
    print(f"Python {platform.python_version()}")
    print(f"guess: one of {TASKS} tasks fails, so {TASKS - 1} results and one error come")
    seen = {}
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        for chunk_size in (1, 10):
            seen[chunk_size] = results(pool.imap(work, range(TASKS), chunk_size))
            good, bad = seen[chunk_size]
            print(f"seen:  chunksize {chunk_size}: results: {good}, errors: {bad}")
    assert seen == {1: (999, 1), 10: (200, 1)}, "it is different now"
PYTHON
python3 main.py
