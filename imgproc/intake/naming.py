"""Names that strangers gave their files, made safe: to show to people, and to name output files by."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

#: The longest stem, in characters and in UTF-8 bytes; file systems end at 255 bytes for the whole name.
MAX_STEM = 80
MAX_STEM_BYTES = 200
#: The longest name of an output, in UTF-8 bytes; while it is written its name is a little longer.
MAX_NAME_BYTES = 225
MAX_SHOWN = 200

_NAMELESS = "image"
_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,10}$")
# What neither a shell, a spreadsheet, a web page nor any file system takes for more than a character.
_KEPT_SIGNS = frozenset(" -.()+,")
_RESERVED = re.compile(r"(con|prn|aux|nul|conin|conout|(com|lpt)[0-9¹²³])", re.IGNORECASE)
_JOINERS = "\u200c\u200d"  # part of how some scripts and emoji are written


def display_name(name: str) -> str:
    """The name as it is shown to people: the last part of the path, no character that acts instead of showing.

    At most ``MAX_SHOWN`` characters, never empty. It is text, not HTML: whoever shows it still escapes it.
    """
    shown = "".join(c for c in _last_part(name) if c in _JOINERS or not _acts(c))
    # Last, because removing characters can bring letters and accents together.
    shown = unicodedata.normalize("NFC", " ".join(shown.split()))
    if not shown.strip(_JOINERS):
        return _NAMELESS
    if len(shown) > MAX_SHOWN:
        return f"{shown[: MAX_SHOWN - 50]}…{shown[-49:]}"
    return shown


def output_stem(name: str) -> str:
    """The name as the stem of file names that are safe on Linux, macOS and Windows.

    Letters and digits of every script are kept, in NFC; paths, the extension, control characters, and signs
    that mean something to some program are not. At most ``MAX_STEM`` characters and ``MAX_STEM_BYTES``
    bytes, never empty, never a name that Windows reserves.
    """
    last = unicodedata.normalize("NFC", "".join(c for c in _last_part(name) if not _acts(c)).strip(" ."))
    stem = _EXTENSION.sub("", last) or last
    stem = "".join(c if _is_kept(c) else "_" for c in stem)
    stem = re.sub(r"_+", "_", re.sub(r"\.\.+", ".", " ".join(stem.split())))
    # Removing characters can bring letters and accents together.
    stem = unicodedata.normalize("NFC", stem)
    stem = _fit(stem.lstrip(" _-+,."), MAX_STEM, MAX_STEM_BYTES)
    if _RESERVED.fullmatch(stem.partition(".")[0].rstrip()):  # Windows reserves it with any extension
        return f"{_NAMELESS}-{stem}"
    return stem or _NAMELESS


class OutputNames:
    """Gives out the file names ``<stem>_<operation>.<extension>`` of one batch, each only once.

    Two names count as the same if some file system would take them for one, so case and accents' spelling
    do not tell names apart. Who comes later gets a number: ``a_edges.png``, ``a-2_edges.png``.
    """

    def __init__(self, extension: str, taken: Iterable[str] = ()) -> None:
        """``taken``: names that must not be given out."""
        self._extension = extension
        self._taken = set(map(_same, taken))
        self._numbers: dict[str, int] = {}

    def of(self, name: str, operations: Sequence[str]) -> dict[str, str]:
        """The output files of an input of this name, by operation; all have the same stem."""
        longest = max((len(f"_{operation}.{self._extension}".encode()) for operation in operations), default=0)
        room = min(MAX_STEM_BYTES, MAX_NAME_BYTES - longest)
        stem = output_stem(name)
        stem = _fit(stem, len(stem), room) or _NAMELESS
        key = _same(stem)
        number = self._numbers.get(key, 1)
        while True:
            files = {
                operation: f"{_numbered(stem, number, room)}_{operation}.{self._extension}" for operation in operations
            }
            keys = {_same(file) for file in files.values()}
            number += 1
            if self._taken.isdisjoint(keys):
                self._taken |= keys
                self._numbers[key] = number
                return files


def _last_part(name: str) -> str:
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2]


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
