"""--operation: functions of a user's own, named on the command line."""

from __future__ import annotations

from collections.abc import Sequence

_FLAG = "--operation"


def taken_in(words: Sequence[str]) -> list[str]:
    """The words of a command with the functions that ``--operation`` names as operations: they are put into the table,
    and ``--operations`` names them. The techniques of installed packages are put into theirs.

    Raises:
        UserError: one cannot be loaded, or is no function of an image.
    """
    from imgproc.runs.plugins import add_techniques

    add_techniques()
    left: list[str] = []
    references: list[str] = []
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if name != _FLAG:
            left.append(word)
        elif equals or (value := next(rest, "")):
            references.append(value)
        else:
            left.append(word)  # argparse says what is missing
    if not references:
        return left
    return [*left, f"--operations={','.join(_added(reference) for reference in references)}"]


def _added(reference: str) -> str:
    """The name of the operation that a reference stands for."""
    from imgproc.runs.plugins import operation_named  # all that loads images, which other commands do without

    return operation_named(reference).name
