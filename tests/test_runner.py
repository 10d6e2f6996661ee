"""The life of a run with faults injected for real: kill -9 of runner and app, a full disk, hangs, cancels."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
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
from imgproc.runs.runner import DISK_FULL, NO_RECORD, STUCK, UNEXPECTED, Runner
from imgproc.runs.store import Store
from imgproc.runs.supervisor import PINNED, Supervisor, runner_environment
from imgproc.settings import PROJECT, Settings

TESTS = Path(__file__).resolve().parent
unix = pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Folders of the test's own, and a machine lock of its own: real measured runs may go on beside it."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    return Settings(UPLOADS_DIR=tmp_path / "uploads", RESULTS_DIR=tmp_path / "results")


@pytest.fixture
def store(settings: Settings) -> Store:
    return Store(settings.database_url, settings.RESULTS_DIR)


@pytest.fixture
def runner(settings: Settings, store: Store) -> Runner:
    return Runner(settings, store, fake_execute.execute)


@pytest.fixture
def supervisor(settings: Settings) -> Iterator[Supervisor]:
    supervisor = Supervisor(settings, execute="fake_execute:execute")
    yield supervisor
    supervisor.stop()


def submit(store: Store, settings: Settings, kind: str, number: int = 1) -> str:
    record = Record(f"{number:012x}", "parallel", RunSettings(["canny"], {}), [ImageRecord(0, kind, 100, 100)])
    record.save(settings.RESULTS_DIR / record.id)
    store.create(record)
    return record.id


def wait_for(what: Callable[[], object], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.03)


def state(store: Store, run_id: str) -> str:
    row = store.get(run_id)
    return row.state if row else "gone"


def saved(settings: Settings, run_id: str) -> Record:
    return Record.load(settings.RESULTS_DIR / run_id)


def left_over(settings: Settings) -> list[str]:
    return [p.name for p in settings.RESULTS_DIR.rglob("*") if p.suffix == ".part" or p.name == "work"]


def workers_at_it(settings: Settings, store: Store, run_id: str) -> list[psutil.Process]:
    """The processes of the slow stand-in, once it is well in the middle of the run."""

    pids = settings.RESULTS_DIR / "pids.txt"

    def progressing() -> bool:
        row = store.get(run_id)
        return pids.exists() and bool(row and row.progress and row.progress["images_done"])

    wait_for(progressing)
    processes = [psutil.Process(int(pid)) for pid in pids.read_text().split()]
    pids.unlink()
    return processes


def gone(processes: list[psutil.Process]) -> bool:
    return not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)


# In this process: what becomes of a run.


def test_a_run_from_queued_to_done(runner: Runner, store: Store, settings: Settings) -> None:
    run_id = submit(store, settings, "quick")
    assert runner.run_next()
    assert not runner.run_next()
    record, row = saved(settings, run_id), store.get(run_id)
    assert record.state == "done" and record.started and record.finished and not record.error
    assert row and row.state == "done" and row.seconds == 0.5 and row.finished and row.progress is None
    assert left_over(settings) == []
    assert (settings.RESULTS_DIR / run_id / "images" / "a_canny.png").read_bytes() == b"result"


def test_runs_go_in_the_order_they_came(runner: Runner, store: Store, settings: Settings) -> None:
    ids = [submit(store, settings, "quick", number) for number in (5, 3, 9)]
    while runner.run_next():
        pass
    assert (settings.RESULTS_DIR / "order.txt").read_text().split() == ids


@pytest.mark.parametrize(
    ("kind", "said"),
    [("refuse", "None of the images could be processed."), ("crash", UNEXPECTED), ("full", DISK_FULL)],
)
def test_failures_are_told_in_plain_words_and_the_next_run_goes_on(
    runner: Runner, store: Store, settings: Settings, kind: str, said: str
) -> None:
    failing, next_one = submit(store, settings, kind, 1), submit(store, settings, "quick", 2)
    assert runner.run_next() and runner.run_next()
    assert (saved(settings, failing).state, saved(settings, failing).error) == ("failed", said)
    row = store.get(failing)
    assert row and (row.state, row.error) == ("failed", said)
    assert state(store, next_one) == "done"
    assert left_over(settings) == []


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", None])
def test_a_run_with_a_garbage_record_fails_alone(
    runner: Runner, store: Store, settings: Settings, damage: bytes | None
) -> None:
    bad, good = submit(store, settings, "quick", 1), submit(store, settings, "quick", 2)
    file = settings.RESULTS_DIR / bad / "run.json"
    file.unlink() if damage is None else file.write_bytes(damage)
    assert runner.run_next() and runner.run_next()
    row = store.get(bad)
    assert row and (row.state, row.error) == ("failed", NO_RECORD)
    assert state(store, good) == "done"


def test_a_cancelled_waiting_run_is_never_begun(runner: Runner, store: Store, settings: Settings) -> None:
    run_id = submit(store, settings, "quick")
    assert store.request_cancel(run_id)
    assert not runner.run_next()
    assert saved(settings, run_id).state == "cancelled"
    assert not (settings.RESULTS_DIR / "order.txt").exists()


def in_background(runner: Runner) -> threading.Thread:
    thread = threading.Thread(target=runner.run_next)
    thread.start()
    return thread


def test_cancel_of_a_running_run(runner: Runner, store: Store, settings: Settings) -> None:
    run_id = submit(store, settings, "slow")
    thread = in_background(runner)
    workers_at_it(settings, store, run_id)
    asked = time.monotonic()
    assert store.request_cancel(run_id)
    thread.join(10)
    assert time.monotonic() - asked < 2
    assert state(store, run_id) == saved(settings, run_id).state == "cancelled"
    assert left_over(settings) == []


def test_a_cancel_counts_even_if_the_work_ends_with_an_error(store: Store, settings: Settings) -> None:
    class Stop(Exception):
        pass

    def execute(*_: object, cancelled: Callable[[], bool], **__: object) -> None:
        wait_for(cancelled)
        raise Stop

    run_id = submit(store, settings, "any")
    thread = in_background(Runner(settings, store, execute))
    wait_for(lambda: state(store, run_id) == "running")
    store.request_cancel(run_id)
    thread.join(10)
    assert (state(store, run_id), saved(settings, run_id).error) == ("cancelled", None)


def test_another_measured_run_goes_first_and_the_wait_is_said(runner: Runner, store: Store, settings: Settings) -> None:
    waits, cancelled = submit(store, settings, "quick", 1), submit(store, settings, "quick", 2)

    def waiting(run_id: str) -> bool:
        row = store.get(run_id)
        return bool(row and row.progress and row.progress["phase"] == "waiting")

    with machine_lock(lambda _: None) as alone:
        assert alone
        thread = in_background(runner)
        wait_for(lambda: waiting(waits))
    thread.join(10)
    assert state(store, waits) == "done"
    with machine_lock(lambda _: None):
        thread = in_background(runner)
        wait_for(lambda: waiting(cancelled))
        store.request_cancel(cancelled)
        thread.join(5)
    assert (state(store, cancelled), saved(settings, cancelled).error) == ("cancelled", None)


# The machine lock.


def test_two_processes_do_not_measure_at_once(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path; from imgproc.measure.lock import machine_lock\n"
            "with machine_lock(print, folder=Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()",
            str(tmp_path),
        ],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout and holder.stdout.readline() == b"held\n"
    waited: list[float] = []

    def on_wait(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            holder.kill()  # the system frees the lock of the dead

    with machine_lock(on_wait, folder=tmp_path) as alone:
        assert alone
    assert len(waited) >= 3 and waited == sorted(waited)
    holder.communicate()


@unix
def test_everybody_may_take_the_machine_lock(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        with machine_lock(lambda _: None, folder=tmp_path):
            (file,) = tmp_path.glob("speedup-lab*")
            assert file.stat().st_mode & 0o777 == 0o666
    finally:
        os.umask(before)


def test_where_no_lock_can_be_made_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with machine_lock(lambda _: None, folder=tmp_path / "file") as alone:
        assert not alone


def test_giving_up_the_wait(tmp_path: Path) -> None:
    def give_up(_: float) -> None:
        raise UserError("enough")

    with (
        machine_lock(lambda _: None, folder=tmp_path),
        pytest.raises(UserError, match="enough"),
        machine_lock(give_up, folder=tmp_path),
    ):
        pass


# What goes on beside a run.


def test_progress_is_stored_a_few_times_a_second_whatever_the_run_tells(settings: Settings) -> None:
    stored: list[int] = []

    class Counting(Store):
        def set_progress(self, run_id: str, progress: Progress) -> None:
            stored.append(progress.images_done)

    store = Counting(settings.database_url)
    with Monitor(store, "x", stuck_seconds=60, on_stuck=lambda: None) as monitor:
        end, told = time.monotonic() + 1.2, 0
        while time.monotonic() < end:
            told += 1
            monitor.progress(Progress("rounds", images_done=told))
        begin = time.perf_counter()
        for _ in range(1000):
            monitor.cancelled()
        assert time.perf_counter() - begin < 0.1  # no look into the store
    assert 2 <= len(stored) <= 5
    assert stored == sorted(stored)


def test_only_work_done_counts_as_moving(settings: Settings) -> None:
    stuck = threading.Event()
    with Monitor(Store(settings.database_url), "x", stuck_seconds=0.7, on_stuck=stuck.set) as monitor:
        end = time.monotonic() + 1.5
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
import sys
from fake_execute import execute
from imgproc.runs.runner import Runner
from imgproc.runs.store import Store
from imgproc.settings import Settings
settings = Settings.from_environment()
runner = Runner(settings, Store(settings.database_url, settings.RESULTS_DIR), execute)
runner.stuck_seconds = 0.8
runner.run_next()
"""


