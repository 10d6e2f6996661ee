"""techniques: what can run here, and what is missing."""

from __future__ import annotations

import argparse

from imgproc.backends import TECHNIQUES
from imgproc.cli import DONE
from imgproc.cli.parser import Parser
from imgproc.cli.streams import as_json


def add_arguments(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def run(arguments: argparse.Namespace) -> int:
    rows = [(technique, technique.availability()) for technique in TECHNIQUES.values()]
    if arguments.json:
        listed = [
            {
                "name": t.name, "label": t.label, "available": a.ok, "reason": a.reason, "command": a.command,
                "what": t.what, "wins": t.wins, "loses": t.loses,
            }
            for t, a in rows
        ]  # fmt: skip
        print(as_json(listed))
        return DONE
    width = max(map(len, TECHNIQUES))
    for technique, available in rows:
        text = technique.what if available.ok else f"{available.reason} {available.command}".strip()
        print(f"{'yes' if available.ok else 'no '}  {technique.name:<{width}}  {text}")
    return DONE
