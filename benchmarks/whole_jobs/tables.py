"""What was measured of whole jobs, as Markdown that can be read on a terminal as well."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from typing import Any

from benchmarks.whole_jobs.measure import BOUND, OLDER, OURS, Entry, Measured, base_of
from benchmarks.whole_jobs.programs import OPERATIONS, POOL, PROGRAMS, imagemagick_version

HEAD = ("program", "seconds", "times as fast", "peak MB", "output MB", "images/s", "MP/s", "wrong pixels", "part")
#: Those of README's table.
README_COLUMNS = "program", "seconds", "times as fast", "output MB", "wrong pixels"
PACKAGES = (
    "opencv-python-headless", "numpy", "numba", "isal", "joblib", "dask", "distributed", "mpi4py", "pyvips",
    "pyvips-binary", "scikit-image", "scipy", "kornia-rs",
)  # fmt: skip


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as a table of Markdown, the first as its head; cells are padded, numbers to the right."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]

    def line(row: Sequence[str]) -> str:
        cells = [cell.rjust(w) if k else cell.ljust(w) for k, (cell, w) in enumerate(zip(row, widths, strict=True))]
        return f"| {' | '.join(cells)} |"

    rule = "".join(f"|{'-' * (w + 1)}{':' if k else '-'}" for k, w in enumerate(widths)) + "|"
    return "\n".join([line(rows[0]), rule, *map(line, rows[1:])]) + "\n"


def of_workload(measured: Measured) -> str:
    """The table of a workload, what is missing, and how we stand against the others."""
    base = base_of(measured)
    rows = [HEAD, *(_row(measured, entry, base) for entry in measured.entries if entry.seconds and base)]
    missing = [f"- {entry.label}: {entry.missing}\n" for entry in measured.entries if entry.missing]
    found = [f"- {sentence}\n" for sentence in comparisons(measured)]
    return "\n".join(filter(None, [table(rows) if base else "", "".join(missing), "".join(found)]))


def _row(measured: Measured, entry: Entry, base: Entry) -> tuple[str, ...]:
    images, files = len(measured.files.paths), entry.files
    assert files
    if entry.wrong is None:
        wrong = "–"
    elif count := sum(entry.wrong.values()):
        wrong = f"{count:,} ({100 * count / (len(OPERATIONS) * entry.pixels):.2g} %)"
    else:
        wrong = "0"
    part = "all" if files.total == measured.files.total else f"{len(files.paths)} of {images}"
    return (
        entry.label,
        f"{entry.median:.3f}",
        f"{entry.times_as_fast_as(base):.2f}",
        f"{entry.memory_bytes / 1e6:.0f}",
        f"{entry.output_bytes / 1e6:.1f}",
        f"{images / entry.median:.1f}",
        f"{measured.files.total / entry.median:.1f}",
        wrong,
        part,
    )


def comparisons(measured: Measured) -> list[str]:
    """Our fastest technique against the others, and each technique against the older build's, in sentences."""
    best = measured.fastest(OURS)
    if best is None:
        return []
    name = best.name.partition(":")[2]
    others = [
        (measured.fastest("peer"), "of the best peer, {}"),
        (measured.entry(POOL), "of the textbook Pool"),
        (measured.fastest(OLDER), "of the older build’s best, {}"),
        (measured.entry(BOUND), "of what independent processes reach together (the bound)"),
    ]
    parts = [f"{best.times_as_fast_as(e):.2f} times that {what.format(e.label)}" for e, what in others if e]
    found = [f"Our fastest was `{name}`; its speed was " + ", ".join(parts) + "."] if parts else []
    same = []
    for entry in measured.entries:
        if entry.kind == OURS and entry.seconds:
            technique = entry.name.partition(":")[2]
            if older := measured.entry(f"{OLDER}:{technique}"):
                same.append(f"`{technique}` {entry.times_as_fast_as(older):.2f}")
    if same:
        found.append("Times as fast as the same technique of the older build: " + ", ".join(same) + ".")
    return found


