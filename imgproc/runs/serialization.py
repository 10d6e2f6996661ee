"""Dataclasses to what JSON knows, and back from what this or another version wrote."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")
Reader = Callable[[Any], Any]


def to_plain(value: Any) -> Any:
    """As ``dataclasses.asdict``, but what cannot be changed is not copied: a record may hold 100,000 spans."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, list | tuple):
        return [to_plain(one) for one in value]
    if isinstance(value, dict):
        return {key: to_plain(one) for key, one in value.items()}
    if is_dataclass(value):
        return {name: to_plain(one) for name, one in vars(value).items()}
    return value


def json_pieces(value: Any, indent: int = 0) -> Iterator[str]:
    """JSON for people to look into, in pieces: a line for each thing in an object, and for each of the objects in its
    lists; only where these hold long lists themselves, such as a technique its spans, are they taken apart as well.

    The library's own indentation takes several times as long and, at 10,000 images, ten times the memory.
    """
    line = "\n" + " " * (indent + 1)
    if isinstance(value, dict) and (not indent or _is_long(value)):
        for number, (key, one) in enumerate(value.items()):
            yield f"{',' if number else '{'}{line}{json.dumps(key, ensure_ascii=False)}: "
            yield from json_pieces(one, indent + 1)
        yield f"\n{' ' * indent}}}"
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for number, one in enumerate(value):
            yield f"{',' if number else '['}{line}"
            yield from json_pieces(one, indent + 1)
        yield f"\n{' ' * indent}]"
    else:
        yield json.dumps(value, ensure_ascii=False)


#: A list of more objects than this is not put on one line.
_LONG = 20


def _is_long(value: dict[str, Any]) -> bool:
    return any(isinstance(one, list) and len(one) > _LONG and isinstance(one[0], dict) for one in value.values())


def from_plain(kind: type[T], data: Any) -> T:
    """An object of a dataclass, and those inside it, from what ``to_plain`` wrote: fields that another version did
    not write have their defaults, and what this version does not know is left out.

    Raises:
        TypeError: a field without a default is missing, or something is no list or object where one has to be.
    """
    if not isinstance(data, dict):
        raise TypeError(f"{kind.__name__} cannot be read from {type(data).__name__}")
    known, nested = _fields(cast(Any, kind))
    if not data.keys() <= known:
        data = {name: value for name, value in data.items() if name in known}
    if nested:
        data = data | {name: read(data[name]) for name, read in nested.items() if name in data}
    return kind(**data)


@cache
def _fields(kind: Any) -> tuple[set[str], dict[str, Reader]]:
    """The names of a dataclass's fields, and how those are read that may not be anything."""
    hints = get_type_hints(kind)
    readers = {field.name: _reader(hints[field.name]) for field in fields(kind)}
    return set(readers), {name: reader for name, reader in readers.items() if reader}


def _reader(hint: Any) -> Reader | None:
    """How a value of a type is read; None: it stays as it is."""
    if is_dataclass(hint):
        return lambda data: from_plain(hint, data)  # type: ignore[arg-type]
    inner = [_reader(one) for one in get_args(hint) if one is not type(None)]
    if get_origin(hint) in (Union, UnionType):
        reader = next(filter(None, inner), None)
        return reader and (lambda data: None if data is None else reader(data))
    if get_origin(hint) is dict and inner[1]:
        return _reader_of_values(inner[1])
    if get_origin(hint) is not list:
        return None

    def read_list(data: Any) -> list[Any]:
        if not isinstance(data, list):
            raise TypeError("not a list")
        return [*map(inner[0], data)] if inner[0] else data

    return read_list


def _reader_of_values(read: Reader) -> Reader:
    def read_dict(data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise TypeError("not an object")
        return {key: read(value) for key, value in data.items()}

    return read_dict


def fits(hint: Any, value: Any) -> bool:
    """Whether a value is of a type, all that it holds included; ``from_plain`` leaves single values as they are.

    Args:
        hint: a dataclass, or a type that one of its fields may have.
    """
    return _check_of(hint)(value)


@cache
def _check_of(hint: Any) -> Callable[[Any], bool]:
    """A function that ``fits`` with this type: made once, as a record may hold 100,000 spans."""
    origin, inner = get_origin(hint), get_args(hint)
    if is_dataclass(hint):
        return _check_of_fields(cast(type, hint))
    if origin is Literal:
        return lambda value: isinstance(value, str) and value in inner
    if origin in (Union, UnionType):
        checks = [_check_of(one) for one in inner]
        return lambda value: any(check(value) for check in checks)
    if origin in (list, dict):
        check = _check_of(inner[-1])  # keys of JSON are texts in any case
        return lambda value: isinstance(value, origin) and all(map(check, value.values() if origin is dict else value))
    if hint in (int, float):
        kinds = int if hint is int else (int, float)
        return lambda value: isinstance(value, kinds) and not isinstance(value, bool)
    return lambda value: hint is Any or isinstance(value, hint)


def _check_of_fields(kind: type) -> Callable[[Any], bool]:
    hints = get_type_hints(kind)
    checks = [(field.name, _check_of(hints[field.name])) for field in fields(cast(Any, kind))]
    return lambda value: isinstance(value, kind) and all(check(getattr(value, name)) for name, check in checks)
