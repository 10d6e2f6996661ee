"""Other libraries that work on one image in parallel, as their documentation shows it, for ``one_image.py``."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from benchmarks.whole_jobs.programs import SIGMA, WEIGHTS
from imgproc.operations import OPERATIONS, parse_parameters
from imgproc.operations.contract import Image

Program = Callable[[], Image]

#: Rows borrowed from either side: what a kernel of 5 needs, and Canny's Sobel and its comparison of neighbours.
OVERLAP = 2

#: The group of those that measure gradients by the root of squares.
L2 = "canny, L2gradient=True"


@dataclass(frozen=True)
class Peer:
    """``make(image, rows, workers)`` prepares the program for a gray image; strips have so many rows, unless the
    library decides.

    It raises ImportError or OSError where the library is missing; pip installs it as ``package``.
    """

    name: str
    package: str
    make: Callable[[Image, int, int], Program]


def dask_with_opencv(operation: str) -> Peer:
    """Our own functions on strips that overlap."""
    parameters = parse_parameters({})

    def on_strip(strip: Image) -> Image:
        return OPERATIONS[operation].apply(strip, parameters)

    def make(image: Image, rows: int, workers: int) -> Program:
        strips = import_module("dask.array").from_array(image, chunks=(rows, image.shape[1]), name=False)
        empty = np.empty((0, 0), np.uint8)
        lazy = strips.map_overlap(on_strip, depth=(OVERLAP, 0), boundary="none", dtype=np.uint8, meta=empty)
        return lambda: lazy.compute(scheduler="threads", num_workers=workers)

    return Peer("dask map_overlap of OpenCV", "dask[array]", make)


def scikit_image(what: str, function: Callable[[Any, Image], Image]) -> Peer:
    """Its own functions on strips that overlap."""

    def make(image: Image, rows: int, workers: int) -> Program:
        skimage, dask = import_module("skimage"), import_module("dask")
        import_module("dask.array")

        def on_strip(strip: Image) -> Image:
            return function(skimage, strip)

        def program() -> Image:
            with dask.config.set(scheduler="threads", num_workers=workers):
                result: Image = skimage.util.apply_parallel(
                    on_strip, image, (rows, image.shape[1]), depth=OVERLAP, mode="none", dtype=np.uint8
                )
            return result

        return program

    return Peer(f"scikit-image {what}", "scikit-image dask[array]", make)


def libvips(name: str, function: Callable[[Any], Any]) -> Peer:
    """The whole image, which libvips cuts up itself."""

    def make(image: Image, rows: int, workers: int) -> Any:
        os.environ["VIPS_CONCURRENCY"] = str(workers)  # read when it is loaded
        vips = import_module("pyvips")
        vips.cache_set_max(0)  # else it would remember the result
        height, width = image.shape
        source = vips.Image.new_from_memory(image.data, width, height, 1, "uchar")
        return lambda: function(source).numpy()

    return Peer(f"pyvips {name}", "pyvips[binary]", make)


def kornia_rs(name: str, *parameters: float) -> Peer:
    """The whole image on one thread."""

    def make(image: Image, rows: int, workers: int) -> Program:
        function = getattr(import_module("kornia_rs").imgproc, name)
        return lambda: np.asarray(function(image[:, :, None], *parameters), np.uint8).reshape(image.shape)

    return Peer(f"kornia-rs {name}", "kornia-rs", make)


def _weighted(image: Any) -> Any:
    vips = import_module("pyvips")
    return image.conv(vips.Image.new_from_array(np.outer(WEIGHTS, WEIGHTS).tolist(), scale=256), precision="integer")


def _blur(skimage: Any, strip: Image) -> Image:
    # Cut off at 5, no sigma gives OpenCV's weights for a kernel of 5, which are 1 4 6 4 1; this one comes nearest.
    blurred = skimage.filters.gaussian(strip, SIGMA, mode="mirror", preserve_range=True, truncate=2 / SIGMA)
    return np.rint(blurred).astype(np.uint8)


def _canny(skimage: Any, strip: Image) -> Image:
    edges: Image = np.where(skimage.feature.canny(strip, 0, 100, 200), np.uint8(255), np.uint8(0))
    return edges


PEERS: dict[str, tuple[Peer, ...]] = {
    "canny": (dask_with_opencv("canny"), kornia_rs("canny", 100, 200)),
    L2: (
        scikit_image("canny 100 200", _canny),
        # It has no thresholds, only lengths of gradients, on a scale of its own; above 10 comes nearest.
        libvips("canny", lambda image: image.canny(sigma=0.1, precision="integer") > 10),
    ),
    "gaussian": (
        dask_with_opencv("gaussian"),
        scikit_image(f"gaussian, sigma {SIGMA}", _blur),
        # The same weights; only at the border its pixels are others, as it repeats the last row.
        libvips("conv", _weighted),
    ),
    "equalize": (
        kornia_rs("equalize_hist"),
        libvips("hist_equal", lambda image: image.hist_equal()),
    ),
}
