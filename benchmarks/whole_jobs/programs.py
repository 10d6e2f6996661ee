"""Programs from image files to three PNG files each: Canny 100/200, Gaussian of 5, equalized, all of the gray picture.

THE table is ``PROGRAMS``. The functions that it names run in a child process of their own (``child.py``): each takes
the number of workers, imports its libraries, and returns the job. A job goes over the files in the order in which they
are given, and writes ``0000_canny.png`` and so on by their number; it returns the bytes of memory that processes had
which it started and ended meanwhile, as no one else sees them, else 0.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
#: From files, in order, and the folder for the results; see above for what it returns.
Job = Callable[[Sequence[str], str], int]

OPERATIONS = "canny", "gaussian", "equalize"
#: Weights of OpenCV's Gaussian of 5 along one side, in 16ths.
WEIGHTS = 1, 4, 6, 4, 1


@dataclass(frozen=True)
class Program:
    """``make``: module and function as above. ``modules``: what it imports, which pip installs as ``package``.

    ``parameters`` and ``remains``: which parameters of its own make it do the same work, and what differs
    from OpenCV's pixels nevertheless, and why. ``l2``: its Canny measures gradients by the root of squares, so it is
    compared with OpenCV's that does, too. ``slow``: it takes several times as long as the textbook loop.
    """

    name: str
    label: str
    make: str
    parameters: str
    remains: str = ""
    modules: tuple[str, ...] = ()
    package: str = ""
    l2: bool = False
    slow: bool = False

    @property
    def missing(self) -> str:
        """What is not installed, and how to install it; empty where all is there."""
        if self.name == IMAGEMAGICK and not _magick():
            return "not installed: the system's package imagemagick"
        if any(find_spec(module) is None for module in self.modules):
            return f"not installed: pip install '{self.package}'"
        return ""


# ---------------------------------------------------------------- OpenCV


def gray_of(file: str) -> Image:
    """Its gray pixels by OpenCV.

    Raises:
        ValueError: OpenCV cannot read it.
    """
    gray = cv2.imread(file, cv2.IMREAD_GRAYSCALE)
    if gray is None:
        raise ValueError(f"OpenCV cannot read {file}")
    return np.asarray(gray, np.uint8)


def plain(gray: Image, *, l2: bool = False) -> tuple[Any, ...]:
    """OpenCV's three results, as tutorials show it."""
    return cv2.Canny(gray, 100, 200, L2gradient=l2), cv2.GaussianBlur(gray, (5, 5), 0), cv2.equalizeHist(gray)


def target(out: str, number: int, operation: str) -> str:
    return os.path.join(out, f"{number:04d}_{operation}.png")  # noqa: PTH118 - called for every file


def write(out: str, number: int, results: Sequence[Any]) -> None:
    """Plain ``imwrite``."""
    for operation, result in zip(OPERATIONS, results, strict=True):
        cv2.imwrite(target(out, number, operation), result)


def write_sooner(out: str, number: int, results: Sequence[Any]) -> None:
    """Edges with one bit per pixel, and differences to the row above: as quick as without, and a quarter smaller."""
    for operation, result in zip(OPERATIONS, results, strict=True):
        how = [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]
        if operation == "canny":
            how = [cv2.IMWRITE_PNG_BILEVEL, 1]
        cv2.imwrite(target(out, number, operation), result, how)


def one_thread_each() -> None:
    cv2.setNumThreads(1)


def textbook_loop(workers: int) -> Job:
    """One Python thread; OpenCV has as many of its own as there are workers."""
    cv2.setNumThreads(workers)

    def job(files: Sequence[str], out: str) -> int:
        for number, file in enumerate(files):
            write(out, number, plain(gray_of(file)))
        return 0

    return job


def textbook_loop_on_one_thread(workers: int) -> Job:
    return textbook_loop(1)


def plain_of(file: str) -> tuple[Any, ...]:
    return plain(gray_of(file))


def textbook_pool(workers: int) -> Job:
    """Workers send arrays back and the parent writes them."""
    one_thread_each()
    # As in tutorials but for the start method: forking after OpenCV's threads have run can hang.
    pool = get_context("spawn").Pool(workers, one_thread_each)

    def job(files: Sequence[str], out: str) -> int:
        for number, results in enumerate(pool.map(plain_of, files)):
            write(out, number, results)
        return 0

    return job


