"""The image files below a folder, and what of it is left out: said, not dropped without a word."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from imgproc.intake.naming import display_name
from imgproc.numbers import counted, few
from imgproc.pixels.filetypes import ACCEPTED

#: What names of image files end with; other files in folders are not looked at.
EXTENSIONS = {".jpeg", ".jpe", ".jfif", ".jif", ".tiff", ".btf", ".tf8", ".dib", *(f".{e}" for e in ACCEPTED.values())}
#: Folders of thumbnails and of what was thrown away, besides those with a dot at the beginning.
_ASIDE = {"@eadir", "__macosx", "#recycle", "@recycle", "$recycle.bin"}
#: How files begin in which macOS keeps what other file systems have no place for; each lies beside another file.
_APPLE_DOUBLE = b"\x00\x05\x16\x07"


@dataclass
class LeftOut:
    """What was not taken of folders: image files by the folder that is left out, macOS's own files, and the names of
    folders that were there already, of hidden links, of links to nothing and of folders that may not be read."""

    aside: Counter[str] = field(default_factory=Counter)
    apple: int = 0
    again: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)

    def add(self, other: LeftOut) -> None:
        """Take over what was left out of another folder."""
        self.aside += other.aside
        self.apple += other.apple
        self.again += other.again
        self.hidden += other.hidden
        self.broken += other.broken
        self.closed += other.closed

    @property
    def sentence(self) -> str:
        """All of it, or nothing where nothing was left out."""
        parts = [f"{counted(count, 'file')} in {display_name(name)}" for name, count in self.aside.most_common(5)]
        if rest := sorted(self.aside.values(), reverse=True)[5:]:
            parts.append(f"{counted(sum(rest), 'file')} in {counted(len(rest), 'more folder')} of that kind")
        if self.apple:
            parts.append(f"{counted(self.apple, 'file')} beginning with “._”, which macOS keeps beside pictures")
        for names, thing, why in (
            (self.again, "folder", "taken already under another name"),
            (self.hidden, "hidden link", "not followed"),
            (self.broken, "link", "to nothing"),
            (self.closed, "folder", "that may not be read"),
        ):
            if names:
                parts.append(f"{counted(len(names), thing)} {why} ({few([*map(display_name, names)])})")
        return f"Left out: {'; '.join(parts)}." if parts else ""


def images_below(folder: Path, out: Path, left_out: LeftOut) -> list[Path]:
    """The image files in a folder and all below it, sorted. Links to folders are followed, each real folder once,
    what lies in it before what links lead to.

    Args:
        out: the folder for the results; what lies in it is no input.
        left_out: gets what is not taken.
    """
    found: list[Path] = []
    seen: set[str] = set()
    links = [str(folder)]
    while links:
        top = links.pop(0)
        if os.path.realpath(top) in seen:
            left_out.again.append(top)
            continue
        for inside, folders, files in os.walk(top, onerror=lambda problem: left_out.closed.append(problem.filename)):
            real = os.path.realpath(inside)
            if real in seen or is_below(Path(real), out):
                folders.clear()
                continue
            seen.add(real)
            links += _links(inside, folders, left_out)
            found += _images(inside, files, out, left_out)
    return sorted(found)


def is_below(path: Path, folder: Path) -> bool:
    """Whether a path is a folder or lies in it, links followed."""
    return folder.resolve() in (path.resolve(), *path.resolve().parents)


def _links(inside: str, folders: list[str], left_out: LeftOut) -> list[str]:
    """The links to folders in one; of ``folders`` only the others stay that are to be gone through."""
    links, kept = [], []
    for name in sorted(folders):
        path = Path(inside, name)
        aside, link = name.startswith(".") or name.lower() in _ASIDE, path.is_symlink()
        if aside and link:
            left_out.hidden.append(str(path))
        elif aside:
            left_out.aside.update([name] * _count_images(path))
        elif link:
            links.append(str(path))
        else:
            kept.append(name)
    folders[:] = kept
    return links


def _count_images(folder: Path) -> int:
    return sum(_is_named_like_one(name) for _, _, files in os.walk(folder) for name in files)


def _images(inside: str, files: list[str], out: Path, left_out: LeftOut) -> Iterator[Path]:
    for name in sorted(filter(_is_named_like_one, files)):
        path = Path(inside, name)
        try:
            is_file = path.is_file()
        except OSError:  # its files can be listed, but not looked at
            left_out.closed.append(inside)
            return
        if name.startswith("._") and _begins_with(path, _APPLE_DOUBLE):
            left_out.apple += 1
        elif is_file:
            if not (path.is_symlink() and is_below(path, out)):
                yield path
        elif path.is_symlink():
            left_out.broken.append(str(path))


def _is_named_like_one(name: str) -> bool:
    return Path(name).suffix.lower() in EXTENSIONS


def _begins_with(path: Path, beginning: bytes) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(beginning)) == beginning
    except OSError:  # whoever reads it will say so
        return False
