"""techniques: what can run here, and what is missing."""

from __future__ import annotations

import argparse

from imgproc.backends import TECHNIQUES
from imgproc.cli import DONE
from imgproc.cli.output import add_printed_formats, printed_data, show
from imgproc.cli.parser import Parser
from imgproc.report.blocks import Column, Drawn, Row

_COLUMNS = Column("here"), Column("technique"), Column("what it is, or what is missing", wraps=True)


def add_arguments(parser: Parser) -> None:
    add_printed_formats(parser)


def run(arguments: argparse.Namespace) -> int:
    from imgproc.runs.plugins import BUILT_IN, add_techniques

    origins = {origin.name: origin for origin in add_techniques()}
    rows = [(technique, technique.availability()) for technique in TECHNIQUES.values()]
    listed = [
        {
            "name": t.name, "label": t.label, "available": a.ok, "items": a.calls, "reason": a.reason,
            "command": a.command, "what": t.what, "wins": t.wins, "loses": t.loses, "antipattern": t.antipattern,
            "origin": origins[t.name].package if t.name in origins else BUILT_IN,
        }
        for t, a in rows
    ]  # fmt: skip
    if said := printed_data(arguments, listed):
        print(said, end="")
        return DONE
    width = max(map(len, TECHNIQUES))
    lines, drawn = list[str](), list[Row]()
    for technique, available in rows:
        text = technique.what if available.ok else f"{available.reason} {available.command}".strip()
        marks = ["antipattern"] if technique.antipattern else []
        marks += [origins[technique.name].package] if technique.name in origins else []
        mark = f" ({', '.join(marks)})" if marks else ""
        lines.append(f"{'yes' if available.ok else 'no '}  {technique.name:<{width}}  {text}{mark}")
        drawn.append(Row(("yes" if available.ok else "no", technique.name, f"{text}{mark}")))
    for origin in origins.values():
        if origin.problem:
            lines.append(f"no   {origin.name:<{width}}  {origin.problem}")
            drawn.append(Row(("no", origin.name, origin.problem)))
    show([Drawn(lines, _COLUMNS, drawn)], plain=arguments.plain)
    return DONE
