"""Unsharp mask."""

from imgproc.operations.contract import Look, Operation
from imgproc.operations.unsharp.cpu import PARAMETERS, arithmetic, border, code, unsharp
from imgproc.operations.windows import in_windows

OPERATION = Operation(
    "unsharp",
    "Unsharp mask",
    "sharpened",
    "Sharpens by what a blur takes away.",
    PARAMETERS,
    unsharp,
    strips=in_windows(unsharp, border),
    code=code,
    arithmetic=arithmetic,
    look=Look("#96184f", "#cf4f88", "op-unsharp.webp"),
    order=8,
)
