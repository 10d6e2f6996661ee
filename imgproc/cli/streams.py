"""Standard input, output and error as whoever started the command left them: closed, or in another encoding."""

from __future__ import annotations

import codecs
import io
import json
import os
import sys
from typing import Any

_PLAIN = "plain signs"
_SIGNS = {"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "−": "-", "×": "x", "…": "...", "\u00a0": " "}


def prepare() -> bool:
    """Make the standard streams safe to use; returns whether standard output is open.

    One that was closed leads nowhere from now on: else the next file that is opened has its number, and gets what
    libraries print; worker processes would not start; and what is said on standard error would be said on output. A
    sign that standard output's encoding lacks is written as a plain one.
    """
    is_open = sys.stdout is not None
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free, which is this one
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        codecs.register_error(_PLAIN, _plainly)
        sys.stdout.reconfigure(errors=_PLAIN)
    return is_open


def _plainly(problem: UnicodeError) -> tuple[str, int]:
    """A handler of errors, see ``codecs.register_error``."""
    if not isinstance(problem, UnicodeEncodeError):
        raise problem
    signs = problem.object[problem.start : problem.end]
    return "".join(_SIGNS.get(sign, "?") for sign in signs), problem.end


def as_json(data: Any) -> str:
    """Data as JSON for standard output: only ASCII where that is not in UTF-8, as JSON has to be."""
    utf8 = codecs.lookup(sys.stdout.encoding or "ascii").name == "utf-8"
    return json.dumps(data, ensure_ascii=not utf8, indent=1)


def drop_output() -> None:
    """Nobody gets what is still to be written to standard output; Python would complain of it in the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
