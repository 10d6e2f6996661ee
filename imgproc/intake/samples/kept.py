"""Sample pictures that were drawn before are not drawn again: the last sets are kept in the folder for what is kept
from run to run."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Generator, Sequence
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np

from imgproc.files import link_or_copy, owned, sweep
from imgproc.intake.samples import draw_many, sample_name

#: So many sets are kept, and none that is larger, in bytes.
MOST_SETS, MOST_BYTES = 3, 100_000_000
_KIND = "samples"


def draw_once(
    folder: Path, count: int, megapixels: float, seed: int, processes: int, cache: Path
) -> Generator[Path, None, None]:
    """As ``draw_many``; what the same arguments drew before is taken from ``cache``, and what is drawn now is put there
    if there is room.

    Raises as ``draw_many``.
    """
    kept, names = cache / _KIND / _key(count, megapixels, seed), [sample_name(index) for index in range(count)]
    folder.mkdir(parents=True, exist_ok=True)
    if _taken(kept, names, folder):
        yield from (folder / name for name in names)
        return
    yield from draw_many(folder, count, megapixels, seed, processes)
    with suppress(OSError):  # without room, or where nothing may be written, they are drawn again the next time
        _keep(kept, names, folder)


def _taken(kept: Path, names: Sequence[str], folder: Path) -> bool:
    """Whether the set is there whole, and was put into the folder."""
    try:
        if not all(_is_whole(kept / name) for name in names):
            return False
        for name in names:
            link_or_copy(kept / name, folder / name)
        os.utime(kept)  # asked for now, so that others go first
    except OSError:
        return False
    return True


def _is_whole(file: Path) -> bool:
    """Whether a JPEG has its beginning and its end: a loss of power may have taken them."""
    with open(file, "rb") as content:
        begins = content.read(2) == b"\xff\xd8"
        content.seek(-2, os.SEEK_END)
        return begins and content.read() == b"\xff\xd9"


def _keep(kept: Path, names: Sequence[str], folder: Path) -> None:
    """Raises: OSError: they cannot be kept."""
    if sum((folder / name).stat().st_size for name in names) > MOST_BYTES:
        return
    kept.parent.mkdir(parents=True, exist_ok=True)
    sweep(kept.parent, _KIND)
    made = Path(tempfile.mkdtemp(prefix=owned(_KIND), dir=kept.parent))
    try:
        for name in names:
            link_or_copy(folder / name, made / name)
        if kept.is_dir():  # it was not whole
            shutil.rmtree(kept, ignore_errors=True)
        made.rename(kept)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    sets = [path for path in kept.parent.iterdir() if not path.name.startswith(f"{_KIND}-")]
    for old in sorted(sets, key=lambda path: path.stat().st_mtime)[:-MOST_SETS]:
        shutil.rmtree(old, ignore_errors=True)


def _key(count: int, megapixels: float, seed: int) -> str:
    """What the pictures depend on: the arguments, the program that draws, and the libraries that it draws with."""
    source = hashlib.sha256(f"{count} {megapixels!r} {seed} {cv2.__version__} {np.__version__}".encode())
    for file in sorted(Path(__file__).parent.glob("*.py")):
        source.update(file.read_bytes())
    return source.hexdigest()[:32]
