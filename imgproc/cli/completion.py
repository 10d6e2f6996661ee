"""completion: a script that lets a shell complete commands, options and what can be chosen for them."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module

from imgproc.cli import COMMANDS, DONE
from imgproc.cli.parser import Parser
from imgproc.errors import UserError, did_you_mean
from imgproc.runs.options import Option, options

#: The command as pip installs it, which the scripts are for.
_PROGRAM = "speedup-lab"


@dataclass(frozen=True)
class Flag:
    """An option: its ``names``, what can be ``chosen`` after it (nothing: a file, or whatever it says), and whether a
    word must follow."""

    names: tuple[str, ...]
    help: str
    chosen: tuple[str, ...]
    takes: bool


def add_arguments(parser: Parser) -> None:
    parser.add_argument("shell", metavar="SHELL", help=f"{', '.join(SCRIPTS)}")
    parser.epilog = (
        f'bash: eval "$({_PROGRAM} completion bash)" in ~/.bashrc. zsh: {_PROGRAM} completion zsh > _{_PROGRAM} in a '
        f"folder of $fpath. fish: {_PROGRAM} completion fish > ~/.config/fish/completions/{_PROGRAM}.fish."
    )


def run(arguments: argparse.Namespace) -> int:
    make = SCRIPTS.get(arguments.shell)
    if make is None:
        hint = did_you_mean(arguments.shell, SCRIPTS) or f" Choose from {', '.join(SCRIPTS)}."
        raise UserError(f"There is no completion for “{arguments.shell}”.{hint}", field="shell")
    print(make({name: flags_of(name) for name in COMMANDS}), end="")
    return DONE


def flags_of(command: str) -> list[Flag]:
    """The options of a command, as its own parser has them."""
    parser = Parser(prog=_PROGRAM, description="")
    import_module(f"imgproc.cli.{command}").add_arguments(parser)
    rows = options()
    found = []
    for action in parser._actions:  # argparse has no public list of them
        if action.option_strings:
            takes, names = action.nargs != 0, tuple(action.option_strings)
            chosen = _choices(rows.get(action.dest)) if takes else ()
            found.append(Flag(names, _short(action.help or ""), chosen, takes))
    return found


def _choices(row: Option | None) -> tuple[str, ...]:
    """What can be chosen for a row of the table of settings, in words without spaces."""
    if row is None:
        return ()
    every = row.parameter.choices if row.parameter else row.choices()
    return tuple(str(one).replace(" ", "-") for one in every)


def _short(text: str) -> str:
    """The first sentence of a help text, without what argparse would fill in."""
    return text.partition(" (default")[0].partition(". ")[0].replace("%%", "%").rstrip(".")


# ---------------------------------------------------------------- bash


def _bash(commands: dict[str, list[Flag]]) -> str:
    """One function. What is chosen for an option may be a list with commas: then its last part is completed."""
    flags = [f"    {name}) options={shlex.quote(_names(known))} ;;" for name, known in commands.items()]
    values = [
        f"    {'|'.join(f'{name}:{spelt}' for spelt in flag.names)}) values={shlex.quote(' '.join(flag.chosen))} ;;"
        for name, known in commands.items()
        for flag in known
        if flag.chosen
    ]
    return f"""\
_speedup_lab() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}} options= values= before=
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W {shlex.quote(" ".join([*commands, "--help", "--version"]))} -- "$current"))
    return
  fi
  # bash cuts --option=value at the sign.
  if [[ $current == = ]]; then
    current=
  elif [[ $previous == = ]]; then
    previous=${{COMP_WORDS[COMP_CWORD-2]}}
  fi
  case "${{COMP_WORDS[1]}}:$previous" in
{_lines(values)}
  esac
  if [[ $values ]]; then
    if [[ $current == *,* ]]; then before=${{current%,*}},; fi
    COMPREPLY=($(compgen -P "$before" -W "$values" -- "${{current##*,}}"))
    return
  fi
  if [[ $current == -* ]]; then
    case "${{COMP_WORDS[1]}}" in
{_lines(flags)}
    esac
    COMPREPLY=($(compgen -W "$options" -- "$current"))
  fi
}}
complete -o default -F _speedup_lab {_PROGRAM}
"""


def _names(flags: Iterable[Flag]) -> str:
    return " ".join(name for flag in flags for name in flag.names)


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(lines)


# ---------------------------------------------------------------- zsh


def _zsh(commands: dict[str, list[Flag]]) -> str:
    described = " ".join(shlex.quote(f"{name}:{_escaped(what)}") for name, what in COMMANDS.items())
    cases = [f"    {name}) _arguments {_zsh_flags(known)} '*:file:_files' ;;" for name, known in commands.items()]
    return f"""\
#compdef {_PROGRAM}
_speedup_lab() {{
  local -a commands=({described})
  if ((CURRENT == 2)); then
    _describe command commands
    return
  fi
  local command=${{words[2]}}
  shift words
  ((CURRENT--))
  case $command in
{_lines(cases)}
  esac
}}
if [[ $funcstack[1] == _{_PROGRAM} ]]; then  # a file of $fpath, called the first time
  _speedup_lab "$@"
else
  compdef _speedup_lab {_PROGRAM}
fi
"""


def _zsh_flags(flags: Iterable[Flag]) -> str:
    return " ".join(_zsh_flag(flag, name) for flag in flags for name in flag.names)


def _zsh_flag(flag: Flag, name: str) -> str:
    """One option as ``_arguments`` takes it; it may stand there several times."""
    takes = "=" if flag.takes and name.startswith("--") else ""
    after = f":value:({' '.join(flag.chosen)})" if flag.chosen else ":value:_files" if flag.takes else ""
    return shlex.quote(f"*{name}{takes}[{_escaped(flag.help)}]{after}")


def _escaped(text: str) -> str:
    return "".join(f"\\{sign}" if sign in r":[]\\" else sign for sign in text)


# ---------------------------------------------------------------- fish


def _fish(commands: dict[str, list[Flag]]) -> str:
    start = f"complete -c {_PROGRAM}"
    lines = [f"{start} -f -n __fish_use_subcommand -a {name} -d {_fish_text(what)}" for name, what in COMMANDS.items()]
    for name, known in commands.items():
        for flag in known:
            spelt = " ".join(f"-l {one[2:]}" if one.startswith("--") else f"-s {one[1:]}" for one in flag.names)
            after = f" -x -a {_fish_text(' '.join(flag.chosen))}" if flag.chosen else " -r" if flag.takes else ""
            where = _fish_text(f"__fish_seen_subcommand_from {name}")
            lines.append(f"{start} -n {where} {spelt}{after} -d {_fish_text(flag.help)}")
    return _lines(lines) + "\n"


def _fish_text(text: str) -> str:
    quoted = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{quoted}'"


#: What makes the script of each shell.
SCRIPTS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
