"""Bilateral filter."""

from imgproc.operations.bilateral.cpu import PARAMETERS, arithmetic, bilateral, border, code
from imgproc.operations.contract import Look, Operation
from imgproc.operations.windows import in_windows

OPERATION = Operation(
    "bilateral",
    "Bilateral filter",
    "smoothed",
    "Smooths surfaces and keeps edges; takes long.",
    PARAMETERS,
    bilateral,
    strips=in_windows(bilateral, border),
    code=code,
    arithmetic=arithmetic,
    look=Look("#86cdb6", "#aee5d3", "op-bilateral.webp"),
    color="The bilateral filter takes the three channels together.",
    order=5,
)
