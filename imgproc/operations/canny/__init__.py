"""Canny edges."""

from imgproc.operations.canny.code import code
from imgproc.operations.canny.cpu import arithmetic, border, canny, edges, finish
from imgproc.operations.canny.cuda import PROGRAM
from imgproc.operations.canny.thresholds import PARAMETERS, check, from_picture, of_picture, remarks
from imgproc.operations.contract import Adaptation, Look, Operation, Phase, Strips
from imgproc.parameters import Parameter

_PARAMETERS = (
    *PARAMETERS,
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
    remarks=remarks,
    adaptation=Adaptation(from_picture, of_picture),
    strips=Strips((Phase(edges, finish),), border),
    cuda=PROGRAM,
    prange=f"{__name__}.prange:canny",
    code=code,
    arithmetic=arithmetic,
    look=Look("#0b5cad", "#2f80cf", "op-canny.webp"),
    color="Canny takes the strongest channel of each pixel.",
    order=1,
    default=True,
)
