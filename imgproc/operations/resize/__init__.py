"""Resizing."""

from imgproc.operations.contract import Look, Operation
from imgproc.operations.resize.cpu import PARAMETERS, code, resize, size

OPERATION = Operation(
    "resize",
    "Resize",
    "resized",
    "The picture in another size.",
    PARAMETERS,
    resize,
    code=code,
    look=Look("#4d6619", "#738f35", "op-resize.webp"),
    order=10,
    size=size,
)
