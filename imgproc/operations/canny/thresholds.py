"""The thresholds of Canny: those that were asked for, scaled to the aperture, or taken from the picture itself."""

from __future__ import annotations

import math

import numpy as np

from imgproc.errors import UserError
from imgproc.operations.contract import Image
from imgproc.operations.histogram import count
from imgproc.parameters import Parameter, Parameters

RAW, SCALED, AUTO = "raw", "scaled", "auto"
#: How many times as large as at aperture 3 the gradient of the same straight edge is.
GAIN = {3: 1, 5: 12, 7: 160}
# The gradient of a step of one gray level at aperture 3.
_STEP = 4
#: Above the largest gradient there is: 1,530 at aperture 3, 17,850 at 5, 235,620 at 7.
MOST = 240_000
#: The unit in which OpenCV counts a gradient; that of aperture 7 would not fit into 16 bits.
UNIT = {3: 1, 5: 1, 7: 16}
#: No gradient is as long, in its unit. Larger thresholds say the same, but their squares would not fit into 32 bits.
LONGEST = 32767
#: Of the rule that ``auto`` follows: how far the thresholds are from the median, as a share of it.
SPREAD = 0.33

PARAMETERS = (
    Parameter(
        "canny_low",
        "Low threshold",
        "integer",
        100,
        maximum=MOST,
        help="Gradients up to this are no edges. A straight edge has a gradient of 4 times its step of gray levels at "
        "aperture 3, 48 times at 5 and 640 times at 7; the largest are 1530, 17850 and 235620. At 7 they are "
        "counted in steps of 16.",
    ),
    Parameter(
        "canny_high",
        "High threshold",
        "integer",
        200,
        maximum=MOST,
        help="Edges with a gradient above this are kept, with the weaker ones that touch them.",
    ),
    Parameter(
        "thresholds",
        "Thresholds are",
        "choice",
        RAW,
        choices=(RAW, SCALED, AUTO),
        help="raw: as they are; at aperture 5 and 7 the same edge has a gradient about 12 and 160 times as large as at "
        "3. scaled: times 12 at aperture 5, times 160 at 7. auto: 0.67 and 1.33 times the median of the image’s values "
        "(in colour of all channels), rounded down, at most 255, then scaled; low and high threshold are not used.",
    ),
)


def check(p: Parameters) -> None:
    """The thresholds must be in order, where they are used.

    Raises:
        UserError: the low one is above the high one.
    """
    low, high = int(p["canny_low"]), int(p["canny_high"])
    if low > high and p["thresholds"] != AUTO:
        raise UserError(
            f"The low threshold (canny_low, {low}) must not be above the high one (canny_high, {high}).",
            field="canny_low",
            limit=high,
        )


def remarks(p: Parameters) -> tuple[str, ...]:
    """That the thresholds keep what nobody sees, if they do."""
    aperture, high = int(p["aperture"]), int(p["canny_high"])
    least = _STEP * GAIN[aperture]
    if p["thresholds"] != RAW or aperture == 3 or high >= least:
        return ()
    return (
        f"at aperture {aperture} a step of one gray level has a gradient of {least}, which is above the high threshold "
        f"{high}, so noise is kept as edges. With thresholds “{SCALED}” {high} means what it means at aperture 3.",
    )


def from_picture(p: Parameters) -> bool:
    """Whether they are taken from the picture."""
    return p["thresholds"] == AUTO


def of_picture(image: Image, p: Parameters) -> Parameters:
    """The parameters with thresholds from the median of the image, as “auto” says.

    The rule is that of A. Rosebrock, “Zero-parameter, automatic Canny edge detection with Python and OpenCV” (2015),
    https://pyimagesearch.com/2015/04/06/zero-parameter-automatic-canny-edge-detection-with-python-and-opencv/, to the
    last bit of its numbers. It is made for aperture 3, so it is scaled at the others.
    """
    median = _median(image)
    low, high = int((1.0 - SPREAD) * median), int(min(255, (1.0 + SPREAD) * median))
    return {**p, "canny_low": low, "canny_high": high, "thresholds": SCALED}


def _median(image: Image) -> float:
    """The middle one of the values; of an even number the mean of the two in the middle."""
    below, last = count(image).cumsum(), image.size - 1
    lower, upper = np.searchsorted(below, [last // 2, last - last // 2], side="right")
    return (int(lower) + int(upper)) / 2


def thresholds(p: Parameters) -> tuple[float, float]:
    """Low and high as gradients of this aperture are compared with them.

    Raises:
        ValueError: they were to be taken from the picture, and were not.
    """
    if p["thresholds"] == AUTO:
        raise ValueError("these parameters have not been adapted to a picture")
    aperture = int(p["aperture"])
    gain = GAIN[aperture] if p["thresholds"] == SCALED else 1
    low, high = (min(gain * float(p[name]), LONGEST * UNIT[aperture]) for name in ("canny_low", "canny_high"))
    return low, high


def limits(low: float, high: float, aperture: int, l2: bool) -> tuple[int, int]:
    """Whole numbers that a gradient's length (with L2 its square) must be above, as in cv2.Canny."""
    low, high = sorted((low / UNIT[aperture], high / UNIT[aperture]))
    if l2:
        low, high = low**2, high**2
    return math.floor(low), math.floor(high)
