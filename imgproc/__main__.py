"""python -m imgproc, and the command ``speedup-lab``"""

import sys

from imgproc.installation import say_missing

#: The extra that a command needs. What techniques need they say themselves.
EXTRAS = {"serve": "web", "report": "web"}


def run() -> int:
    """The command line, or one sentence where this Python lacks its packages."""
    try:
        from imgproc.cli import main

        return main()
    except ModuleNotFoundError as missing:
        command = "".join(sys.argv[1:2])
        return say_missing(missing, command, EXTRAS.get(command, ""))


if __name__ == "__main__":
    sys.exit(run())
