"""The threads that libraries make inside a worker: OpenCV's, and those of BLAS and OpenMP.

OpenCV is imported where it is first pinned: what workers need to call functions of a user's own must load without it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_info, threadpool_limits

_other_threads = 0  # not pinned yet
_libraries: frozenset[str] = frozenset()


def pin_threads(cv2_threads: int = 1) -> int:
    """Pin the inner threads of this process: OpenCV's to ``cv2_threads``, BLAS and OpenMP to one.

    Returns:
        How many threads OpenCV took: any number, also more than there are cores, but a build without threads says 1.
    """
    import cv2

    cv2.setNumThreads(cv2_threads)
    pin_other_threads()
    return max(1, cv2.getNumThreads())


def pin_other_threads() -> None:
    """Pin BLAS and OpenMP of this process to one thread."""
    global _other_threads, _libraries
    threadpool_limits(1)
    pools = threadpool_info()
    # Asked for once: it takes the libraries a moment to say.
    _other_threads = max((int(pool["num_threads"]) for pool in pools), default=1)
    found = frozenset(pool["filepath"] for pool in pools)
    _libraries = found if found != _libraries else _libraries


def pinned_libraries() -> frozenset[str]:
    """The files of the libraries that were last pinned; the same object as long as there are no others."""
    return _libraries


@contextmanager
def one_opencv_thread() -> Iterator[None]:
    """OpenCV works on one thread in this process, and those it had are ended, until the block ends."""
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(2)  # the same number again would end nothing, and its threads can outlive their number
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def inner_threads() -> dict[str, int]:
    """The inner threads of this process as the libraries report them."""
    threads = {"opencv": opencv_threads()}
    for pool in threadpool_info():  # two copies of a library may be loaded
        threads[pool["prefix"]] = max(threads.get(pool["prefix"], 0), int(pool["num_threads"]))
    return threads


def opencv_threads() -> int:
    """How many threads OpenCV works on; 1, the caller's own, where it is not loaded."""
    cv2 = sys.modules.get("cv2")
    return int(cv2.getNumThreads()) if cv2 else 1


def other_threads() -> int:
    """The most threads of any BLAS or OpenMP library as ``pin_threads`` found them; 0 before that."""
    return _other_threads
