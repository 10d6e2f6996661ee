"""Length of the gradient by Sobel."""

from imgproc.operations.contract import Look, Operation
from imgproc.operations.sobel.cpu import PARAMETERS, arithmetic, border, code, magnitude, sobel
from imgproc.operations.windows import in_windows

OPERATION = Operation(
    "sobel",
    "Sobel magnitude",
    "gradient",
    "How fast the brightness changes.",
    PARAMETERS,
    sobel,
    strips=in_windows(magnitude, border),
    code=code,
    arithmetic=arithmetic,
    look=Look("#c8a4e6", "#dbbcf7", "op-sobel.webp"),
    order=7,
)
