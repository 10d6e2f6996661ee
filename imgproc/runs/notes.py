"""What the owner of a run calls it and says of it, in notes.json beside its run.json: the record is what was measured,
and these change afterwards. Whoever may see the run sees them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from imgproc.errors import UserError
from imgproc.files import write_whole
from imgproc.runs.serialization import fits, from_plain

#: Most characters of a name, a note and a tag, and most tags.
MOST_NAME, MOST_NOTE, MOST_TAG, MOST_TAGS = 80, 2000, 30, 10
FILE = "notes.json"


@dataclass(frozen=True)
class Notes:
    name: str = ""
    tags: tuple[str, ...] = ()
    note: str = ""

    def save(self, folder: Path) -> None:
        """Write them into the run's folder; none are no file."""
        if self == Notes():
            (folder / FILE).unlink(missing_ok=True)
            return
        write_whole(folder / FILE, json.dumps(asdict(self), ensure_ascii=False).encode(), b"\n")

    @classmethod
    def load(cls, folder: Path) -> Notes:
        """Those of the run in the folder; none where there are none, or none that can be read."""
        try:
            data = json.loads((folder / FILE).read_bytes())
            found = from_plain(_Kept, data)
            return parse_notes(found.name, ",".join(found.tags), found.note) if fits(_Kept, found) else cls()
        except (OSError, ValueError, KeyError, TypeError, AttributeError, UserError):
            return cls()


@dataclass(frozen=True)
class _Kept:
    """As they stand in the file."""

    name: str
    tags: list[str]
    note: str


def parse_notes(name: str, tags: str, note: str) -> Notes:
    """Notes from what was typed; ``tags`` with commas.

    Raises:
        UserError: one is too long, there are too many tags, or there are signs that cannot be shown.
    """
    name, note = " ".join(name.split()), "\n".join(note.strip().splitlines())
    every: dict[str, str] = {}
    for part in tags.split(","):
        tag = " ".join(part.split())
        if tag:
            every.setdefault(tag.casefold(), tag)
    _check("name", "name", name, MOST_NAME)
    _check("note", "note", note, MOST_NOTE)
    for tag in every.values():
        _check("tags", "tag", tag, MOST_TAG)
    if len(every) > MOST_TAGS:
        raise UserError(f"A run has up to {MOST_TAGS} tags; these are {len(every)}.", field="tags", limit=MOST_TAGS)
    return Notes(name, tuple(every.values()), note)


def _check(field: str, what: str, text: str, most: int) -> None:
    if len(text) > most:
        raise UserError(
            f"A {what} of a run has up to {most} characters; this one has {len(text)}.", field=field, limit=most
        )
    if not text.replace("\n", "").replace("\t", "").isprintable():
        raise UserError(f"The {what} of a run has signs that cannot be shown.", field=field)
