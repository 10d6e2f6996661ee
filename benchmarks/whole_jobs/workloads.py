"""The files that whole jobs are compared on: drawn photographs of several sizes, thumbnails, and flat drawings."""

from __future__ import annotations

import hashlib
import multiprocessing
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from benchmarks.whole_jobs.programs import Image, gray_of, plain
from imgproc.intake.samples import draw, draw_many, write_sample

#: Width and height of a thumbnail, and of a flat drawing.
THUMBNAIL, DRAWING = (256, 192), (1920, 1080)
#: Smallest and largest of a mix, in megapixels.
MIX = 0.05, 25.0


@dataclass(frozen=True)
class Workload:
    """``make(folder, count, processes)`` draws so many files, and gives them in the order that programs get."""

    name: str
    what: str
    count: int
    make: Callable[[Path, int, int], list[Path]]


@dataclass(frozen=True)
class Files:
    """Files with their megapixels, and what plain OpenCV takes for their results, without reading and writing: CPU
    seconds on one thread, and bytes of PNG."""

    paths: list[str]
    megapixels: list[float]
    work: list[float]
    png_bytes: list[int]

    @classmethod
    def of(cls, paths: Sequence[Path], threads: int = 1) -> Files:
        """Raises: ValueError: OpenCV cannot read one."""
        names = [str(path.absolute()) for path in paths]  # programs may work in other folders
        contents = {name: hashlib.sha256(Path(name).read_bytes()).digest() for name in names}
        distinct = {content: name for name, content in contents.items()}  # copies are looked at once
        cv2.setNumThreads(1)
        with ThreadPoolExecutor(threads) as pool:
            looks = dict(zip(distinct, pool.map(_look, distinct.values()), strict=True))
        return cls(names, *([looks[contents[name]][k] for name in names] for k in range(3)))

    @property
    def total(self) -> float:
        """Megapixels of all."""
        return sum(self.megapixels)

    def first(self, count: int) -> Files:
        """So many of them, in the order that they have here, spread over those with little and with much work."""
        if count >= len(self.paths):
            return self
        by_work = sorted(range(len(self.paths)), key=lambda index: self.work[index])
        # The middles of as many equal parts.
        return self._those(sorted(by_work[int((k + 0.5) * len(by_work) / count)] for k in range(count)))

    def shares(self, count: int) -> list[Files]:
        """Split into so many, with about as many megapixels each."""
        shares: list[list[int]] = [[] for _ in range(count)]
        for index in sorted(range(len(self.paths)), key=lambda index: -self.megapixels[index]):
            min(shares, key=lambda share: sum(self.megapixels[i] for i in share)).append(index)
        return [self._those(sorted(share)) for share in shares]

    def _those(self, indexes: Sequence[int]) -> Files:
        columns = self.paths, self.megapixels, self.work, self.png_bytes
        return Files(*([values[i] for i in indexes] for values in columns))


def _look(path: str) -> tuple[float, float, int]:
    start = time.thread_time()
    gray = gray_of(path)
    png_bytes = sum(len(cv2.imencode(".png", result)[1]) for result in plain(gray))
    return gray.size / 1e6, time.thread_time() - start, png_bytes


def _all(folder: Path, names: Sequence[str], paint: Callable[[Path, int], None], processes: int) -> list[Path]:
    """A file for each name; ``paint`` gets its number."""
    files = [folder / name for name in names]
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(paint, files, range(len(files))))
    return files


def _repeated(files: Sequence[Path], count: int) -> list[Path]:
    """So many, by copying them over and over, for drawing takes longer than all that is measured."""

    def more() -> Iterator[Path]:
        for number in range(count):
            original = files[number % len(files)]
            copy = original.with_name(f"copy-{number:04d}{original.suffix}")
            yield Path(shutil.copy(original, copy))

    return list(more())


def _of_size(path: Path, index: int, *, megapixels: float) -> None:
    write_sample(path, index, megapixels)


def _thumbnail(path: Path, index: int) -> None:
    cv2.imwrite(str(path), cv2.resize(draw(index, 0.4), THUMBNAIL, interpolation=cv2.INTER_AREA))


def _in_mix(path: Path, index: int, *, sizes: Sequence[float]) -> None:
    write_sample(path, index, sizes[index])


def _drawing(path: Path, index: int) -> None:
    """Boxes with borders, lines between them, and captions, in few colours; as programs for diagrams draw it."""
    random = np.random.default_rng(index)
    width, height = DRAWING
    picture: Image = np.full((height, width, 3), 255, np.uint8)
    colours = [tuple(map(int, colour)) for colour in random.integers(100, 256, (5, 3))]
    corners = random.integers((40, 40), (width - 260, height - 140), (24, 2)).tolist()
    for (x, y), (to_x, to_y) in pairwise(corners):
        cv2.line(picture, (x + 100, y + 40), (to_x + 100, to_y + 40), (60, 60, 60), 2, cv2.LINE_AA)
    for number, (x, y) in enumerate(corners):
        cv2.rectangle(picture, (x, y), (x + 200, y + 80), colours[number % 5], cv2.FILLED)
        cv2.rectangle(picture, (x, y), (x + 200, y + 80), (0, 0, 0), 2)
        cv2.putText(picture, f"step {number}", (x + 20, y + 50), cv2.FONT_HERSHEY_SIMPLEX, 1, (0, 0, 0), 2, cv2.LINE_AA)
    cv2.imwrite(str(path), picture)


def _photographs(folder: Path, count: int, processes: int) -> list[Path]:
    return sorted(draw_many(folder, count, 8.0, 0, processes))


def _thumbnails(folder: Path, count: int, processes: int) -> list[Path]:
    return _repeated(_all(folder, [f"{n}.jpg" for n in range(min(50, count))], _thumbnail, processes), count)


def _equal(folder: Path, count: int, processes: int, *, megapixels: float, different: int) -> list[Path]:
    paint = partial(_of_size, megapixels=megapixels)
    return _repeated(_all(folder, [f"{n}.jpg" for n in range(min(different, count))], paint, processes), count)


def _mix(folder: Path, count: int, processes: int) -> list[Path]:
    sizes = np.geomspace(*MIX, count).tolist()
    return _all(folder, [f"{n:03d}.jpg" for n in range(count)], partial(_in_mix, sizes=sizes), processes)


def _flat(folder: Path, count: int, processes: int) -> list[Path]:
    return _all(folder, [f"{n}.png" for n in range(count)], _drawing, processes)


PHOTOGRAPHS = "photographs"

WORKLOADS: dict[str, Workload] = {
    workload.name: workload
    for workload in (
        Workload(PHOTOGRAPHS, "drawn photographs of 8 megapixels on average", 14, _photographs),
        Workload("thumbnails", "thumbnails of 256 x 192", 1000, _thumbnails),
        Workload("medium", "drawn photographs of 2 megapixels", 200, partial(_equal, megapixels=2.0, different=20)),
        Workload("large", "drawn photographs of 12 megapixels", 24, partial(_equal, megapixels=12.0, different=5)),
        Workload("mix", "drawn photographs of 0.05 to 25 megapixels, smallest first", 32, _mix),
        Workload("flat", "flat drawings of 2 megapixels, in PNG", 40, _flat),
    )
}
