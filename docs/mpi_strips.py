"""One large image on MPI ranks, as a program of your own: rows are scattered, borders exchanged, the histogram reduced.

    mpiexec -n 4 python docs/mpi_strips.py IMAGE RESULTS

makes Canny edges, a blur and an equalized picture of the file IMAGE in the folder RESULTS, with exactly the pixels of
the whole image. Rank 0 decodes and encodes; only it must see the files. No rank has more than its rows in memory, and
the few beside them: of the array that is as large as the image, no memory is taken for rows that are never touched.
"""

import sys
import time
from pathlib import Path

import numpy as np
from mpi4py import MPI

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from imgproc.operations import DEFAULT_OPERATIONS, OPERATIONS, parse_parameters
from imgproc.operations.contract import Image
from imgproc.operations.rows import Rows, cut
from imgproc.pixels.codecs import decode, encode
from imgproc.pixels.inner_threads import pin_threads

PARAMETERS = parse_parameters({})
BORDER = max(OPERATIONS[name].on_strips.border(PARAMETERS) for name in DEFAULT_OPERATIONS)


def main(source: Path, results: Path) -> None:
    world = MPI.COMM_WORLD
    pin_threads(1)
    image = decode(source.read_bytes()) if world.rank == 0 else None
    start = time.perf_counter()
    shape = world.bcast(None if image is None else image.shape)
    # Borders come from the next rank alone, so no strip may have fewer rows than a border.
    strips = cut(shape[0], min(world.size, max(1, shape[0] // BORDER)))
    busy = world.Split(0 if world.rank < len(strips) else MPI.UNDEFINED)
    if busy == MPI.COMM_NULL:
        return
    mine = scatter(busy, image, shape, strips)
    exchange_borders(busy, mine, strips[busy.rank])
    for name in DEFAULT_OPERATIONS:
        made = work(busy, name, mine, strips)
        if made is not None:
            seconds = time.perf_counter() - start
            results.mkdir(parents=True, exist_ok=True)
            bilevel = OPERATIONS[name].bilevel
            (results / f"{source.stem}_{name}.png").write_bytes(encode(made, "png", bilevel=bilevel))
            print(f"{name}: {seconds:.2f} s on {busy.size} ranks", flush=True)
            start = time.perf_counter()
    busy.Free()


def scatter(comm: MPI.Intracomm, image: Image | None, shape: tuple[int, ...], strips: tuple[Rows, ...]) -> Image:
    """Give each rank its strip; returns an array of the image's shape that holds this rank's."""
    mine = np.empty(shape, np.uint8)
    sent = None if image is None else [image, counts(strips, shape)]
    comm.Scatterv(sent, strips[comm.rank].of(mine))
    return mine


def exchange_borders(comm: MPI.Intracomm, mine: Image, rows: Rows) -> None:
    """Give the ranks beside this one its outermost rows, and take theirs."""
    above = comm.rank - 1 if comm.rank > 0 else MPI.PROC_NULL
    below = comm.rank + 1 if comm.rank < comm.size - 1 else MPI.PROC_NULL
    first, last = mine[rows.start : rows.start + BORDER], mine[rows.stop - BORDER : rows.stop]
    comm.Sendrecv(first, above, recvbuf=mine[rows.stop : rows.stop + BORDER], source=below)
    comm.Sendrecv(last, below, recvbuf=mine[max(0, rows.start - BORDER) : rows.start], source=above)


def work(comm: MPI.Intracomm, name: str, mine: Image, strips: tuple[Rows, ...]) -> Image | None:
    """The operation on this rank's strip; returns the whole result on rank 0."""
    operation, rows = OPERATIONS[name], strips[comm.rank]
    out = np.empty(operation.result_shape(mine.shape, PARAMETERS), np.uint8)
    given, undecided = None, None
    for phase in operation.on_strips.phases:
        found = phase.work(mine, rows.of(out), rows, PARAMETERS, given)
        if name == "equalize" and not phase.writes:
            histogram = np.zeros_like(found)
            comm.Allreduce(found, histogram)  # the sum over all ranks, on all ranks
            given = phase.merge(out, strips, [histogram])
        else:
            undecided = comm.gather(found)
    whole = np.empty_like(out) if comm.rank == 0 else None
    comm.Gatherv(rows.of(out), None if whole is None else [whole, counts(strips, out.shape)])
    if whole is not None:
        operation.on_strips.phases[-1].merge(whole, strips, undecided)  # edges that hang together over the cuts
    return whole


def counts(strips: tuple[Rows, ...], shape: tuple[int, ...]) -> list[int]:
    """Bytes of each strip."""
    return [(rows.stop - rows.start) * int(np.prod(shape[1:])) for rows in strips]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
