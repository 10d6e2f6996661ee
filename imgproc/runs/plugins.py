"""Operations and techniques from outside this package: of a user's own files, and of installed packages, which declare
them as entry points of the groups ``speedup_lab.operations`` and ``speedup_lab.techniques``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NamedTuple

from imgproc.backends.table import TECHNIQUES, Technique
from imgproc.errors import UserError, did_you_mean
from imgproc.functions import operations as own
from imgproc.functions.loading import load
from imgproc.operations import OPERATIONS
from imgproc.operations.contract import Operation
from imgproc.runs.options import names

OF_OPERATIONS, OF_TECHNIQUES = "speedup_lab.operations", "speedup_lab.techniques"
#: The origin of what this package brings.
BUILT_IN = "built in"


class Origin(NamedTuple):
    """Where a name comes from: the package that declares it, with its version; ``problem`` says why it is not there."""

    name: str
    package: str
    problem: str = ""


def operation_named(reference: str) -> Operation:
    """The operation that a command or a setting names: one of the table, FILE.py:FUNCTION, MODULE:FUNCTION, or one that
    an installed package declares. It is in the table from then on.

    Raises:
        UserError: there is none, or it cannot be loaded.
    """
    if reference in OPERATIONS:
        return OPERATIONS[reference]
    if ":" in reference:
        return _added(load(reference), "")
    declared = {point.name: point for point in entry_points(group=OF_OPERATIONS)}
    if reference not in declared:
        known = [*OPERATIONS, *declared]
        hint = did_you_mean(reference, known) or f" Choose from {', '.join(known)}, or write FILE.py:FUNCTION."
        raise UserError(f"There is no operation “{reference}”.{hint}", field="operation")
    return _added(_loaded(declared[reference]), reference)


def add_listed(references: str) -> None:
    """Put the operations that a setting lists, with commas between them, into the table.

    Raises:
        UserError: as ``operation_named``.
    """
    for reference in filter(None, map(str.strip, references.split(","))):
        if reference not in _listed:
            _listed.add(reference)
            operation_named(reference)


#: What was listed in this process: an app may be made several times.
_listed: set[str] = set()


def _added(found: Any, name: str) -> Operation:
    operation = found if isinstance(found, Operation) else own.operation_of(found, name, taken=lambda n: n in names())
    if operation.name in OPERATIONS:
        raise UserError(
            f"There is an operation “{operation.name}” already; give yours another name.", field="operation"
        )
    own.add(operation)
    return OPERATIONS[operation.name]


def _loaded(point: EntryPoint) -> Any:
    """Raises: UserError: the package that declares it cannot be loaded."""
    try:
        return point.load()
    except Exception as problem:
        raise UserError(f"“{point.name}” of {_package(point)} cannot be loaded: {problem}") from problem


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an installed package"


def add_techniques() -> list[Origin]:
    """Put the techniques of installed packages into the table; returns where each comes from, also of those that could
    not be loaded."""
    return list(_each(OF_TECHNIQUES, TECHNIQUES.__contains__, _add_technique))


def add_operations() -> list[Origin]:
    """The same for operations."""
    return list(_each(OF_OPERATIONS, OPERATIONS.__contains__, lambda point: _added(_loaded(point), point.name)))


def _each(group: str, known: Callable[[str], bool], add: Callable[[EntryPoint], Any]) -> Iterator[Origin]:
    for point in entry_points(group=group):
        problem = ""
        try:
            if not known(point.name):
                add(point)
        except UserError as refused:
            problem = refused.message
        yield Origin(point.name, _package(point), problem)


def _add_technique(point: EntryPoint) -> None:
    """Raises: UserError: it cannot be loaded, or is none."""
    found = _loaded(point)
    if not isinstance(found, Technique) or found.name != point.name:
        raise UserError(
            f"“{point.name}” of {_package(point)} is no technique: the entry point must name an "
            f"imgproc.backends.Technique of that name."
        )
    TECHNIQUES[found.name] = found
