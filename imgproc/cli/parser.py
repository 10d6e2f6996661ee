"""A command's arguments: mistakes are one sentence, and some flags may be followed by a file."""

from __future__ import annotations

import argparse
import glob
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from imgproc.errors import UserError, did_you_mean

#: What the flags of ``FILE_FLAGS`` hold without a file: it goes to standard output.
STDOUT = "-"
#: Flags that a file may follow.
FILE_FLAGS = ("--json", "--csv", "--markdown")


class Parser(argparse.ArgumentParser):
    """Raises ``UserError`` where argparse would print the usage and exit. Flags may be spelt with underscores."""

    def __init__(self, *, prog: str, description: str, raw: bool = False, **more: Any) -> None:
        formatter = argparse.RawDescriptionHelpFormatter if raw else argparse.HelpFormatter
        super().__init__(prog=prog, description=description, formatter_class=formatter, **more)

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message[:1].upper()}{message[1:]}. “{self.prog} --help” says more.")

    def parse_args(self, args: Sequence[str], namespace: Any = None) -> Any:  # type: ignore[override]
        """Raises: UserError: something is unknown, missing or not allowed."""
        arguments = [_with_dashes(word) for word in args]
        actions = [self._option_string_actions.get(flag) for flag in FILE_FLAGS]
        flags = [flag for flag, action in zip(FILE_FLAGS, actions, strict=True) if action and action.nargs != 0]
        arguments = _joined(arguments, flags)
        found, unknown = self.parse_known_args(arguments, namespace)
        if unknown:
            word = unknown[0].partition("=")[0]
            kind = "option" if word.startswith("-") else "place for the argument"
            raise UserError(f"There is no {kind} “{word}”.{did_you_mean(word, self._option_string_actions)}")
        return found


def _with_dashes(word: str) -> str:
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value if name.startswith("--") else word


def _joined(arguments: Sequence[str], flags: Sequence[str]) -> list[str]:
    """Every one of these flags with its value in one word, so that an image after it is not taken for its file."""
    joined: list[str] = []
    for word in arguments:
        if joined and joined[-1] in flags:
            if _is_output_file(word):
                joined[-1] = f"{joined[-1]}={word}"
                continue
            joined[-1] = f"{joined[-1]}={STDOUT}"
        joined.append(word)
    return [f"{word}={STDOUT}" if word in flags else word for word in joined]


def _is_output_file(word: str) -> bool:
    """Whether what follows such a flag is where it goes, not something to be processed."""
    from imgproc.intake.folders import EXTENSIONS
    from imgproc.pixels.filetypes import accepted_type

    path = Path(word)
    if word == STDOUT:
        return True
    if word.startswith("-") or path.is_dir() or glob.has_magic(word) or path.suffix.lower() in EXTENSIONS:
        return False
    if not path.is_file():
        return True
    with open(path, "rb") as file:
        return accepted_type(file.read(64)) is None
