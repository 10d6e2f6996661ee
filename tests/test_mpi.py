"""What is MPI's own: the ranks's processes, its faults, other launchers."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from shells import namespace

from imgproc.backends.base import BackendError, Options
from imgproc.backends.mpi import backend as backend_module
from imgproc.backends.mpi import hosts, launch
from imgproc.backends.mpi.backend import Mpi
from imgproc.backends.mpi.protocol import Exchange, ahead
from imgproc.backends.task import Task
from imgproc.pixels.job import process_image
from imgproc.settings import Settings
from tests import backend_faults as faults
from tests.many_images import assert_done, many_images

ROOT = Path(__file__).resolve().parents[1]
LONG = 60.0
pytestmark = pytest.mark.skipif(not Mpi.availability().ok, reason=Mpi.availability().reason)
linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc and /dev/shm are Linux’s")


@pytest.fixture
def mpi():
    backend = Mpi(2)
    backend.start()
    yield backend
    backend.close()


@pytest.fixture
def hydra(tmp_path):
    """Started by the launcher for many hosts, with this one in its file."""
    listed = tmp_path / "hosts"
    listed.write_text(f"{socket.gethostname()}:4\n")
    backend = Mpi(2, having(MPI_HOSTFILE=str(listed)))
    backend.start()
    yield backend
    backend.close()


def having(**settings):
    return Options(settings=Settings(**settings))


def doubles(backend, count=20, deadline=LONG):
    results = list(backend.run([Task(i, faults.double, i) for i in range(count)], deadline=deadline))
    assert sorted(r.index for r in results) == list(range(count))
    return sorted((r.value, r.attempts) for r in results)


def ranks():
    """``mpiexec`` and its ranks, below this process."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it ended meanwhile
            if "imgproc.backends.mpi.rank" in process.cmdline():
                found.append(process)
    return found


def shared_memory():
    return {file.name for file in Path("/dev/shm").glob("*") if "mpich" in file.name or "ucx" in file.name}


