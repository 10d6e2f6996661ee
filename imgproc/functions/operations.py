"""A user's own function of an image as an operation: in the table as long as it is needed, and in that of every worker
that its images come to."""

from __future__ import annotations

import inspect
import pickle
import re
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

from imgproc.errors import UserError
from imgproc.functions.travel import CannotArrive, Carried, packed
from imgproc.operations import OPERATIONS, PARAMETERS
from imgproc.operations.contract import Image, Operation
from imgproc.parameters import Parameter, Parameters, Value

#: What numbers of a user's own parameters may be: all that a float holds exactly.
_MOST = 2.0**53


class OwnError(UserError):
    """A user's own function raised, or returned what is no image; ``traceback`` is for its author."""

    def __init__(self, message: str, trace: str = "") -> None:
        super().__init__(message, code="own_function")
        self.traceback = trace


@dataclass(frozen=True)
class OwnOperation:
    """A function of an image and parameters on its way to workers. Where it arrives, the table of operations has it."""

    operation: Operation
    function: Carried
    arguments: Mapping[str, str]

    def __reduce__(self) -> tuple[Any, ...]:
        plain = replace(self.operation, whole=_nothing, own=None)
        return _arrive, (plain, self.function, dict(self.arguments))


def _nothing(image: Image, parameters: Parameters) -> Image:
    raise NotImplementedError


def _arrive(plain: Operation, function: Carried, arguments: dict[str, str]) -> OwnOperation:
    known = OPERATIONS.get(plain.name)
    if known is not None and isinstance(known.own, OwnOperation) and known.own.function is function:
        return known.own
    own = _made(plain, function, arguments)
    OPERATIONS[plain.name] = own.operation
    return own


class Declared:
    """An ``Operation`` that a user's program or an installed package declares, on its way to workers as above."""

    def __init__(self, operation: Operation) -> None:
        self._plain = operation
        self.arguments = {p.name: p.name for p in operation.parameters}

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrive_declared, (self._data,)

    @cached_property
    def _data(self) -> bytes:
        return packed(self._plain)


#: Declared operations that arrived in this process, by their bytes.
_declared: dict[bytes, Declared] = {}


def _arrive_declared(data: bytes) -> Declared:
    if data not in _declared:
        operation: Operation = pickle.loads(data)  # noqa: S301  our own parent sent it
        _declared[data] = declared = Declared(operation)
        OPERATIONS[operation.name] = replace(operation, own=declared)
    return _declared[data]


def operation_of(
    function: Callable[..., Any], name: str = "", *, taken: Callable[[str], bool] = lambda _: False
) -> Operation:
    """An operation that calls ``function(image, **parameters)``: an image of uint8, (height, width) gray or (height,
    width, 3) BGR, in, and one of uint8 or bool, gray or BGR, of any size out. Its other parameters are those of the
    signature, by type hint or default: int, float, bool, or a ``Literal`` of words or whole numbers.

    Args:
        name: in tables and file names; the function's where not given.
        taken: whether a parameter's name already means something else; then it is called ``name_parameter``.

    Raises:
        UserError: it cannot be called so, or a parameter has no type that could be asked for.
    """
    name = name or _name_of(function)
    arguments, parameters = {}, []
    for own in _parameters_of(function, name):
        called = f"{name}_{own.name}" if taken(own.name) or own.name in PARAMETERS else own.name
        arguments[called] = own.name
        parameters.append(replace(own, name=called))
    text = inspect.getdoc(function) or ""
    first = " ".join(text.partition("\n\n")[0].split())
    plain = Operation(
        name=name,
        label=name,
        result=name,
        help=first or "A function of your own.",
        parameters=tuple(parameters),
        whole=_nothing,
        order=1000,
    )
    return _made(plain, Carried(function), arguments).operation


def _made(plain: Operation, function: Carried, arguments: Mapping[str, str]) -> OwnOperation:
    whole = partial(_apply, plain.name, function, dict(arguments))
    own = OwnOperation(replace(plain, whole=whole), function, arguments)
    object.__setattr__(own, "operation", replace(own.operation, own=own))
    return own


@contextmanager
def registered(operation: Operation) -> Iterator[None]:
    """With the operation in the table.

    Raises:
        UserError: one of this name is there.
    """
    if operation.name in OPERATIONS:
        raise UserError(f"There is an operation “{operation.name}” already; give your function another name.")
    add(operation)
    try:
        yield
    finally:
        del OPERATIONS[operation.name]
        for parameter in operation.parameters:
            del PARAMETERS[parameter.name]


def add(operation: Operation) -> None:
    """Put an operation into the table, for good."""
    OPERATIONS[operation.name] = operation if operation.own else replace(operation, own=Declared(operation))
    PARAMETERS.update({parameter.name: parameter for parameter in operation.parameters})


def own_of(names: Iterable[str]) -> tuple[OwnOperation | Declared, ...]:
    """What has to travel with images for these operations."""
    parts = {part.name: part.own for name in names if name in OPERATIONS for part in OPERATIONS[name].parts}
    return tuple(own for own in parts.values() if own is not None)


# ---------------------------------------------------------------- the call


def _apply(name: str, function: Carried, arguments: Mapping[str, str], image: Image, parameters: Parameters) -> Image:
    chosen = {argument: parameters[called] for called, argument in arguments.items()}
    try:
        # A copy: what is decoded once is given to each operation of a run.
        made = function.value(image.copy(), **chosen)
    except CannotArrive as problem:
        raise OwnError(f"“{name}”: {problem}.") from problem
    except Exception as problem:
        at = problem.__traceback__.tb_next if problem.__traceback__ else None
        trace = "".join(traceback.format_exception(type(problem), problem, at))
        raise OwnError(f"“{name}” raised {type(problem).__name__}{_where(problem)}: {problem}", trace) from problem
    return _image(name, made)


