"""The command line. Each command is a file of its own here, which is imported only when it is called."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module

from imgproc import __version__
from imgproc.cli import own, streams
from imgproc.cli.parser import Parser
from imgproc.errors import UserError, did_you_mean
from imgproc.installation import called
from imgproc.settings import check_libraries

#: The commands, each ``imgproc/cli/<name>.py`` with ``add_arguments(parser)`` and ``run(arguments) -> status``.
COMMANDS = {
    "process": "process images into a folder",
    "compare": "measure techniques against each other; keeps no images",
    "scale": "measure one technique with more and more workers; keeps no images",
    "advise": "predict how long every technique would take, without running any",
    "calibrate": "measure what this machine is like, for advise and for the technique “auto”",
    "communication": "measure what it takes to hand data to a worker and back, for each transport",
    "repeat": "run a run.json again, and say whether it reproduces",
    "verify": "compute every statistic of a run.json again from its raw samples",
    "diff": "set two records or more side by side",
    "report": "write what a run.json says as one HTML file, to print and to hand in, or as a notebook",
    "trace": "write what every worker did as a trace, for Perfetto or speedscope",
    "sample": "draw sample pictures into a folder",
    "techniques": "what can run here, and what is missing",
    "operations": "what can be done to images, and where it comes from",
    "serve": "start the web app",
    "completion": "print what lets a shell complete these commands: bash, zsh, fish, tcsh or powershell",
}
#: Those that take a user's own operation.
_WITH_OWN = ("process", "compare", "scale", "advise", "repeat")
DONE, SOME_FAILED, WRONG_USE, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143
#: Codes of errors that are not the fault of how a command was typed.
_NOT_USE = ("refused_image", "disk_full")


class TechniqueFailed(UserError):
    """A technique failed as a whole, which is not the fault of how a command was typed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    # SIGTERM unwinds like Ctrl-C, so that scratch files go.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    heard = streams.prepare()
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status = _run(words)
        sys.stdout.flush()
    except UserError as problem:
        print(f"imgproc: {problem.message}", file=sys.stderr)
        failed = isinstance(problem, TechniqueFailed) or problem.code in _NOT_USE
        return SOME_FAILED if failed else WRONG_USE
    except BrokenPipeError:  # whoever read our output has seen enough
        streams.drop_output()
        return SOME_FAILED
    except OSError as problem:
        print(
            f"imgproc: {problem.strerror or 'a file cannot be used'}: {problem.filename or 'output'}", file=sys.stderr
        )
        if not problem.filename:
            streams.drop_output()
        return SOME_FAILED
    except KeyboardInterrupt:
        print("imgproc: interrupted; files written so far are whole.", file=sys.stderr)
        return INTERRUPTED
    if not heard and status == DONE and words[0] != "serve":
        print("imgproc: all is done, but standard output is closed, so nothing of it was printed.", file=sys.stderr)
        return SOME_FAILED
    return status


def _run(arguments: list[str]) -> int:
    name = arguments[0] if arguments else ""
    if name in COMMANDS:
        check_libraries(os.environ)  # before OpenCV is loaded, which may end the process
        command = import_module(f"imgproc.cli.{name}")
        parser = Parser(prog=f"{called()} {name}", description=f"{COMMANDS[name][:1].upper()}{COMMANDS[name][1:]}.")
        words = arguments[1:]
        if name in _WITH_OWN:
            words = own.taken_in(words)  # before the flags are made, which those of a user's function are among
        command.add_arguments(parser)
        status: int = command.run(parser.parse_args(words))
        return status
    _all_commands().parse_args(arguments[:1])  # --help and --version end here
    hint = did_you_mean(name, COMMANDS) or f" Choose from {', '.join(COMMANDS)}."
    raise UserError(f"There is no command “{name}”.{hint}" if name else f"Which command?{hint}")


def _all_commands() -> Parser:
    width = max(map(len, COMMANDS))
    parser = Parser(
        prog=called(),
        usage="%(prog)s [-h] [--version] COMMAND ...",
        description="Many images through the same operations, in parallel: which way is fastest, and how sure that is.",
        epilog="commands:\n" + "".join(f"  {name:<{width}}  {what}\n" for name, what in COMMANDS.items()),
        raw=True,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("command", nargs="?", metavar="COMMAND", help="one of those below; COMMAND --help says more")
    return parser
