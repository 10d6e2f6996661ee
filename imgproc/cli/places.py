"""Whether what a command makes can be written where it is to go: found out before any work is done."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from imgproc.cli.parser import STDOUT
from imgproc.errors import UserError


def check_record_file(json_file: str | None) -> None:
    """Before anything is measured: raises UserError, OSError where the record could not be written."""
    if json_file == "":
        raise UserError("The name of the file after --json= is empty. --json alone prints the record.", field="json")
    if json_file not in (None, STDOUT):
        if Path(json_file).is_dir():
            raise UserError(f"{json_file} is a folder; --json takes a file.", field="json")
        check_folder(Path(json_file).parent, json_file)


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