def test_a_run_that_hangs_is_failed_and_its_runner_ends(store: Store, settings: Settings) -> None:
    run_id = submit(store, settings, "hang")
    command = [sys.executable, "-c", WATCHED]
    ended = subprocess.run(command, env=runner_environment(settings), timeout=20, start_new_session=True, check=False)
    assert ended.returncode != 0
    row = store.get(run_id)
    assert row and row.state == "failed" and row.error == STUCK.format(seconds=0.8)
    assert saved(settings, run_id).error == row.error
    assert left_over(settings) == []


# Real runner processes, kept by a real supervisor.


@unix
def test_a_run_survives_kill_9_of_the_runner_once_and_is_interrupted_the_second_time(
    store: Store, settings: Settings, supervisor: Supervisor
) -> None:
    first, second = submit(store, settings, "slow", 1), submit(store, settings, "quick", 2)
    supervisor.start()
    processes = workers_at_it(settings, store, first)
    assert saved(settings, first).state == "running"
    os.kill(processes[0].pid, signal.SIGKILL)
    again = workers_at_it(settings, store, first)  # it is first in line again
    wait_for(lambda: gone(processes), seconds=3)
    assert state(store, second) == "queued"
    os.kill(again[0].pid, signal.SIGKILL)
    wait_for(lambda: state(store, second) == "done")
    record, row = saved(settings, first), store.get(first)
    assert row and row.state == record.state == "interrupted"
    assert row.error == record.error and "2 times" in str(row.error)
    assert left_over(settings) == []
    wait_for(lambda: gone(again), seconds=3)
    assert supervisor.restarts == 2 and supervisor.alive


