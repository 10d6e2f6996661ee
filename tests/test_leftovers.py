"""What killed processes left behind is removed by later ones, and nothing else."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from imgproc import files as leftovers
from imgproc.backends.leftovers import remove_abandoned, take_over
from imgproc.backends.sharing import memory as shared
from imgproc.backends.worker_loop import StatusFolder
from imgproc.files import own_folder, owned, sweep

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
FOLDER = "from imgproc.files import own_folder as f; w = f(Path(sys.argv[1]), 'kind'); made = w.__enter__()"
STATUS = "from imgproc.backends.worker_loop import StatusFolder as S; b = S(); made = b.folder"


def begin(make, folder):
    """A process that made something, which is the first line that it prints."""
    program = f"import sys, tempfile; from pathlib import Path; tempfile.tempdir = sys.argv[1]; {make}"
    running = subprocess.Popen(
        [sys.executable, "-c", f"{program}; print(made, flush=True); input()", folder],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    made = Path(running.stdout.readline().strip())
    assert made.parent == folder and made.is_dir()
    return running, made


def end(running, *, kill):
    if kill:
        running.kill()
    running.communicate("\n")


@pytest.mark.parametrize("make", [FOLDER, STATUS])
def test_folders_of_killed_processes_go_and_those_of_living_ones_stay(make, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    killed, left = begin(make, tmp_path)
    living, used = begin(make, tmp_path)
    end(killed, kill=True)
    others = [tmp_path / name for name in ("kind", "kind-1-2", owned("other", 2**22 + 1) + "x", "kind-1-99999999-x")]
    for other in others:
        other.mkdir()
    assert left.is_dir()
    if make == STATUS:
        StatusFolder().remove()
    else:
        with own_folder(tmp_path, "kind") as mine:
            assert mine.is_dir() and mine.name.startswith(owned("kind"))
        assert not mine.exists()
    assert not left.exists() and used.is_dir()
    assert all(other.is_dir() for other in others)
    end(living, kill=False)


FORK_SERVER = (
    "from imgproc.temporary import without_fork_server as f; from multiprocessing import util; f(); "
    "made = Path(util.get_temp_dir())"
)
END = "from imgproc.runs.process_control import end_process; end_process(0)"


def test_folders_of_multiprocessing_go_that_are_ours(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    killed, left = begin(FORK_SERVER, tmp_path)
    living, used = begin(FORK_SERVER, tmp_path)
    end(killed, kill=True)
    anothers = tmp_path / "pymp-another"
    anothers.mkdir()
    assert left.name.startswith("pymp-")
    remove_abandoned()
    assert not left.exists() and used.is_dir() and anothers.is_dir()
    end(living, kill=False)
    assert not used.exists() and anothers.is_dir()


@pytest.mark.parametrize("make", [FORK_SERVER, STATUS])
def test_a_process_that_ends_at_once_takes_its_own_along(make, tmp_path):
    """As the runner does, without the functions that Python calls at the end of a program."""
    (tmp_path / "pymp-another").mkdir()
    program = f"import sys, tempfile; from pathlib import Path; tempfile.tempdir = sys.argv[1]; {make}; {END}"
    command = [sys.executable, "-c", program, tmp_path]
    done = subprocess.run(command, cwd=ROOT, timeout=60, start_new_session=True, check=False)
    assert done.returncode in (0, -signal.SIGKILL)  # it ends its whole group
    assert [path.name for path in tmp_path.iterdir()] == ["pymp-another"]


LOCK = (
    "from imgproc.backends.worker_loop import StatusFolder as S; from multiprocessing import get_context, "
    "resource_tracker as r; b = S(); k = get_context('spawn').Lock(); import os, signal; "
    "os.kill(r._resource_tracker._pid, signal.SIGKILL); made = b.folder"
)


@pytest.mark.skipif(sys.platform != "linux", reason="semaphores are files there")
def test_semaphores_of_killed_processes_go(tmp_path, monkeypatch):
    """Of those whose resource tracker, which would have seen to it, was killed with them."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    running, _ = begin(LOCK, tmp_path)

    def left():
        return list(shared.FOLDER.glob(f"sem.{owned('imgproc-lock', running.pid)}*"))

    assert left()
    remove_abandoned()
    assert left()
    end(running, kill=True)
    remove_abandoned()
    assert not left()


@pytest.mark.skipif(sys.platform != "linux", reason="shared memory has a folder there")
def test_what_joblib_made_for_the_process_before_goes_and_only_that(tmp_path):
    note, gone = tmp_path / "runner.pid", 2**22 + 7  # above the highest id
    ours, others = (shared.FOLDER / f"joblib_memmapping_folder_{pid}_test" for pid in (gone, gone + 1))
    try:
        for folder in (ours, others):
            folder.mkdir()
        for text in ("", "nonsense", f"{owned('owner', gone)}x", owned("owner", os.getpid())):
            note.write_text(text)
            take_over(note)
            assert ours.is_dir()
        assert note.read_text() == owned("owner")
        note.write_text(owned("owner", gone))
        take_over(note)
        assert not ours.exists() and others.is_dir()
    finally:
        for folder in (ours, others):
            if folder.exists():
                folder.rmdir()


def test_what_is_of_another_machine_or_container_stays(tmp_path, monkeypatch):
    """A shared folder: a process id that is free here may be in use there."""
    free = 2**22 + 1  # above the highest id
    mine = tmp_path / f"{owned('kind', free)}x"
    mine.mkdir()
    sweep(tmp_path, "kind")
    assert not mine.exists()
    mine.write_bytes(b"a file goes as well")
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("socket.gethostname", lambda: "another")
        leftovers._here.cache_clear()
        sweep(tmp_path, "kind")
        assert mine.exists() and owned("kind", free) not in mine.name
    leftovers._here.cache_clear()
    sweep(tmp_path, "kind")
    assert not mine.exists()


def test_an_error_removes_the_folder_too(tmp_path):
    with pytest.raises(KeyError), own_folder(tmp_path, "kind"):
        raise KeyError
    assert list(tmp_path.iterdir()) == []
