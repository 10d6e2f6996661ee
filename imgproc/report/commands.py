"""The settings of a run as what is typed again: a command, an address that fills the form, fields that are posted."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from imgproc.backends import BASELINE
from imgproc.installation import called
from imgproc.operations import OPERATIONS
from imgproc.runs.options import TABLE, Mode, Option, flag_of, options, show
from imgproc.runs.record import Record, RunSettings

#: Stands for the images in a command.
ANY_PATHS = ("PATHS",)
#: Rows, beside the parameters of operations, that decide what is made of an image or how it is cut.
_OF_IMAGES = ("format", "color", "depth", "split")
#: Defaults that depend on the machine, or may change: always written out.
_SPELLED_OUT = {option.name for option in TABLE if option.default}


def command_line(words: Sequence[str]) -> str:
    """A command with its words quoted as a shell needs it."""
    return f"{called()} {shlex.join(words)}"


def command(record: Record, paths: Sequence[str] = ANY_PATHS) -> str:
    """What does this run once more, seed and all; empty for a run over items, whose function is not ours to name, and
    where an operation is not one of this program."""
    if record.task or not all(name in OPERATIONS for name in record.settings.operations):
        return ""
    verb = {"compare": "compare", "scale": "scale"}.get(record.mode, "process")
    words = [verb, *paths]
    if record.mode == "sequential":
        words += ["--technique", BASELINE]
    for option, text in _changed(record.settings, record.mode, verb):
        if option.flag:
            words += [option.flags[0]] if _is_switch(option) else [option.flags[0], text.replace(", ", ",")]
    return command_line([*words, "--out", "results"] if verb == "process" else words)


def fields(record: Record, mode: Mode | None = None, *, seed: bool = False) -> list[tuple[str, str]]:
    """The fields of a form that ask for the same once more, or for another mode of it; the seed is drawn anew, unless
    it is to be the same ``seed``."""
    mode = mode or record.mode
    asked: list[tuple[str, str]] = [("mode", mode)]
    asked += [
        (o.name, text)
        for o, text in _changed(record.settings, mode)
        if (seed or o.name != "seed") and o.group != "samples"
    ]
    return asked


def query(asked: Sequence[tuple[str, str]]) -> str:
    """Fields as the query of an address, see docs/lab.md."""
    return "&".join(f"{name}={quote(text.replace(', ', ','), safe=',')}" for name, text in asked)


def curl(asked: Sequence[tuple[str, str]], url: str, *, token: bool = False) -> str:
    """Fields posted from a shell to ``url``; with ``token`` the shell's variable of that name is sent as the access
    token."""
    words = ["curl", *(['-H "Authorization: Bearer $TOKEN"'] if token else []), "-F images=@PHOTO.jpg"]
    for name, text in asked:
        # To -F a text that begins with @ or < is the name of a file, and what follows a semicolon is about its type.
        flag = "--form-string" if text.startswith(("@", "<")) or ";" in text else "-F"
        words += [flag, shlex.quote(f"{name}={text}".replace(", ", ","))]
    return " ".join([*words, shlex.quote(url)])


def image_flags(asked: RunSettings) -> Iterator[str]:
    """The flags of what is made of an image, where that is not the default; the operations in any case."""
    yield from ("--operations", ",".join(asked.operations))
    for option, text in _changed(asked, "parallel"):
        if option.parameter or option.name in _OF_IMAGES:
            yield flag_of(option.name)
            if not _is_switch(option):
                yield text


def _is_switch(option: Option) -> bool:
    """Whether its flag alone means “on”."""
    return option.kind == "flag" or list(option.choices()) == ["off", "on"]


def _changed(asked: RunSettings, mode: Mode, verb: str = "") -> Iterator[tuple[Option, str]]:
    """Rows that mean something in the mode, with their value as it is typed, where it is not the default."""
    own = {p.name for name in asked.operations if name in OPERATIONS for p in OPERATIONS[name].parameters}
    start = RunSettings([], {})
    for option in options().values():
        if mode not in option.modes or (option.parameter and option.name not in own):
            continue
        if option.parameter:
            default = option.parameter.default
            value = asked.parameters.get(option.name, default)
        else:
            default, value = getattr(start, option.stored), getattr(asked, option.stored)
        text = show(value)
        wanted = option.commands.get(verb) or show(default)
        if text and (text != wanted or option.name in _SPELLED_OUT):
            yield option, text