@unix
def test_a_run_is_done_after_kill_9_of_the_runner(store: Store, settings: Settings, supervisor: Supervisor) -> None:
    run_id = submit(store, settings, "slow")
    supervisor.start()
    os.kill(workers_at_it(settings, store, run_id)[0].pid, signal.SIGKILL)
    wait_for(lambda: not supervisor.alive)
    (settings.RESULTS_DIR / "go").touch()
    wait_for(lambda: state(store, run_id) == "done")
    assert saved(settings, run_id).state == "done"
    assert left_over(settings) == []


@unix
def test_a_run_that_kills_every_runner_does_not_stop_the_others(
    store: Store, settings: Settings, supervisor: Supervisor
) -> None:
    poison, other = submit(store, settings, "die", 1), submit(store, settings, "quick", 2)
    supervisor.start()
    wait_for(lambda: state(store, other) == "done")
    assert state(store, poison) == "interrupted"


APP = """
import sys, time
from imgproc.runs.supervisor import Supervisor
from imgproc.settings import Settings
supervisor = Supervisor(Settings.from_environment(), execute="fake_execute:execute")
supervisor.start()
time.sleep(600)
"""


@unix
def test_kill_9_of_the_app_ends_runner_and_workers_and_the_next_app_finishes_the_run(
    store: Store, settings: Settings, supervisor: Supervisor
) -> None:
    run_id = submit(store, settings, "slow")
    app = subprocess.Popen([sys.executable, "-c", APP], env=runner_environment(settings))
    processes = workers_at_it(settings, store, run_id)
    assert processes[0].ppid() == app.pid
    app.kill()
    app.wait()
    wait_for(lambda: gone(processes), seconds=3)
    assert state(store, run_id) == "running"
    (settings.RESULTS_DIR / "go").touch()
    supervisor.start()
    wait_for(lambda: state(store, run_id) == "done")
    assert left_over(settings) == []


