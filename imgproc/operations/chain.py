"""Chains: operations one after another, each on the result of the one before, under a name such as ``first+second``.

A chain is an operation like any other, made when its name is looked up, so that any process knows it by its name alone.
What is done on strips or on a GPU is done part by part by those who do it there, see ``Operation.steps``.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from imgproc.errors import UserError, did_you_mean
from imgproc.operations.contract import Image, Operation, same_size
from imgproc.parameters import Parameters

#: Stands between the names of a chain's parts.
SIGN = "+"
#: The most parts of a chain. File names have the chain's name in them.
MOST_PARTS = 5
#: The most chains in a run; each makes a file of every image.
MOST_CHAINS = 10


class Table(dict[str, Operation]):
    """Operations by their names. It iterates over those that were put into it; the chains of these, which are too many
    to list, can be looked up as well."""

    def __missing__(self, name: str) -> Operation:
        if name not in self:
            raise KeyError(name)
        return chain([dict.__getitem__(self, part) for part in name.split(SIGN)])

    def __contains__(self, name: object) -> bool:
        if dict.__contains__(self, name) or not isinstance(name, str):
            return dict.__contains__(self, name)
        parts = name.split(SIGN)
        return 2 <= len(parts) <= MOST_PARTS and all(dict.__contains__(self, part) for part in parts)

    def get(self, name: str, default: Any = None) -> Any:
        """As of any mapping; that of ``dict`` would not know chains."""
        try:
            return self[name]
        except KeyError:
            return default


def chain_name(text: str, table: Table, field: str) -> str:
    """The name of the chain that was typed, with spaces or without.

    Args:
        field: the field or flag as the person knows it.

    Raises:
        UserError: it has a part that is unknown or missing, or too many of them.
    """
    parts = [part.strip() for part in text.split(SIGN)]
    known = ", ".join(table)
    for part in parts:
        if part not in table:
            what = f"There is no operation “{part}” in “{text}”." if part else f"In “{text}” a name is missing."
            hint = did_you_mean(part, table) or f" Choose from {known}."
            raise UserError(f"{what}{hint}", field=field, limit=known)
    if len(parts) > MOST_PARTS:
        most = f"Up to {MOST_PARTS} operations can be done one after another; “{text}” has {len(parts)}."
        raise UserError(most, field=field, limit=MOST_PARTS)
    return SIGN.join(parts)


def chain(parts: Sequence[Operation]) -> Operation:
    """The parts one after another as one operation; those that there are twice have the same parameters."""
    each = {part.name: part for part in parts}.values()  # what is said of a part is said once
    return Operation(
        SIGN.join(part.name for part in parts),
        ", then ".join(part.label for part in parts),
        ", then ".join(part.result for part in parts),
        " ".join(part.help for part in each),
        tuple({parameter.name: parameter for part in each for parameter in part.parameters}.values()),
        partial(_whole, parts),
        bilevel=parts[-1].bilevel,
        size=same_size if all(part.size is same_size for part in parts) else partial(_size, parts),
        check=partial(_check, parts),
        code=partial(_code, parts) if all(part.code for part in parts) else None,
        color=" ".join(part.color for part in each if part.color),
        made_of=tuple(parts),
    )


def _whole(parts: Sequence[Operation], image: Image, p: Parameters) -> Image:
    for part in parts:
        image = part.apply(image, p)
    return image


def _size(parts: Sequence[Operation], height: int, width: int, p: Parameters) -> tuple[int, int]:
    for part in parts:
        height, width = part.size(height, width, p)
    return height, width


def _check(parts: Sequence[Operation], p: Parameters) -> None:
    for part in parts:
        part.check(p)


def _code(parts: Sequence[Operation], p: Parameters, color: bool) -> str:
    """The lines of the parts, each of which makes the next ``image``."""
    return "\n".join(_lines(parts, p, color))


def _lines(parts: Sequence[Operation], p: Parameters, color: bool) -> Iterator[str]:
    for number, part in enumerate(parts, 1):
        assert part.code is not None
        body = part.code(p, color)
        color = color and not part.gray
        if number == len(parts):
            yield body
        elif len(re.findall(r"\breturn\b", body)) == 1 and (end := re.search("^return ", body, re.MULTILINE)):
            yield f"{body[: end.start()]}image = {body[end.end() :]}"
        else:  # it may return early
            yield f"def step_{number}(image):\n{textwrap.indent(body, '    ')}\n\nimage = step_{number}(image)"
