"""A short program of one's own that does what a run did, by public libraries with the settings its technique wants."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from string import Template

from imgproc.backends import TECHNIQUES
from imgproc.backends.schedules import USUAL
from imgproc.measure.results import TechniqueMeasurement
from imgproc.numbers import counted, listed
from imgproc.operations import OPERATIONS
from imgproc.operations.chain import SIGN
from imgproc.operations.contract import Operation
from imgproc.pixels.codecs import FORMATS, options_code
from imgproc.pixels.formats.depth import HIGH_BYTE
from imgproc.runs.record import Record, RunSettings


@dataclass(frozen=True)
class Way:
    """How a technique has ``process`` called for each of ``paths``: the lines of ``main`` that make ``problems``, a
    list of what ``process`` returned.

    ``standard`` and ``packages`` are its imports, ``functions`` what it defines beside ``process``. ``$start`` stands
    for the start method, ``$chunk`` for how many images are handed over at once, ``$workers`` for the number of
    workers, ``$ranks`` for one more. ``alone``: one image after the other, so that their order does not matter.
    ``by_value``: its workers are sent ``process`` without the rest of the file.
    """

    main: str
    standard: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    functions: str = ""
    run: str = "python program.py PHOTO ..."
    counts: bool = True
    alone: bool = False
    by_value: bool = False


# What stands for the sign of a chain in the name of a function.
_THEN = "_then_"

_ONE_BY_ONE = "problems = [process(path) for path in paths]"

#: By the name of the technique. One that is not here has no such program.
WAYS: dict[str, Way] = {
    "sequential": Way(_ONE_BY_ONE, counts=False, alone=True),
    "opencv": Way(_ONE_BY_ONE, counts=False, alone=True),
    "multiprocessing": Way(
        """
        with get_context("$start").Pool(WORKERS) as pool:  # fork can hang once OpenCV's threads have run
            problems = pool.map(process, paths, chunksize=$chunk)
        """,
        ("from multiprocessing import get_context",),
    ),
    "threading": Way(
        """
        inbox, problems = SimpleQueue(), []
        for path in [*paths, *[None] * WORKERS]:
            inbox.put(path)
        threads = [Thread(target=work, args=(inbox, problems)) for _ in range(WORKERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        """,
        ("from queue import SimpleQueue", "from threading import Thread"),
        functions='''
        def work(inbox, problems):
            """One thread: takes the next image as soon as it is free, until there is none."""
            for path in iter(inbox.get, None):
                problems.append(process(path))
        ''',
    ),
    "futures-threads": Way(
        """
        with ThreadPoolExecutor(WORKERS) as pool:
            problems = list(pool.map(process, paths))
        """,
        ("from concurrent.futures import ThreadPoolExecutor",),
    ),
    "asyncio": Way(
        "problems = asyncio.run(process_all(paths))",
        ("import asyncio", "from concurrent.futures import ThreadPoolExecutor"),
        functions='''
        async def process_all(paths):
            """The loop hands each image to a thread and awaits it; it is free for other work meanwhile."""
            # Left alone, to_thread would take a thread for each core and 4 more.
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(WORKERS))
            return await asyncio.gather(*(asyncio.to_thread(process, path) for path in paths))
        ''',
    ),
    "futures-processes": Way(
        """
        context = get_context("$start")  # fork can hang once OpenCV's threads have run
        with ProcessPoolExecutor(WORKERS, mp_context=context) as pool:
            problems = list(pool.map(process, paths, chunksize=$chunk))
        """,
        ("from concurrent.futures import ProcessPoolExecutor", "from multiprocessing import get_context"),
    ),
    "joblib": Way(
        """
        parallel = Parallel(n_jobs=WORKERS, backend="loky", batch_size=$chunk)
        problems = parallel(delayed(process)(path) for path in paths)
        """,
        packages=("from joblib import Parallel, delayed",),
        by_value=True,
    ),
    "mpi": Way(
        """
        with MPIPoolExecutor() as pool:  # the ranks of mpiexec; the first one hands out the work
            problems = list(pool.map(process, paths, chunksize=$chunk))
        """,
        packages=("from mpi4py.futures import MPIPoolExecutor",),
        run="mpiexec -n $ranks python -m mpi4py.futures program.py PHOTO ...",
        counts=False,
    ),
    "dask": Way(
        """
        # One thread in each process. On a cluster: Client("tcp://scheduler:8786"), which sees the same files.
        with Client(n_workers=WORKERS, threads_per_worker=1, processes=True, dashboard_address=None) as client:
            problems = client.gather(client.map(process, paths, pure=False))
        """,
        packages=("from dask.distributed import Client",),
        by_value=True,
    ),
}

_FILE = Template('''"""$what: $technique.

Run it with: $run
It needs: pip install $packages
Results go into the folder results.
$limits"""

$imports

import cv2
import numpy as np
$more_imports
$constants


$operations


def process(path):
    """Read, work and write in one place, so that only names travel; returns what went wrong."""
$process
$functions

def main():
$main
    sys.exit("\\n".join(filter(None, problems)) or None)


if __name__ == "__main__":  # workers that import this file must not start it again
    main()
''')


def why_none(record: Record, t: TechniqueMeasurement) -> str:
    """Why there is no program that does what this technique did in the run, in a sentence; empty where there is one."""
    missing = [name for name in record.settings.operations if name not in OPERATIONS or not OPERATIONS[name].code]
    if missing:
        labels = [OPERATIONS[name].label if name in OPERATIONS else name for name in missing]
        return f"There is no short program for {listed(labels)}."
    if t.name in TECHNIQUES and TECHNIQUES[t.name].load().capabilities.memory == "device":
        return "There is no short program for this: the kernels for the GPU are part of this one."
    return "" if t.name in WAYS else f"There is no short program for {t.label}."


def program(record: Record, t: TechniqueMeasurement, technique: str) -> str:
    """The program, for a technique that has one.

    Args:
        t: how the technique ran, whose settings it takes.
        technique: the same in words.
    """
    way, settings = WAYS[t.name], record.settings
    operations = [OPERATIONS[name] for name in settings.operations]
    values = {
        "start": t.start_method if t.start_method in ("spawn", "forkserver") else "spawn",
        "chunk": t.chunk_size or 1,
        "workers": t.workers,
        "ranks": t.workers + 1,
    }
    installs = TECHNIQUES[t.name].install.removeprefix("pip install ")
    return _FILE.substitute(
        what=", ".join(operation.label for operation in operations),
        technique=technique,
        run=Template(way.run).substitute(values),
        packages=" ".join(filter(None, ("numpy opencv-python-headless", installs))),
        limits="".join(f"{line}\n" for line in _limits(record, t)),
        imports=_sorted("import sys", "from pathlib import Path", *way.standard),
        more_imports="".join(f"{line}\n" for line in way.packages),
        constants=_constants(way, t, values),
        operations="\n\n\n".join(_function(one, settings) for one in operations),
        functions=f"\n\n{textwrap.dedent(way.functions).strip()}\n" if way.functions else "",
        process=_process(operations, settings, way, t),
        main=_main(way, values),
    ).replace("’", "'")


def _sorted(*imports: str) -> str:
    return "\n".join(sorted(imports, key=lambda line: (line.startswith("from "), line)))


def _constants(way: Way, t: TechniqueMeasurement, values: dict[str, object]) -> str:
    lines = [f"WORKERS = {values['workers']}"] if way.counts else []
    lines.append('OUT = Path("results")')
    if not way.by_value:
        lines.append(_pinned(t))
    return "\n".join(lines)


def _pinned(t: TechniqueMeasurement) -> str:
    """The line that says how many threads OpenCV takes in a worker."""
    if t.cv2_threads > 1:
        return f"cv2.setNumThreads({t.cv2_threads})  # OpenCV splits an operation over so many threads"
    many = t.workers > 1
    why = "the workers share the cores, and more threads would be in their way" if many else "as it was measured"
    return f"cv2.setNumThreads(1)  # {why}"


def _function(operation: Operation, settings: RunSettings) -> str:
    assert operation.code is not None
    body = textwrap.indent(operation.code(settings.parameters, settings.color), "    ")
    return f"def {_identifier(operation)}(image):\n{body}"


def _identifier(operation: Operation) -> str:
    """The name of its function, which a chain's own name cannot be."""
    return operation.name.replace(SIGN, _THEN)


def _process(operations: list[Operation], settings: RunSettings, way: Way, t: TechniqueMeasurement) -> str:
    options = [options_code(settings.format, bilevel=bilevel) for bilevel in (False, True)]
    bilevel = [operation for operation in operations if operation.bilevel and options[0] != options[1]]
    extension = FORMATS[settings.format].extension
    flag = "IMREAD_COLOR" if settings.color else "IMREAD_GRAYSCALE"
    lines = [_pinned(t)] if way.by_value else []
    lines += [
        "try:",
        f"    image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.{flag})",
        "    if image is None:",
        '        return f"{path}: OpenCV cannot read it"',
    ]
    names, some = (", ".join(map(_identifier, some)) for some in (operations, bilevel))
    lines.append(f"    for operation in ({names}{',' if len(operations) == 1 else ''}):")
    if 0 < len(bilevel) < len(operations):
        wanted = f"operation is {some}" if len(bilevel) == 1 else f"operation in ({some})"
        lines.append(f"        options = {options[True]} if {wanted} else {options[False]}")
    else:
        lines.append(f"        options = {options[bool(bilevel)]}")
    lines.append(f'        data = cv2.imencode(".{extension}", operation(image), options)[1]')
    name = "operation.__name__"
    if any(one.made_of for one in operations):
        lines.append(f'        name = {name}.replace("{_THEN}", "{SIGN}")')
        name = "name"
    lines += [
        f'        data.tofile(OUT / f"{{path.stem}}_{{{name}}}.{extension}")',
        "except (OSError, cv2.error) as problem:",
        '    return f"{path}: {problem}"',
        "return None",
    ]
    return textwrap.indent("\n".join(lines), "    ")


def _main(way: Way, values: dict[str, object]) -> str:
    first = "paths = [Path(name) for name in sys.argv[1:]]"
    if not way.alone:
        first += (
            "\npaths.sort(key=lambda path: -path.stat().st_size)  # the largest first, so that none holds up the end"
        )
    lines = [
        first,
        "if len({path.stem for path in paths}) < len(paths):",
        '    sys.exit("Two of the files have the same name, and so would their results.")',
        "OUT.mkdir(exist_ok=True)",
        textwrap.dedent(Template(way.main).substitute(values)).strip(),
    ]
    return textwrap.indent("\n".join(lines), "    ")


def _limits(record: Record, t: TechniqueMeasurement) -> Iterator[str]:
    """What the program does otherwise than the run did, a line each."""
    settings, encoder = record.settings, record.environment.get("png_encoder")
    if settings.format == "png" and encoder != "opencv":
        yield "PNG is written by OpenCV, not by the encoder of the run, so its times are not those of the run."
    if t.split:
        yield f"The run shared {counted(len(t.split), 'image')} among its workers, in strips; here one does all of it."
    if t.transfer not in (None, "paths"):
        yield "The run sent pixels or files to its workers and back; here workers read and write, which moves less."
    if t.schedule not in (None, USUAL):
        yield f'The run shared its images out by the schedule "{t.schedule}"; here the largest come first.'
    if t.affinity:
        yield "The run pinned its workers to cores; here the system decides where they work."
    if settings.depth != HIGH_BYTE:
        yield (
            "Of more than 8 bits it takes the high byte (colours of a TIFF are rounded); the run took them "
            f'by the depth "{settings.depth}".'
        )
    rare = sorted({image.format for image in record.good_images} & {"TIFF", "BMP", "GIF"})
    if rare:
        yield f"Some kinds of {listed(rare)} OpenCV reads otherwise than the run did, or not at all."
