"""Which program this is, to the commit and the libraries that take part, so that a run can be repeated by the same."""

from __future__ import annotations

import os
import platform
import subprocess
from contextlib import suppress
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

from imgproc import __version__
from imgproc.installation import CHECKOUT

#: Packages that take part in some run, or in its measuring; those that are not here are left out.
PACKAGES = (
    "opencv-python-headless", "numpy", "isal", "numba", "llvmlite", "tifffile", "imagecodecs", "joblib", "loky",
    "cloudpickle", "threadpoolctl", "mpi4py", "mpich", "impi-rt", "openmpi", "dask", "distributed", "cupy-cuda11x",
    "cupy-cuda12x", "cupy-cuda13x", "cupy", "numba-cuda", "pycuda", "scipy", "psutil", "flask",
)  # fmt: skip
_LOCK = "requirements.lock"
_PACKAGE = Path(__file__).resolve().parent.parent
#: Variables of the environment that change how memory is handed out, whose values are no secret.
_ALLOCATOR = ("PYTHONMALLOC", "MALLOC_ARENA_MAX", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def program() -> dict[str, Any]:
    """``version``; ``commit`` and whether files that git knows were ``changed`` since, None where this is no checkout
    or there is no git; ``source_sha256`` of its own Python files, which tells any two apart; ``lock_sha256`` of the
    list of packages that belong to it, None where it is not here."""
    commit = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--untracked-files=no", "--", "imgproc") if commit else None
    lock = CHECKOUT / _LOCK if CHECKOUT else None
    return {
        "version": __version__,
        "commit": commit,
        "changed": None if changes is None else bool(changes),
        "source_sha256": _source(),
        "lock_sha256": sha256(lock.read_bytes()).hexdigest() if lock and lock.is_file() else None,
    }


def versions() -> dict[str, str]:
    """Of the packages that are here."""
    found = {}
    for package in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def allocator() -> dict[str, Any]:
    """What hands out memory, as far as it can be read: the C library (``libc``), the names of libraries that are loaded
    before it (``preloaded``), and variables that change how either works."""
    preloaded = os.environ.get("LD_PRELOAD", "").replace(":", " ").split()
    return {
        "libc": " ".join(platform.libc_ver()).strip() or None,
        "preloaded": [Path(name).name for name in preloaded],
        "variables": {name: os.environ[name] for name in _ALLOCATOR if name in os.environ},
    }


def _source() -> str:
    """SHA-256 over the names and contents of the package's Python files, in the order of their names."""
    whole = sha256()
    for file in sorted(_PACKAGE.rglob("*.py")):
        whole.update(f"{file.relative_to(_PACKAGE).as_posix()}\n".encode() + file.read_bytes())
    return whole.hexdigest()


def _git(*words: str) -> str | None:
    """What git says of the checkout; None where it does not."""
    if CHECKOUT is None or not (CHECKOUT / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(CHECKOUT), *words], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
