"""Draws the small pictures of the form anew into static/img: python docs/pictures.py"""

import sys
from pathlib import Path

import cv2
import numpy as np

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from imgproc.intake.samples import KINDS, draw, sample_name  # noqa: E402
from imgproc.operations import OPERATIONS, parse_parameters  # noqa: E402
from imgproc.operations.contract import Image  # noqa: E402

OUT = PROJECT / "static" / "img"
THUMB, BANNER = (288, 192), (480, 176)
THUMBS = ("ridge", "julia", "night-city", "fern")
#: Parameters that show on a small picture.
SHOWN = parse_parameters({
    "canny_low": 60, "canny_high": 140, "kernel": 15, "median_size": 11, "diameter": 15, "sigma_color": 20,
    "clip_limit": 4, "tiles": 4, "unsharp_sigma": 3, "unsharp_amount": 2.5, "block_size": 25, "resize_factor": 0.25,
})  # fmt: skip


def cover(image: Image, size: tuple[int, int], down: float = 0.5) -> Image:
    """A part of the picture that fills the size; ``down`` is 0 for its top, 1 for its bottom."""
    width, height = size
    scale = max(width / image.shape[1], height / image.shape[0])
    big = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    top, left = round((big.shape[0] - height) * down), (big.shape[1] - width) // 2
    return np.asarray(big[top : top + height, left : left + width], np.uint8)


def banner(image: Image, name: str) -> Image:
    """Left the picture, right the operation's result, a white line between."""
    half = image.shape[1] // 2
    made = OPERATIONS[name].apply(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8), SHOWN)
    made = cv2.resize(made, image.shape[1::-1], interpolation=cv2.INTER_NEAREST)  # one of another size shows its pixels
    both = image.copy()
    both[:, half:] = made[:, half:, None]
    both[:, half - 1 : half + 1] = 255
    return both


def save(name: str, image: Image) -> None:
    cv2.imwrite(str(OUT / name), image, [cv2.IMWRITE_WEBP_QUALITY, 82])


def main() -> None:
    index = {kind.name: number for number, kind in enumerate(KINDS)}
    for name in THUMBS:
        save(f"{Path(sample_name(index[name])).stem}_thumb.webp", cover(draw(index[name], 1.0), THUMB))
    wide = cover(draw(index["fern"], 2.0), BANNER, down=0.78)
    for name in OPERATIONS:
        save(f"op-{name}.webp", banner(wide, name))


if __name__ == "__main__":
    main()
