"""completion: a script that lets a shell complete commands, options and what can be chosen for them, by shtab."""

from __future__ import annotations

import argparse
from importlib import import_module

import shtab

from imgproc.cli import COMMANDS, DONE
from imgproc.cli.parser import Parser
from imgproc.errors import UserError, did_you_mean
from imgproc.runs.options import Option, options

#: The command as pip installs it, which the scripts are for.
_PROGRAM = "speedup-lab"
#: The shells that there is a script for.
SHELLS: tuple[str, ...] = tuple(shtab.SUPPORTED_SHELLS)
#: What bash completes by itself as well, and better: names with spaces.
_FILE = {**shtab.FILE, "bash": ""}
#: What arguments are called that take a file or a folder.
_FILES = ("FILE", "DIR", "PATH", "RUN.JSON", "FILE.py:FUNCTION")


def add_arguments(parser: Parser) -> None:
    parser.add_argument("shell", metavar="SHELL", help=f"{', '.join(SHELLS)}")
    parser.epilog = (
        f'bash: eval "$({_PROGRAM} completion bash)" in ~/.bashrc. zsh: {_PROGRAM} completion zsh > _{_PROGRAM} in a '
        f"folder of $fpath. fish: {_PROGRAM} completion fish > ~/.config/fish/completions/{_PROGRAM}.fish. "
        f"powershell: {_PROGRAM} completion powershell | Out-String | Invoke-Expression in $PROFILE."
    )


def run(arguments: argparse.Namespace) -> int:
    shell = arguments.shell
    if shell not in SHELLS:
        hint = did_you_mean(shell, SHELLS) or f" Choose from {', '.join(SHELLS)}."
        raise UserError(f"There is no completion for “{shell}”.{hint}", field="shell")
    whole = every_command()
    print(shtab.complete(whole, shell))
    if shell == "bash":
        print(_in_bash(whole), end="")
    return DONE


def every_command() -> Parser:
    """One parser of all commands, which knows what can be chosen for each option."""
    whole = Parser(prog=_PROGRAM, description="")
    whole.add_argument("--version", action="version", version="")
    commands = whole.add_subparsers(metavar="COMMAND")
    for name, what in COMMANDS.items():
        one = commands.add_parser(name, description=f"{what.capitalize()}.", help=what)
        import_module(f"imgproc.cli.{name}").add_arguments(one)
        for action in one._actions:  # argparse has no public list of them
            _describe(action)
    return whole


def _describe(action: argparse.Action) -> None:
    """Say what can be chosen for an argument, or that it takes a file; and only the first sentence of its help."""
    rows = options()
    if action.help not in (None, argparse.SUPPRESS):
        action.help = action.help.partition(" (default")[0].partition(". ")[0].rstrip(".")
    if action.nargs == 0:
        return
    if chosen := _choices(rows.get(action.dest)) or (SHELLS if action.dest == "shell" else ()):
        action.choices = chosen
    elif action.metavar in _FILES:
        action.complete = _FILE  # type: ignore[attr-defined]  # as shtab has it


def _choices(row: Option | None) -> tuple[str, ...]:
    """What can be chosen for a row of the table of settings, in words without spaces."""
    if row is None:
        return ()
    every = row.parameter.choices if row.parameter else row.choices()
    return tuple(str(one).replace(" ", "-") for one in every)


def _in_bash(whole: Parser) -> str:
    """What bash needs besides: it cuts ``--option=value`` at the sign, and of a list with commas the last part is
    completed."""
    lists = {option for row in options().values() if row.kind == "names" for option in row.flags}
    return f"""
_speedup_lab() {{
  local -a words=()
  local word number=0 at=0 before=
  for word in "${{COMP_WORDS[@]}}"; do
    if [[ $word == = ]]; then
      if ((number == COMP_CWORD)); then words+=(""); fi
    else
      words+=("$word")
    fi
    if ((number++ == COMP_CWORD)); then at=$((${{#words[@]}} - 1)); fi
  done
  case "${{words[at - 1]}}" in
    {"|".join(sorted(lists))})
      if [[ ${{words[at]}} == *,* ]]; then before=${{words[at]%,*}},; words[at]=${{words[at]##*,}}; fi ;;
  esac
  local -a COMP_WORDS=("${{words[@]}}")
  local COMP_CWORD=$at
  _shtab_speedup_lab
  COMPREPLY=("${{COMPREPLY[@]/#/$before}}")
}}
complete -o default -F _speedup_lab {_PROGRAM}
"""
