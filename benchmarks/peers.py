"""Whole jobs, from image files to three PNG files of each, by other programs and by ours, in one run.

    python benchmarks/peers.py [PATH ...] [--workloads NAME ...] [--programs NAME ...] [--rounds 5] [--workers N]
                               [--older COMMIT] [--job IMAGES] [--markdown FILE]

``photographs`` are the files of PATH, or drawn; the other workloads are always drawn. Every program runs in a process
of its own, is started and warmed up, and then takes turns with the others in shuffled rounds. Their results are
compared with those of plain OpenCV, pixel by pixel. A program that would take longer than ``--pass-seconds`` for all
files works on a part of them, which the table shows. The exit status is 1 if pixels of ours are wrong or one of ours
fails.

Programs are those of ``whole_jobs/programs.py``; ``ours:TECHNIQUE``; ``older:TECHNIQUE``, the same of an earlier
commit of this repository (``--older``), which is unpacked into a temporary folder; and ``bound``. ``ours`` and
``older`` stand for all of their techniques. Ours write PNG by the encoder of a job of ``--job`` images like these, as
programs are measured warm, in the midst of a long job; ``short`` by that of a job of these files and no more, if that
is another. Without ``--programs`` all take part, but slow ones, and ``older`` with
all its techniques, in ``photographs`` only. That takes about a quarter of an hour on two cores; for figures to rely
on give it more: ``--seconds 300 --pass-seconds 5``.

    pip install joblib 'dask[bag]' 'pyvips[binary]' scikit-image kornia-rs

installs the peers; ImageMagick is a package of the system. What is missing is said.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.whole_jobs.children import PROJECT, Child, Team
from benchmarks.whole_jobs.measure import BOUND, OLDER, OURS, SHORT, Entry, Limits, Measured, measure
from benchmarks.whole_jobs.programs import PROGRAMS
from benchmarks.whole_jobs.tables import document, of_workload
from benchmarks.whole_jobs.workloads import PHOTOGRAPHS, WORKLOADS, Files
from imgproc.backends import AUTO, BASELINE, TECHNIQUES, default_techniques
from imgproc.errors import UserError
from imgproc.intake.paths import find_images
from imgproc.measure.environment import environment, usable_cores
from imgproc.measure.lock import machine_lock
from imgproc.operations import DEFAULT_OPERATIONS, OPERATIONS
from imgproc.pixels.png_encoders import choose

#: The build that this one is compared with.
OLDER_COMMIT = "5cdea43"
MAKE_OURS = "benchmarks.whole_jobs.ours:technique"
#: Those of the CPU: the others need a GPU, and are measured by cuda.py. The antipatterns are programs of their own.
ON_CPU = tuple(t.name for t in default_techniques() if ".gpu." not in t.path)
TOO_SLOW = f"not measured here, as it is slow; see {PHOTOGRAPHS}, or name it with --programs"
#: Quick runs have this share of the files.
QUICK = 0.1


def main() -> int:
    chosen = arguments()
    # By an exception, so that no program stays that is suspended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    measured: dict[str, Measured] = {}
    start = time.monotonic()
    with (
        machine_lock(tell_once("Another measured run goes first."), wait=not chosen.no_wait),
        tempfile.TemporaryDirectory(prefix="peers-") as folder,
    ):
        scratch = Path(folder)
        older = unpacked(chosen.older, scratch / "older") if wants_older(chosen.programs) else None
        for name in chosen.workloads:
            files = files_of(name, chosen, scratch / name)
            entries = entries_of(name, files, chosen, older)
            limits = Limits(chosen.rounds, chosen.seconds, chosen.pass_seconds, chosen.workers)
            measured[name] = done = measure(entries, files, limits, scratch, name)
            print(
                f"\n{name}: {len(files.paths)} files, {files.total:.1f} megapixels; rounds: {done.rounds}; "
                f"other programs used {done.others or 0:.2f} cores\n"
            )
            print(of_workload(done), flush=True)
    if chosen.markdown:
        command = shlex.join(["python", "benchmarks/peers.py", *shown(sys.argv[1:], chosen.paths)])
        titles = {name: WORKLOADS[name].what for name in measured}
        if chosen.paths:
            titles[PHOTOGRAPHS] = "photographs given by whoever ran it"
        notes = [f"Quick run with {QUICK:.0%} of the files, to try the program: no figures to rely on."] * chosen.quick
        text = document(
            measured, titles, facts=environment(), command=command, date=time.strftime("%Y-%m-%d"), notes=notes
        )
        chosen.markdown.write_text(text, encoding="utf-8")
    print(f"{time.monotonic() - start:.0f} s in all")
    return report(measured)


def tell_once(sentence: str) -> Callable[[float], None]:
    """Says it at the beginning of a wait."""

    def waiting(seconds: float) -> None:
        if seconds < 0.01:
            print(sentence, file=sys.stderr, flush=True)

    return waiting


def report(measured: dict[str, Measured]) -> int:
    """The exit status; says which of ours have wrong pixels or failed."""
    wrong = [
        f"{name}, {entry.label}"
        for name, done in measured.items()
        for entry in done.entries
        if entry.kind == OURS and (entry.missing.startswith("failed") or any((entry.wrong or {}).values()))
    ]
    if wrong:
        print(f"WRONG PIXELS OR FAILED: {'; '.join(wrong)}")
    return 1 if wrong else 0


def shown(typed: Sequence[str], paths: Sequence[str]) -> list[str]:
    """The command's arguments without anybody's folders."""
    words, rest = [], iter(typed)
    for word in rest:
        if word == "--markdown":
            next(rest)
        elif not word.startswith("--markdown=") and not (word in paths and words[-1:] == ["PATH"]):
            words.append("PATH" if word in paths else word)
    return words


def files_of(name: str, chosen: argparse.Namespace, folder: Path) -> Files:
    """The workload's files; drawn into the folder, unless they are given."""
    folder.mkdir()
    if name == PHOTOGRAPHS and chosen.paths:
        return Files.of(find_images(chosen.paths, folder).files, chosen.workers)
    workload = WORKLOADS[name]
    count = max(2 * chosen.workers, round(QUICK * workload.count)) if chosen.quick else workload.count
    return Files.of(workload.make(folder, count, chosen.workers), chosen.workers)


