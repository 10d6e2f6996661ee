"""Dataclasses to what JSON knows, and back from what this or another version wrote."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

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
