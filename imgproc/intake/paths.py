"""The image files that paths, folders and globs of a command stand for."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path

from imgproc.errors import UserError
from imgproc.intake.filetypes import ACCEPTED


def find_images(patterns: Sequence[str], out: Path) -> list[Path]:
    """The files that paths, folders and globs stand for, each once; of folders all image files below them,
    except what lies in the folder for the results. Links to one file count as one.

    Raises:
        UserError: a path does not exist, or a folder or glob holds no image.
    """
    found: dict[Path, Path] = {}
    for pattern in patterns:
        files = list(_expand(pattern, out))
        if not files:
            inside = " outside the folder for the results" if _is_below(Path(pattern), out) else ""
            raise UserError(f"There is no image in {pattern}{inside}.", field="paths", file=pattern)
        for file in files:
            found.setdefault(file.resolve(), file)
    return list(found.values())


def _is_below(path: Path, folder: Path) -> bool:
    return folder.resolve() in (path.resolve(), *path.resolve().parents)


EXTENSIONS = {".jpeg", ".tiff", *(f".{extension}" for extension in ACCEPTED.values())}


def _expand(pattern: str, out: Path) -> Iterator[Path]:
    path = Path(pattern)
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.suffix.lower() in EXTENSIONS and file.is_file() and not _is_below(file, out):
                yield file
    elif path.is_file():
        yield path
    elif path.exists():
        raise UserError(f"{pattern} is neither a file nor a folder.", field="paths", file=pattern)
    elif glob.has_magic(pattern):
        for match in sorted(glob.glob(pattern, recursive=True)):  # noqa: PTH207 - Path.glob takes no absolute pattern
            if Path(match).is_file():
                yield Path(match)
    else:
        raise UserError(f"There is no file or folder {pattern}.", field="paths", file=pattern)
