"""Histogram equalization on a GPU: which kernels run over how many blocks, and with which numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from imgproc.operations.cuda.device import Array, Device, Program, buffer, ceil_div, filled, result_buffer
from imgproc.operations.cuda.layout import Layout, image_and_result
from imgproc.parameters import Parameters

_BINS = 256
_TABLE_WORDS = 64  # a table of 256 bytes
_MAKING_WORDS = 4 * _BINS  # that making a table needs
# Blocks per multiprocessor of the kernels that work without tiles, as many as it runs at once; and the words that
# each of their threads should have at least.
_COUNTING_BLOCKS = 4
_MAPPING_BLOCKS = 8
_SHARE = 4


def equalize(device: Device, image: Array, shape: tuple[int, ...], p: Parameters, out: Array | None = None) -> Array:
    """Histogram equalization; of a colour image that of its luma."""
    layout, sizes = Layout.of(shape), device.sizes
    color = layout.channels > 1
    units = layout.words // layout.channels  # words of gray, groups of colour
    # The kernel that counts leaves zeros for the next image.
    counts = filled(device, "counts", "zeros", lambda: np.zeros(_BINS + 1, np.uint32))
    table = buffer(device, "table", _BINS, np.uint8)
    out = result_buffer(device, "equalize", layout.words, out)
    device.launch(
        "luma_histogram" if color else "histogram",
        (min(_COUNTING_BLOCKS * device.processors, ceil_div(units, _SHARE * sizes.counting_threads)), 1),
        sizes.counting_threads,
        4 * max(_BINS * sizes.copies, _MAKING_WORDS),
        *(image, counts, table, layout.words, layout.stride, layout.spare),
    )
    device.launch(
        "luma_look_up" if color else "look_up",
        (min(_MAPPING_BLOCKS * device.processors, ceil_div(units, (1 if color else _SHARE) * sizes.threads)), 1),
        sizes.threads,
        4 * (_TABLE_WORDS + (layout.channels * sizes.threads if color else 0)),
        *(image, table, out, layout.words),
    )
    return out


PROGRAM = Program(equalize, image_and_result, Path(__file__).with_name("kernels.cu"), f"{__package__}.numba_kernels")
