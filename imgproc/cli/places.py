"""Whether what a command makes can be written where it is to go: found out before any work is done."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from imgproc.cli.parser import STDOUT
from imgproc.errors import UserError

if TYPE_CHECKING:
    from imgproc.runs.record import Record


def check_output_file(name: str, file: str | None) -> None:
    """Before anything is measured: raises UserError, OSError where the file of the flag ``--name`` could not be
    written."""
    if file == "":
        what = "record" if name == "json" else "table"
        raise UserError(f"The name of the file after --{name}= is empty. --{name} alone prints the {what}.", field=name)
    if file not in (None, STDOUT):
        if Path(file).is_dir():
            raise UserError(f"{file} is a folder; --{name} takes a file.", field=name)
        check_folder(Path(file).parent, file)


def read_record(file: Path) -> Record:
    """The record in a file that was named.

    Raises:
        UserError: it cannot be read, or is no record.
    """
    from imgproc.runs.record import Record  # what most commands do without until they know their arguments

    try:
        data = json.loads(file.read_bytes())
    except OSError as problem:
        raise UserError(f"{file} cannot be read: {problem.strerror}.", file=str(file)) from None
    except ValueError:
        raise UserError(f"{file} is not JSON.", file=str(file)) from None
    return Record.from_dict(data)


def path_named(text: str) -> Path:
    """An argument that names a file or a folder.

    Raises:
        ArgumentTypeError: it is empty, which would be the current folder.
    """
    if not text:
        raise argparse.ArgumentTypeError("the name is empty; “.” is the current folder")
    return Path(text)


def check_folder(folder: Path, name: str) -> None:
    """Raises: OSError: no file can be made in the folder; it names only what the person named."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as problem:
        raise OSError(problem.errno, problem.strerror, name) from None


def make_folder(folder: Path) -> None:
    """Raises: UserError, OSError: the folder cannot be made or written into."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise UserError(f"The folder {folder} cannot be made: {problem.strerror}.", field="out") from None
    check_folder(folder, str(folder))