def test_stop_ends_runner_and_workers_at_once(store: Store, settings: Settings, supervisor: Supervisor) -> None:
    run_id = submit(store, settings, "slow")
    supervisor.start()
    supervisor.start()
    processes = workers_at_it(settings, store, run_id)
    begin = time.monotonic()
    supervisor.stop()
    assert time.monotonic() - begin < 2
    wait_for(lambda: gone(processes), seconds=1)
    assert not supervisor.alive and supervisor.pid is None and supervisor.restarts == 0
    supervisor.stop()


@unix
def test_a_runner_that_does_not_listen_is_killed(settings: Settings, supervisor: Supervisor) -> None:
    supervisor.start()
    wait_for(lambda: (settings.RESULTS_DIR / "runner.log").exists())
    assert supervisor.pid
    process = psutil.Process(supervisor.pid)
    process.suspend()
    supervisor.stop()
    wait_for(lambda: gone([process]), seconds=1)


def test_two_apps_on_one_folder_take_turns(store: Store, settings: Settings, supervisor: Supervisor) -> None:
    run_id = submit(store, settings, "slow")
    supervisor.start()
    processes = workers_at_it(settings, store, run_id)
    second = Supervisor(settings, execute="fake_execute:execute")
    second.start()
    try:
        time.sleep(2)  # long enough for the second one to meddle
        assert second.alive and second.restarts == 0
        assert not gone(processes)
        row = store.get(run_id)
        assert row and (row.state, row.attempts) == ("running", 1)
        (settings.RESULTS_DIR / "go").touch()
        supervisor.stop()
        wait_for(lambda: state(store, run_id) == "done")
    finally:
        second.stop()


def test_an_idle_runner_leaves_the_machine_alone(settings: Settings, supervisor: Supervisor) -> None:
    supervisor.start()
    wait_for(lambda: (settings.RESULTS_DIR / "runner.log").exists())
    time.sleep(0.5)
    assert supervisor.pid
    runner = psutil.Process(supervisor.pid)
    before = runner.cpu_times()
    time.sleep(2)
    after = runner.cpu_times()
    assert after.user + after.system - before.user - before.system <= 0.05


