"""``mpiexec -n N python -m imgproc.backends.mpi process PATH… --out DIR``. A program, which nothing imports: what it
does is the command line's."""

import sys

from imgproc.cli.mpi_ranks import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
