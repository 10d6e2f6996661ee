"""The operations: their parameters, ranges, help, and what they do. Array in, array out.

Everything that shows or reads a parameter (form, command line, JSON API, docs) reads it from here. Each folder beside
this file that declares an ``OPERATION`` is one; no list names them.
The reference for every pixel is whole-image OpenCV on one thread with IPP off.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from pkgutil import iter_modules

from imgproc.errors import UserError
from imgproc.numbers import listed
from imgproc.operations.contract import Operation
from imgproc.parameters import Parameter, Parameters, Value


def _declared() -> dict[str, Operation]:
    """What the folders beside this file declare, in the order they ask for."""
    modules = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__) if found.ispkg]
    declared = [module.OPERATION for module in modules if hasattr(module, "OPERATION")]
    return {operation.name: operation for operation in sorted(declared, key=lambda one: (one.order, one.name))}


OPERATIONS: dict[str, Operation] = _declared()

PARAMETERS: dict[str, Parameter] = {p.name: p for operation in OPERATIONS.values() for p in operation.parameters}


def parse_operations(names: Iterable[str]) -> tuple[str, ...]:
    """Names of operations, also several in one string with commas, in the table's order, each once.

    Raises:
        UserError: none is given, or one is unknown.
    """
    wanted = {part.strip() for name in names for part in name.split(",") if part.strip()}
    known = ", ".join(OPERATIONS)
    for name in sorted(wanted - OPERATIONS.keys()):
        raise UserError(f"There is no operation “{name}”. Choose from {known}.", field="operations", limit=known)
    if not wanted:
        raise UserError(f"Choose at least one operation: {known}.", field="operations", limit=known)
    return tuple(name for name in OPERATIONS if name in wanted)


def parse_parameters(values: Mapping[str, Value]) -> dict[str, Value]:
    """Every parameter of every operation, from text or JSON values; what is not given has its default.

    Raises:
        UserError: a value is not allowed.
    """
    parsed = {name: p.parse(values[name]) if name in values else p.default for name, p in PARAMETERS.items()}
    for operation in OPERATIONS.values():
        operation.check(parsed)
    return parsed


def _known(names: Iterable[str]) -> list[Operation]:
    return [OPERATIONS[name] for name in names if name in OPERATIONS]  # an old record may name others


def remarks(names: Iterable[str], parameters: Parameters) -> list[str]:
    """What people may not expect of these operations with these parameters, a sentence each."""
    return [f"{one.label}: {remark}" for one in _known(names) for remark in one.remarks(parameters)]


def not_on_gpu(names: Iterable[str]) -> str:
    """Why a GPU technique cannot do these operations, in a sentence; empty where it can do them all."""
    missing = [one.label for one in _known(names) if one.cuda is None]
    return f"{listed(missing)} {'is' if len(missing) == 1 else 'are'} not on the GPU." if missing else ""


def not_in_strips(names: Iterable[str]) -> str:
    """Why an image for these operations stays whole, in a part of a sentence; empty where it can be cut."""
    missing = [one.label for one in _known(names) if one.strips is None]
    return f"{listed(missing)} {'is' if len(missing) == 1 else 'are'} not cut into strips" if missing else ""
