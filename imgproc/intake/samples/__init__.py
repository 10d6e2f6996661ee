"""Sample pictures made on the spot: any count, any size, rich in edges, the same for the same arguments."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import psutil

from imgproc.errors import UserError
from imgproc.files import write_whole
from imgproc.intake.samples import fractals, scenes, things
from imgproc.intake.samples.fields import Canvas
from imgproc.operations.contract import Image
from imgproc.temporary import without_fork_server

MIN_MEGAPIXELS, MAX_MEGAPIXELS = 0.01, 50.0
#: Peak memory of drawing one picture, measured; how many are drawn at once is limited by it.
BYTES_PER_PIXEL = 40
JPEG_QUALITY = 92
# Sizes in one folder differ by up to this factor, as in real ones.
_SPREAD = 5.0


@dataclass(frozen=True)
class Kind:
    """One kind of picture; ``aspect`` is width over height."""

    name: str
    paint: Callable[[Canvas], Image]
    aspect: float


KINDS = (
    Kind("ridge", scenes.ridge, 3 / 2),
    Kind("julia", fractals.julia, 3 / 2),
    Kind("night-city", things.night_city, 16 / 9),
    Kind("relief", scenes.relief, 3 / 2),
    Kind("fern", things.fern, 2 / 3),
)


def draw(index: int, megapixels: float, seed: int = 0) -> Image:
    """The sample picture of this number: kinds take turns, and come back in other forms and colours.

    Args:
        index: from 0.
        megapixels: of the picture, which is never larger and hardly smaller.
        seed: another seed gives another set of pictures.

    Returns:
        uint8 of shape (height, width, 3) in BGR order.

    Raises:
        UserError: the size is out of range.
    """
    _check_size(megapixels)
    variant, kind = index // len(KINDS), KINDS[index % len(KINDS)]
    height = int((megapixels * 1e6 / kind.aspect) ** 0.5)
    canvas = Canvas(height, int(height * kind.aspect), variant, np.random.default_rng([seed, index]))
    return kind.paint(canvas)


def _check_size(megapixels: float) -> None:
    if not MIN_MEGAPIXELS <= megapixels <= MAX_MEGAPIXELS:
        raise UserError(
            f"Sample images can have {MIN_MEGAPIXELS:g} to {MAX_MEGAPIXELS:g} megapixels, not {megapixels:g}.",
            field="megapixels",
            limit=MAX_MEGAPIXELS,
        )


def sample_name(index: int) -> str:
    """The file name of the sample picture of this number: ridge.jpg, julia-2.jpg."""
    variant, kind = index // len(KINDS), KINDS[index % len(KINDS)]
    return f"{kind.name}-{variant + 1}.jpg" if variant else f"{kind.name}.jpg"


def sample_megapixels(index: int, count: int, about: float) -> float:
    """The size of one of ``count`` pictures that have ``about`` megapixels on average, some more and some less."""
    # Multiples of the golden ratio fall evenly into 0 to 1 for any count.
    factors = _SPREAD ** ((np.arange(count) * 0.618034 + 0.5) % 1)
    return float(np.clip(about * factors[index] / factors.mean(), MIN_MEGAPIXELS, MAX_MEGAPIXELS))


def write_sample(path: Path, index: int, megapixels: float, seed: int = 0) -> None:
    """Draw a sample picture into a JPEG file, which is there whole or not at all.

    Raises:
        UserError: the size is out of range.
        OSError: the file cannot be written.
    """
    done, data = cv2.imencode(".jpg", draw(index, megapixels, seed), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise UserError("This sample image could not be encoded as JPEG. Choose a smaller size.", field="megapixels")
    write_whole(path, data.tobytes())


def draw_many(folder: Path, count: int, megapixels: float, seed: int, processes: int) -> Generator[Path, None, None]:
    """Draw ``count`` sample pictures of about ``megapixels`` into the folder, several at once.

    Yields each file's path when it is complete; that is also how to show progress. When the caller stops
    before the end, the pictures under way are finished and nothing more is drawn.

    Args:
        processes: how many at once; fewer where memory is short.

    Raises:
        UserError: the size is out of range, or a process that draws was ended from outside.
        OSError: a file cannot be written.
    """
    _check_size(megapixels)
    folder.mkdir(parents=True, exist_ok=True)
    sizes = [sample_megapixels(index, count, megapixels) for index in range(count)]
    room = psutil.virtual_memory().available / (max(sizes, default=1) * 1e6 * BYTES_PER_PIXEL)
    workers = max(1, min(processes, count, int(room)))
    return _draw_all(folder, sizes, seed, workers)


def _draw_all(folder: Path, sizes: list[float], seed: int, workers: int) -> Generator[Path, None, None]:
    context = multiprocessing.get_context("spawn" if os.name == "nt" or without_fork_server() else "forkserver")
    with ProcessPoolExecutor(workers, context, _start_worker) as pool:
        # Only as many are handed over as are drawn at once, so that little is left to finish on an early end.
        under_way: dict[Future[None], Path] = {}
        todo = enumerate(sizes)
        try:
            while True:
                for index, size in todo:
                    path = folder / sample_name(index)
                    under_way[pool.submit(write_sample, path, index, size, seed)] = path
                    if len(under_way) >= workers:
                        break
                if not under_way:
                    return
                for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                    path = under_way.pop(future)
                    future.result()
                    yield path
        except BrokenProcessPool:
            raise UserError(
                "A process that draws sample images was ended from outside, perhaps because memory ran out. "
                "Ask for smaller images.",
                code="unavailable",
                field="megapixels",
            ) from None


def _start_worker() -> None:
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which ends the pool
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A pool's worker outlives a parent that was killed, unless something waits for that."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
