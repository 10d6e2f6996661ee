"""What is wrong with a result that has other pixels than the baseline's: how many, in which rows, and a picture."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from imgproc.operations import OPERATIONS
from imgproc.operations.contract import Image
from imgproc.pixels.codecs import decode
from imgproc.pixels.previews import PREVIEW_SIDE, write_preview
from imgproc.runs.passes import Hashes, Passes
from imgproc.runs.record import ImageRecord, OtherPixels, OutputRecord

#: Of so many results it is said in what they differ; each is decoded twice.
MOST = 3
#: Bands of rows closer than this are one.
_GAP = 8
#: Rows and columns of the detail.
_DETAIL = 160, 720
#: Marks a pixel that differs: blue, green, red.
_MARK = (0, 0, 255)
#: A mark is so many pixels of a preview wide at least.
_LEAST_MARK = 2


class WrongResults:
    """The first few wrong results, set aside until the right ones are there to compare with."""

    def __init__(self, passes: Passes, label: str, wrong: Sequence[ImageRecord], made: Hashes, right: Hashes) -> None:
        self.passes, self.label, self.folder = passes, label, passes.folders.work / "wrong"
        self.kept: list[tuple[ImageRecord, OutputRecord]] = []
        differing = (
            (image, output)
            for image in wrong
            for output in image.outputs
            if made[image.index].get(output.operation) != right[image.index].get(output.operation)
        )
        for image, output in differing:
            if len(self.kept) < MOST:
                (self.folder / output.file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(passes.folders.outputs / output.file, self.folder / output.file)
                self.kept.append((image, output))

    def compare(self) -> Iterator[OtherPixels]:
        """What differs in each, once the right results are in its place. A result of another size has none."""
        for image, output in self.kept:
            if image.error is None:
                wrong, right = (self._decoded(folder / output.file, output) for folder in self._folders)
                if wrong.shape == right.shape:
                    yield self._compared(image, output, wrong, right)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _folders(self) -> tuple[Path, Path]:
        return self.folder, self.passes.folders.outputs

    def _decoded(self, file: Path, output: OutputRecord) -> Image:
        color = self.passes.record.settings.color and not OPERATIONS[output.operation].gray
        return decode(file.read_bytes(), color=color)

    def _compared(self, image: ImageRecord, output: OutputRecord, wrong: Image, right: Image) -> OtherPixels:
        differs = wrong != right
        differs = differs.any(axis=2) if differs.ndim == 3 else differs
        bands = _bands(np.flatnonzero(differs.any(axis=1)))
        found = OtherPixels(
            self.label, image.index, output.operation, int(differs.sum()), differs.size, [list(band) for band in bands]
        )
        if self.passes.folders.previews and bands:
            stem = f"{image.index:04d}_{output.operation}"
            found.picture, found.detail = f"{stem}_other.jpg", f"{stem}_detail.jpg"
            write_preview(_marked(wrong, differs), self.passes.folders.previews / found.picture)
            write_preview(_detail(wrong, right, differs, bands[0]), self.passes.folders.previews / found.detail)
        return found


def _bands(rows: npt.NDArray[np.intp]) -> list[tuple[int, int]]:
    """First and last of each group of rows that are near each other."""
    if not len(rows):
        return []
    ends = np.flatnonzero(np.diff(rows) > _GAP)
    return [(int(rows[a]), int(rows[b])) for a, b in zip([0, *(ends + 1)], [*ends, len(rows) - 1], strict=True)]


def _marked(picture: Image, differs: npt.NDArray[np.bool_]) -> Image:
    """The picture with the pixels that differ in red, wide enough to be seen in a preview."""
    out = picture if picture.ndim == 3 else np.asarray(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR), np.uint8)
    side = max(1, _LEAST_MARK * max(differs.shape) // PREVIEW_SIDE)
    wide = cv2.dilate(differs.astype(np.uint8), np.ones((side, side), np.uint8))
    out = out.copy()
    out[wide > 0] = _MARK
    return out


def _detail(wrong: Image, right: Image, differs: npt.NDArray[np.bool_], band: tuple[int, int]) -> Image:
    """The part around the band where most differs, as it is above as it should be, with a white line between them."""
    height, width = _DETAIL
    middle = (band[0] + band[1]) // 2
    top = max(0, min(middle - height // 2, len(wrong) - height))
    size = np.abs(wrong[band[0] : band[1] + 1].astype(np.int16) - right[band[0] : band[1] + 1])
    columns = size.reshape(len(size), differs.shape[1], -1).sum(axis=(0, 2))
    place = int(np.convolve(columns, np.ones(width), "same").argmax())
    left = max(0, min(place - width // 2, wrong.shape[1] - width))
    parts = [one[top : top + height, left : left + width] for one in (wrong, right)]
    return np.vstack([parts[0], np.full_like(parts[0][:4], 255), parts[1]])
