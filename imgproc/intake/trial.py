"""What the operations make of one accepted image, shown small, so that people can choose parameters by what they see.
Runs in the expendable child, but for the names of its files."""

from __future__ import annotations

import pickle
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from imgproc.errors import UserError
from imgproc.files import write_whole
from imgproc.intake.inspector import Trial
from imgproc.operations import OPERATIONS
from imgproc.operations.contract import Image
from imgproc.pixels.codecs import encode
from imgproc.pixels.job import ImageJob, operate, read_image
from imgproc.pixels.stopwatch import Stopwatch

#: No side of a small picture is longer, in pixels.
SIDE = 320
# Lines of one pixel nearly vanish when their brightness is averaged. Multiplied by the factor of reduction each would
# be white, and so would every texture; with this power of it, both can be told from black and from each other.
_LIGHTENING = 0.75
_NONE = b64encode(pickle.dumps(None))


def picture_name(operation: str | None) -> str:
    """The file of the small picture of that operation's result, and without one of the image itself; a PNG or a JPEG as
    ``picture_format`` says."""
    return f"small-{operation}" if operation else "small"


def picture_format(operation: str | None) -> str:
    """A key of ``FORMATS``: JPEG would put shadows around the lines of a bilevel result."""
    return "png" if operation and OPERATIONS[operation].bilevel else "jpeg"


def try_operations(path: Path, wanted: Mapping[str, Any], folder: Path) -> Trial:
    """Decode the file and do the operations on all of it as a run does, then write small pictures into the folder.

    Args:
        wanted: ``operations`` (names), ``parameters``, ``color``, ``depth``, as in the settings of a run; and ``own``,
            where there are functions of a user's own among them, which are in the table once it is unpickled.

    Raises:
        OSError: a picture could not be written.
    """
    job = ImageJob(str(path), (), wanted["parameters"], color=wanted["color"], depth=wanted["depth"])
    pickle.loads(b64decode(wanted.get("own", _NONE)))  # noqa: S301  our own parent sent it
    stopwatch = Stopwatch()
    shares: dict[str, float] = {}
    try:
        image, facts = read_image(job, stopwatch)
        _write(image, folder, None)
        for name in wanted["operations"]:
            result = operate(name, image, job.parameters, stopwatch)
            if OPERATIONS[name].bilevel:
                shares[name] = cv2.countNonZero(result) / result.size
            _write(result, folder, name)
    except UserError as problem:
        return Trial(error=problem.message, code=problem.code)
    return Trial(image.shape[1], image.shape[0], shares, facts.sentences)


def reduced(image: Image, *, bilevel: bool) -> Image:
    """The picture with no side longer than ``SIDE``; of a bilevel one, thin lines stay visible, white ones on black and
    black ones on white."""
    height, width = image.shape[:2]
    factor = max(height, width) / SIDE
    if factor <= 1:
        return image
    size = max(1, round(width / factor)), max(1, round(height / factor))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    if not bilevel:
        return np.asarray(small, np.uint8)
    ground = 255 if cv2.mean(small)[0] > 127 else 0
    lines = cv2.convertScaleAbs(cv2.absdiff(small, np.full_like(small, ground)), alpha=factor**_LIGHTENING)
    return np.asarray(cv2.absdiff(lines, np.full_like(lines, ground)), np.uint8)


def _write(image: Image, folder: Path, operation: str | None) -> None:
    small = reduced(image, bilevel=operation is not None and OPERATIONS[operation].bilevel)
    write_whole(folder / picture_name(operation), encode(small, picture_format(operation)))
