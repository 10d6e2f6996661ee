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
from imgproc.operations.chain import MOST_CHAINS, SIGN, Table, chain_name
from imgproc.operations.contract import Operation
from imgproc.parameters import Parameter, Parameters, Value


def _declared() -> dict[str, Operation]:
    """What the folders beside this file declare, in the order they ask for."""
    modules = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__) if found.ispkg]
    declared = [module.OPERATION for module in modules if hasattr(module, "OPERATION")]
    return {operation.name: operation for operation in sorted(declared, key=lambda one: (one.order, one.name))}


#: Every one of them by its name; a chain of them, ``first+second``, can be looked up but is not listed.
OPERATIONS = Table(_declared())

#: The names of those that a run does where none is named.
DEFAULT_OPERATIONS: tuple[str, ...] = tuple(name for name, operation in OPERATIONS.items() if operation.default)

PARAMETERS: dict[str, Parameter] = {p.name: p for operation in OPERATIONS.values() for p in operation.parameters}


def parse_operations(names: Iterable[str]) -> tuple[str, ...]:
    """Names of operations and of chains, also several in one string with commas, each once: operations in the table's
    order, then chains as they were given.

    Raises:
        UserError: none is given, one is unknown, or there are too many chains.
    """
    given = [part.strip() for name in names for part in name.split(",") if part.strip()]
    wanted = {parse_chain(name) if SIGN in name else name: None for name in given}
    known = ", ".join(OPERATIONS)
    for name in sorted(wanted):
        if name not in OPERATIONS:
            raise UserError(f"There is no operation “{name}”. Choose from {known}.", field="operations", limit=known)
    if not wanted:
        raise UserError(f"Choose at least one operation: {known}.", field="operations", limit=known)
    plain = [name for name in OPERATIONS if name in wanted]
    chains = [name for name in wanted if name not in plain]
    if len(chains) > MOST_CHAINS:
        most = f"A run does up to {MOST_CHAINS} chains of operations, not {len(chains)}."
        raise UserError(most, field="operations", limit=MOST_CHAINS)
    return (*plain, *chains)


def parse_chain(text: str, field: str = "operations") -> str:
    """The name of the chain that was typed; ``field`` is the field or flag as the person knows it.

    Raises:
        UserError: it has a part that is unknown or missing, or too many of them.
    """
    return chain_name(text, OPERATIONS, field)


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


def parts_of(names: Iterable[str]) -> list[Operation]:
    """What is done one after another where these are done, each once."""
    return list({part.name: part for one in _known(names) for part in one.parts}.values())


def remarks(names: Iterable[str], parameters: Parameters) -> list[str]:
    """What people may not expect of these operations with these parameters, a sentence each."""
    return [f"{one.label}: {remark}" for one in parts_of(names) for remark in one.remarks(parameters)]


def not_on_gpu(names: Iterable[str]) -> str:
    """Why a GPU technique cannot do these operations, in a sentence; empty where it can do them all."""
    missing = [one.label for one in parts_of(names) if one.cuda is None]
    return f"{listed(missing)} {'is' if len(missing) == 1 else 'are'} not on the GPU." if missing else ""


def not_by_numba(names: Iterable[str]) -> str:
    """Why Numba cannot do these operations, in a sentence; empty where it can do them all."""
    missing = [one.label for one in parts_of(names) if not one.prange]
    return f"{listed(missing)} {'has' if len(missing) == 1 else 'have'} no program for Numba." if missing else ""


def not_in_strips(names: Iterable[str]) -> str:
    """Why an image for these operations stays whole, in a part of a sentence; empty where it can be cut."""
    missing = [one.label for one in parts_of(names) if one.strips is None]
    return f"{listed(missing)} {'is' if len(missing) == 1 else 'are'} not cut into strips" if missing else ""