def segments(processes):
    """Those of System V that these processes have made; ``/proc`` lists whose each is."""
    made = [line.split() for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
    return [fields[1] for fields in made if int(fields[4]) in {process.pid for process in processes}]


def folders():
    return set(Path(tempfile.gettempdir()).glob("imgproc-mpi-*"))


# Messages


def test_rests_are_short_while_a_message_is_under_way():
    """A network gets on by what its buffers hold from one look to the next."""
    program = (
        "import mpi4py\n"
        "mpi4py.rc.initialize = False\n"
        "from imgproc.backends.mpi.messages import IDLE, LONGEST, SHORTEST, UNDER_WAY, Pause\n"
        "pause, rests = Pause(), []\n"
        "pause.wake.wait = rests.append\n"
        "for moving in [False] * 20 + [True] * 3 + [False] * 20:\n"
        "    pause(moved=False, moving=moving)\n"
        "pause(moved=True, moving=False)\n"
        "pause(moved=False, moving=False)\n"
        "for _ in range(200):\n"
        "    pause(moved=False, moving=False)\n"
        "print([rests[0] == rests[43] == SHORTEST, rests[21] == rests[22] == UNDER_WAY, max(rests) == IDLE])\n"
        "print([LONGEST <= rests[n] < 1.5 * LONGEST for n in (19, 42)])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert (done.stdout, done.stderr) == ("[True, True, True]\n[True, True]\n", "")


# The ranks


def test_the_caller_never_loads_mpi():
    program = (
        "import sys\n"
        "from imgproc.backends.mpi.backend import Mpi\n"
        "from imgproc.backends.task import Task\n"
        "from tests.backend_faults import double\n"
        "mpi = Mpi(2)\n"
        "mpi.start()\n"
        "print([r.value for r in mpi.run([Task(0, double, 4)], deadline=60)])\n"
        "mpi.close()\n"
        "print(sorted(name for name in sys.modules if name.startswith('mpi4py')))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[8]\n[]\n", "")


def test_it_listens_nowhere(mpi):
    doubles(mpi)
    processes = ranks()
    assert len(processes) == 4
    assert [connection for process in processes for connection in process.net_connections(kind="inet")] == []


def test_ctrl_c_in_the_terminal_is_for_the_caller_alone(mpi):
    """In a process group of their own, but not in another session, which would have its own part of the processor."""
    assert os.getpgid(0) not in {os.getpgid(process.pid) for process in ranks()}
    assert {os.getsid(process.pid) for process in ranks()} == {os.getsid(0)}


def test_idle_ranks_take_less_than_3_percent_of_a_core(mpi):
    doubles(mpi)
    processes = ranks()
    time.sleep(0.5)
    before = [sum(process.cpu_times()[:2]) for process in processes]
    time.sleep(3)
    used = [sum(process.cpu_times()[:2]) - b for process, b in zip(processes, before, strict=True)]
    assert max(used) / 3 < 0.03


@linux
def test_nothing_is_left_in_shared_memory_or_in_the_temporary_folder():
    before = shared_memory(), folders()
    mpi = Mpi(2)
    mpi.start()
    processes = ranks()
    assert (shared_memory(), folders()) == before  # not even while it runs
    assert segments(processes)
    for process in processes:
        process.kill()
    doubles(mpi)
    mpi.close()
    assert (shared_memory(), folders()) == before and not segments(processes)


@linux
def test_ranks_start_each_time_with_as_little_shared_memory_as_they_take():
    """With UCX's blocks in /dev/shm too, 9 ranks would need 49 MB, and crash by chance up to 60 MB."""
    program = "from imgproc.backends.mpi.backend import Mpi; mpi = Mpi(8)\nfor _ in range(5): mpi.start(); mpi.close()"
    first = namespace("mount -t tmpfs -o size=12m none /dev/shm", "--mount")
    done = subprocess.run([*first, sys.executable, "-c", program], stderr=subprocess.PIPE, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr


def kill_caller(count, *, stop=False):
    """Kill a program that has ranks at work; nothing of the ranks, of so many processes, may be left."""
    program = [sys.executable, "-m", "tests.backend_faults", "mpi"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, cwd=ROOT) as caller:
        assert caller.stdout.readline() == b"ready\n"
        ranks = psutil.Process(caller.pid).children(recursive=True)
        assert len(ranks) == count
        if stop:
            ranks[-1].suspend()  # a worker
        caller.kill()
    assert not psutil.wait_procs(ranks, timeout=20)[1]


@linux
@pytest.mark.parametrize("stop", [False, True])
def test_a_killed_caller_leaves_nothing(stop):
    before = shared_memory(), folders()
    kill_caller(4, stop=stop)
    assert (shared_memory(), folders()) == before


def test_more_workers_than_cores():
    mpi = Mpi(9)
    mpi.start()
    try:
        assert mpi.workers == 9
        assert len({r.worker.pid for r in mpi.run([Task(i, faults.nap, 0.2) for i in range(9)], deadline=LONG)}) == 9
    finally:
        mpi.close()


def test_every_rank_reads_and_writes_the_probe(mpi, tmp_path):
    assert mpi.local and mpi.sees(tmp_path)
    assert mpi._ranks.sees(tmp_path)
    assert not mpi._ranks.sees(tmp_path / "gone")
    assert list(tmp_path.iterdir()) == []


def test_one_rank_that_sees_other_files_is_found_out(mpi, tmp_path, monkeypatch):
    wrong = "imgproc.backends.mpi.protocol._copy_of"
    monkeypatch.setattr(wrong, lambda probe, rank: probe.with_name(f"{probe.name}.{rank if rank == 1 else 'x'}"))
    assert not mpi._ranks.sees(tmp_path)


# Faults


@pytest.mark.parametrize("act", ["kill", "suspend"])
def test_rank_0_dies_or_hangs(mpi, act):
    manager = psutil.Process(mpi._ranks._processes[0].pid)
    seen = []
    for result in mpi.run([Task(i, faults.nap, 0.1) for i in range(12)], deadline=3):
        seen.append((result.index, result.error))
        if len(seen) == 3:
            getattr(manager, act)()
    assert sorted(seen) == [(i, None) for i in range(12)]


def test_mpiexec_dies(mpi):
    next(p for p in ranks() if "gforker" in p.cmdline()[0]).kill()
    assert doubles(mpi) == [(2 * n, 1) for n in range(20)]


def _kill_now_and_then(mpi, jobs, kills):
    """Run the jobs while a rank, each in turn, is killed; the longest time without a result after a kill."""
    every, waits, killed, results = len(jobs) // (kills + 1), [], None, []
    for result in mpi.run([Task(n, process_image, job) for n, job in enumerate(jobs)], deadline=LONG):
        now = time.perf_counter()
        if killed is not None and now - killed > 0.1:  # else it was finished before
            waits.append(now - killed)
            killed = None
        results.append(result)
        if len(results) % every == 0 and kills:
            kills -= 1
            victims = mpi._ranks._processes
            victims[kills % len(victims)].kill()
            killed = time.perf_counter()
    assert sorted(r.index for r in results) == list(range(len(jobs)))
    assert [r.error for r in results if r.error] == []
    return max(waits)


@pytest.mark.parametrize(
    ("count", "side", "kills"), [(40, 400, 3), pytest.param(200, 1000, 20, marks=pytest.mark.slow)]
)
def test_kills_in_a_run_lose_no_image(mpi, count, side, kills, tmp_path):
    jobs = many_images(tmp_path, count, side)
    longest = _kill_now_and_then(mpi, jobs, kills)
    print(f"longest recovery: {longest:.2f} s")
    assert longest < 5
    assert_done(jobs, tmp_path)


@pytest.mark.slow
def test_a_stopped_rank_is_noticed_long_before_the_deadline(mpi, tmp_path):
    stop = Task(0, faults.signal_self, (signal.SIGSTOP, str(tmp_path), 1))
    before = time.perf_counter()
    result = next(iter(mpi.run([stop], deadline=300)))
    assert (result.value, result.attempts) == (2, 2)
    assert time.perf_counter() - before < 30


def test_what_mpi_gave_up_is_neither_sent_nor_received():
    """A failed request would be called done if it were tested again. In a process of its own, as it loads MPI."""
    program = """
from mpi4py import MPI
from imgproc.backends.mpi.messages import Messenger
from imgproc.backends.mpi.protocol import MessageKind, Message

class Request:
    def __init__(self, *says):
        self.says = list(says)
    def Test(self):
        said = self.says.pop(0)
        if said is None:
            raise MPI.Exception(MPI.ERR_OTHER)
        return said

class Found:
    def Irecv(self, buffer):
        return Request(False, None, True)

class Comm:
    arrived = [Found(), None, None, None, None]
    def Isend(self, buffer, rank, tag):
        return Request(False, True) if rank == 1 else Request(None, True)
    def Improbe(self, source, tag, status):
        status.Set_source(2)
        status.Set_tag(MessageKind.RESULT)
        return self.arrived.pop(0)

messenger, sent = Messenger(Comm()), []
for rank in (1, 2):
    messenger.post(Message(MessageKind.BEAT, rank), lambda rank=rank: sent.append(rank))
print(messenger.collect(), messenger.collect(), messenger.collect(), sent, messenger.moving, messenger.failed)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert (done.returncode, done.stdout) == (0, "[] [] [] [1] False {2}\n"), done.stderr


def test_the_fastest_exchange_tells_the_time_of_another_host():
    offset = -3.25
    slow, fast = Exchange(10.0, 10.9 + offset, 11.0), Exchange(20.0, 20.001 + offset, 20.002)
    assert ahead([slow, fast, slow]) == pytest.approx(offset, abs=0.001)


# Other launchers


def test_a_file_of_hosts(hydra, tmp_path):
    assert (hydra.workers, hydra.local) == (2, True)
    assert doubles(hydra) == [(2 * n, 1) for n in range(20)]
    calls = tmp_path / "calls"
    calls.mkdir()
    kill = Task(0, faults.signal_self, (signal.SIGKILL, str(calls), 1))
    tasks = [kill, *(Task(n, faults.nap, 0.05) for n in range(1, 10))]
    results = sorted(hydra.run(tasks, deadline=LONG), key=lambda r: r.index)
    assert [r.error for r in results] == [None] * 10
    assert (results[0].value, results[0].attempts) == (2, 2)


def test_under_hydra_the_one_to_blame_is_found_out(hydra, tmp_path):
    """It ends all ranks at once, before anybody can say which died."""
    kill = (faults.signal_self, (signal.SIGKILL, str(tmp_path), 9))
    tasks = [Task(0, *kill), *(Task(n, faults.nap, 0.05) for n in range(1, 10))]
    results = sorted(hydra.run(tasks, deadline=LONG), key=lambda r: r.index)
    assert "ended without an answer, twice" in results[0].error
    assert [r.error for r in results[1:]] == [None] * 9


def test_a_killed_caller_leaves_nothing_of_hydra(monkeypatch, tmp_path):
    listed = tmp_path / "hosts"
    listed.write_text(f"{socket.gethostname()}\n")
    monkeypatch.setenv("MPI_HOSTFILE", str(listed))
    kill_caller(5)


def test_as_many_workers_as_the_arguments_say():
    mpi = Mpi(2, having(MPI_ARGUMENTS="-n 4"))
    mpi.start()
    try:
        assert mpi.workers == 3 and doubles(mpi) == [(2 * n, 1) for n in range(20)]
    finally:
        mpi.close()


def test_in_an_allocation_mpiexec_finds_the_hosts(monkeypatch, tmp_path):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    command = launch.prepare(3, tmp_path, ["socket", "1"], Settings()).command
    assert Path(command[0]).name == "mpiexec" and command[1:3] == ["-n", "4"]
    monkeypatch.delenv("SLURM_JOB_ID")
    assert "gforker" in launch.prepare(3, tmp_path, [], Settings()).command[0]


def test_a_host_is_gone_when_it_answers_in_none_of_the_tries(tmp_path):
    """Asked by a launcher that starts nothing on a host the first time, and never anything on one of them."""
    launcher = tmp_path / "launcher"
    launcher.write_text(f'#!/bin/sh\n[ "$2" != gone ] && ! mkdir {tmp_path}/"$2" 2>/dev/null\n')
    launcher.chmod(0o755)
    lines = ["one:2", "two", "gone:1", "one"]
    assert hosts.silent(lines, [str(launcher)], tries=2) == ["gone"]
    assert hosts.silent([*lines, "three"], [str(launcher)]) == ["gone", "three"]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("MPI_HOSTFILE", "/nowhere/hosts", "MPI_HOSTFILE"),
        ("MPI_HOSTFILE", "/dev/null", "lists no host"),
        ("MPI_ARGUMENTS", "-n '4", "quotation mark"),
    ],
)
def test_wrong_settings_are_said_in_plain_words(name, value, says):
    with pytest.raises(BackendError, match=says) as problem:
        Mpi(2, having(**{name: value})).start()
    assert "/nowhere" not in str(problem.value)


def test_an_mpiexec_that_fails_is_said_at_once():
    before = time.perf_counter()
    with pytest.raises(BackendError, match="could not be started"):
        Mpi(2, having(MPI_ARGUMENTS="-no-such-argument")).start()
    assert time.perf_counter() - before < 30
    assert ranks() == []


@pytest.mark.parametrize(
    ("said", "free", "memory"),
    [
        ("[0]1:Return code = 0, signaled with Bus error", 10**9, True),
        ("UCX ERROR Not enough memory. Please check that /dev/shm has it", 10**9, True),
        ("[0]1:Return code = 0, signaled with Segmentation fault", 10**9, False),
        ("[0]1:Return code = 1", 10**9, False),
        ("it is not asked", 10**6, True),
    ],
)
def test_too_little_shared_memory_for_so_many_ranks_is_said(said, free, memory, monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))
    program = tmp_path / "mpiexec"
    program.write_text(f'#!/bin/sh\necho "{said}"\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setattr(launch, "mpiexec", lambda name="mpiexec": str(program))
    with pytest.raises(BackendError, match=r"could not be started\.") as caught:
        Mpi(2).start()
    assert ("There is not enough shared memory for so many: use fewer workers" in str(caught.value)) is memory


def test_ranks_that_end_while_they_start_are_started_once_more(monkeypatch, tmp_path):
    real, program = launch.mpiexec("mpiexec.gforker") or launch.mpiexec(), tmp_path / "mpiexec"
    program.write_text(f'#!/bin/sh\nmkdir {tmp_path}/first 2>/dev/null && exit 139\nexec {real} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(launch, "mpiexec", lambda name="mpiexec": str(program))
    mpi = Mpi(2)
    mpi.start()
    try:
        assert (tmp_path / "first").is_dir() and doubles(mpi) == [(2 * n, 1) for n in range(20)]
    finally:
        mpi.close()


def test_an_mpiexec_of_another_mpi_is_found_out(monkeypatch, tmp_path):
    """It starts programs, but mpi4py's MPI does not learn from it of the others."""
    program = tmp_path / "mpiexec"
    program.write_text('#!/bin/sh\nshift 2\nexec "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(launch, "mpiexec", lambda name="mpiexec": str(program))
    with pytest.raises(BackendError, match="another MPI"):
        Mpi(2).start()


def test_what_is_missing_is_said_with_what_mends_it(monkeypatch):
    assert Mpi.availability().ok
    monkeypatch.setattr(backend_module, "mpiexec", lambda: None)
    assert (Mpi.availability().ok, Mpi.availability().command) == (False, "pip install mpich")
    monkeypatch.setattr(backend_module, "find_spec", lambda name: None)
    assert (Mpi.availability().ok, Mpi.availability().command) == (False, "pip install mpi4py mpich")
    monkeypatch.delattr(socket, "AF_UNIX")
    assert "Linux and macOS" in Mpi.availability().reason


def test_mpiexec_is_looked_for_beside_python_and_on_the_path(monkeypatch, tmp_path):
    program = tmp_path / "mpiexec"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Path(launch.mpiexec()).parent == Path(sys.executable).parent
    monkeypatch.setattr(sys, "executable", str(tmp_path / "elsewhere" / "python"))
    assert launch.mpiexec() == str(program)
    monkeypatch.setenv("PATH", "")
    assert launch.mpiexec() is None