def by_opencv(out: str, numbered: tuple[int, str]) -> None:
    """One file by OpenCV alone, on one thread."""
    number, file = numbered
    one_thread_each()
    write_sooner(out, number, plain(gray_of(file)))


def each(function: Callable[[str, tuple[int, str]], None], pool: ThreadPoolExecutor) -> Job:
    """The function on every file, by threads that take the next one as soon as they are free."""

    def job(files: Sequence[str], out: str) -> int:
        list(pool.map(partial(function, out), enumerate(files)))
        return 0

    return job


def hand_written(workers: int) -> Job:
    return each(by_opencv, ThreadPoolExecutor(workers))


# ---------------------------------------------------------------- other ways to spread OpenCV's work


def with_joblib(workers: int, function: Callable[[str, tuple[int, str]], None] = by_opencv) -> Job:
    joblib = import_module("joblib")

    def job(files: Sequence[str], out: str) -> int:
        joblib.Parallel(workers)(joblib.delayed(function)(out, numbered) for numbered in enumerate(files))
        return 0

    return job


def dask_bag(workers: int) -> Job:
    bag = import_module("dask.bag")

    def job(files: Sequence[str], out: str) -> int:
        lazy = bag.from_sequence(list(enumerate(files))).map(partial(by_opencv, out))
        lazy.compute(scheduler="threads", num_workers=workers)
        return 0

    return job


# ---------------------------------------------------------------- other libraries


def libvips(workers: int) -> Job:
    os.environ["VIPS_CONCURRENCY"] = "1"  # read when it is loaded: threads go over the files instead
    vips = import_module("pyvips")
    vips.cache_set_max(0)  # each file is read once
    kernel = vips.Image.new_from_array(np.outer(WEIGHTS, WEIGHTS).tolist(), scale=sum(WEIGHTS) ** 2)

    def one(out: str, numbered: tuple[int, str]) -> None:
        number, file = numbered
        image = vips.Image.new_from_file(file, access="sequential")
        if image.bands > 2:
            image = image.extract_band(0, n=3).recomb([[0.299, 0.587, 0.114]]).rint().cast("uchar")
        gray = image.extract_band(0).copy(interpretation="b-w").copy_memory()
        edges = gray.canny(sigma=0.1, precision="integer") > 10
        edges.pngsave(target(out, number, "canny"), compression=1, bitdepth=1)
        blurred = gray.conv(kernel, precision="integer")
        for operation, result in (("gaussian", blurred), ("equalize", gray.hist_equal())):
            result.pngsave(target(out, number, operation), compression=1, filter="up")

    return each(one, ThreadPoolExecutor(workers))


def by_scikit_image(out: str, numbered: tuple[int, str]) -> None:
    filters, feature, exposure = map(import_module, ("skimage.filters", "skimage.feature", "skimage.exposure"))
    one_thread_each()
    number, file = numbered
    gray = gray_of(file)
    edges = feature.canny(gray, 0, 100, 200).astype(np.uint8) * 255
    blurred = filters.gaussian(gray, SIGMA, mode="mirror", preserve_range=True, truncate=2 / SIGMA)
    equalized = exposure.equalize_hist(gray) * 255
    write_sooner(out, number, [edges, np.rint(blurred).astype(np.uint8), np.rint(equalized).astype(np.uint8)])


#: Cut off at 5, no sigma of scikit-image gives the weights 1 4 6 4 1; this one comes nearest.
SIGMA = 1.06


def scikit_image(workers: int) -> Job:
    return with_joblib(workers, by_scikit_image)


def _kornia_results(kornia: Any, gray: Image) -> list[Image]:
    operations = kornia.imgproc
    return [
        np.asarray(result, np.uint8).reshape(gray.shape[:2])
        for result in (
            operations.canny(gray, 100, 200),
            operations.gaussian_blur(gray, (5, 5), (1.05, 1.05)),
            operations.equalize_hist(gray),
        )
    ]


