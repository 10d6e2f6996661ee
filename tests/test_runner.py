"""The life of a run with faults injected for real: kill -9 of runner and app, a full disk, hangs, cancels."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import fake_execute
import psutil
import pytest

from imgproc.errors import UserError
from imgproc.measure.curves import Scaling
from imgproc.measure.lock import machine_lock
from imgproc.measure.results import Progress, TechniqueMeasurement
from imgproc.runs.monitor import Monitor
from imgproc.runs.record import ImageRecord, OutputRecord, Record, RunSettings
from imgproc.runs.reserve import NAME as RESERVED
from imgproc.runs.runner import DISK_FULL, NO_RECORD, STUCK, UNEXPECTED, Runner
from imgproc.runs.store import Store
from imgproc.runs.supervisor import PINNED, Supervisor, runner_environment
from imgproc.settings import Settings

TESTS = Path(__file__).resolve().parent
PROJECT = TESTS.parent
unix = pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")


class Lab:
    """Folders and an index of the test's own."""

    def __init__(self, settings):
        self.settings, self.results = settings, settings.RESULTS_DIR
        self.store = Store(settings.database_url, settings.RESULTS_DIR)
        self.runner = Runner(settings, self.store, fake_execute.execute)

    def submit(self, kind, number=1):
        record = Record(f"{number:012x}", "parallel", RunSettings(["canny"], {}), [ImageRecord(0, kind, 100, 100)])
        record.save(self.results / record.id)
        self.store.create(record)
        return record.id

    def run_all(self):
        while self.runner.run_next():
            pass

    def state(self, run_id):
        return self.store.get(run_id).state

    def save(self, run_id, state):
        """The record as a runner that died has left it."""
        record = self.saved(run_id)
        record.state = state
        record.save(self.results / run_id)

    def saved(self, run_id):
        return Record.load(self.results / run_id)

    def outcome(self, run_id):
        """State and error, which the index has as the record has them."""
        row, record = self.store.get(run_id), self.saved(run_id)
        assert (row.state, row.error) == (record.state, record.error)
        return row.state, row.error

    def progress(self, run_id):
        return self.store.get(run_id).progress or {}

    def order(self):
        return (self.results / "order.txt").read_text().split()

    def go_on(self):
        (self.results / "go").touch()

    def is_tidy(self):
        return not [p for p in self.results.rglob("*") if p.suffix == ".part" or p.name == "work"]

    def workers_at_it(self, run_id):
        """The processes of the slow stand-in, once it is well in the middle of the run."""
        pids = self.results / "pids.txt"
        wait_for(lambda: pids.exists() and self.progress(run_id).get("images_done"))
        processes = [psutil.Process(int(pid)) for pid in pids.read_text().split()]
        pids.unlink()
        return processes

    def in_background(self):
        thread = threading.Thread(target=self.runner.run_next)
        thread.start()
        return thread


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """With a machine lock of its own: real measured runs may go on beside it."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    return Lab(Settings(UPLOADS_DIR=tmp_path / "uploads", RESULTS_DIR=tmp_path / "results"))


@pytest.fixture
def supervisor(lab):
    supervisor = Supervisor(lab.settings, execute="fake_execute:execute")
    yield supervisor
    supervisor.stop()


def wait_for(what, seconds=15):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.03)


def gone(processes: list[psutil.Process]) -> bool:
    return not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)


# In this process: what becomes of a run.


def test_a_run_from_queued_to_done(lab):
    run_id = lab.submit("quick")
    assert lab.runner.run_next()
    assert not lab.runner.run_next()
    record, row = lab.saved(run_id), lab.store.get(run_id)
    assert record.state == "done" and record.started and record.finished and not record.error
    assert row.state == "done" and row.seconds == 0.5 and row.finished and row.progress is None
    assert lab.is_tidy()
    assert (lab.results / run_id / "images" / "a_canny.png").read_bytes() == b"result"


@pytest.mark.parametrize(
    ("kind", "said"),
    [("refuse", "None of the images could be processed."), ("crash", UNEXPECTED), ("full", DISK_FULL)],
)
def test_failures_are_told_in_plain_words_and_the_next_run_goes_on(lab, kind, said):
    failing, next_one = lab.submit(kind, 1), lab.submit("quick", 2)
    assert lab.runner.run_next() and lab.runner.run_next()
    assert lab.outcome(failing) == ("failed", said)
    assert lab.state(next_one) == "done"
    assert lab.is_tidy()


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", None])
def test_a_run_with_a_garbage_record_fails_alone(lab, damage):
    bad, good = lab.submit("quick", 1), lab.submit("quick", 2)
    file = lab.results / bad / "run.json"
    file.unlink() if damage is None else file.write_bytes(damage)
    assert lab.runner.run_next() and lab.runner.run_next()
    assert (lab.state(bad), lab.store.get(bad).error) == ("failed", NO_RECORD)
    assert lab.state(good) == "done"


def test_cancel_of_a_running_run(lab):
    run_id = lab.submit("slow")
    thread = lab.in_background()
    lab.workers_at_it(run_id)
    asked = time.monotonic()
    assert lab.store.request_cancel(run_id)
    thread.join(10)
    assert time.monotonic() - asked < 5
    assert lab.outcome(run_id) == ("cancelled", None)
    assert lab.is_tidy()


def test_a_cancel_counts_even_if_the_work_ends_with_an_error(lab):
    class Stop(Exception):
        pass

    def execute(*_, cancelled, **__):
        wait_for(cancelled)
        raise Stop

    run_id, lab.runner.execute = lab.submit("any"), execute
    thread = lab.in_background()
    wait_for(lambda: lab.state(run_id) == "running")
    lab.store.request_cancel(run_id)
    thread.join(10)
    assert lab.outcome(run_id) == ("cancelled", None)


def test_another_measured_run_goes_first_and_the_wait_is_said(lab):
    waits, cancelled = lab.submit("quick", 1), lab.submit("quick", 2)
    with machine_lock(lambda _: None) as alone:
        assert alone
        thread = lab.in_background()
        wait_for(lambda: lab.progress(waits).get("phase") == "waiting")
    thread.join(10)
    assert lab.state(waits) == "done"
    with machine_lock(lambda _: None):
        thread = lab.in_background()
        wait_for(lambda: lab.progress(cancelled).get("phase") == "waiting")
        lab.store.request_cancel(cancelled)
        thread.join(5)
    assert lab.outcome(cancelled) == ("cancelled", None)


# The machine lock.


def test_two_processes_do_not_measure_at_once(tmp_path):
    hold = (
        "import sys; from pathlib import Path; from imgproc.measure.lock import machine_lock\n"
        "with machine_lock(print, folder=Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    command, pipe = [sys.executable, "-c", hold, str(tmp_path)], subprocess.PIPE
    holder = subprocess.Popen(command, cwd=PROJECT, stdin=pipe, stdout=pipe)
    assert holder.stdout.readline() == b"held\n"
    waited = []

    def on_wait(seconds):
        waited.append(seconds)
        if len(waited) == 3:
            holder.kill()  # the system frees the lock of the dead

    with machine_lock(on_wait, folder=tmp_path) as alone:
        assert alone
    assert len(waited) >= 3 and waited == sorted(waited)
    holder.communicate()


@unix
def test_everybody_may_take_the_machine_lock(tmp_path):
    before = os.umask(0o077)
    try:
        with machine_lock(lambda _: None, folder=tmp_path):
            (file,) = tmp_path.glob("speedup-lab*")
            assert file.stat().st_mode & 0o777 == 0o666
    finally:
        os.umask(before)


def test_where_no_lock_can_be_made_it_is_said(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with machine_lock(lambda _: None, folder=tmp_path / "file") as alone:
        assert not alone


@unix
def test_no_lock_is_left_in_the_current_folder(tmp_path, monkeypatch):
    """Which Python takes for temporary files where no other can be written to."""
    monkeypatch.chdir(tmp_path)
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with machine_lock(lambda _: None) as alone:
        assert not alone and list(tmp_path.iterdir()) == []
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with machine_lock(lambda _: None) as alone:
        assert alone


def test_giving_up_the_wait(tmp_path):
    def give_up(_):
        raise UserError("enough")

    with machine_lock(lambda _: None, folder=tmp_path), pytest.raises(UserError, match="enough"):
        machine_lock(give_up, folder=tmp_path).__enter__()


# What goes on beside a run.


def test_progress_is_stored_a_few_times_a_second_whatever_the_run_tells(lab):
    stored, lookers = [], []
    lab.store.set_progress = lambda _, progress: stored.append(progress.images_done)
    with Monitor(lab.store, "x", stuck_seconds=60, on_stuck=lambda: None) as monitor:
        end, told = time.monotonic() + 1.2, 0
        while time.monotonic() < end:
            told += 1
            monitor.progress(Progress("rounds", images_done=told))
        lab.store.cancel_requested = lambda _: lookers.append(threading.current_thread())
        for _ in range(1000):
            monitor.cancelled()
        assert threading.current_thread() not in lookers
    assert 2 <= len(stored) <= 5
    assert stored == sorted(stored)


def test_only_work_done_counts_as_moving(lab):
    stuck = threading.Event()
    with Monitor(lab.store, "x", stuck_seconds=1.5, on_stuck=stuck.set) as monitor:
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            monitor.progress(Progress("rounds", images_done=int(time.monotonic() * 20)))
            time.sleep(0.02)
        assert not stuck.is_set()
        for n in range(1_000):
            monitor.progress(Progress("rounds", images_done=1, elapsed=n))
            if stuck.wait(0.02):
                break
        assert stuck.is_set()


WATCHED = """
from fake_execute import execute
from imgproc.runs.runner import Runner
from imgproc.runs.store import Store
from imgproc.settings import Settings
settings = Settings.from_environment()
runner = Runner(settings, Store(settings.database_url, settings.RESULTS_DIR), execute)
runner.stuck_seconds = 0.8
runner.run_next()
"""


def test_a_run_that_hangs_is_failed_and_its_runner_ends(lab):
    run_id = lab.submit("hang")
    command, environment = [sys.executable, "-c", WATCHED], runner_environment(lab.settings)
    assert subprocess.run(command, env=environment, timeout=60, start_new_session=True, check=False).returncode != 0
    assert lab.outcome(run_id) == ("failed", STUCK.format(seconds=0.8))
    assert lab.is_tidy()


# Real runner processes, kept by a real supervisor.


@unix
def test_a_run_survives_kill_9_of_the_runner_once_and_is_interrupted_the_second_time(lab, supervisor):
    first, second = lab.submit("slow", 1), lab.submit("quick", 2)
    supervisor.start()
    processes = lab.workers_at_it(first)
    assert lab.saved(first).state == "running"
    os.kill(processes[0].pid, signal.SIGKILL)
    again = lab.workers_at_it(first)  # it is first in line again
    wait_for(lambda: gone(processes), seconds=3)
    assert lab.state(second) == "queued"
    os.kill(again[0].pid, signal.SIGKILL)
    wait_for(lambda: lab.state(second) == "done")
    how, why = lab.outcome(first)
    assert how == "interrupted" and "2 times" in why
    assert lab.is_tidy()
    wait_for(lambda: gone(again), seconds=3)
    assert supervisor.restarts == 2 and supervisor.alive


@unix
def test_a_run_is_done_after_kill_9_of_the_runner(lab, supervisor):
    run_id = lab.submit("slow")
    supervisor.start()
    os.kill(lab.workers_at_it(run_id)[0].pid, signal.SIGKILL)
    wait_for(lambda: not supervisor.alive)
    lab.go_on()
    wait_for(lambda: lab.state(run_id) == "done")
    assert lab.outcome(run_id) == ("done", None)
    assert lab.is_tidy()


@unix
def test_a_run_that_kills_every_runner_does_not_stop_the_others(lab, supervisor):
    poison, other = lab.submit("die", 1), lab.submit("quick", 2)
    supervisor.start()
    wait_for(lambda: lab.state(other) == "done")
    assert lab.state(poison) == "interrupted"


APP = """
import sys, time
from imgproc.runs.supervisor import Supervisor
from imgproc.settings import Settings
supervisor = Supervisor(Settings.from_environment(), execute="fake_execute:execute")
supervisor.start()
time.sleep(600)
"""


@unix
def test_kill_9_of_the_app_ends_runner_and_workers_and_the_next_app_finishes_the_run(lab, supervisor):
    run_id = lab.submit("slow")
    app = subprocess.Popen([sys.executable, "-c", APP], env=runner_environment(lab.settings))
    processes = lab.workers_at_it(run_id)
    assert processes[0].ppid() == app.pid
    app.kill()
    app.wait()
    wait_for(lambda: gone(processes), seconds=3)
    assert lab.state(run_id) == "running"
    lab.go_on()
    supervisor.start()
    wait_for(lambda: lab.state(run_id) == "done")
    assert lab.is_tidy()


def test_stop_ends_runner_and_workers_at_once(lab, supervisor):
    run_id = lab.submit("slow")
    supervisor.start()
    supervisor.start()
    processes = lab.workers_at_it(run_id)
    begin = time.monotonic()
    supervisor.stop()
    assert time.monotonic() - begin < 5
    wait_for(lambda: gone(processes), seconds=1)
    assert not supervisor.alive and supervisor.pid is None and supervisor.restarts == 0
    supervisor.stop()


@unix
def test_a_runner_that_does_not_listen_is_killed(lab, supervisor):
    supervisor.start()
    wait_for(lambda: (lab.results / "runner.log").exists())
    assert supervisor.pid
    process = psutil.Process(supervisor.pid)
    process.suspend()
    supervisor.stop()
    wait_for(lambda: gone([process]), seconds=1)


def test_two_apps_on_one_folder_take_turns(lab, supervisor):
    run_id = lab.submit("slow")
    supervisor.start()
    processes = lab.workers_at_it(run_id)
    second = Supervisor(lab.settings, execute="fake_execute:execute")
    second.start()
    try:
        time.sleep(2)  # long enough for the second one to meddle
        assert second.alive and second.restarts == 0
        assert not gone(processes)
        assert (lab.state(run_id), lab.store.get(run_id).attempts) == ("running", 1)
        lab.go_on()
        supervisor.stop()
        wait_for(lambda: lab.state(run_id) == "done")
    finally:
        second.stop()


def test_an_idle_runner_leaves_the_machine_alone(lab, supervisor):
    supervisor.start()
    wait_for(lambda: (lab.results / "runner.log").exists())
    time.sleep(0.5)
    assert supervisor.pid
    runner = psutil.Process(supervisor.pid)
    before = runner.cpu_times()
    time.sleep(2)
    after = runner.cpu_times()
    assert after.user + after.system - before.user - before.system <= 0.05


def test_the_runner_gets_the_settings_and_pinned_threads(lab, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    own = Settings(
        RESULTS_DIR=Path("relative"), MAX_MEGAPIXELS=12.5, DATABASE_URL="", SECRET_KEY="hush", ACCESS_TOKEN="hush"
    )
    values = runner_environment(own)
    assert {values[name] for name in PINNED} == {"1"}
    assert "hush" not in values.values()
    read = Settings.from_environment(values)
    assert read.MAX_MEGAPIXELS == 12.5
    assert Path("relative").absolute() == read.RESULTS_DIR
    assert read.TASK_SECONDS == own.TASK_SECONDS


# What a dead runner left behind.


def test_a_runner_that_died_after_its_record_was_saved(lab):
    run_id = lab.submit("quick")
    assert lab.store.claim(1) == run_id
    lab.save(run_id, "done")
    lab.runner.recover()
    assert lab.state(run_id) == "done"
    assert not lab.runner.run_next()


def test_a_second_try_does_not_inherit_the_findings_of_the_first(lab):
    run_id = lab.submit("quick")
    lab.store.claim(1)
    record = lab.saved(run_id)
    record.state, record.sample, record.warnings = "running", [0], ["first try"]
    record.techniques = record.weak = [TechniqueMeasurement("joblib", "joblib")]
    record.scaling = Scaling("joblib", 2)
    record.images[0].outputs = [OutputRecord("canny", "a_canny.png")]
    record.save(lab.results / run_id)
    lab.runner.recover()
    record = lab.saved(run_id)
    assert (record.state, record.started, record.images[0].outputs) == ("queued", None, [])
    assert lab.runner.run_next()
    record = lab.saved(run_id)
    assert (record.state, record.sample, record.warnings) == ("done", None, [])
    assert (record.weak, record.scaling) == ([], None)
    assert [t.name for t in record.techniques] == ["threading"]


def test_a_run_that_was_to_be_cancelled_is_not_begun_again(lab):
    run_id = lab.submit("quick")
    lab.store.claim(1)
    lab.store.request_cancel(run_id)
    lab.runner.recover()
    assert lab.outcome(run_id) == ("cancelled", None)


def test_the_database_is_deleted_while_a_run_was_running(lab):
    running, waiting = lab.submit("quick", 1), lab.submit("quick", 2)
    lab.store.claim(1)
    lab.save(running, "running")
    for file in lab.results.glob("index.sqlite*"):
        file.unlink()
    lab.runner.recover()
    lab.run_all()
    assert lab.order() == [running, waiting]
    assert lab.state(running) == lab.state(waiting) == "done"


# A full disk.


@pytest.fixture(params=[False, True], ids=["index elsewhere", "index too"])
def full_disk(request, lab, tmp_path):
    """A lab whose results, and with them the index, are on a disk of 1 MB."""
    disk = tmp_path / "small"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk is not permitted here")
    index = f"sqlite:///{(disk if request.param else tmp_path) / 'index.sqlite'}"
    yield Lab(Settings(UPLOADS_DIR=tmp_path / "uploads", RESULTS_DIR=disk, DATABASE_URL=index)), request.param
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(path):
    with open(path, "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def test_a_disk_that_fills_up_during_a_run(full_disk):
    """The run fails in plain words, with a whole record, and the runner is well once there is room again."""
    lab, _ = full_disk

    def execute(record, uploads, results, settings, **_):
        (results / "images").mkdir(exist_ok=True)
        fill(results / "images" / "out.png")

    run_id, lab.runner.execute = lab.submit("any"), execute
    assert lab.runner.run_next()
    assert lab.outcome(run_id) == ("failed", DISK_FULL)
    assert lab.is_tidy()


def test_a_disk_that_is_full_from_the_first(full_disk):
    lab, index_too = full_disk
    run_id = lab.submit("quick")
    before = (lab.results / run_id / "run.json").read_bytes()
    with pytest.raises(OSError):
        fill(lab.results / "filler")
    if index_too:
        with pytest.raises(UserError) as caught:
            lab.runner.run_next()
        assert caught.value.code == "disk_full"
    else:
        assert lab.runner.run_next()
        assert (lab.state(run_id), lab.store.get(run_id).error) == ("failed", DISK_FULL)
    assert (lab.results / run_id / "run.json").read_bytes() == before
    assert lab.is_tidy()
    (lab.results / "filler").unlink()
    next_one = lab.submit("quick", 2)
    lab.runner.recover()
    lab.run_all()
    assert lab.state(next_one) == "done"
    if index_too:
        assert lab.state(run_id) == "done"
    lab.store.close()


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 4 MB, which other programs use too."""
    disk = tmp_path / "small"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk is not permitted here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize("where", ["all on it", "index", "results"])
