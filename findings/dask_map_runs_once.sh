#!/usr/bin/env bash
# A benchmark that has a Dask client do the same work five times measures it once: a task is named by a hash of its
# function and arguments, and while a future of that name is held, the work counts as done. The later rounds take no
# time and write no files. Passing pure=False gives each its own name; the default of the client is True, though that of
# dask.delayed is False.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  dask==2026.8.0 distributed==2026.8.0
cat >work.py <<'PYTHON'
def append(name):
    """What a task does: here it writes its name behind what is there."""
    with open("log.txt", "a", encoding="ascii") as file:
        file.write(name + "\n")
PYTHON
cat >main.py <<'PYTHON'
import dask
import distributed
from work import append

if __name__ == "__main__":
    print(f"Dask {dask.__version__}, distributed {distributed.__version__}")
    print("guess: a function that is mapped five times over ten names runs fifty times")
    seen = {}
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        for name, options in (("by default", {}), ("with pure=False", {"pure": False})):
            rounds = []
            for _ in range(5):
                rounds.append(client.map(append, [f"{name}, {number}" for number in range(10)], **options))
                distributed.wait(rounds[-1])
            with open("log.txt", encoding="ascii") as file:
                seen[name] = sum(line.startswith(name) for line in file)
            print(f"seen:  {name}: it ran {seen[name]} times")
    assert seen == {"by default": 10, "with pure=False": 50}, "it is different now"
PYTHON
environment/bin/python main.py
