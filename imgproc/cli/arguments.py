"""What ``process``, ``compare`` and ``scale`` can be told: the table of settings as flags."""

from __future__ import annotations

from imgproc.cli.output import add_formats
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
            default = option.commands.get(command) or option.start(settings) or option.default_words
            _add(parser, option, default, settings)
    parser.add_argument(
        "--operation",
        action="append",
        metavar="FILE.py:FUNCTION",
        help="a function of your own, of an image, which returns one; or MODULE:FUNCTION, or the NAME of one that an "
        "installed package adds. Its parameters become options, as its types and defaults say",
    )
    parser.add_argument("--max-megapixels", metavar="X", help="Largest image (default: MAX_MEGAPIXELS, up to 1070)")
    parser.add_argument(
        "--no-wait",
        dest="wait",
        action="store_false",
        help="measure at once where another measurement goes on; the record then warns of it",
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors, and no progress")
    if command != "advise":  # which does nothing else
        parser.add_argument("--dry-run", action="store_true", help="say what would be done and how long it would take")
    add_formats(parser, "the record of the run")


def _add(parser: Parser, option: Option, default: str, settings: Settings) -> None:
    if option.kind == "flag" or list(option.choices()) == ["off", "on"]:
        parser.add_argument(*option.flags, dest=option.name, action="store_const", const="on", help=option.help)
        return
    text = f"{option.help} {option.range(settings)} (default: {default})".replace("%", "%%")
    named = option.parameter is not None and isinstance(option.parameter.default, str)
    words = {"integer": "N", "number": "X", "choice": "NAME" if named else "N", "counts": "N,...", "numbers": "X,..."}
    metavar = words.get(option.kind, "NAME")
    action = "append" if option.kind == "names" else "store"
    parser.add_argument(*option.flags, dest=option.name, action=action, metavar=metavar, help=text)
