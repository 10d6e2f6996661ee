"""serve: the web app, with its runner."""

from __future__ import annotations

import argparse

from imgproc.cli.parser import Parser


def add_arguments(parser: Parser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=5000, help="port to listen on (default: %(default)s)")
    parser.add_argument(
        "--no-token",
        action="store_true",
        help="ask for no access token where others than this machine reach it: all of them can then start runs",
    )


def run(arguments: argparse.Namespace) -> int:
    from imgproc.web.serving import serve  # Flask and all that pages need; --help does without

    return serve(arguments.host, arguments.port, token=not arguments.no_token)
