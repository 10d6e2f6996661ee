"""The operations: their parameters, ranges, help, and what they do. Array in, array out.

Everything that shows or reads a parameter (form, command line, JSON API, docs) reads it from here.
The reference for every pixel is whole-image OpenCV on one thread with IPP off.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from typing import Any

import cv2

from imgproc.errors import UserError
from imgproc.operations.contract import Image, Look, Operation
from imgproc.parameters import Parameter, Parameters, Value


@contextmanager
def _without_ipp() -> Any:
    """OpenCV's closed IPP code switched off in this thread."""
    before = cv2.ipp.useIPP()
    cv2.ipp.setUseIPP(False)
    try:
        yield
    finally:
        cv2.ipp.setUseIPP(before)


def canny(image: Image, p: Parameters) -> Image:
    """Edges, 255 on 0, of shape (height, width); on a colour image the strongest channel decides per pixel."""
    low, high, aperture, l2 = float(p["canny_low"]), float(p["canny_high"]), int(p["aperture"]), bool(p["l2gradient"])
    if aperture == 3:
        # IPP may stay on: with whole-number thresholds it gives the same pixels here, faster.
        return _uint8(cv2.Canny(image, low, high, apertureSize=3, L2gradient=l2))
    with _without_ipp():  # at aperture 5 IPP's edges differ from OpenCV's own
        return _uint8(cv2.Canny(image, low, high, apertureSize=aperture, L2gradient=l2))


def gaussian(image: Image, p: Parameters) -> Image:
    """Blurred image of the same shape, each channel by itself."""
    kernel = int(p["kernel"])
    return _uint8(cv2.GaussianBlur(image, (kernel, kernel), float(p["sigma"])))


def equalize(image: Image, p: Parameters) -> Image:
    """Histogram-equalized image of the same shape; of a colour image the luma, its chroma kept."""
    if image.ndim == 2:
        return _uint8(cv2.equalizeHist(image))
    luma = cv2.cvtColor(image, cv2.COLOR_BGR2YCrCb)
    luma[:, :, 0] = cv2.equalizeHist(luma[:, :, 0])
    return _uint8(cv2.cvtColor(luma, cv2.COLOR_YCrCb2BGR))


def _uint8(array: Any) -> Image:
    """OpenCV's stubs promise less than it does: uint8 in gives uint8 out."""
    result: Image = array
    return result


# Kernels up to 7 give gradients far over 1000, so the thresholds may be as large.
_THRESHOLD_MAX = 10_000

OPERATIONS: dict[str, Operation] = {
    operation.name: operation
    for operation in (
        Operation(
            "canny",
            "Canny edges",
            "edges",
            "Thin lines where the brightness changes fast.",
            (
                Parameter(
                    "canny_low",
                    "Low threshold",
                    "integer",
                    100,
                    maximum=_THRESHOLD_MAX,
                    help="Weaker edges than this are dropped.",
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
            ),
            canny,
            bilevel=True,
            look=Look("#0b5cad", "#2f80cf", "op-canny.webp"),
        ),
        Operation(
            "gaussian",
            "Gaussian blur",
            "blur",
            "A soft blur without halos.",
            (
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
            ),
            gaussian,
            look=Look("#4f92d1", "#73b3ee", "op-gaussian.webp"),
        ),
        Operation(
            "equalize",
            "Histogram equalization",
            "equalized",
            "Spreads the grays over the full range.",
            (),
            equalize,
            look=Look("#aacdec", "#bedcf6", "op-equalize.webp"),
        ),
    )
}

PARAMETERS: dict[str, Parameter] = {p.name: p for operation in OPERATIONS.values() for p in operation.parameters}


def parse_operations(names: Iterable[str]) -> tuple[str, ...]:
    """Names of operations, also several in one string with commas, in the table's order, each once.

    Raises:
        UserError: none is given, or one is unknown.
    """
    wanted = {part.strip() for name in names for part in name.split(",") if part.strip()}
    known = ", ".join(OPERATIONS)
    for name in sorted(wanted - OPERATIONS.keys()):
        raise UserError(f"There is no operation “{name}”. Choose from {known}.", field="operations", limit=known)
    if not wanted:
        raise UserError(f"Choose at least one operation: {known}.", field="operations", limit=known)
    return tuple(name for name in OPERATIONS if name in wanted)


def parse_parameters(values: Mapping[str, str | Value]) -> dict[str, Value]:
    """Every parameter of every operation, from text or JSON values; what is not given has its default.

    Raises:
        UserError: a value is not allowed.
    """
    parsed = {name: p.parse(values[name]) if name in values else p.default for name, p in PARAMETERS.items()}
    if parsed["canny_low"] > parsed["canny_high"]:
        raise UserError(
            f"The low threshold (canny_low, {parsed['canny_low']}) must not be above the high one "
            f"(canny_high, {parsed['canny_high']}).",
            field="canny_low",
            limit=parsed["canny_high"],
        )
    return parsed
