"""operations: what can be done to images, and where it comes from."""

from __future__ import annotations

import argparse

from imgproc.cli import DONE
from imgproc.cli.output import add_printed_formats, printed_data, show
from imgproc.cli.parser import Parser
from imgproc.operations import OPERATIONS
from imgproc.report.blocks import Column, Drawn, Row

_COLUMNS = Column("operation"), Column("what it does", wraps=True)


def add_arguments(parser: Parser) -> None:
    add_printed_formats(parser)


def run(arguments: argparse.Namespace) -> int:
    from imgproc.runs.plugins import BUILT_IN, add_operations

    origins = {origin.name: origin for origin in add_operations()}
    rows = []
    for name, operation in OPERATIONS.items():
        parameters = [{"name": p.name, "default": p.default, "range": p.range} for p in operation.parameters]
        origin = origins[name].package if name in origins else BUILT_IN
        rows.append(
            {"name": name, "label": operation.label, "help": operation.help, "origin": origin, "parameters": parameters}
        )
    rows += [{"name": o.name, "origin": o.package, "problem": o.problem} for o in origins.values() if o.problem]
    if said := printed_data(arguments, rows):
        print(said, end="")
        return DONE
    width = max(len(row["name"]) for row in rows)
    lines, drawn = list[str](), list[Row]()
    for row in rows:
        origin = "" if row["origin"] == BUILT_IN else f" ({row['origin']})"
        what = f"{row.get('problem') or row['help']}{origin}"
        lines.append(f"{row['name']:<{width}}  {what}")
        drawn.append(Row((str(row["name"]), what)))
    show([Drawn(lines, _COLUMNS, drawn)], plain=arguments.plain)
    return DONE