def test_a_run_ends_in_words_on_a_disk_that_others_have_filled(lab, tmp_path, small_disk, where):
    """Nothing of the run itself can be removed to make room for its record and for the index."""
    index = (tmp_path if where == "results" else small_disk) / "index.sqlite"
    results = (tmp_path if where == "index" else small_disk) / "results"
    lab = Lab(Settings(UPLOADS_DIR=tmp_path / "uploads", RESULTS_DIR=results, DATABASE_URL=f"sqlite:///{index}"))
    lab.settings.make_folders()

    def execute(record, uploads, results, settings, **_):
        with pytest.raises(OSError) as caught:
            fill(small_disk / "of others")
        raise caught.value

    reserved = [folder / RESERVED for folder in {index.parent, results}]
    over = threading.Event()
    thread = threading.Thread(target=lab.runner.serve, args=[lambda: not over.is_set()])
    thread.start()
    try:
        wait_for(lambda: all(file.exists() for file in reserved))
        run_id, lab.runner.execute = lab.submit("any"), execute
        wait_for(lambda: lab.state(run_id) == "failed")
        assert lab.outcome(run_id) == ("failed", DISK_FULL)
        (small_disk / "of others").unlink()
        wait_for(lambda: all(file.exists() and file.stat().st_size > 500_000 for file in reserved))
    finally:
        over.set()
        thread.join(10)
        lab.store.close()


