"""Histogram equalization."""

from imgproc.operations.contract import Look, Operation, Phase, Strips
from imgproc.operations.equalize.cpu import arithmetic, code, equalize, equalize_rows, histogram, table
from imgproc.operations.equalize.cuda import PROGRAM

OPERATION = Operation(
    "equalize",
    "Histogram equalization",
    "equalized",
    "Spreads the grays over the full range.",
    (),
    equalize,
    strips=Strips((Phase(histogram, table, writes=False), Phase(equalize_rows))),
    cuda=PROGRAM,
    prange=f"{__name__}.prange:equalize",
    code=code,
    arithmetic=arithmetic,
    look=Look("#aacdec", "#bedcf6", "op-equalize.webp", histogram=True),
    color="Equalizing changes the brightness (luma) and leaves the colours.",
    order=3,
    default=True,
)
