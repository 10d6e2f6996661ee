"""Canny as a few lines of OpenCV, for a program of one's own."""

from __future__ import annotations

from imgproc.operations.canny.thresholds import AUTO, GAIN, SPREAD, thresholds
from imgproc.parameters import Parameters


def code(p: Parameters, color: bool) -> str:
    """The body of a function of ``image``, see ``contract.Code``."""
    aperture = int(p["aperture"])
    lines = []
    if aperture != 3:
        lines.append("cv2.ipp.setUseIPP(False)  # at this aperture IPP finds other edges than OpenCV's own code")
    if p["thresholds"] == AUTO:
        lines += [
            "median = np.median(image)",
            f"low, high = int((1.0 - {SPREAD}) * median), int(min(255, (1.0 + {SPREAD}) * median))",
        ]
        gain = f"{GAIN[aperture]} * " if GAIN[aperture] > 1 else ""
        low, high = f"{gain}low", f"{gain}high"
    else:
        low, high = (f"{threshold:.15g}" for threshold in thresholds(p))
    lines.append(f"return cv2.Canny(image, {low}, {high}, apertureSize={aperture}, L2gradient={bool(p['l2gradient'])})")
    return "\n".join(lines)
