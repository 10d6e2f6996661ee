#!/usr/bin/env bash
# mpi4py sends arrays by Send, Bcast and Gather as they lie in memory. A view that skips pixels is refused with an
# error. A transposed one (a picture turned on its side) is taken, as its memory has no gaps, and its pixels travel in
# the order of the picture before: at the other end, in an array of the right shape, the picture is scrambled. send and
# bcast, which pickle, keep the picture.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  mpi4py==4.1.2 mpich==5.0.2 numpy==2.4.6
cat >work.py <<'PYTHON'
import numpy as np
from mpi4py import MPI

world = MPI.COMM_WORLD
stored = np.arange(12, dtype=np.uint8).reshape(3, 4)
turned = stored.T
if world.rank == 0:
    try:
        world.Send(turned[:, ::2], dest=1)
    except Exception as problem:
        print(f"seen:  every second column of it by Send: {type(problem).__name__}", flush=True)
    world.Send(turned, dest=1)
    world.send(turned, dest=1)
else:
    by_memory = np.empty((4, 3), np.uint8)
    world.Recv(by_memory, source=0)
    by_pickle = world.recv(source=0)
    for way, found in (("Send", by_memory), ("send", by_pickle)):
        print(f"seen:  a transposed picture by {way}: {'the picture' if (found == turned).all() else 'scrambled'}")
PYTHON
cat >main.py <<'PYTHON'
import subprocess
import sys
from importlib.metadata import version

print(f"mpi4py {version('mpi4py')}, MPICH {version('mpich')}, numpy {version('numpy')}")
print("guess: each way the picture arrives, or an error is raised")
mpiexec = f"{sys.prefix}/bin/mpiexec"
output = subprocess.run([mpiexec, "-n", "2", sys.executable, "work.py"], check=True, capture_output=True, text=True)
print(output.stdout, end="")
seen = {line.rsplit(": ", 1)[1] for line in output.stdout.splitlines() if "Send" in line}
kept = "by send: the picture" in output.stdout
assert seen == {"BufferError", "scrambled"} and kept, "it is different now"
PYTHON
environment/bin/python main.py
