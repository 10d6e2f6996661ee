"""A parameter: its name, range and help, and how what came in is checked against them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from imgproc.errors import UserError

Value = int | float | bool


Parameters = Mapping[str, Value]


@dataclass(frozen=True)
class Parameter:
    """One number, choice or switch of an operation; its name is the same in every interface."""

    name: str
    label: str
    kind: Literal["integer", "number", "choice", "flag"]
    default: Value
    help: str
    minimum: float = 0
    maximum: float = 0
    step: float = 1
    choices: tuple[int, ...] = ()
    odd: bool = False

    @property
    def range(self) -> str:
        """The allowed values in words."""
        if self.kind == "flag":
            return "on or off"
        if self.kind == "choice":
            return " or ".join(", ".join(map(str, self.choices)).rsplit(", ", 1))
        return f"{'odd, ' if self.odd else ''}{self.minimum:g} to {self.maximum:g}"

    def parse(self, value: str | Value) -> Value:
        """Text or a JSON value as this parameter's value.

        Raises:
            UserError: it is not of this kind or not in range; names the field and the limit.
        """
        if self.kind == "flag":
            return self._parse_flag(value)
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        whole = self.kind != "number"
        # NaN would give a black picture silently, so it is refused with everything else that is no number.
        good = math.isfinite(number) and (number == int(number) or not whole)
        if self.kind == "choice":
            good = good and int(number) in self.choices
        else:
            good = good and self.minimum <= number <= self.maximum and not (self.odd and int(number) % 2 == 0)
        if not good:
            raise UserError(
                f"{self.label} ({self.name}) must be {self._wanted()}, not “{value}”.",
                field=self.name,
                limit=self.range,
            )
        return int(number) if whole else number

    def _wanted(self) -> str:
        if self.kind == "choice":
            return self.range
        kind = "an odd whole number" if self.odd else "a whole number" if self.kind == "integer" else "a number"
        return f"{kind} from {self.minimum:g} to {self.maximum:g}"

    def _parse_flag(self, value: str | Value) -> bool:
        text = str(value).strip().lower()
        if text in ("1", "true", "on", "yes"):
            return True
        if text in ("0", "false", "off", "no", ""):
            return False
        raise UserError(
            f"{self.label} ({self.name}) must be on or off, not “{value}”.", field=self.name, limit="on or off"
        )
