"""verify: every statistic of a run.json again, from its raw samples."""

from __future__ import annotations

import argparse

from imgproc.cli import DONE, SOME_FAILED
from imgproc.cli.parser import Parser
from imgproc.cli.places import path_named, read_record
from imgproc.runs.verify import verify


def add_arguments(parser: Parser) -> None:
    parser.add_argument("record", type=path_named, metavar="RUN.JSON", help="the record of a run")


def run(arguments: argparse.Namespace) -> int:
    record = read_record(arguments.record)
    wrong = verify(record)
    for sentence in wrong:
        print(sentence)
    if wrong:
        print(f"{len(wrong)} figures do not follow from the raw samples.")
        return SOME_FAILED
    every = record.measurements
    rounds = sum(len(m.rounds) for m in every)
    print(f"Every figure follows from the raw samples: {len(every)} techniques, {rounds} rounds.")
    return DONE