def test_the_runner_gets_the_settings_and_pinned_threads(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    own = Settings(RESULTS_DIR=Path("relative"), MAX_MEGAPIXELS=12.5, DATABASE_URL="", SECRET_KEY="hush")
    values = runner_environment(own)
    assert {values[name] for name in PINNED} == {"1"}
    assert "hush" not in values.values()
    read = Settings.from_environment(values)
    assert read.MAX_MEGAPIXELS == 12.5
    folder = read.RESULTS_DIR
    assert folder == Path("relative").absolute()
    assert read.TASK_SECONDS == own.TASK_SECONDS


# What a dead runner left behind.


def test_a_runner_that_died_after_its_record_was_saved(runner: Runner, store: Store, settings: Settings) -> None:
    run_id = submit(store, settings, "quick")
    assert store.claim(1) == run_id
    record = saved(settings, run_id)
    record.state = "done"
    record.save(settings.RESULTS_DIR / run_id)
    runner.recover()
    assert state(store, run_id) == "done"
    assert not runner.run_next()


def test_a_second_try_does_not_inherit_the_findings_of_the_first(
    runner: Runner, store: Store, settings: Settings
) -> None:
    run_id = submit(store, settings, "quick")
    store.claim(1)
    record = saved(settings, run_id)
    record.state, record.sample, record.warnings = "running", [0], ["first try"]
    record.techniques = record.weak = [TechniqueMeasurement("joblib", "joblib")]
    record.scaling = Scaling("joblib", 2)
    record.images[0].outputs = [OutputRecord("canny", "a_canny.png")]
    record.save(settings.RESULTS_DIR / run_id)
    runner.recover()
    record = saved(settings, run_id)
    assert (record.state, record.started, record.images[0].outputs) == ("queued", None, [])
    assert runner.run_next()
    record = saved(settings, run_id)
    assert (record.state, record.sample, record.warnings) == ("done", None, [])
    assert (record.weak, record.scaling) == ([], None)
    assert [t.name for t in record.techniques] == ["threading"]


def test_a_run_that_was_to_be_cancelled_is_not_begun_again(runner: Runner, store: Store, settings: Settings) -> None:
    run_id = submit(store, settings, "quick")
    store.claim(1)
    store.request_cancel(run_id)
    runner.recover()
    assert state(store, run_id) == saved(settings, run_id).state == "cancelled"


def test_the_database_is_deleted_while_a_run_was_running(runner: Runner, store: Store, settings: Settings) -> None:
    running, waiting = submit(store, settings, "quick", 1), submit(store, settings, "quick", 2)
    store.claim(1)
    record = saved(settings, running)
    record.state = "running"
    record.save(settings.RESULTS_DIR / running)
    for file in settings.RESULTS_DIR.glob("index.sqlite*"):
        file.unlink()
    runner.recover()
    while runner.run_next():
        pass
    assert (settings.RESULTS_DIR / "order.txt").read_text().split() == [running, waiting]
    assert state(store, running) == state(store, waiting) == "done"


# A full disk.


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("mounting a small disk is not permitted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("index_too", [False, True])
def test_a_disk_that_fills_up_during_a_run(small_disk: Path, tmp_path: Path, index_too: bool) -> None:
    """The run fails in plain words, with a whole record, and the runner is well once there is room again."""
    place = small_disk if index_too else tmp_path
    settings = Settings(
        UPLOADS_DIR=tmp_path / "uploads",
        RESULTS_DIR=small_disk,
        DATABASE_URL=f"sqlite:///{place / 'index.sqlite'}",
    )
    store = Store(settings.database_url, small_disk)

    def fill_up(record: Record, uploads: Path, results: Path, settings: Settings, **_: object) -> None:
        (results / "images").mkdir(exist_ok=True)
        with open(results / "images" / "out.png", "wb", buffering=0) as out:
            while True:
                out.write(bytes(4096))

    run_id = submit(store, settings, "any")
    runner = Runner(settings, store, fill_up)
    assert runner.run_next()
    assert json.loads((small_disk / run_id / "run.json").read_bytes())["state"] == "failed"
    row = store.get(run_id)
    assert row and (row.state, row.error) == ("failed", DISK_FULL)
    assert left_over(settings) == []


@pytest.mark.parametrize("index_too", [False, True])
def test_a_disk_that_is_full_from_the_first(small_disk: Path, tmp_path: Path, index_too: bool) -> None:
    place = small_disk if index_too else tmp_path
    settings = Settings(
        UPLOADS_DIR=tmp_path / "uploads",
        RESULTS_DIR=small_disk,
        DATABASE_URL=f"sqlite:///{place / 'index.sqlite'}",
    )
    store = Store(settings.database_url, small_disk)
    run_id = submit(store, settings, "quick")
    before = (small_disk / run_id / "run.json").read_bytes()
    with open(small_disk / "filler", "wb", buffering=0) as filler, pytest.raises(OSError):
        while True:
            filler.write(bytes(4096))
    runner = Runner(settings, store, fake_execute.execute)
    if index_too:
        with pytest.raises(UserError) as caught:
            runner.run_next()
        assert caught.value.code == "disk_full"
    else:
        assert runner.run_next()
        row = store.get(run_id)
        assert row and (row.state, row.error) == ("failed", DISK_FULL)
    assert (small_disk / run_id / "run.json").read_bytes() == before
    assert left_over(settings) == []
    (small_disk / "filler").unlink()
    next_one = submit(store, settings, "quick", 2)
    runner.recover()
    while runner.run_next():
        pass
    assert state(store, next_one) == "done"
    if index_too:
        assert state(store, run_id) == "done"
    store.close()


def test_uploads_that_never_became_a_run_are_removed_after_a_while(
    runner: Runner, store: Store, settings: Settings
) -> None:
    run_id = submit(store, settings, "quick")
    for name in (run_id, "0123456789ab", "ba9876543210"):
        (settings.UPLOADS_DIR / name).mkdir(parents=True)
        (settings.UPLOADS_DIR / name / "incoming-0000").write_bytes(b"x")
    for name in (run_id, "0123456789ab"):
        os.utime(settings.UPLOADS_DIR / name, (1, 1))
    runner.recover()
    assert sorted(p.name for p in settings.UPLOADS_DIR.iterdir()) == sorted([run_id, "ba9876543210"])
