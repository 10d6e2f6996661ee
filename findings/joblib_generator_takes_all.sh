#!/usr/bin/env bash
# joblib's return_as="generator" hands results over one by one, and pre_dispatch says how many tasks are taken from the
# input ahead of the workers. It bounds tasks that wait for a worker, not results that wait for the caller: while the
# caller is slow with the first picture, workers go on, until all input is done and every result lies in memory.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  joblib==1.6.0
environment/bin/python - <<'PYTHON'
import time

import joblib

print(f"joblib {joblib.__version__}")
taken = []


def inputs():
    for number in range(200):
        taken.append(number)
        yield joblib.delayed(abs)(number)


print("guess: two workers and two tasks ahead for each, so a few tasks are taken while one result is asked for")
seen = {}
for kind in ("generator", "generator_unordered"):
    taken.clear()
    results = joblib.Parallel(n_jobs=2, backend="threading", pre_dispatch="2*n_jobs", return_as=kind)(inputs())
    next(results)
    deadline = time.monotonic() + 30
    while len(taken) < 200 and time.monotonic() < deadline:
        time.sleep(0.1)
    seen[kind] = len(taken)
    print(f"seen:  {kind}: {len(taken)} of 200 are taken")
    for _ in results:
        pass
assert set(seen.values()) == {200}, "it is different now"
PYTHON
