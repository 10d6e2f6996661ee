#!/usr/bin/env bash
# joblib.Parallel reuses its workers from call to call, but each call makes a folder in /dev/shm, for arrays that might
# be large, in the name of a manager that is then dropped because the workers have one. The folder stays until the
# program ends, and with it a function for atexit and an entry of the resource tracker, whether or not any array was
# passed: a service that calls Parallel for each request fills shared memory's inodes. JOBLIB_TEMP_FOLDER avoids the
# folder. (Linux, where /dev/shm has 2 GB or more.)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  joblib==1.6.0
cat > calls.py <<'PYTHON'
import os
import sys
from pathlib import Path

from joblib import Parallel, delayed

for _ in range(int(sys.argv[1])):
    assert Parallel(n_jobs=2)(delayed(abs)(-number) for number in range(4)) == [0, 1, 2, 3]
print(len(list(Path("/dev/shm").glob(f"joblib_memmapping_folder_{os.getpid()}_*"))))
PYTHON
environment/bin/python - <<'PYTHON'
import os
import subprocess
import sys
from importlib.metadata import version

print(f"joblib {version('joblib')}")
shared = os.statvfs("/dev/shm")
assert shared.f_bsize * shared.f_bavail > 2_000_000_000, "/dev/shm is too small here: joblib uses another folder"


def left(calls, **environment):
    command = [sys.executable, "calls.py", str(calls)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **environment})
    return int(done.stdout)


print("guess: calls without large arrays leave no folders, or one that the next call uses again")
found = {calls: left(calls) for calls in (1, 10, 100)}
elsewhere = left(100, JOBLIB_TEMP_FOLDER="/tmp")
for calls, folders in found.items():
    print(f"seen:  {calls} calls, then {folders} empty folders in /dev/shm while the program runs")
print(f"seen:  with JOBLIB_TEMP_FOLDER=/tmp 100 calls, then {elsewhere}")
assert found == {1: 1, 10: 10, 100: 100} and elsewhere == 0, "it is different now"
PYTHON
