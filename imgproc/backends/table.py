"""THE table of techniques. A new one is one file in this folder and one entry here."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

from imgproc.backends.base import Availability, Backend
from imgproc.backends.gpu import nvidia
from imgproc.errors import UserError
from imgproc.settings import Settings


@dataclass(frozen=True)
class Technique:
    """A row of the table: what people see of a technique, and where its code is. ``unit``: what its number of
    workers counts. ``packages``: those it imports at its first use, which ``install`` installs. ``antipattern``:
    whether it is shown for what it does wrong: it takes part only where it is named, and is never chosen or advised;
    its label says so, wherever it stands. ``like``: one that takes as long, by which it is predicted until it was
    measured."""

    name: str
    label: str
    path: str
    install: str
    what: str
    wins: str
    loses: str
    unit: str = "worker"
    packages: tuple[str, ...] = ()
    antipattern: bool = False
    like: str = ""

    def load(self) -> type[Backend]:
        """The backend's class; imported at first use.

        Raises:
            ImportError: a package it needs is not installed.
        """
        module, _, attribute = self.path.partition(":")
        backend: type[Backend] = getattr(import_module(module), attribute)
        return backend

    def availability(self, settings: Settings | None = None) -> Availability:
        """Whether it can run here, and if not, why; with the settings in the environment where none are given. Never
        raises, and does not import the packages that the technique needs."""
        if missing := next((package for package in self.packages if find_spec(package) is None), None):
            return Availability(False, f"The Python package {missing} is not installed.", self.install)
        try:
            return self.load().availability(settings or Settings.from_environment())
        except UserError as problem:
            return Availability(False, problem.message)
        except ImportError as failed:
            package = (failed.name or "A package").partition(".")[0]
            return Availability(False, f"The Python package {package} is not installed.", self.install)


BASELINE = "sequential"
#: What ``auto`` stands for where nothing is predicted.
AUTO = "threading"

TECHNIQUES: dict[str, Technique] = {
    technique.name: technique
    for technique in (
        Technique(
            "sequential",
            "Sequential",
            "imgproc.backends.pools.sequential:Sequential",
            "",
            "One process, one thread, the same fast codecs. The baseline of every speedup.",
            "For one small image: nothing to start.",
            "Everywhere else on more than one core.",
        ),
        Technique(
            "opencv",
            "OpenCV’s own threads",
            "imgproc.backends.pools.opencv_threads:OpenCVThreads",
            "",
            "One Python thread; OpenCV splits each operation over its own threads.",
            "For one very large image with long operations.",
            "Whenever decoding and encoding dominate: they stay on one thread.",
            "thread",
        ),
        Technique(
            "numba-parallel",
            "Numba’s own threads",
            "imgproc.backends.pools.numba_parallel:NumbaParallel",
            "pip install numba",
            "One Python thread; the operations are compiled by Numba, which shares their rows among threads by prange.",
            "For operations that no library has, on large images: a loop in Python as fast as C, on all cores.",
            "Wherever OpenCV has the operation, with vector instructions; decoding and encoding stay on one thread.",
            "thread",
            packages=("numba",),
        ),
        Technique(
            "multiprocessing",
            "Process pool",
            "imgproc.backends.pools.multiprocessing_pool:MultiprocessingPool",
            "",
            "A Pool of processes. Workers get file names and write their own results.",
            "When an operation holds the GIL, and when one bad image must not take the others along.",
            "For small batches, which its start-up outweighs.",
        ),
        Technique(
            "threading",
            "Threads",
            "imgproc.backends.pools.threads:Threads",
            "",
            "Threads of one process, each taking the next image as soon as it is free.",
            "Almost always here: nothing is copied, start-up takes no time, memory is shared.",
            "When an operation is written in pure Python.",
        ),
        Technique(
            "futures-threads",
            "Threads through futures",
            "imgproc.backends.pools.futures:FuturesThreads",
            "",
            "concurrent.futures.ThreadPoolExecutor, Python’s modern interface to threads.",
            "The same cases as threads; the shortest code to write yourself.",
            "The same cases as threads.",
        ),
        Technique(
            "asyncio",
            "Threads through asyncio",
            "imgproc.backends.pools.asyncio_threads:AsyncioThreads",
            "",
            "asyncio.to_thread, as in web servers: an event loop hands each image to a thread and awaits it.",
            "When your program is asynchronous already: its loop stays free for other requests.",
            "The same cases as threads, and each image passes through the loop. Left to itself, it has a thread for "
            "each core and 4 more, at most 32, which is too many here.",
            like="futures-threads",
        ),
        Technique(
            "futures-processes",
            "Processes through futures",
            "imgproc.backends.pools.futures:FuturesProcesses",
            "",
            "concurrent.futures.ProcessPoolExecutor, processes behind the same interface as its threads.",
            "The same cases as the process pool; a dead worker is noticed at once.",
            "For small batches, which its start-up outweighs.",
        ),
        Technique(
            "joblib",
            "joblib",
            "imgproc.backends.pools.joblib_loky:JoblibLoky",
            "pip install joblib",
            "joblib with its loky processes, the usual choice in scientific Python.",
            "When your program uses joblib already.",
            "For small batches: usually the slowest start.",
            packages=("joblib",),
        ),
        Technique(
            "mpi",
            "MPI",
            "imgproc.backends.mpi.backend:Mpi",
            "pip install mpi4py mpich",
            "A group of MPI ranks under mpiexec, fed by one that hands out the work; on one machine or on many.",
            "When one machine is too small, and where a cluster speaks MPI already.",
            "On one machine the process pool does the same with less; a dead rank ends all of them.",
            "rank",
        ),
        Technique(
            "dask",
            "Dask",
            "imgproc.backends.dask.cluster:DaskCluster",
            "pip install distributed cryptography",
            "Dask’s scheduler with worker processes: on this machine, or those of a cluster (DASK_SCHEDULER).",
            "When one machine is too small, or you have a Dask cluster already.",
            "On one machine: each image passes through the scheduler, which the process pool does without.",
            packages=("distributed",),
        ),
        Technique(
            "interpreters",
            "Interpreters through futures",
            "imgproc.backends.pools.interpreters:Interpreters",
            "",
            "concurrent.futures.InterpreterPoolExecutor of Python 3.14: threads with an interpreter and a GIL each.",
            "With functions of your own in pure Python: they run side by side, and start sooner than processes.",
            "With all that needs NumPy or OpenCV, which do not load there so far; a crash ends the whole program.",
            "interpreter",
        ),
        Technique(
            "textbook",
            "Textbook pool (antipattern)",
            "imgproc.backends.pools.textbook_pool:TextbookPool",
            "",
            "A Pool as tutorials write it: pixels are pickled to workers and back, OpenCV’s threads are not pinned.",
            "Nowhere. It is here to be measured, when you name it, and never chosen or advised.",
            "One process decodes and encodes for all workers, every pixel goes through pipes twice or more, and each "
            "worker has as many threads as there are cores.",
            antipattern=True,
        ),
        Technique(
            "numba",
            "CUDA with Numba",
            "imgproc.backends.gpu.numba_cuda:NumbaCuda",
            nvidia.INSTALL,
            "Operations on an NVIDIA GPU by kernels in Python, which Numba compiles; threads decode and encode.",
            "When operations are long and decoding and encoding are not.",
            "For small images, and wherever decoding and encoding, which stay on the CPU, take most of the time.",
            "thread",
        ),
        Technique(
            "cupy",
            "CUDA with CuPy",
            "imgproc.backends.gpu.cupy_cuda:CupyCuda",
            nvidia.INSTALL,
            "Operations on an NVIDIA GPU by kernels in CUDA C, which CuPy launches; threads decode and encode.",
            "As CUDA with Numba, with less time for each launch.",
            "As CUDA with Numba.",
            "thread",
        ),
        Technique(
            "pycuda",
            "CUDA with PyCUDA",
            "imgproc.backends.gpu.pycuda_cuda:PycudaCuda",
            nvidia.INSTALL_PYCUDA,
            "The kernels of CUDA with CuPy, launched by PyCUDA, which needs CUDA’s own compiler, nvcc.",
            "When your program uses PyCUDA already.",
            "As CUDA with Numba.",
            "thread",
        ),
    )
}


def default_techniques() -> list[Technique]:
    """Those that take part where none is named: all but antipatterns."""
    return [technique for technique in TECHNIQUES.values() if not technique.antipattern]


def cannot_run(technique: Technique, workers: int, *, items: bool = False) -> str | None:
    """Why a technique cannot run here with so many workers, and what mends it; None if it can.

    Args:
        items: whether it is to call functions over items, and not to work on images.
    """
    available = technique.availability()
    if not (available.calls if items else available.ok):
        return f"{available.reason} What mends it: {available.command}" if available.command else available.reason
    least = least_workers(technique)
    return None if workers >= least else f"It needs at least {least} workers."


def least_workers(technique: Technique) -> int:
    """The fewest workers that can be asked for; 1 where it cannot run here."""
    return technique.load().capabilities.min_workers if technique.availability().ok else 1


def technique(name: str) -> Technique:
    """The technique of that name; ``auto`` is the one to take where nothing else is known.

    Raises:
        UserError: there is none.
    """
    if name == "auto":
        name = AUTO
    if name not in TECHNIQUES:
        known = ", ".join(("auto", *TECHNIQUES))
        raise UserError(f"There is no technique “{name}”. Choose from {known}.", field="technique", limit=known)
    return TECHNIQUES[name]
