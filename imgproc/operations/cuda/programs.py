"""The programs of all operations that have one, and the source of their kernels."""

from __future__ import annotations

from pathlib import Path

from imgproc.operations import OPERATIONS
from imgproc.operations.cuda.device import Program, Sizes


def programs() -> list[Program]:
    """Those of the table's operations that have one."""
    return [operation.cuda for operation in OPERATIONS.values() if operation.cuda is not None]


def cuda_source(sizes: Sizes) -> str:
    """The kernels of all operations in CUDA C, for NVRTC or nvcc, with these sizes."""
    lines = [f"#define {name} {value}" for name, value in sizes.fixed.items()]
    files = [Path(__file__).with_name("common.cu"), *(program.kernels for program in programs())]
    return "\n".join([*lines, *(file.read_text("utf-8") for file in files)])
