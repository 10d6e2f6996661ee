#!/usr/bin/env bash
# joblib keeps the libraries inside its worker processes from starting more threads than inner_max_num_threads says; the
# default is the cores divided by the workers. It does so by environment variables, which OpenBLAS, OpenMP and Numba
# read. OpenCV's wheel has threads of another kind that read none of them: each worker still uses all cores, so that on
# 32 cores 32 workers have 1024 threads between them. threadpoolctl, which limits the others, does not know it either.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  joblib==1.6.0 threadpoolctl==3.8.0 numba==0.68.1 opencv-python-headless==5.0.0.93 numpy==2.4.6
cat >work.py <<'PYTHON'
def threads():
    """How many threads each library would use here."""
    import cv2
    import numba
    import numpy  # noqa: F401  brings OpenBLAS
    import threadpoolctl

    blas = [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    return {"OpenBLAS": max(blas), "Numba": numba.get_num_threads(), "OpenCV": cv2.getNumThreads()}
PYTHON
cat >main.py <<'PYTHON'
import cv2
import joblib
import numba
import numpy as np
import threadpoolctl
from work import threads

if __name__ == "__main__":
    print(
        f"joblib {joblib.__version__}, threadpoolctl {threadpoolctl.__version__}, OpenCV {cv2.__version__}, "
        f"Numba {numba.__version__}, numpy {np.__version__}"
    )
    cores = cv2.getNumberOfCPUs()
    print(f"guess: with inner_max_num_threads=1 every library has 1 thread in each worker ({cores} cores here)")
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        [inside] = joblib.Parallel(n_jobs=2)([joblib.delayed(threads)()])
    with threadpoolctl.threadpool_limits(1):
        limited = cv2.getNumThreads()
    for library, count in inside.items():
        print(f"seen:  in a worker of joblib: {library}: {count}")
    print(f"seen:  within threadpool_limits(1): OpenCV: {limited}")
    assert cores > 1, "one core says nothing: run this where there are more"
    expected = {"OpenBLAS": 1, "Numba": 1, "OpenCV": cores}
    assert inside == expected and limited == cores, "it is different now"
PYTHON
environment/bin/python main.py