def unpacked(commit: str, folder: Path) -> Path:
    """The package as it was in that commit.

    Raises:
        SystemExit: there is no such commit here.
    """
    done = subprocess.run(["git", "-C", str(PROJECT), "archive", commit, "imgproc"], capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"The older build could not be unpacked: {done.stderr.decode(errors='replace').strip()}")
    with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def entries_of(workload: str, files: Files, chosen: argparse.Namespace, older: Path | None) -> list[Entry]:
    """The programs that take part in a workload, those that are missing included."""
    workers: int = chosen.workers
    # One encoder for all of ours, as in a run.
    encoder = encoder_of(files, max(chosen.job, len(files.paths)), workers)
    of_few = encoder_of(files, len(files.paths), workers)
    entries = []
    for p in PROGRAMS.values():
        too_slow = "" if chosen.programs or workload == PHOTOGRAPHS or not p.slow else TOO_SLOW
        team = partial(peer, p.make, workers)
        entries.append(Entry(p.name, p.label, team, p.missing or too_slow, p.l2))
    for name in ON_CPU:
        available = TECHNIQUES[name].availability()
        missing = "" if available.ok else f"{available.reason} {available.command}".strip()
        for kind, place, label in ((OLDER, older, f"{chosen.older[:7]}: {name}"), (OURS, PROJECT, f"ours: {name}")):
            if place:
                start = partial(one_child, [name, workers_of(name, workers), encoder], place)
                entries.append(Entry(f"{kind}:{name}", label, start, missing))
    if of_few != encoder:
        start = partial(one_child, [AUTO, workers, of_few], PROJECT)
        entries.append(Entry(f"{SHORT}:{AUTO}", f"ours: {AUTO}, a job of no more files", start))
    independent = partial(several_children, [BASELINE, 1, encoder], workers)
    entries.append(Entry(BOUND, f"bound: {workers} x sequential", independent))
    order = ["peer", OLDER, OURS, SHORT, BOUND]
    taken = [entry for entry in entries if takes_part(entry, workload, chosen.programs)]
    return sorted(taken, key=lambda entry: order.index(entry.kind))


def encoder_of(files: Files, count: int, workers: int) -> str:
    """That of a run over so many files like these."""
    written = sum(not OPERATIONS[name].bilevel for name in DEFAULT_OPERATIONS)
    megapixels = files.total / len(files.paths) * count * written
    return choose(megapixels, workers, elsewhere=False).encoder


def workers_of(technique: str, workers: int) -> int:
    return 1 if technique == BASELINE else workers


def peer(make: str, workers: int) -> Team:
    return Team([Child(make, [workers])])


def one_child(arguments: Sequence[object], place: Path) -> Team:
    return Team([Child(MAKE_OURS, arguments, place)])


def several_children(arguments: Sequence[object], count: int) -> Team:
    return Team([Child(MAKE_OURS, arguments) for _ in range(count)])


def takes_part(entry: Entry, workload: str, programs: Sequence[str]) -> bool:
    if programs:
        return entry.name in programs or entry.name.partition(":")[0] in programs
    return entry.kind != OLDER or workload == PHOTOGRAPHS or entry.name == f"{OLDER}:{AUTO}"


def wants_older(programs: Sequence[str]) -> bool:
    return not programs or any(name.partition(":")[0] == OLDER for name in programs)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = [*PROGRAMS, *(f"{kind}:{name}" for kind in (OURS, OLDER) for name in ON_CPU), OURS, OLDER, SHORT, BOUND]
    parser.add_argument("paths", nargs="*", metavar="PATH")
    parser.add_argument("--workloads", nargs="+", choices=list(WORKLOADS), default=list(WORKLOADS), metavar="NAME")
    parser.add_argument("--programs", nargs="+", choices=known, default=[], metavar="NAME")
    parser.add_argument("--rounds", type=positive(int), default=5, help="at most (5)")
    parser.add_argument(
        "--seconds", type=positive(float), default=60.0, help="of a workload's rounds, if more than 3 (60)"
    )
    parser.add_argument("--pass-seconds", type=positive(float), default=1.0, help="longest pass (1)")
    parser.add_argument("--workers", type=positive(int), default=usable_cores())
    parser.add_argument("--older", default=OLDER_COMMIT, metavar="COMMIT", help=f"the older build ({OLDER_COMMIT})")
    parser.add_argument(
        "--job", type=positive(int), default=10_000, metavar="IMAGES", help="that the files are examples of (10000)"
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the drawn files, to try the program")
    parser.add_argument("--no-wait", action="store_true", help="do not wait for other measured runs of this machine")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write all tables with what made them")
    return parser.parse_args()


def positive(kind: Callable[[str], float]) -> Callable[[str], float]:
    def parse(text: str) -> float:
        if (value := kind(text)) <= 0:
            raise argparse.ArgumentTypeError("must be positive")
        return value

    return parse


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (UserError, ValueError) as problem:
        sys.exit(str(problem))
