"""Classes: runs that were posted under one name, each as a line of its table, and lines of records from elsewhere.

Of a run nothing but its line is shown there. A line of a run that is here is made from the index, so it goes with the
run; of a record from elsewhere the line alone is kept, in ``classes/<name>/`` of the folder of results.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import re
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

from imgproc.backends import BASELINE
from imgproc.errors import UserError
from imgproc.files import write_whole
from imgproc.runs.elsewhere import Foreign
from imgproc.runs.serialization import fits, from_plain
from imgproc.runs.store import RunRow, Store
from imgproc.runs.tables import run_values, text

#: Most lines of one class, and most of records from elsewhere in all classes together.
MOST_LINES, MOST_BROUGHT = 200, 10_000
FOLDER = "classes"
_MOST_CPU = 120
_KEY = re.compile("[0-9a-f]{32}")

log = logging.getLogger(__name__)
# Between counting lines and adding one nobody else may come.
_adding = threading.Lock()


@dataclass(frozen=True)
class Line:
    """One run in the table of a class.

    ``key``: the run's id, or part of the SHA-256 of a record from ``elsewhere``. ``images`` counts items where
    ``task`` says that a function was called. ``technique`` is the one that the run is about, of a comparison the
    fastest; ``speedup`` and its interval are None where none is shown.
    """

    key: str
    run_id: str
    owner: str
    elsewhere: bool
    shown_as: str
    created: str
    cpu: str
    cores: int | None
    mode: str
    task: str
    images: int
    megapixels: float
    technique: str
    label: str
    workers: int
    speedup: float | None
    speedup_low: float | None
    speedup_high: float | None
    verdict: str | None


def lines(name: str, store: Store, results: Path) -> list[Line]:
    """The lines of a class, the highest speedup first; only of runs that are done."""
    found = [_of_row(row) for row in store.of_class(name) if row.state == "done"]
    found += filter(None, map(_read, _files(results / FOLDER / name)))
    return sorted(found, key=lambda line: (-(line.speedup or 0.0), line.created))


def check_room(name: str, store: Store, results: Path) -> None:
    """Raises: UserError: the class has all the lines that it may have, those to come of runs that wait included."""
    if len(store.of_class(name)) + len(_files(results / FOLDER / name)) >= MOST_LINES:
        raise UserError(
            f"The class {name} has {MOST_LINES} runs already, which is the limit. Take another name.",
            code="conflict",
            field="class",
            limit=MOST_LINES,
        )


def post(run_id: str, name: str, shown_as: str, store: Store, results: Path) -> None:
    """Give the table of a class a line of the run; with an empty name take it out of the one that has it.

    Raises:
        UserError: the class is full, or it cannot be kept.
    """
    with _adding:
        row = store.get(run_id)
        if name and row and row.class_name != name:
            check_room(name, store, results)
        store.post(run_id, name, shown_as if name else "")


def bring(name: str, foreign: Foreign, data: bytes, owner: str, shown_as: str, store: Store, results: Path) -> Line:
    """Give the table of a class a line of a record from elsewhere, once, whoever brings it.

    Raises:
        UserError: its figures do not verify, it has no speedup or is here already, or there is no room.
    """
    if foreign.wrong:
        raise UserError(
            f"{foreign.name} does not verify, so it was not posted. {foreign.wrong[0]}", code="refused_image",
            file=foreign.name,
        )  # fmt: skip
    line = _of_record(foreign, data, owner, shown_as)
    folder = results / FOLDER / name
    file = folder / f"{line.key}.json"
    with _adding:
        if any(row.id == line.run_id for row in store.of_class(name)):
            raise UserError(f"The run of {foreign.name} is in this class already.", code="conflict", file=foreign.name)
        if kept := _read(file):
            return kept
        check_room(name, store, results)
        if len(_files(results / FOLDER, "*/*.json")) >= MOST_BROUGHT:
            raise UserError(
                f"{MOST_BROUGHT:,} records from elsewhere are kept here already. Whoever runs this app can remove "
                "classes that are over.",
                code="unavailable",
                limit=MOST_BROUGHT,
            )
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(file, json.dumps(asdict(line), ensure_ascii=False).encode(), b"\n")
    return line


def brought(name: str, key: str, results: Path) -> Line | None:
    """The line with that key of a record from elsewhere."""
    return _read(results / FOLDER / name / f"{key}.json") if _KEY.fullmatch(key) else None


def withdraw(name: str, line: Line, results: Path) -> None:
    """Remove the line of a record from elsewhere."""
    (results / FOLDER / name / f"{line.key}.json").unlink(missing_ok=True)


def _of_row(row: RunRow) -> Line:
    return Line(
        row.id, row.id, row.owner, False, row.shown_as, row.created.isoformat(), row.cpu[:_MOST_CPU], row.cores,
        row.mode, row.task, row.images, row.megapixels, row.technique, row.label, row.workers, row.speedup,
        row.speedup_low, row.speedup_high, row.verdict,
    )  # fmt: skip


def _of_record(foreign: Foreign, data: bytes, owner: str, shown_as: str) -> Line:
    try:
        told = run_values(foreign.record)
    except (ArithmeticError, AttributeError, TypeError, ValueError):
        raise UserError(f"{foreign.name} is no run.json that can be read.", file=foreign.name) from None
    speedup = told["speedup"]
    if told["state"] != "done" or told["technique"] == BASELINE or speedup is None or not 0 < speedup < 1e6:
        raise UserError(
            f"{foreign.name} has no speedup of a run that is done, so there is nothing to post.",
            code="refused_image",
            file=foreign.name,
        )
    cpu = "".join(filter(str.isprintable, told["cpu"]))
    return Line(
        hashlib.sha256(data).hexdigest()[:32], foreign.record.id, owner, True, shown_as, told["created"].isoformat(),
        cpu[:_MOST_CPU], told["cores"], told["mode"], text(told["task"])[:_MOST_CPU], told["images"],
        told["megapixels"] if math.isfinite(told["megapixels"]) else 0.0, told["technique"], told["label"],
        min(told["workers"], 1_000_000), speedup, told["speedup_low"], told["speedup_high"], told["verdict"],
    )  # fmt: skip


def _files(folder: Path, pattern: str = "*.json") -> list[Path]:
    return sorted(folder.glob(pattern))


def _read(file: Path) -> Line | None:
    try:
        line = from_plain(Line, json.loads(file.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        log.warning("A line of a class cannot be read and is left out: %s.", file.name)
        return None
    return line if fits(Line, line) else None