def test_a_run_that_waits_on_a_full_disk_is_begun_by_the_same_runner_when_there_is_room(lab, tmp_path, small_disk):
    lab = Lab(Settings(UPLOADS_DIR=tmp_path / "uploads", RESULTS_DIR=small_disk))
    run_id, other = lab.submit("quick", 1), small_disk / "of others"
    with pytest.raises(OSError):
        fill(other)
    wanted = threading.Event()
    thread = threading.Thread(target=lambda: [lab.runner.serve(lambda: not wanted.is_set()) for _ in range(2)])
    thread.start()
    try:
        time.sleep(0.5)
        assert thread.is_alive() and lab.state(run_id) == "queued"
        other.unlink()
        wait_for(lambda: lab.state(run_id) == "done")
    finally:
        wanted.set()
        thread.join(10)
        lab.store.close()


def test_uploads_that_never_became_a_run_are_removed_after_a_while(lab):
    lab.settings.make_folders()
    lab.runner.recover()  # there are no uploads yet, so these results are theirs
    run_id, uploads = lab.submit("quick"), lab.settings.UPLOADS_DIR
    for name in (run_id, "0123456789ab", "ba9876543210"):
        (uploads / name).mkdir(parents=True)
        (uploads / name / "incoming-0000").write_bytes(b"x")
    for name in (run_id, "0123456789ab"):
        os.utime(uploads / name, (1, 1))
    lab.runner.recover()
    assert sorted(p.name for p in uploads.glob("[!.]*")) == sorted([run_id, "ba9876543210"])
