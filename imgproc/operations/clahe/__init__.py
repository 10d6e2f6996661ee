"""Contrast limited adaptive histogram equalization."""

from imgproc.operations.clahe.cpu import PARAMETERS, clahe, code
from imgproc.operations.contract import Look, Operation

OPERATION = Operation(
    "clahe",
    "CLAHE",
    "local contrast",
    "Histogram equalization by tiles, with limited contrast.",
    PARAMETERS,
    clahe,
    code=code,
    look=Look("#6f3a9c", "#9b63c9", "op-clahe.webp", histogram=True),
    color="CLAHE changes the brightness (luma) and leaves the colours.",
    order=6,
)
