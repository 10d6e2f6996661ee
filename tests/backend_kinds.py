"""The backends that keep the contract: those of the table, and the GPU pipeline on a GPU that is the CPU."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from imgproc.backends import TECHNIQUES
from imgproc.backends.base import Availability, Backend
from imgproc.backends.gpu.pipeline import GpuPipeline

SHIM = "gpu-shim"
_FOLDER = Path(__file__).parent / "kernels"


class GpuShim(GpuPipeline):
    """The pipeline with the kernels compiled by g++."""

    name = SHIM
    adapter = "shim_gpu"

    @classmethod
    def availability(cls, settings=None) -> Availability:
        return Availability(shutil.which("g++") is not None, "there is no g++ here")

    def start(self) -> None:
        if str(_FOLDER) not in sys.path:
            sys.path.append(str(_FOLDER))  # the child is given this path
        if "SHIM_KERNELS" not in os.environ:
            from shim_device import SMALL, build

            folder = Path(tempfile.mkdtemp(prefix="shim-kernels-"))
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            build(folder, SMALL)
            os.environ["SHIM_KERNELS"] = str(folder / "kernels.so")
        super().start()


def kind(name: str) -> type[Backend]:
    """The class of the backend of that name."""
    return GpuShim if name == SHIM else TECHNIQUES[name].load()


NAMES = [*TECHNIQUES, SHIM]
#: On the caller's own threads; on a GPU; on processes, each of which does one task at a time; on interpreters.
INLINE = [name for name in NAMES if kind(name).capabilities.inline]
ON_GPU = [name for name in NAMES if kind(name).capabilities.memory == "device"]
COPIED = [name for name in NAMES if kind(name).capabilities.memory == "copied"]
PROCESSES = [name for name in COPIED if kind(name).capabilities.killable]
INTERPRETERS = [name for name in COPIED if name not in PROCESSES]
THREADED = [name for name in NAMES if name not in (*INLINE, *ON_GPU, *COPIED)]
KILLABLE = [*PROCESSES, *ON_GPU]
#: Whose workers have the inner threads that are asked for.
PINNED = [name for name in (*THREADED, *PROCESSES) if kind(name).capabilities.inner_threads]


def each(names: list[str], *, images: bool = False) -> list[object]:
    """As parameters of a test, with ``images`` of one that works on them; those that cannot run here are skipped with
    the reason, those with a GPU marked so."""
    return [_parameter(name, images) for name in names]


def _parameter(name: str, images: bool) -> object:
    available = kind(name).availability()
    able = available.ok if images else available.calls
    marks = [pytest.mark.skipif(not able, reason=f"{name}: {available.reason}")]
    if name in ON_GPU and name != SHIM:
        marks.append(pytest.mark.gpu)
    return pytest.param(name, marks=marks)


#: Those of the table that can run here, and those of them that take part where none is named.
AVAILABLE = [name for name, technique in TECHNIQUES.items() if technique.availability().ok]
DEFAULT = [name for name in AVAILABLE if not TECHNIQUES[name].antipattern]
