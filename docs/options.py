"""Writes the table of a run's settings into README.md: python docs/options.py"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from imgproc.runs.options import MODES, options  # noqa: E402
from imgproc.settings import Settings  # noqa: E402

HEADS = ("field", "command line", "in `run.json`", "default", "range", "what it is")


def rows() -> Iterator[tuple[str, ...]]:
    """The cells of each setting, by ``HEADS``."""
    for option in options().values():
        fields = " or ".join(f"`{name}`" for name in option.names)
        flags = " or ".join(f"`{flag}`" for flag in option.flags) or "–"
        default = (option.default_words or option.start(Settings())) + "".join(
            f"; `{c}`: {v}" for c, v in option.commands.items()
        )
        allowed = option.range() + "".join(f"; from {low:g} in {mode}" for mode, low in option.least.items())
        modes = "" if option.modes == MODES else f" Mode {' or '.join(option.modes)}."
        attribute = option.name if option.parameter else option.stored
        yield fields, flags, f"`{attribute}`", default, allowed, f"{option.help}{modes}"


def markdown() -> str:
    """The table as README shows it."""
    lines = [f"| {' | '.join(HEADS)} |", "|---" * len(HEADS) + "|", *(f"| {' | '.join(cells)} |" for cells in rows())]
    return "\n".join(lines) + "\n"


def write(readme: Path) -> None:
    old = readme.read_text(encoding="utf-8")
    table = f"<!-- options -->\n\n{markdown()}\n<!-- /options -->"
    readme.write_text(re.sub("<!-- options -->.*<!-- /options -->", lambda _: table, old, flags=re.DOTALL), "utf-8")


if __name__ == "__main__":
    write(PROJECT / "README.md")
