"""Writes the tables of what is read into docs/formats.md: python docs/formats.py"""

import re
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from imgproc.pixels.formats import TYPES  # noqa: E402


def markdown() -> str:
    """What is read of each type, by what, to which pixels; and what is refused."""
    lines = []
    for type in TYPES.values():
        lines += [f"## {type.name}", "", "| files | decoded by | pixels |", "|---|---|---|"]
        lines += [f"| {kind.what} | {kind.by} | {kind.rule} |" for kind in type.kinds]
        if type.refused:
            lines += ["", f"Refused by name: {'; '.join(type.refused)}."]
        lines.append("")
    return "\n".join(lines)


def write(page: Path) -> None:
    old = page.read_text(encoding="utf-8")
    tables = f"<!-- formats -->\n{markdown()}<!-- /formats -->"
    page.write_text(re.sub("<!-- formats -->.*<!-- /formats -->", lambda _: tables, old, flags=re.DOTALL), "utf-8")


if __name__ == "__main__":
    write(PROJECT / "docs" / "formats.md")
