"""``mpiexec -n N python -m imgproc.backends.mpi process PATH… --out DIR``: the command, with every rank a worker."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

from mpi4py import MPI

from imgproc import cli
from imgproc.backends import TECHNIQUES
from imgproc.backends.mpi import direct

#: What mpiexec says already, or what has no meaning here.
_TAKEN = (
    "--technique", "--workers", "--transfer", "--start-method", "--start_method", "--chunk-size", "--chunk_size",
    "--schedule", "--affinity",
)  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    """Be one rank of the command; returns its exit status, which is 0 on all ranks but the first."""
    direct.begin()
    if MPI.COMM_WORLD.rank != 0:
        direct.serve()
        return 0
    try:
        return _command(list(arguments))
    finally:
        direct.dismiss()


def _command(arguments: list[str]) -> int:
    if arguments[:1] != ["process"]:
        print("imgproc: the only command under mpiexec is process.", file=sys.stderr)
        return cli.WRONG_USE
    if taken := [one for one in arguments if one.startswith(_TAKEN)]:
        print(f"imgproc: {taken[0]} cannot be chosen under mpiexec: every rank is a worker.", file=sys.stderr)
        return cli.WRONG_USE
    # The technique ``mpi`` is, for this command, the ranks that are there already.
    usual = TECHNIQUES["mpi"]
    TECHNIQUES["mpi"] = replace(usual, path=f"{direct.__name__}:{direct.Direct.__name__}")
    try:
        return cli.main([*arguments, "--technique", "mpi", "--workers", str(MPI.COMM_WORLD.size)])
    finally:
        TECHNIQUES["mpi"] = usual
