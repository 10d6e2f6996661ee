"""The image files that paths, folders and globs of a command stand for."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from imgproc.errors import UserError
from imgproc.intake.folders import LeftOut, images_below, is_below
from imgproc.intake.naming import output_folder, shared_parts


@dataclass(frozen=True)
class Found:
    """Image files; for each the folder that its results are to be in, as ``output_folder`` makes it; and a sentence
    about what was left out of folders, empty where nothing was."""

    files: list[Path]
    folders: list[str]
    left_out: str


def find_images(patterns: Sequence[str], out: Path) -> Found:
    """The files that paths, folders and globs stand for, each name once; of folders all image files below them,
    except what lies in the folder for the results. Links and other names of one file are images of their own, also
    where it is a folder that has two names.

    Results keep the folders below a folder that is named; of several, below the one that these have in common: of two
    beside each other, their own names and those below. Those of files that are named by themselves lie in no folder.

    Raises:
        UserError: a path is empty or does not exist, or a folder or glob holds no image.
    """
    folder_of = cache(_without_dots)
    found: dict[tuple[Path, str], Path] = {}
    places: list[tuple[Path | None, Path]] = []  # of each file the folder that was named, and that of the file within
    left_out = LeftOut()
    for pattern in dict.fromkeys(patterns):
        left = LeftOut()
        files = list(_expand(pattern, out, left))
        if not files:
            inside = " outside the folder for the results" if is_below(Path(pattern), out) else ""
            said = f"There is no image in {pattern}{inside}. {left.sentence}".rstrip()
            raise UserError(said, field="paths", file=pattern)
        top = Path(pattern) if Path(pattern).is_dir() else None
        for file in files:
            key = folder_of(file.parent), file.name
            if key not in found:
                found[key] = file
                within = file.parent.relative_to(top) if top else Path()
                places.append((folder_of(top) if top else None, within))
        left_out.add(left)
    return Found(list(found.values()), _within(places), left_out.sentence)


def _within(places: Sequence[tuple[Path | None, Path]]) -> list[str]:
    """The folders of the results, below the folder that all folders that were named have in common."""
    shared = shared_parts([top.parts for top, _ in places if top])
    parts = [[*top.parts[shared:], *inside.parts] if top else [] for top, inside in places]
    return [output_folder("/".join(each)) for each in parts]


def _without_dots(folder: Path) -> Path:
    """The folder by its whole name, links in it kept. Where “..” leads is known only once they are followed."""
    return folder.resolve() if ".." in folder.parts else folder.absolute()


def _expand(pattern: str, out: Path, left_out: LeftOut) -> Iterator[Path]:
    path = Path(pattern)
    if not pattern:
        raise UserError("A path is empty. Name a file or a folder; “.” is the current folder.", field="paths")
    if path.is_dir():
        yield from images_below(path, out, left_out)
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
