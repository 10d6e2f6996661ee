"""Adaptive threshold."""

from imgproc.operations.adaptive_threshold.cpu import PARAMETERS, adaptive_threshold, arithmetic, border, code
from imgproc.operations.contract import Look, Operation
from imgproc.operations.windows import in_windows

OPERATION = Operation(
    "adaptive_threshold",
    "Adaptive threshold",
    "brighter parts",
    "White where it is brighter than around.",
    PARAMETERS,
    adaptive_threshold,
    bilevel=True,
    strips=in_windows(adaptive_threshold, border),
    code=code,
    arithmetic=arithmetic,
    look=Look("#e6a3bf", "#f9b6cf", "op-adaptive_threshold.webp"),
    color="The adaptive threshold is of the gray that a colour has.",
    order=9,
)
