"""What the text of the kernels in CUDA C tells about their functions."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from imgproc.operations.cuda.device import Sizes
from imgproc.operations.cuda.programs import cuda_source, programs

#: Of all operations, without the sizes.
SOURCE = cuda_source(Sizes()).split("\n", len(Sizes().fixed))[-1]
#: The same for Numba, file by file.
NUMBA = {
    name: Path(find_spec(name).origin).read_text("utf-8")
    for name in ["imgproc.operations.cuda.numba_common", *(program.numba for program in programs())]
}

_FUNCTION = re.compile(
    r"^(?P<kernel>extern \"C\" __global__ )?(?:INLINE )?(?P<type>\w+ \*?)(?P<name>\w+)\((?P<parameters>[^)]*)\)\s*{",
    re.MULTILINE,
)


class KernelParameter(NamedTuple):
    """As ``const word *__restrict__ image``: its type and its name."""

    type: str
    name: str

    @property
    def is_array(self) -> bool:
        return "*" in self.type


class Function(NamedTuple):
    """One function of the source; a kernel can be launched."""

    is_kernel: bool
    parameters: tuple[KernelParameter, ...]


def functions() -> dict[str, Function]:
    """Every function by its name."""
    return {
        found["name"]: Function(bool(found["kernel"]), tuple(map(_parameter, found["parameters"].split(","))))
        for found in _FUNCTION.finditer(SOURCE)
    }


def _parameter(text: str) -> KernelParameter:
    words = re.sub(r"__restrict__|\s+", " ", text).replace("*", " * ").split()
    return KernelParameter(" ".join(words[:-1]), words[-1])
