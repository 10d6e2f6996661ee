"""python -m imgproc"""

import sys


def run() -> int:
    """The command line, or one sentence where this Python lacks its packages."""
    try:
        from imgproc.cli import main

        return main()
    except ModuleNotFoundError as missing:
        package = (missing.name or "").partition(".")[0]
        if package == "imgproc":
            raise
        words = " ".join(["python3 run.py", *sys.argv[1:2], "…"])
        print(
            f"imgproc: this Python has no package {package}: start it with “{words}”, which brings its own, or install "
            "them with “pip install -r requirements.txt”.",
            file=sys.stderr,
        )
        return 2


if __name__ == "__main__":
    sys.exit(run())
