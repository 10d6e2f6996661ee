"""What the code declares, as Markdown for the pages of docs/reference, where docs/conf.py puts it."""

import argparse
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from importlib import import_module
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

import imgproc  # noqa: E402
from docs import options  # noqa: E402
from imgproc.backends import TECHNIQUES  # noqa: E402
from imgproc.cli import COMMANDS  # noqa: E402
from imgproc.cli.parser import FILE_FLAGS, Parser  # noqa: E402
from imgproc.exhibits import EXHIBITS  # noqa: E402
from imgproc.measure.environment import environment as facts  # noqa: E402
from imgproc.operations import OPERATIONS  # noqa: E402
from imgproc.parameters import Parameter  # noqa: E402
from imgproc.report.glossary import GLOSSARY  # noqa: E402
from imgproc.runs.options import flag_of, show  # noqa: E402
from imgproc.runs.record import SCHEMA, Record  # noqa: E402
from imgproc.settings import Settings  # noqa: E402

#: The command as pip installs it.
PROGRAM = "speedup-lab"
#: The settings of a run, by their names.
ROWS = options.options()


def text(words: str) -> str:
    """Words of the code, which are no Markdown, as Markdown of a table or a paragraph."""
    return re.sub(r"([\\`*_<|\[\]])", r"\\\1", words)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def sections(parts: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"## {title}\n\n{body}" for title, body in parts)


# ---------------------------------------------------------------- the command line


def commands() -> str:
    """Every command with the arguments of its own parser."""
    return sections((name, _command(name, what)) for name, what in COMMANDS.items())


def parser_of(command: str) -> Parser:
    parser = Parser(prog=f"{PROGRAM} {command}", description="")
    import_module(f"imgproc.cli.{command}").add_arguments(parser)
    return parser


def _command(name: str, what: str) -> str:
    parser = parser_of(name)
    actions = [action for action in parser._actions if action.dest != "help"]  # argparse has no public list of them
    places = [action for action in actions if not action.option_strings]
    needed = [action for action in actions if action.option_strings and action.required]
    usage = [f"{PROGRAM} {name}", *map(_place, places), *(f"{a.option_strings[-1]} {a.metavar}" for a in needed)]
    settings = [a for a in actions if a.dest in ROWS and a.option_strings]
    own = [a for a in actions if a not in settings]
    usage += ["[OPTION ...]"] if len(actions) > len(places) + len(needed) else []
    lines = [f"{text(what[:1].upper() + what[1:])}.", "", "```text", " ".join(usage), "```", ""]
    if own:
        lines.append(table(["argument", "what it is"], ([_spelt(a), text(_help(parser, a))] for a in own)))
    if settings:
        flags = ", ".join(" or ".join(f"`{flag}`" for flag in a.option_strings) for a in settings)
        lines += [f"And the [settings of a run](settings.md): {flags}.", ""]
    if parser.epilog:
        lines += [text(parser.epilog), ""]
    return "\n".join(lines)


def _place(action: argparse.Action) -> str:
    name = str(action.metavar or action.dest)
    return {"+": f"{name} ...", "*": f"[{name} ...]", "?": f"[{name}]"}.get(str(action.nargs), name)


def _spelt(action: argparse.Action) -> str:
    """An argument as it is typed, in all its spellings."""
    if not action.option_strings:
        return f"`{_place(action)}`"
    word = "" if action.nargs == 0 else f" {action.metavar or action.dest.upper()}"
    if set(action.option_strings) & set(FILE_FLAGS) and word:
        word = f" [{word.strip()}]"
    return ", ".join(f"`{flag}{word}`" for flag in action.option_strings)


def _help(parser: Parser, action: argparse.Action) -> str:
    return parser._get_formatter()._expand_help(action) if action.help else ""


# ---------------------------------------------------------------- settings, operations, techniques


def settings() -> str:
    """The settings of a run, with the cells of the README's table in fewer columns."""
    return table(
        ["setting", "default", "what it is, and what it may be"], (_setting(*cells) for cells in options.rows())
    )


def _setting(names: str, flags: str, stored: str, default: str, allowed: str, what: str) -> list[str]:
    spelt = [names, *([] if flags == "–" else [flags]), *([] if stored in names else [f"in run.json {stored}"])]
    return ["; ".join(spelt), default, f"{what} It may be: {allowed}."]


def environment() -> str:
    """The environment variables of the app."""
    return table(["name", "default", "may be", "what it is"], map(_variable, fields(Settings)))


def _variable(item: "Field[Any]") -> list[str]:
    least, choices = item.metadata["minimum"], item.metadata["choices"]
    allowed = ", ".join(choices) if choices else "" if least is None else f"from {least:g}"
    default = item.default
    if isinstance(default, Path):
        shown = f"`{default.name}/` of a checkout; else in the user’s folder for data"
    else:
        shown = f"`{default:g}`" if isinstance(default, float) else f"`{default}`" if default != "" else "empty"
    return [f"`{item.name}`", shown, allowed, text(item.metadata["help"])]


def operations() -> str:
    """Every operation with its parameters."""
    return sections((f"{text(o.label)}: `{name}`", _operation(name)) for name, o in OPERATIONS.items())