def _where(problem: BaseException) -> str:
    """In which line of which file, innermost first of those that are not a library's."""
    frames = traceback.extract_tb(problem.__traceback__)[1:]
    own = [frame for frame in frames if "site-packages" not in frame.filename] or frames
    return f" in line {own[-1].lineno} of {Path(own[-1].filename).name}" if own else ""


def _image(name: str, made: Any) -> Image:
    """What it returned, as an image.

    Raises:
        OwnError: it is none.
    """
    if isinstance(made, np.ndarray) and made.dtype == np.bool_:
        made = made.astype(np.uint8) * 255
    if not isinstance(made, np.ndarray):
        raise OwnError(f"“{name}” returned {_article(type(made).__name__)}, not an image: an array of uint8 is wanted.")
    if made.dtype != np.uint8:
        raise OwnError(
            f"“{name}” returned an array of {made.dtype}, not of uint8. Say in it how values become 0 to 255, "
            "such as np.clip(x, 0, 255).astype(np.uint8)."
        )
    if made.ndim == 3 and made.shape[2] == 1:
        made = made[:, :, 0]
    if made.ndim not in (2, 3) or (made.ndim == 3 and made.shape[2] != 3) or not made.size:
        raise OwnError(
            f"“{name}” returned an array of shape {made.shape}, not an image: (height, width), or (height, width, 3)."
        )
    return np.ascontiguousarray(made)


def _article(word: str) -> str:
    return f"{'an' if word[:1] in 'aeiouAEIOU' else 'a'} {word}"


# ---------------------------------------------------------------- its name and its parameters


def _name_of(function: Callable[..., Any]) -> str:
    """A word of small letters, digits and underscores."""
    inner = function
    while isinstance(inner, partial):
        inner = inner.func
    raw = getattr(inner, "__name__", None) or type(inner).__name__
    name = re.sub(r"\W+", "_", "lambda" if raw == "<lambda>" else raw).strip("_").lower()
    return f"own_{name}" if not name or name in OPERATIONS else name


def _parameters_of(function: Callable[..., Any], name: str) -> Iterator[Parameter]:
    """Those after the image.

    Raises:
        UserError: it cannot be called with an image alone, or one has no type that could be asked for.
    """
    try:
        found = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some of compiled libraries have none
        return
    kinds = inspect.Parameter
    positional = [one for one in found if one.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)]
    if not positional and not any(one.kind is kinds.VAR_POSITIONAL for one in found):
        raise UserError(f"“{name}” takes no image: its first parameter is what the image is given as.")
    hints = _hints(function)
    for one in found:
        if one in positional[:1] or one.kind in (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD):
            continue
        parameter = None if one.kind is kinds.POSITIONAL_ONLY else _parameter(one, hints.get(one.name))
        if parameter is not None:
            yield parameter
        elif one.default is kinds.empty:
            raise UserError(
                f"“{name}” has a parameter “{one.name}” without a default. Give it one (an int, float, bool, or a "
                "Literal type hint makes it an option), or bind it by functools.partial."
            )


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    while isinstance(function, partial):
        function = function.func
    if not inspect.isroutine(function) and not inspect.isclass(function):
        function = type(function).__call__
    try:
        return get_type_hints(function)
    except Exception:  # names that are not there when it runs, as with "if TYPE_CHECKING"
        return {}


def _parameter(one: inspect.Parameter, hint: Any) -> Parameter | None:
    """None where neither hint nor default has a type that could be asked for, or there is no default."""
    default = one.default
    if default is inspect.Parameter.empty:
        return None
    label = one.name.replace("_", " ").capitalize()
    kind: Literal["integer", "number", "choice", "flag"]
    if get_origin(hint) is Literal and (choices := _choices(get_args(hint))) and default in choices:
        return Parameter(one.name, label, "choice", default, f"{label}.", choices=choices)
    if isinstance(default, bool):
        return Parameter(one.name, label, "flag", default, f"{label}.")
    if hint is float and isinstance(default, int | float):
        kind, value = "number", float(default)
    elif isinstance(default, int):
        kind, value = "integer", default
    elif isinstance(default, float):
        kind, value = "number", default
    else:
        return None
    return Parameter(one.name, label, kind, value, f"{label}.", -_MOST, _MOST, 1)


def _choices(values: tuple[Any, ...]) -> tuple[int | str, ...]:
    """Those that ``Parameter`` can tell apart; nothing where there are others."""
    good = all(type(value) is int or (type(value) is str and value == value.strip().lower()) for value in values)
    return values if good else ()


def values_of(operation: Operation, given: Mapping[str, Value]) -> dict[str, Value]:
    """Values for its own names of parameters, as a caller in Python gives them, by the names in the table.

    Raises:
        UserError: it has none of that name.
    """
    arguments = operation.own.arguments if operation.own else {p.name: p.name for p in operation.parameters}
    by_own = {argument: called for called, argument in arguments.items()}
    for name in given:
        if name not in by_own:
            known = ", ".join(by_own) or "none"
            raise UserError(f"“{operation.name}” has no parameter “{name}”. It has: {known}.", field=name)
    return {by_own[name]: value for name, value in given.items()}
