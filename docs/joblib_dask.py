"""joblib over Dask: a loop of joblib's on all machines of a cluster, with the images and files of this program.

    python docs/joblib_dask.py PHOTOS RESULTS [tcp://scheduler:8786]

makes Canny edges, a blur and an equalized picture of each file in the folder PHOTOS. Without a scheduler it starts a
cluster on this machine. The workers must see both folders, and have this program installed.
"""

import sys
import time
from pathlib import Path

from distributed import Client, LocalCluster
from joblib import Parallel, delayed, parallel_config

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from imgproc.operations import DEFAULT_OPERATIONS, parse_parameters
from imgproc.pixels.inner_threads import pin_threads
from imgproc.pixels.job import ImageJob, process_image
from imgproc.pixels.stopwatch import Stopwatch


def make(source: Path, results: Path) -> int:
    """The files of one image; returns how many bytes they have."""
    outputs = tuple((name, str(results / f"{source.stem}_{name}.png")) for name in DEFAULT_OPERATIONS)
    done = process_image(ImageJob(str(source), outputs, parse_parameters({})), Stopwatch())
    return sum(output.bytes for output in done.outputs)


def main(photos: Path, results: Path, scheduler: str | None = None) -> None:
    results.mkdir(parents=True, exist_ok=True)
    files = sorted(file for file in photos.resolve().iterdir() if file.is_file())
    cluster = scheduler or LocalCluster(threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0")
    with Client(cluster) as client:
        workers = client.run(pin_threads)  # else each worker's OpenCV takes all cores
        start = time.perf_counter()
        with parallel_config(backend="dask"):
            sizes = Parallel()(delayed(make)(file, results.resolve()) for file in files)
        seconds = time.perf_counter() - start
        print(f"{len(files)} images, {sum(sizes) / 1e6:.1f} MB, {len(workers)} workers, {seconds:.2f} s")
    if isinstance(cluster, LocalCluster):
        cluster.close()


if __name__ == "__main__":  # the workers import this file too
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