def _operation(name: str) -> str:
    one = OPERATIONS[name]
    said = [one.help, one.color]
    said.append("A run that names none does it." if one.default else "Done where it is named.")
    said.append("Large images are cut into strips." if one.strips else "Its images stay whole.")
    where = [word for word, there in (("on a GPU", one.cuda), ("by `numba-parallel`", one.prange)) if there]
    ways = f"Also done {' and '.join(where)}." if where else "Neither on a GPU nor by `numba-parallel`."
    lines = [f"{text(' '.join(filter(None, said)))} {ways} A result is `NAME_{name}`.", ""]
    if one.parameters:
        heads = ["parameter", "command line", "default", "range", "what it is"]
        lines.append(table(heads, map(_parameter, one.parameters)))
    return "\n".join(lines)


def _parameter(p: Parameter) -> list[str]:
    return [f"`{p.name}`", f"`{flag_of(p.name)}`", show(p.default), p.range, text(p.help)]


def techniques() -> str:
    """Every technique: what it is, when it wins and loses, what it needs."""
    return sections((f"{text(t.label)}: `{name}`", _technique(name)) for name, t in TECHNIQUES.items())


def _technique(name: str) -> str:
    one = TECHNIQUES[name]
    needs = f"`{one.install}`" if one.install else "nothing more"
    rows = [
        ("What it is", text(one.what)), ("Wins", text(one.wins)), ("Loses", text(one.loses)), ("Needs", needs),
        ("A worker is a", text(one.unit)),
    ]  # fmt: skip
    return "".join(f"- **{head}**: {words}\n" for head, words in rows)


def exhibits() -> str:
    """What the web app shows side by side."""
    return "".join(f"- `/exhibits/{one.name}`: {text(one.question)}\n" for one in EXHIBITS.values())


def glossary() -> str:
    return table(["term", "what it means"], ([term, text(what)] for term, what in GLOSSARY.items()))


# ---------------------------------------------------------------- run.json


def record() -> str:
    """The fields of run.json, from the dataclasses that it is made of."""
    places: dict[type, list[str]] = {}
    for cls, where in _places(Record, ""):
        places.setdefault(cls, []).append(where)
    return sections((_title(where), _fields(cls)) for cls, where in places.items())


def _places(cls: type, where: str) -> Iterator[tuple[type, str]]:
    """Each dataclass in it with its place, as ``techniques[].rounds[]``; one that is there twice is entered once."""
    todo: list[tuple[type, str]] = [(cls, where)]
    entered: set[type] = set()
    while todo:
        one, place = todo.pop(0)
        yield one, place
        if one in entered:
            continue
        entered.add(one)
        hints = get_type_hints(one)
        for item in fields(one):
            todo += ((inner, f"{place}.{inside}".lstrip(".")) for inner, inside in _inner(hints[item.name], item.name))


def _inner(hint: Any, name: str) -> Iterator[tuple[type, str]]:
    if is_dataclass(hint) and isinstance(hint, type):
        yield hint, name
    for one in get_args(hint):
        yield from _inner(one, f"{name}[]" if get_origin(hint) is list else name)


def _title(places: list[str]) -> str:
    return " and ".join(f"`{place}`" for place in places) if places[0] else "The record"


def _fields(cls: type) -> str:
    hints = get_type_hints(cls)
    rows = [[f"`{item.name}`", _kind(hints[item.name]), _default(item)] for item in fields(cls)]
    if cls is Record:
        rows = [["`schema`", "whole number", f"`{SCHEMA}`"], *rows]
    return f"{inspect.getdoc(cls)}\n\n{table(['field', 'holds', 'default'], rows)}"


_KINDS = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    NoneType: "null",
    Any: "anything",
}


def _kind(hint: Any) -> str:
    """A type in words."""
    if hint in _KINDS:
        return _KINDS[hint]
    origin, inner = get_origin(hint), get_args(hint)
    if origin is list:
        return f"list: {_kind(inner[0])}"
    if origin is dict:
        return f"object by name: {_kind(inner[1])}"
    if is_dataclass(hint):
        return "object"
    if origin is tuple:
        return f"list: {_kind(inner[0])}"
    if inner and all(isinstance(one, str) for one in inner):
        return " or ".join(f"`{one}`" for one in inner)
    return " or ".join(map(_kind, inner)) if inner else f"`{getattr(hint, '__name__', hint)}`"


def _default(item: "Field[Any]") -> str:
    if item.default is MISSING:
        return "empty" if item.default_factory in (list, dict) else ""
    return f"`{json.dumps(item.default)}`"


def machine() -> str:
    """The names of what a record says of the machine."""
    return ", ".join(f"`{name}`" for name in facts())


# ---------------------------------------------------------------- the library


def library() -> str:
    """Directives that have autodoc write what the public names are."""
    names = [name for name in imgproc.__all__ if not name.startswith("_")]
    shown = [("Functions", [n for n in names if inspect.isfunction(getattr(imgproc, n))])]
    shown.append(("What they return, and take", [n for n in names if n not in shown[0][1]]))
    return sections((title, _autodoc(found)) for title, found in shown)


def _autodoc(names: Iterable[str]) -> str:
    blocks = []
    for name in names:
        one = getattr(imgproc, name)
        kind = "function" if inspect.isfunction(one) else "exception" if issubclass(one, BaseException) else "class"
        members = "" if kind == "function" else "\n   :members:"
        blocks.append(f".. auto{kind}:: imgproc.{name}{members}\n")
    return "```{eval-rst}\n" + "\n".join(blocks) + "```\n"


#: By the name that a page asks for it by.
PARTS: dict[str, Callable[[], str]] = {
    part.__name__: part
    for part in (commands, settings, environment, operations, techniques, exhibits, glossary, record, machine, library)
}
