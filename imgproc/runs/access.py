"""Who may see a run and who may change it.

That stands beside run.json, not in it: the record goes to everybody who has the run's link, and this does not.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from imgproc.errors import UserError, did_you_mean
from imgproc.files import write_whole

#: Who sees a run besides its owner: nobody, whoever has its link, or everybody, in the history.
Visible = Literal["private", "link", "public"]

_FILE = "access.json"
#: What a class may be called, as its address has it.
_CLASS = re.compile("[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
#: So many characters at most has the name that a run is shown by in a class.
MOST_SHOWN = 40

log = logging.getLogger(__name__)


def owner_of(token: str) -> str:
    """The owner that a browser's token stands for. The token cannot be made from it, so that whoever reads the files
    of a run, or the index, is not the owner."""
    return hashlib.sha256(token.encode()).hexdigest() if token else ""


def parse_visible(value: str) -> Visible:
    """Raises: UserError: there is no such word for who may see a run."""
    for known in get_args(Visible):
        if value == known:
            return known  # type: ignore[no-any-return]
    raise UserError(
        f"Who may see a run is one of {', '.join(get_args(Visible))}, not “{value}”."
        f"{did_you_mean(value, get_args(Visible))}",
        field="visible",
    )


def parse_class(value: str) -> str:
    """The name of a class as addresses have it, in small letters; empty: none.

    Raises:
        UserError: a class cannot be called so.
    """
    name = value.strip().lower()
    if name and not _CLASS.fullmatch(name):
        raise UserError(
            f"A class cannot be called “{name[:MOST_SHOWN]}”. Its name has 1 to 40 of the letters a to z, digits and "
            "dashes, and no dash at either end.",
            field="class",
            limit=40,
        )
    return name


def parse_shown(value: str) -> str:
    """The name that a run is shown by in a class; empty: none.

    Raises:
        UserError: it is too long, or has what is no letter or sign.
    """
    name = " ".join(value.split())
    if len(name) > MOST_SHOWN or not name.isprintable():
        raise UserError(
            f"The name shown in a class has up to {MOST_SHOWN} letters and signs.", field="shown_as", limit=MOST_SHOWN
        )
    return name


@dataclass(frozen=True)
class Access:
    """``owner`` is empty where nobody owns the run, as one that was copied here. ``class_name``: the class whose table
    has a line of it, empty for none; ``shown_as``: what it is called there. ``visitor`` says whose turn it takes in the
    queue, empty where that is the owner's, or for one that nobody owns, its own."""

    owner: str = ""
    visible: Visible = "link"
    class_name: str = ""
    shown_as: str = ""
    visitor: str = ""

    def save(self, folder: Path) -> None:
        """Write it into the run's folder, for the app's own user alone where the system can do that."""
        folder.mkdir(parents=True, exist_ok=True)
        values = {name: value for name, value in asdict(self).items() if value or name != "visitor"}
        write_whole(folder / _FILE, json.dumps(values).encode(), b"\n")
        os.chmod(folder / _FILE, 0o600)  # noqa: PTH101

    @classmethod
    def load(cls, folder: Path) -> Access:
        """That of the run in the folder; nobody's where that is not said or cannot be read."""
        found = _read(folder / _FILE)
        if found is None:
            return _from_old_record(folder)
        owner, visible = found.get("owner"), found.get("visible")
        if visible not in get_args(Visible) or not isinstance(owner, str):
            return cls(visible="private")
        try:
            posted = parse_class(str(found.get("class_name", ""))), parse_shown(str(found.get("shown_as", "")))
        except UserError:
            posted = "", ""
        return cls(owner, visible, *posted, str(found.get("visitor", ""))[:64])  # type: ignore[arg-type]


def _from_old_record(folder: Path) -> Access:
    """Earlier versions wrote the owner's token into run.json: it is taken out of there."""
    data = _read(folder / "run.json") or {}
    token = data.pop("owner", "")
    if not token or not isinstance(token, str):
        return Access()
    access = Access(owner_of(token))
    try:
        access.save(folder)
        write_whole(folder / "run.json", json.dumps(data, ensure_ascii=False, indent=1).encode(), b"\n")
    except OSError:
        # What stays readable in the record must not be the key to it.
        log.warning("The owner’s token cannot be taken out of the record of %s, which is nobody’s now.", folder.name)
        return Access()
    return access


def _read(path: Path) -> dict[str, Any] | None:
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
