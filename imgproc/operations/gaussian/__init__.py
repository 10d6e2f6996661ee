"""Gaussian blur."""

from imgproc.operations.contract import Look, Operation, Phase, Strips
from imgproc.operations.gaussian.cpu import blur, border, gaussian
from imgproc.operations.gaussian.cuda import PROGRAM
from imgproc.operations.gaussian.kernel import PARAMETERS, arithmetic, check, code, remarks

OPERATION = Operation(
    "gaussian",
    "Gaussian blur",
    "blur",
    "A soft blur without halos.",
    PARAMETERS,
    gaussian,
    check=check,
    remarks=remarks,
    strips=Strips((Phase(blur),), border),
    cuda=PROGRAM,
    prange=f"{__name__}.prange:gaussian",
    code=code,
    arithmetic=arithmetic,
    look=Look("#4f92d1", "#73b3ee", "op-gaussian.webp"),
    order=2,
    default=True,
)
