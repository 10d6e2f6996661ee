"""The kernel of a Gaussian blur: its size, its sigma, and the weights that OpenCV makes of them."""

from __future__ import annotations

import math

import cv2
import numpy as np

from imgproc.errors import UserError
from imgproc.operations.cuda.packed_weights import Taps
from imgproc.parameters import Parameter, Parameters

WHOLE = 256  #: what the taps of a blur add up to
#: Largest sigma: beyond it no weight in 256ths is above 2, and a blur is mostly rounding. The kernels go as far as it
#: needs, and 12 megapixels then take about two seconds of one core.
MOST_SIGMA = 50
MOST_KERNEL = 301
# A kernel under so many sigma blurs less than its sigma says by a tenth or more.
_SIGMAS = 5

PARAMETERS = (
    Parameter(
        "kernel",
        "Kernel",
        "integer",
        5,
        maximum=MOST_KERNEL,
        odd=True,
        help="Width and height of the kernel in pixels; 0 takes it from sigma, as OpenCV does: 6 sigma + 1, odd.",
    ),
    Parameter(
        "sigma",
        "Sigma",
        "number",
        0.0,
        maximum=MOST_SIGMA,
        step=0.1,
        help="Standard deviation in pixels; 0 takes it from the kernel: 0.71, 1, 1.37 and 1.66 for kernels 3, 5, 7 and "
        "9, and 0.15 kernel + 0.35 above. A kernel under 5 sigma cuts the blur short.",
    ),
)


def check(p: Parameters) -> None:
    """One of kernel and sigma must say how wide the blur is.

    Raises:
        UserError: both are to be taken from the other.
    """
    if p["kernel"] == 0 and p["sigma"] == 0:
        raise UserError(
            "Kernel (kernel) 0 takes the size from sigma, so Sigma (sigma) must be above 0. Choose a sigma, or an odd "
            f"kernel from 1 to {MOST_KERNEL}.",
            field="sigma",
            limit="above 0",
        )


def kernel_size(p: Parameters) -> int:
    """Width and height of the kernel, odd."""
    return int(p["kernel"]) or size_for(float(p["sigma"]))


def code(p: Parameters, color: bool) -> str:
    """The blur as a body of a function of ``image``, see ``contract.Code``."""
    kernel = kernel_size(p)
    return f"return cv2.GaussianBlur(image, ({kernel}, {kernel}), {float(p['sigma']):.15g})"


def arithmetic(p: Parameters, channels: int) -> float:
    """See ``Operation.arithmetic``: a kernel across, and one down."""
    return channels * 2.0 * (2 * kernel_size(p) - 1)


def size_for(sigma: float) -> int:
    """The size of kernel that OpenCV takes for a sigma on 8 bits."""
    return round(6 * sigma + 1) | 1


def gaussian_taps(kernel: int, sigma: float) -> Taps:
    """OpenCV's Gaussian in 256ths, of shape (kernel,).

    Each is rounded with the error of those before it, from the ends to the middle, which gets what is left.
    """
    exact = cv2.getGaussianKernel(kernel, sigma, cv2.CV_64F).ravel()
    half, error = [], 0.0
    for value in exact[: kernel // 2]:
        wanted = WHOLE * float(value) + error
        half.append(round(wanted))
        error = wanted - half[-1]
    return np.array([*half, WHOLE - 2 * sum(half), *reversed(half)], np.int64)


def remarks(p: Parameters) -> tuple[str, ...]:
    """That the kernel is too small for its sigma, if it is."""
    kernel, sigma = kernel_size(p), float(p["sigma"])
    if kernel >= _SIGMAS * sigma:
        return ()
    return (
        f"sigma {sigma:g} with kernel {kernel} blurs as {_spread(kernel, sigma):.2f}, as so small a kernel cuts it "
        f"short. Kernel 0 takes the size that this sigma needs, {size_for(sigma)}.",
    )


def _spread(kernel: int, sigma: float) -> float:
    """The standard deviation of what the weights really are."""
    squares = (np.arange(kernel) - kernel // 2) ** 2
    return math.sqrt(float((squares * gaussian_taps(kernel, sigma)).sum()) / WHOLE)
