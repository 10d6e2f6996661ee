"""A parameter: its name, range and help, and how what came in is checked against them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from imgproc.errors import UserError

Value = int | float | bool | str
Parameters = Mapping[str, Value]


@dataclass(frozen=True)
class Parameter:
    """One number, choice or switch of an operation; its name is the same in every interface.

    ``odd`` numbers may also be 0 where the ``minimum`` is 0. ``choices`` are whole numbers or words in small letters.
    """

    name: str
    label: str
    kind: Literal["integer", "number", "choice", "flag"]
    default: Value
    help: str
    minimum: float = 0
    maximum: float = 0
    step: float = 1
    choices: tuple[int | str, ...] = ()
    odd: bool = False

    @property
    def range(self) -> str:
        """The allowed values in words."""
        if self.kind == "flag":
            return "on or off"
        if self.kind == "choice":
            return " or ".join(", ".join(map(str, self.choices)).rsplit(", ", 1))
        return f"odd, {self._odd_range}" if self.odd else f"{self.minimum:g} to {self.maximum:g}"

    @property
    def _odd_range(self) -> str:
        return f"{max(1, self.minimum):g} to {self.maximum:g}{', or 0' if self.minimum == 0 else ''}"

    def parse(self, value: Value) -> Value:
        """Text or a JSON value as this parameter's value.

        Raises:
            UserError: it is not of this kind or not in range; names the field and the limit.
        """
        if self.kind == "flag":
            return self._parse_flag(value)
        if self.kind == "choice":
            return self._parse_choice(value)
        number = _number(value)
        whole = self.kind == "integer"
        # NaN would give a black picture silently, so it is refused with everything else that is no number.
        good = math.isfinite(number) and self.minimum <= number <= self.maximum and (number == int(number) or not whole)
        if not good or (self.odd and number % 2 == 0 and number != 0):
            raise self._refusal(value)
        return int(number) if whole else number

    def _parse_choice(self, value: Value) -> Value:
        text, number = str(value).strip().lower(), _number(value)
        for choice in self.choices:
            if choice in (text, number):
                return choice
        raise self._refusal(value)

    def _parse_flag(self, value: Value) -> bool:
        text = str(value).strip().lower()
        if text in ("1", "true", "on", "yes"):
            return True
        if text in ("0", "false", "off", "no", ""):
            return False
        raise self._refusal(value)

    def _refusal(self, value: Value) -> UserError:
        wanted = f"{self.label} ({self.name}) must be {self._wanted()}, not “{value}”."
        return UserError(wanted, field=self.name, limit=self.range)

    def _wanted(self) -> str:
        if self.kind in ("choice", "flag"):
            return self.range
        if self.odd:
            return f"an odd whole number from {self._odd_range}"
        kind = "a whole number" if self.kind == "integer" else "a number"
        return f"{kind} from {self.minimum:g} to {self.maximum:g}"


def _number(value: Value) -> float:
    """NaN where it is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
