"""Canny edges."""

from imgproc.errors import UserError
from imgproc.operations.canny.cpu import border, canny, edges, finish
from imgproc.operations.canny.cuda import PROGRAM
from imgproc.operations.contract import Look, Operation, Phase, Strips
from imgproc.parameters import Parameter, Parameters

# Kernels up to 7 give gradients far over 1000, so the thresholds may be as large.
_THRESHOLD_MAX = 10_000


def check(p: Parameters) -> None:
    """The thresholds must be in order."""
    low, high = p["canny_low"], p["canny_high"]
    if low > high:
        raise UserError(
            f"The low threshold (canny_low, {low}) must not be above the high one (canny_high, {high}).",
            field="canny_low",
            limit=high,
        )


_PARAMETERS = (
    Parameter(
        "canny_low", "Low threshold", "integer", 100, maximum=_THRESHOLD_MAX, help="Weaker edges than this are dropped."
    ),
    Parameter(
        "canny_high",
        "High threshold",
        "integer",
        200,
        maximum=_THRESHOLD_MAX,
        help="Edges from here on are kept, with the weaker ones that touch them.",
    ),
    Parameter("aperture", "Aperture", "choice", 3, choices=(3, 5, 7), help="Size of the Sobel kernel."),
    Parameter(
        "l2gradient",
        "Exact gradient length (L2)",
        "flag",
        False,
        help="Square root of the squares instead of the sum of the absolute values.",
    ),
)

OPERATION = Operation(
    "canny",
    "Canny edges",
    "edges",
    "Thin lines where the brightness changes fast.",
    _PARAMETERS,
    canny,
    bilevel=True,
    check=check,
    strips=Strips((Phase(edges, finish),), border),
    cuda=PROGRAM,
    look=Look("#0b5cad", "#2f80cf", "op-canny.webp"),
    order=1,
)