def of_programs(workloads: Mapping[str, Measured]) -> str:
    """The parameters of each peer, what remains different, and how much in each workload."""
    lines = []
    for program in PROGRAMS.values():
        counts = []
        for name, measured in workloads.items():
            if (entry := measured.entry(program.name)) and entry.wrong and any(entry.wrong.values()):
                shares = (f"{o} {100 * entry.wrong[o] / entry.pixels:.2g} %" for o in OPERATIONS)
                counts.append(f"{name}: {', '.join(shares)}")
        different = f" Different: {program.remains}." if program.remains else ""
        counted = f" Counted: {'; '.join(counts)}." if counts else ""
        lines.append(f"- **{program.label}**: {program.parameters}.{different}{counted}\n")
    return "".join(lines)


def versions(packages: Iterable[str] = PACKAGES) -> str:
    """Those of the installed ones, as they stand in a sentence."""
    found = []
    for package in packages:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(filter(None, [*found, imagemagick_version()]))


def document(
    workloads: Mapping[str, Measured],
    titles: Mapping[str, str],
    *,
    facts: Mapping[str, Any],
    command: str,
    date: str,
    notes: Sequence[str],
) -> str:
    """The whole of RESULTS.md.

    Args:
        titles: of the workloads.
        facts: of the machine, as ``environment()`` gives them.
        notes: sentences to put before all tables.
    """
    memory = facts["memory_bytes"] / 2**30
    parts = [
        "# Whole jobs, from files to files\n",
        f"Written by `{command}` on {date}; do not edit it by hand.\n",
        *(f"**{note}**\n" for note in notes),
        f"{facts['cpu']}, {facts['cores_usable']} usable cores, {memory:.0f} GiB of memory, {facts['os']}, Python "
        f"{facts['python']}. {versions()}.\n",
        EXPLANATION,
    ]
    for name, measured in workloads.items():
        files = measured.files
        others = "unknown" if measured.others is None else f"{measured.others:.2f}"
        parts.append(
            f"## {name}\n\n{titles[name][0].upper()}{titles[name][1:]}: {len(files.paths):,} files, "
            f"{files.total:.1f} megapixels. Rounds: {measured.rounds}; other programs used {others} cores meanwhile.\n"
        )
        parts.append(of_workload(measured))
    parts += ["## The peers\n", of_programs(workloads), DISPATCH]
    return "\n".join(parts)


EXPLANATION = """Every program runs in a process of its own, warm, and reads each file and writes three PNG files of
it: Canny 100/200, a Gaussian of 5 and the equalized picture, of the gray picture. Programs take turns in shuffled
rounds; those that wait are suspended. The files stand for a job of many like them: ours write PNG by the encoder that
they would have there, which takes longer to load than a few files are worth; *a job of no more files*: by that of a
job of just these. *seconds*: the median of the rounds. *times as fast*: as the first row, the
median of the ratios within the rounds. *peak MB*: of the process and all that it started. *wrong pixels*: of all three
results, against OpenCV on one thread reading the same file. *part*: a program that would take too long works on as
many files as this, spread over those with little and with much work; its time and output are then in proportion to
what plain OpenCV takes for the same files. If that takes far too long still, it takes part in one round only.
*bound*: as many independent sequential processes as there are workers, each with its share of the files, started
together.
"""

DISPATCH = """
## Dispatch

What handing over one task costs is told by `python benchmarks/engines.py --technique threading --technique
multiprocessing`.
"""


def readme_table(results: str, workload: str = "photographs") -> str:
    """README's table, of one workload in the text of RESULTS.md.

    Raises:
        ValueError: it has no such table.
    """
    section = re.search(rf"^## {workload}$(.*?)(?=^## |\Z)", results, re.DOTALL | re.MULTILINE)
    lines = [line for line in section[1].splitlines() if line.startswith("|")] if section else []
    if not lines:
        raise ValueError(f"There is no table of {workload}.")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in [lines[0], *lines[2:]]]
    columns = [rows[0].index(name) for name in README_COLUMNS]
    return table([[row[k] for k in columns] for row in rows])
