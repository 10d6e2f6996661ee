"""Writes the table of other programs into README.md, from benchmarks/RESULTS.md: python docs/peers.py"""

import re
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from benchmarks.whole_jobs.tables import readme_table  # noqa: E402


def markdown() -> str:
    """The table as README shows it, after the notes of the results, such as that they are of a quick run."""
    results = (PROJECT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
    notes = re.findall(r"^\*\*[^*]+\*\*$", results, re.MULTILINE)
    return "\n" + "".join(f"{note}\n\n" for note in notes) + readme_table(results) + "\n"


def write(readme: Path) -> None:
    old = readme.read_text(encoding="utf-8")
    table = f"<!-- peers -->\n{markdown()}<!-- /peers -->"
    readme.write_text(re.sub("<!-- peers -->.*<!-- /peers -->", lambda _: table, old, flags=re.DOTALL), "utf-8")


if __name__ == "__main__":
    write(PROJECT / "README.md")
