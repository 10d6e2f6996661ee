"""All operations that have a program, on one device: the source of their kernels, and a run from image to image."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from imgproc.operations import OPERATIONS
from imgproc.operations.contract import Image
from imgproc.operations.cuda.device import Device, Program, Sizes, buffer
from imgproc.operations.cuda.layout import Layout, pack, unpack
from imgproc.parameters import Parameters


def programs() -> list[Program]:
    """Those of the table's operations that have one."""
    return [operation.cuda for operation in OPERATIONS.values() if operation.cuda is not None]


def cuda_source(sizes: Sizes) -> str:
    """The kernels of all operations in CUDA C, for NVRTC or nvcc, with these sizes."""
    lines = [f"#define {name} {value}" for name, value in sizes.fixed.items()]
    files = [Path(__file__).with_name("common.cu"), *(program.kernels for program in programs())]
    return "\n".join([*lines, *(file.read_text("utf-8") for file in files)])


def run(device: Device, name: str, image: Image, p: Parameters) -> Image:
    """What ``OPERATIONS[name].apply`` gives: one image to the device, the operation, and the result back.

    Args:
        device: of one of the adapters.
        name: of an operation that has a program.
        image: uint8 of shape (height, width) or (height, width, 3) in BGR order.
        p: every parameter of the operation.

    Raises:
        UserError: the image is too large for the kernels.
    """
    words = pack(image)
    source = buffer(device, "image", words.size, np.uint32)
    device.upload(words, source)
    operation = OPERATIONS[name]
    result = operation.on_gpu.launch(device, source, image.shape, p)
    shape = operation.result_shape(image.shape)
    found = np.empty(Layout.of(shape).words, np.uint32)
    device.download(result, found)
    device.wait()
    return unpack(found, shape)
