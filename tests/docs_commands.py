"""The commands of the documents: which there are, what runs them as they stand, and why some are run elsewhere."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
PAGES = [
    *(PROJECT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY")),
    *sorted(PROJECT.glob("docs/**/*.md")),
]
#: Commands that no test runs as they stand, by how they begin, with what is tried instead or why nothing is.
ELSEWHERE = {
    r"python3(\.14)? run\.py( (test|setup)\b.*)?$": "makes an environment and goes on; test_run_script.py runs run.py",
    r"(python3 run\.py|speedup-lab) serve": "goes on until it is stopped; live_app.py starts it for many tests",
    r"PUBLIC_URL=\S+ python3 run\.py$": "goes on until it is stopped; test_deploy.py has a proxy in front",
    r"bash \.ci/run$": "is what runs the tests",
    r"pip |pip-audit |for set in requirements": "needs a package index; test_package.py builds and installs",
    r"\.venv/bin/python -m sphinx ": "test_docs_site.py does it, into a folder of its own",
    r"python3 run\.py calibrate": "measures for a minute; test_advisor.py does it in short",
    r"python3 run\.py communication": "measures for half a minute; test_communication.py does it in short",
    r"(MPI_HOSTFILE|DASK_SCHEDULER)=|printf 'node1": "needs hosts; test_mpi.py and test_dask.py make some",
    r"(node\d\$ )?\.venv/bin/python -m dask |node1\$ DASK|export DASK_": "needs hosts; test_dask.py makes some",
    r"sbatch ": "needs Slurm; test_mpi.py has a job as it makes one",
    r"mpiexec -n 64 ": "64 ranks; test_mpi_direct.py has three",
    r"curl -H ": "needs a host of that address; test_access_token.py sends the header",
    r"useradd |git clone |printf 'PUBLIC_URL|cp docs/deploy|systemctl |journalctl ": (
        "needs root; test_deploy.py has systemd check the unit"
    ),
    r"podman ": "needs podman; test_deploy.py builds the container where something can",
    r"python benchmarks/simulate_cluster\.py --(measure|real)": "takes minutes, and root; test_simulation_cluster.py",
    r"python -m imgproc repeat run\.json --function ": "needs a file of one's own; test_repeat_items.py has one",
    r"python benchmarks/simulate_cluster\.py --images 10000,": "test_simulation_cluster.py checks the page's tables",
}
#: Exit statuses that say what was found, where a command has such.
FOUND = {
    r"repeat \S+ --measure-on": {0, 2},
    r"run\.py repeat|imgproc repeat": {0, 1},
    r"\bdiff ": {0, 1, 3},
    r"--program ": {0, 1},
}
#: Commands of this program, however it is called; ``run.py`` has two verbs of its own.
_OURS = re.compile(r"(?:python3 run\.py|python -m imgproc(?:\.backends\.mpi)?|speedup-lab) (?!test\b|setup\b)(\w+)(.*)")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)`((?:python3 run\.py|python -m imgproc|speedup-lab) [^`]+)`(?!`)")


@dataclass(frozen=True)
class Step:
    """A command of a page, or with ``python`` a block of Python."""

    page: str
    text: str
    python: bool = False

    @property
    def elsewhere(self) -> str:
        """Why it is not run as it stands; empty where it is."""
        return next((why for start, why in ELSEWHERE.items() if re.match(start, self.text)), "")

    @property
    def statuses(self) -> set[int]:
        """The exit statuses with which all went well."""
        return next((may for part, may in FOUND.items() if re.search(part, self.text)), {0})

    @property
    def ours(self) -> tuple[str, list[str]] | None:
        """The command of this program and its words; None where it is none."""
        found = _OURS.search(self.text)
        words = shlex.split(found[2].partition(" > ")[0].rstrip("'\")")) if found else []
        return (found[1], [word for word in words if word != "..."]) if found else None


def steps(page: Path) -> list[Step]:
    """The commands and the Python of a page, in order."""
    name = page.relative_to(PROJECT).as_posix()
    found = []
    for language, body in _FENCE.findall(page.read_text(encoding="utf-8")):
        if language == "python":
            found.append(Step(name, body, python=True))
        elif not language:
            found += [Step(name, line) for line in _lines(body)]
    return found


def inline(page: Path) -> list[Step]:
    """The commands that stand in the text of a page."""
    name = page.relative_to(PROJECT).as_posix()
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return [Step(name, " ".join(words.split())) for words in _INLINE.findall(text)]


def _lines(body: str) -> list[str]:
    """Each command of a block in a line, without comments; a loop is one command."""
    joined = re.sub(r"\\\n\s*", "", re.sub(r"(^|\s\s)#\s.*$", "", body, flags=re.MULTILINE))
    whole = re.sub(r"^for .*?^done$", lambda loop: loop[0].replace("\n", "; "), joined, flags=re.MULTILINE | re.DOTALL)
    return [line.strip() for line in whole.splitlines() if line.strip()]


def programs(folder: Path, app: str) -> str:
    """A PATH on which the commands of the documents are those of this checkout: pictures are drawn small and measuring
    is short, and the app of these addresses is at ``app``, a host and a port."""
    from imgproc.backends.mpi.launch import mpiexec

    folder.mkdir()
    python = f"""\
if [[ $1 == run.py ]]; then shift; set -- -m imgproc "$@"; fi
if [[ $1 == -m && $2 == imgproc ]]; then
  case $3 in
    sample) set -- "$@" --megapixels 0.1 ;;
    compare | scale) set -- "$@" --rounds 2 --budget 1 ;;
    process) if [[ " $*" != *" --budget 0"* ]]; then set -- "$@" --budget 1; fi ;;
  esac
fi
exec {shlex.quote(sys.executable)} "$@"
"""
    made = {
        "python": python,
        "python3": python,
        "speedup-lab": 'exec python -m imgproc "$@"\n',
        "mpiexec": f'exec {shlex.join(map(str, [mpiexec()]))} "$@"\n',
        "curl": f'exec {shutil.which("curl")} -sS --fail "${{@/127.0.0.1:5000/{app}}}"\n',
    }
    for name, script in made.items():
        file = folder / name
        file.write_text(f"#!/bin/bash\n{script}")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"
