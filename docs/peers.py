"""Writes the table of other programs into README.md, from benchmarks/RESULTS.md: python docs/peers.py"""

import re
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from benchmarks.whole_jobs.tables import readme_table  # noqa: E402


def markdown() -> str:
    """The table as README shows it."""
    return "\n" + readme_table((PROJECT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")) + "\n"


def write(readme: Path) -> None:
    old = readme.read_text(encoding="utf-8")
    table = f"<!-- peers -->\n{markdown()}<!-- /peers -->"
    readme.write_text(re.sub("<!-- peers -->.*<!-- /peers -->", lambda _: table, old, flags=re.DOTALL), "utf-8")


if __name__ == "__main__":
    write(PROJECT / "README.md")