def kornia_rs(workers: int) -> Job:
    """Its operations, on files that OpenCV reads and writes."""
    kornia = import_module("kornia_rs")
    one_thread_each()

    def one(out: str, numbered: tuple[int, str]) -> None:
        number, file = numbered
        write_sooner(out, number, _kornia_results(kornia, gray_of(file)[:, :, None]))

    return each(one, ThreadPoolExecutor(workers))


def kornia_rs_alone(workers: int) -> Job:
    """Its own files as well: it reads JPEG and PNG in colours, and makes gray of them."""
    kornia = import_module("kornia_rs")

    def one(out: str, numbered: tuple[int, str]) -> None:
        number, file = numbered
        image = kornia.io.read_image(file)
        gray = kornia.imgproc.gray_from_rgb(image[:, :, :3].copy()) if image.shape[2] > 2 else image[:, :, :1].copy()
        for operation, result in zip(OPERATIONS, _kornia_results(kornia, gray), strict=True):
            kornia.io.write_image_png_u8(target(out, number, operation), result[:, :, None], "mono")

    return each(one, ThreadPoolExecutor(workers))


IMAGEMAGICK = "imagemagick"


@cache
def _magick() -> tuple[str, ...]:
    """The command of ImageMagick; none where it is not installed, or another program has its name."""
    for command in ("magick", "convert"):
        if path := shutil.which(command):
            said = subprocess.run([path, "-version"], capture_output=True, text=True, check=False).stdout
            if "Version: ImageMagick" in said:
                return (path,)
    return ()


def imagemagick_version() -> str:
    """As it stands in a sentence; empty where it is not installed."""
    if not (command := _magick()):
        return ""
    said = subprocess.run([*command, "-version"], capture_output=True, text=True, check=False).stdout
    return " ".join(said.partition("Version: ")[2].split()[:2])


