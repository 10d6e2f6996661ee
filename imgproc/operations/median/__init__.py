"""Median filter."""

from imgproc.operations.contract import Look, Operation
from imgproc.operations.median.cpu import PARAMETERS, border, code, median
from imgproc.operations.windows import in_windows

OPERATION = Operation(
    "median",
    "Median filter",
    "filtered",
    "Takes specks away and keeps edges.",
    PARAMETERS,
    median,
    strips=in_windows(median, border),
    code=code,
    look=Look("#00695c", "#2f9c8b", "op-median.webp"),
    order=4,
)
