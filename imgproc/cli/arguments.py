"""What ``process``, ``compare`` and ``scale`` can be told: the table of settings as flags."""

from __future__ import annotations

from imgproc.cli.parser import Parser
from imgproc.runs.options import Mode, Option, options
from imgproc.settings import Settings


def add_run_arguments(parser: Parser, command: str, *modes: Mode) -> None:
    """Images, and every row of the table of settings that means something in one of the modes."""
    settings = Settings.from_environment()
    parser.set_defaults(command=command)
    parser.add_argument("paths", nargs="+", metavar="PATH", help="image files, folders (with all below), or globs")
    for option in options().values():
        if option.flag and set(option.modes) & set(modes):
            _add(parser, option, option.commands.get(command) or option.start(settings), settings)
    parser.add_argument("--max-megapixels", metavar="X", help="Largest image (default: MAX_MEGAPIXELS, up to 1070)")
    parser.add_argument(
        "--no-wait",
        dest="wait",
        action="store_false",
        help="measure at once where another measurement goes on; the record then warns of it",
    )
    parser.add_argument(
        "--json",
        metavar="FILE",
        help="write the record of the run into FILE; without FILE print it, and nothing else. What follows is taken "
        "for an image, not for FILE, if it is a folder, a glob, an image or named like one; --json=FILE is always FILE",
    )


def _add(parser: Parser, option: Option, default: str, settings: Settings) -> None:
    if option.kind == "flag" or list(option.choices()) == ["off", "on"]:
        parser.add_argument(*option.flags, dest=option.name, action="store_const", const="on", help=option.help)
        return
    text = f"{option.help} {option.range(settings)} (default: {default})".replace("%", "%%")
    named = option.parameter is not None and isinstance(option.parameter.default, str)
    words = {"integer": "N", "number": "X", "choice": "NAME" if named else "N", "counts": "N,..."}
    metavar = words.get(option.kind, "NAME")
    action = "append" if option.kind == "names" else "store"
    parser.add_argument(*option.flags, dest=option.name, action=action, metavar=metavar, help=text)
