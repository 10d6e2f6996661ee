"""How a run can be told to work beyond its technique: what forms and commands have in common."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from imgproc.backends import BASELINE, TECHNIQUES, technique
from imgproc.backends.base import Capabilities
from imgproc.backends.sharing.transport import PATHS, TRANSFERS
from imgproc.errors import UserError
from imgproc.measure.environment import usable_cores
from imgproc.runs.record import Mode, RunSettings

#: Most images that a worker can be handed at once.
MOST_IN_CHUNK = 1000
#: Most numbers of workers in one scale run.
MOST_COUNTS = 16


def scale_counts(most: int) -> str:
    """The numbers of workers that scale mode goes through unless told otherwise: up to twice the cores."""
    cores = usable_cores()
    every = {1, 2, 3, 4} if cores <= 2 else {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, cores, 2 * cores}
    return ", ".join(str(count) for count in sorted(every) if count <= min(most, max(4, 2 * cores)))


def scale_threads() -> str:
    """OpenCV's threads in each worker that scale mode tries unless told otherwise: one, and as many as cores."""
    return ", ".join(map(str, sorted({1, usable_cores()})))


def parse_counts(value: str, field: str, most: int) -> list[int]:
    """Whole numbers with commas between them, in order, each once.

    Raises:
        UserError: there is none, too many, or one that is not from 1 to ``most``.
    """
    found = set()
    for part in re.split(r"[,;\s]+", value.strip(" ,;")):
        if not part.isascii() or not part.isdigit() or not 1 <= int(part) <= most:
            raise UserError(
                f"{field} must be whole numbers from 1 to {most} with commas between them, such as 1, 2, 4; “{part}” "
                "is not.",
                field=field,
                limit=most,
            )
        found.add(int(part))
    if len(found) > MOST_COUNTS:
        raise UserError(f"{field} may hold up to {MOST_COUNTS} numbers, not {len(found)}.", field=field)
    return sorted(found)


def parse_transfers(values: Iterable[str]) -> list[str]:
    """Ways for pixels to reach worker processes, each once; the default where none is given.

    Raises:
        UserError: there is no such way.
    """
    names = [name.strip() for value in values for name in value.split(",") if name.strip()]
    for name in names:
        if name not in TRANSFERS:
            known = ", ".join(TRANSFERS)
            raise UserError(f"There is no transfer “{name}”. Choose from {known}.", field="transfer", limit=known)
    return list(dict.fromkeys(names)) or [PATHS]


def parse_start_method(value: str) -> str | None:
    """How worker processes are started; None, the technique's own way, where nothing is given.

    Raises:
        UserError: no technique has that way here.
    """
    known = start_methods()
    if value in ("", "default"):
        return None
    if value not in known:
        raise UserError(
            f"Worker processes cannot be started by “{value}” here. Choose from {', '.join(known)}.",
            field="start_method",
            limit=", ".join(known),
        )
    return value


def start_methods() -> list[str]:
    """All ways of starting worker processes that techniques offer here, the usual one first."""
    able = [t.load().capabilities.start_methods for t in TECHNIQUES.values() if t.availability().ok]
    return list(dict.fromkeys(method for methods in able if len(methods) > 1 for method in methods))


def check_options(mode: Mode, asked: RunSettings) -> None:
    """Refuse what none of the techniques asked for can do.

    Raises:
        UserError: names the field and who could.
    """
    if mode == "compare":
        chosen = [technique(name) for name in asked.techniques] or list(TECHNIQUES.values())
    else:
        chosen = [technique(BASELINE if mode == "sequential" else asked.technique)]
    able = {t.name: t.load().capabilities for t in TECHNIQUES.values() if t.availability().ok}
    for field, what, can in _wanted(mode, asked):
        if not any(t.name in able and can(able[t.name]) for t in chosen):
            who = ", ".join(name for name, capabilities in able.items() if can(capabilities))
            names = ", ".join(t.label for t in chosen)
            raise UserError(f"{names} cannot {what}. What can: {who}.", field=field, limit=who)
    if mode == "scale" and chosen[0].name == BASELINE:
        raise UserError(f"{chosen[0].label} has no workers to vary. Choose another technique.", field="technique")
    if len(asked.transfers) > 1 and mode != "compare":
        raise UserError(
            "Several transfers can be compared only in mode compare; choose one here.", field="transfer", limit=1
        )


def _wanted(mode: Mode, asked: RunSettings) -> list[tuple[str, str, Callable[[Capabilities], bool]]]:
    """The options that are not left at their defaults: field, what a technique has to do, and whether one can."""
    wanted: list[tuple[str, str, Callable[[Capabilities], bool]]] = []
    if asked.transfers != [PATHS]:
        wanted.append(("transfer", "move pixels to worker processes", lambda able: able.carries))
    if asked.chunk_size != 1:
        wanted.append(("chunk_size", "hand out several images at once", lambda able: able.chunks))
    if asked.start_method is not None:
        method = asked.start_method
        wanted.append(("start_method", f"start its workers by {method}", lambda able: method in able.start_methods))
    return wanted
