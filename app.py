"""The web app for ``flask --app app run``; ``python app.py`` serves it with waitress. Both start the runner."""

import sys

from imgproc.web.app import create_app
from imgproc.web.serving import serve

__all__ = ["create_app", "serve"]

if __name__ == "__main__":
    from imgproc.cli import main

    sys.exit(main(["serve", *sys.argv[1:]]))
