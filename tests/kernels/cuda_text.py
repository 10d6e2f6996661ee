"""What the text of kernels.cu tells about its functions."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from imgproc.operations import cuda as kernels

SOURCE = Path(kernels.__file__).with_name("kernels.cu")

_FUNCTION = re.compile(
    r"^(?P<kernel>extern \"C\" __global__ )?(?:INLINE )?(?P<type>\w+ \*?)(?P<name>\w+)\((?P<parameters>[^)]*)\)\s*{",
    re.MULTILINE,
)


class Parameter(NamedTuple):
    """As ``const word *__restrict__ image``: its type and its name."""

    type: str
    name: str

    @property
    def is_array(self) -> bool:
        return "*" in self.type


class Function(NamedTuple):
    """One function of the source; a kernel can be launched."""

    is_kernel: bool
    parameters: tuple[Parameter, ...]


def functions() -> dict[str, Function]:
    """Every function of kernels.cu by its name."""
    return {
        found["name"]: Function(bool(found["kernel"]), tuple(map(_parameter, found["parameters"].split(","))))
        for found in _FUNCTION.finditer(SOURCE.read_text("utf-8"))
    }


def _parameter(text: str) -> Parameter:
    words = re.sub(r"__restrict__|\s+", " ", text).replace("*", " * ").split()
    return Parameter(" ".join(words[:-1]), words[-1])
