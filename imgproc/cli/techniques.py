"""techniques: what can run here, and what is missing."""

from __future__ import annotations

import argparse
import json

from imgproc.backends import TECHNIQUES
from imgproc.cli import DONE
from imgproc.cli.parser import Parser


def add_arguments(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def run(arguments: argparse.Namespace) -> int:
    rows = [(technique, technique.availability()) for technique in TECHNIQUES.values()]
    if arguments.json:
        told = [
            {
                "name": t.name, "label": t.label, "available": a.ok, "reason": a.reason, "command": a.command,
                "what": t.what, "wins": t.wins, "loses": t.loses,
            }
            for t, a in rows
        ]  # fmt: skip
        print(json.dumps(told, ensure_ascii=False, indent=1))
        return DONE
    width = max(map(len, TECHNIQUES))
    for technique, available in rows:
        why = technique.what if available.ok else f"{available.reason} {available.command}".strip()
        print(f"{'yes' if available.ok else 'no '}  {technique.name:<{width}}  {why}")
    return DONE