def imagemagick(workers: int) -> Job:
    """A process for each file, as many at once as there are workers."""
    os.environ["MAGICK_THREAD_LIMIT"] = "1"
    # The limit of Debian's package, 256 MiB, has Canny work on disk from about 8 megapixels on, ten times as slowly.
    folder = tempfile.mkdtemp(prefix="magick-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    limits = "".join(f'<policy domain="resource" name="{name}" value="4GiB"/>' for name in ("memory", "map"))
    Path(folder, "policy.xml").write_text(f"<policymap>{limits}</policymap>")
    os.environ["MAGICK_CONFIGURE_PATH"] = folder
    kernel = "5x5:" + ",".join(str(a * b) for a in WEIGHTS for b in WEIGHTS)
    quick = ["-depth", "8", "-define", "png:compression-level=1", "-define", "png:compression-filter=2"]
    head = [*_magick(), "-define", "jpeg:dct-method=islow"]

    def one(out: str, numbered: tuple[int, str]) -> None:
        number, file = numbered
        canny, gaussian, equalize = (target(out, number, operation) for operation in OPERATIONS)
        edges = ["(", "+clone", "-canny", "0x0+10%+20%", "-type", "bilevel", "-write", canny, "+delete", ")"]
        blur = ["(", "+clone", "-define", "convolve:scale=!", "-morphology", "Convolve", kernel, *quick]
        command = [*head, file, "-grayscale", "Rec601Luma", *edges, *blur, "-write", gaussian, "+delete", ")"]
        subprocess.run([*command, "-equalize", *quick, equalize], check=True, stdout=subprocess.DEVNULL)

    run = each(one, ThreadPoolExecutor(workers))

    def job(files: Sequence[str], out: str) -> int:
        run(files, out)
        return workers * _largest_of_ended_children()

    return job


def _largest_of_ended_children() -> int:
    """Bytes that the largest had; 0 where the system keeps no account of it."""
    try:
        resource = import_module("resource")
    except ImportError:
        return 0
    most: int = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


HERE = "benchmarks.whole_jobs.programs"
TEXTBOOK = "textbook-loop"
POOL = "textbook-pool"

PROGRAMS: dict[str, Program] = {
    program.name: program
    for program in (
        Program(
            TEXTBOOK,
            "textbook loop, one thread",
            f"{HERE}:textbook_loop_on_one_thread",
            "`imread` in gray, `Canny`, `GaussianBlur`, `equalizeHist`, `imwrite`; `setNumThreads(1)`",
        ),
        Program(
            "textbook-loop-threads",
            "textbook loop, OpenCV’s threads",
            f"{HERE}:textbook_loop",
            "the same with as many of OpenCV's own threads as there are workers",
        ),
        Program(
            POOL,
            "textbook Pool, arrays returned",
            f"{HERE}:textbook_pool",
            "`Pool.map` of a function that returns the three arrays, which the parent writes; one OpenCV thread in "
            "each worker, which favours it",
        ),
        Program(
            "hand-written",
            "best hand-written: threads",
            f"{HERE}:hand_written",
            "`ThreadPoolExecutor.map`, `setNumThreads(1)`; `imwrite` with `IMWRITE_PNG_BILEVEL` for edges and "
            "`IMWRITE_PNG_FILTER_UP`, which are as quick and smaller",
        ),
        Program(
            "joblib",
            "joblib",
            f"{HERE}:with_joblib",
            "`Parallel` with loky over the same function, which reads and writes the files",
            modules=("joblib",),
            package="joblib",
        ),
        Program(
            "dask-bag",
            "Dask bag",
            f"{HERE}:dask_bag",
            "`from_sequence().map()` of the same function, on the scheduler of threads: that of processes starts new "
            "ones for each `compute`",
            modules=("dask",),
            package="dask[bag]",
        ),
        Program(
            "pyvips",
            "pyvips",
            f"{HERE}:libvips",
            "one libvips thread for each file and as many files at once as workers; 5 x 5 `conv` with the weights 1 "
            "4 6 4 1; `pngsave` with compression 1, filter up, edges with one bit",
            "Canny has neither thresholds nor hysteresis, only lengths of gradients by 2 x 2 pixels on a scale of "
            "its own, cut off above 10; the blur repeats the last row where OpenCV mirrors; equalizing leaves no "
            "level out; gray is mixed from RGB",
            modules=("pyvips",),
            package="pyvips[binary]",
            l2=True,
        ),
        Program(
            "scikit-image",
            "scikit-image + joblib",
            f"{HERE}:scikit_image",
            "`canny(gray, 0, 100, 200)`, compared with `L2gradient=True`; `gaussian` cut off at 5 with sigma 1.06, "
            "mirrored, rounded; `equalize_hist` times 255, rounded; files by OpenCV, as it has no codecs of its own",
            "Canny interpolates between neighbours where OpenCV takes the nearest; no sigma gives the weights 1 4 6 "
            "4 1; equalizing leaves no level out",
            modules=("skimage", "joblib"),
            package="scikit-image",
            l2=True,
            slow=True,
        ),
        Program(
            "kornia-rs",
            "kornia-rs, files by OpenCV",
            f"{HERE}:kornia_rs",
            "`canny(100, 200)`, `gaussian_blur` of 5 with sigma 1.05, `equalize_hist`, on threads",
            "no sigma of the blur gives the weights 1 4 6 4 1, and its border is another",
            modules=("kornia_rs",),
            package="kornia-rs",
        ),
        Program(
            "kornia-rs-alone",
            "kornia-rs alone",
            f"{HERE}:kornia_rs_alone",
            "the same with its own `read_image`, `gray_from_rgb` and `write_image_png_u8`",
            "as above, and gray is mixed from RGB, which its decoder gives",
            modules=("kornia_rs",),
            package="kornia-rs",
            slow=True,
        ),
        Program(
            IMAGEMAGICK,
            "ImageMagick",
            f"{HERE}:imagemagick",
            "one process for each file, one thread in each, 4 GiB of memory allowed; `-grayscale Rec601Luma`, "
            "`-canny 0x0+10%+20%`, `-morphology Convolve` with the weights 1 4 6 4 1, `-equalize`; PNG of "
            "compression 1, filter up, edges with one bit",
            "Canny's thresholds are shares of the strongest gradient of the picture; the blur repeats the last row "
            "where OpenCV mirrors; gray is mixed from RGB in 16 bits; equalizing leaves no level out",
            l2=True,
            slow=True,
        ),
    )
}
