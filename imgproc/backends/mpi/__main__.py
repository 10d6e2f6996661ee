"""``mpiexec -n N python -m imgproc.backends.mpi process PATH… --out DIR``. A program, which nothing imports: what it
does is the command line's."""

import sys

from imgproc.installation import say_missing


def run() -> int:
    """Be one rank, or say in a sentence that this Python lacks a package."""
    try:
        from imgproc.cli.mpi_ranks import main
    except ModuleNotFoundError as missing:
        return say_missing(missing, "python -m imgproc.backends.mpi", "mpi")
    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(run())
