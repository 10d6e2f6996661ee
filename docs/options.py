"""Writes the table of a run's settings into README.md: python docs/options.py"""

import re
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from imgproc.runs.options import markdown  # noqa: E402

README = PROJECT / "README.md"
text = re.sub(
    "<!-- options -->.*<!-- /options -->",
    lambda _: f"<!-- options -->\n\n{markdown()}\n<!-- /options -->",
    README.read_text(encoding="utf-8"),
    flags=re.DOTALL,
)
README.write_text(text, encoding="utf-8")
