"""Other libraries that do the operations on an NVIDIA GPU, as their documentation shows it, for ``cuda.py``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from imgproc.operations.contract import Image

#: Does it once on the image that lies on the GPU; ``fetch`` gives its result as an array on the host.
Program = Callable[[], Any]

# Cut off at 5, no sigma gives OpenCV's weights for a kernel of 5, which are 1 4 6 4 1; this one comes nearest.
SIGMA = 1.1


@dataclass(frozen=True)
class Peer:
    """``make(image)`` puts a gray image on the GPU and gives the program, and what fetches its result and waits.

    It raises ImportError where the library is missing; pip installs it as ``package``.
    """

    name: str
    package: str
    make: Callable[[Image], tuple[Program, Callable[[Any], Image], Callable[[], Any]]]
    l2: bool = False  # it measures gradients by the root of squares, and is compared with OpenCV's that does, too


def _cupy(function: Callable[[Any], Program]) -> Callable[[Image], tuple[Program, Any, Any]]:
    def make(image: Image) -> tuple[Program, Any, Any]:
        cupy = import_module("cupy")
        return function(cupy.asarray(image)), cupy.asnumpy, cupy.cuda.Device().synchronize

    return make


def _ndimage_blur(image: Any) -> Program:
    filters = import_module("cupyx.scipy.ndimage")
    return lambda: filters.gaussian_filter(image, SIGMA, mode="mirror", truncate=2 / SIGMA)


def _ndimage_equalize(image: Any) -> Program:
    cupy = import_module("cupy")

    def program() -> Any:
        counts = cupy.bincount(image.ravel(), minlength=256)
        sums = counts.cumsum()
        first = sums[(counts > 0).argmax()]
        table = cupy.rint((sums - first) * 255 / (image.size - first)).clip(0, 255).astype(cupy.uint8)
        return table[image]

    return program


def _ndimage_canny(image: Any) -> Program:
    """Sobel, thinning and hysteresis by labels, from array operations."""
    cupy, filters = import_module("cupy"), import_module("cupyx.scipy.ndimage")

    def program() -> Any:
        gray = image.astype(cupy.int32)
        dx, dy = (filters.sobel(gray, axis=axis, mode="nearest") for axis in (1, 0))
        length = abs(dx) + abs(dy)
        flat, steep = abs(dx) * 13573, abs(dy) << 15
        padded = cupy.pad(length, 1)

        def beside(y: int, x: int) -> Any:
            return padded[1 + y : 1 + y + length.shape[0], 1 + x : 1 + x + length.shape[1]]

        along = (length > beside(0, -1)) & (length >= beside(0, 1))
        down = (length > beside(-1, 0)) & (length >= beside(1, 0))
        one = (length > beside(-1, -1)) & (length > beside(1, 1))
        other = (length > beside(-1, 1)) & (length > beside(1, -1))
        diagonal = cupy.where((dx ^ dy) < 0, other, one)
        thin = cupy.where(steep < flat, along, cupy.where(steep > flat + (abs(dx) << 16), down, diagonal))
        weak = thin & (length > 100)
        labels, count = filters.label(weak, structure=np.ones((3, 3)))
        kept = cupy.zeros(int(count) + 1, bool)
        kept[labels[weak & (length > 200)]] = True
        kept[0] = False
        return cupy.where(kept[labels], cupy.uint8(255), cupy.uint8(0))

    return program


def _cucim_canny(image: Any) -> Program:
    cupy, feature = import_module("cupy"), import_module("cucim.skimage.feature")
    as_float = image.astype(cupy.float32)
    # Without smoothing, as OpenCV.
    return lambda: feature.canny(as_float, sigma=0, low_threshold=100, high_threshold=200) * cupy.uint8(255)


def _torch(
    function: Callable[[Any, Any], Program], device: str = "cuda"
) -> Callable[[Image], tuple[Program, Any, Any]]:
    def make(image: Image) -> tuple[Program, Any, Any]:
        torch = import_module("torch")
        program = function(torch, torch.from_numpy(image)[None, None].to(device))
        return program, lambda found: found.squeeze().to(torch.uint8).cpu().numpy(), torch.cuda.synchronize

    return make


def _kornia_canny(torch: Any, image: Any) -> Program:
    filters = import_module("kornia.filters")
    as_float = image.float() / 255

    def program() -> Any:
        _, edges = filters.canny(as_float, 100 / 255, 200 / 255, kernel_size=(1, 1), sigma=(1, 1))
        return edges * 255

    return program


def _kornia_blur(torch: Any, image: Any) -> Program:
    filters = import_module("kornia.filters")
    as_float = image.float()
    return lambda: filters.gaussian_blur2d(as_float, (5, 5), (SIGMA, SIGMA), "reflect").round()


def _kornia_equalize(torch: Any, image: Any) -> Program:
    enhance = import_module("kornia.enhance")
    as_float = image.float() / 255
    return lambda: enhance.equalize(as_float) * 255


def _cvcuda(function: Callable[[Any, Any], Program]) -> Callable[[Image], tuple[Program, Any, Any]]:
    def make(image: Image) -> tuple[Program, Any, Any]:
        cvcuda, torch = import_module("cvcuda"), import_module("torch")
        tensor = cvcuda.as_tensor(torch.from_numpy(image)[None, :, :, None].cuda(), "NHWC")

        def fetch(found: Any) -> Image:
            return np.asarray(torch.as_tensor(found.cuda(), device="cuda").squeeze().cpu().numpy())

        return function(cvcuda, tensor), fetch, torch.cuda.synchronize

    return make


def _cvcuda_blur(cvcuda: Any, image: Any) -> Program:
    return lambda: cvcuda.gaussian(image, (5, 5), (SIGMA, SIGMA), cvcuda.Border.REFLECT101)


def _cvcuda_equalize(cvcuda: Any, image: Any) -> Program:
    return lambda: cvcuda.histogrameq(image, cvcuda.Type.U8)


PEERS: dict[str, tuple[Peer, ...]] = {
    "canny": (
        Peer("CuPy, cupyx.scipy.ndimage", "cupy-cuda12x", _cupy(_ndimage_canny)),
        Peer("cuCIM, canny 100 200 (L2)", "cucim-cu12", _cupy(_cucim_canny), l2=True),
        Peer("kornia, canny 100 200 (L2)", "kornia", _torch(_kornia_canny), l2=True),
    ),
    "gaussian": (
        Peer("CuPy, gaussian_filter, sigma 1.1", "cupy-cuda12x", _cupy(_ndimage_blur)),
        Peer("CV-CUDA, gaussian, sigma 1.1", "cvcuda-cu12", _cvcuda(_cvcuda_blur)),
        Peer("kornia, gaussian_blur2d, sigma 1.1", "kornia", _torch(_kornia_blur)),
    ),
    "equalize": (
        Peer("CuPy, bincount and take", "cupy-cuda12x", _cupy(_ndimage_equalize)),
        Peer("CV-CUDA, histogrameq", "cvcuda-cu12", _cvcuda(_cvcuda_equalize)),
        Peer("kornia, enhance.equalize", "kornia", _torch(_kornia_equalize)),
    ),
}
