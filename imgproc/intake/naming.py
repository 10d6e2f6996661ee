"""Names that strangers gave their files, made safe: to show to people, and to name output files by."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import takewhile

#: The longest stem, in characters and in UTF-8 bytes; file systems end at 255 bytes for the whole name.
MAX_STEM = 80
MAX_STEM_BYTES = 200
#: The longest name of an output, in UTF-8 bytes; while it is written its name is a little longer.
MAX_NAME_BYTES = 225
MAX_SHOWN = 200
#: Of the folders of an output the innermost so many are kept, each in so many UTF-8 bytes: paths end at 4,096 bytes.
MAX_FOLDERS = 10
MAX_FOLDER_BYTES = 120

_NAMELESS, _NAMELESS_FOLDER = "image", "folder"
_DRIVE = re.compile(r"[A-Za-z]:")
_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,10}$")
# What neither a shell, a spreadsheet, a web page nor any file system takes for more than a character.
_KEPT_SIGNS = frozenset(" -.()+,")
_RESERVED = re.compile(r"(con|prn|aux|nul|conin|conout|(com|lpt)[0-9¹²³])", re.IGNORECASE)
_JOINERS = "\u200c\u200d"  # part of how some scripts and emoji are written


def display_name(name: str) -> str:
    """The name as it is shown to people: the last part of the path, no character that acts instead of showing.

    At most ``MAX_SHOWN`` characters, never empty. It is text, not HTML: whoever shows it still escapes it.
    """
    return _shortened(_shown(_last_part(name)) or _NAMELESS)


def within_folders(names: Sequence[str]) -> list[tuple[str, str]]:
    """Of the files of one upload, each the name that is shown, “a/pic.jpg”, and the folder of its outputs, “a”, with
    slashes, empty for none. The folders that all files have in common are left out, so that files of one folder have
    none.

    A name that is absolute, has a drive or climbs by “..” says nothing of folders here: it counts by its last part.
    """
    folders = [_folders(name) for name in names]
    shared = shared_parts(folders)
    return [
        (_shortened("/".join([*inside[shared:], display_name(name)])), output_folder("/".join(inside[shared:])))
        for name, inside in zip(names, folders, strict=True)
    ]


def shared_parts(folders: Sequence[Sequence[str]]) -> int:
    """How many parts, from the first on, all folders have in common."""
    return sum(1 for _ in takewhile(lambda parts: len(set(parts)) == 1, zip(*folders, strict=False)))


def output_folder(folder: str) -> str:
    """A relative folder, with slashes, as one that is safe on Linux, macOS and Windows; empty for none.

    Each part is as ``output_stem`` makes it, up to ``MAX_FOLDER_BYTES``; the innermost ``MAX_FOLDERS`` are kept. It
    never leads out of where it begins.
    """
    parts = [part for part in folder.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return "/".join(_safe(part, MAX_FOLDER_BYTES, _NAMELESS_FOLDER) for part in parts[-MAX_FOLDERS:])


def output_stem(name: str) -> str:
    """The name as the stem of file names that are safe on Linux, macOS and Windows.

    Letters and digits of every script are kept, in NFC; paths, the extension, control characters, and signs
    that mean something to some program are not. At most ``MAX_STEM`` characters and ``MAX_STEM_BYTES``
    bytes, never empty, never a name that Windows reserves.
    """
    last = _plain(_last_part(name))
    return _safe(_EXTENSION.sub("", last) or last, MAX_STEM_BYTES, _NAMELESS)


class OutputNames:
    """Gives out the file names ``<stem>_<operation>.<extension>`` of one batch, in folders or none, each only once.

    Two names count as the same if some file system would take them for one, so case and accents' spelling
    do not tell names apart, nor those of folders. Who comes later gets a number: ``a_edges.png``, ``a-2_edges.png``.
    """

    def __init__(self, extension: str, taken: Iterable[str] = ()) -> None:
        """``taken``: names that must not be given out, with their folders."""
        self._extension = extension
        self._like_a_file = re.compile(rf"\.({extension})(?=/|$)", re.IGNORECASE)
        self._taken = set(map(_same, taken))
        self._numbers: dict[str, int] = {}

    def of(self, name: str, operations: Sequence[str], folder: str = "") -> dict[str, str]:
        """The output files of an input of this name, by operation; all have the same stem, and the ``folder``, which
        is as ``output_folder`` makes it."""
        # No folder is called as an output may be: both could not be there.
        inside = self._like_a_file.sub(r"_\1", folder) + "/" if folder else ""
        longest = max((len(f"_{operation}.{self._extension}".encode()) for operation in operations), default=0)
        room = min(MAX_STEM_BYTES, MAX_NAME_BYTES - longest)
        stem = output_stem(name)
        stem = _fit(stem, len(stem), room) or _NAMELESS
        key = _same(f"{inside}{stem}")
        number = self._numbers.get(key, 1)
        while True:
            files = {
                operation: f"{inside}{_numbered(stem, number, room)}_{operation}.{self._extension}"
                for operation in operations
            }
            keys = {_same(file) for file in files.values()}
            number += 1
            if self._taken.isdisjoint(keys):
                self._taken |= keys
                self._numbers[key] = number
                return files


def _last_part(name: str) -> str:
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2]


def _folders(name: str) -> list[str]:
    """The folders that a relative name says its file is in, as they are shown."""
    *folders, _ = [_shown(part) for part in name.replace("\\", "/").rstrip("/").split("/")]
    if not folders or not folders[0] or _DRIVE.match(folders[0]) or ".." in folders:
        return []
    return [folder for folder in folders if folder not in ("", ".")]


def _shown(part: str) -> str:
    """A part of a path without what acts instead of showing; empty where nothing is left."""
    shown = "".join(c for c in part if c in _JOINERS or not _acts(c))
    # Last, because removing characters can bring letters and accents together.
    shown = unicodedata.normalize("NFC", " ".join(shown.split()))
    return shown if shown.strip(_JOINERS) else ""


def _shortened(shown: str) -> str:
    return f"{shown[: MAX_SHOWN - 50]}…{shown[-49:]}" if len(shown) > MAX_SHOWN else shown


def _plain(part: str) -> str:
    return unicodedata.normalize("NFC", "".join(c for c in part if not _acts(c)).strip(" ."))


def _safe(part: str, most_bytes: int, nameless: str) -> str:
    """A part of a path as a name that every file system takes and no program takes for more than a name."""
    name = "".join(c if _is_kept(c) else "_" for c in _plain(part))
    name = re.sub(r"_+", "_", re.sub(r"\.\.+", ".", " ".join(name.split())))
    # Removing characters can bring letters and accents together.
    name = unicodedata.normalize("NFC", name)
    name = _fit(name.lstrip(" _-+,."), MAX_STEM, most_bytes)
    if _RESERVED.fullmatch(name.partition(".")[0].rstrip()):  # Windows reserves it with any extension
        return f"{nameless}-{name}"
    return name or nameless


def _acts(character: str) -> bool:
    """Whether it is a control, formatting, bidirectional or line separating character, or half of one."""
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def _is_kept(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] in "LMN" or category == "So" or character in _KEPT_SIGNS


def _fit(text: str, characters: int, size: int) -> str:
    """The beginning of the text that fits both limits, without a dangling sign at its end."""
    text = text[:characters].encode()[:size].decode(errors="ignore")
    return text.rstrip(" _-+,.")


def _numbered(stem: str, number: int, room: int) -> str:
    if number == 1:
        return stem
    end = f"-{number}"
    return _fit(stem, MAX_STEM - len(end), room - len(end)) + end


def _same(name: str) -> str:
    """A key that is equal for names which a file system that ignores case may take for one."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).upper().casefold())
    return unicodedata.normalize("NFC", folded.casefold())
