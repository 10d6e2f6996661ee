"""Whether this is a checkout or was installed by pip, what lies where in either, and how it was called."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
#: Beside the package in a checkout; a wheel has these two folders in it.
INSTALLED = (_PACKAGE / "web" / "templates").is_dir()
#: Where the folders ``templates`` and ``static`` are.
PAGES = _PACKAGE / "web" if INSTALLED else _PACKAGE.parent
#: The folder of a checkout; None where there is none.
CHECKOUT = None if INSTALLED else _PACKAGE.parent
#: What run.py says the person typed, as it becomes another program.
CALLED = "SPEEDUP_LAB_CALLED"


def called() -> str:
    """What the person typed to call this program, for usage lines and for commands to copy."""
    by_script = Path("".join(sys.argv[:1])).stem == "speedup-lab"
    return os.environ.get(CALLED) or ("speedup-lab" if by_script else "python -m imgproc")


def python_path() -> str:
    """PYTHONPATH for processes that are to find this package without looking into the current folder. Where pip
    installed it they do so by themselves; its folder must not come before that of the standard library."""
    return os.pathsep.join(filter(None, (str(CHECKOUT or ""), os.environ.get("PYTHONPATH"))))


def say_missing(missing: ModuleNotFoundError, need: str = "", extra: str = "") -> int:
    """Say on standard error which package is not there, and what mends it; returns the exit status.

    Args:
        need: the command that needs an ``extra`` of this distribution; both empty for what all need.

    Raises:
        ModuleNotFoundError: it is a module of this program.
    """
    package = (missing.name or "").partition(".")[0]
    if package == "imgproc":
        raise missing
    if not INSTALLED:
        words = " ".join(["python3 run.py", *sys.argv[1:2], "…"])
        said = (
            f"this Python has no package {package}: start it with “{words}”, which brings its own, or install "
            "them with “pip install -r requirements.txt”."
        )
    elif extra:
        said = f'{need} needs the {extra} extra: pip install "speedup-lab[{extra}]" (no package {package} is here).'
    else:
        said = f"this Python has no package {package}, which “pip install speedup-lab” installs."
    print(f"imgproc: {said}", file=sys.stderr)
    return 2
