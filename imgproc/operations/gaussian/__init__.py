"""Gaussian blur."""

from imgproc.operations.contract import Look, Operation, Phase, Strips
from imgproc.operations.gaussian.cpu import blur, border, gaussian
from imgproc.operations.gaussian.cuda import PROGRAM
from imgproc.parameters import Parameter

_PARAMETERS = (
    Parameter(
        "kernel",
        "Kernel",
        "integer",
        5,
        minimum=1,
        maximum=99,
        step=2,
        odd=True,
        help="Width and height of the kernel in pixels.",
    ),
    Parameter(
        "sigma",
        "Sigma",
        "number",
        0.0,
        maximum=50,
        step=0.1,
        help="Standard deviation in pixels; 0 takes it from the kernel.",
    ),
)

OPERATION = Operation(
    "gaussian",
    "Gaussian blur",
    "blur",
    "A soft blur without halos.",
    _PARAMETERS,
    gaussian,
    strips=Strips((Phase(blur),), border),
    cuda=PROGRAM,
    look=Look("#4f92d1", "#73b3ee", "op-gaussian.webp"),
    order=2,
)
