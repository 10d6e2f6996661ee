"""How runs go: deleted by their owner at once, on a full disk too; by themselves when too old or too many."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeRun, browsing, owner_in
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from app import create_app
from imgproc.errors import UserError
from imgproc.runs.access import Access, owner_of
from imgproc.runs.record import Record, RunSettings
from imgproc.runs.removal import Retention, in_use, remove
from imgproc.runs.reserve import NAME as RESERVED
from imgproc.runs.runner import Runner
from imgproc.runs.store import Store
from imgproc.settings import Settings
from tests.live_app import Live

HTML, JSON = {"Accept": "text/html"}, {"Accept": "application/json"}
Add = Callable[..., str]


@pytest.fixture
def add(settings: Settings, store: Store) -> Add:
    return add_to(settings, store)


def add_to(settings: Settings, store: Store) -> Add:
    """Makes a run that ended so many days ago, with results of so many megabytes."""
    numbers = iter(range(1, 1000))

    def make(days: float = 0, megabytes: float = 0, state: str = "done") -> str:
        ended = (datetime.now(UTC) - timedelta(days=days)).isoformat()
        record = Record(f"{next(numbers):032x}", "parallel", RunSettings(["canny"], {}), created=ended)
        record.state = "queued" if state == "running" else state  # type: ignore[assignment]
        record.finished = ended if state == "done" else None
        folder = settings.RESULTS_DIR / record.id
        record.save(folder)
        for part, share in ((folder / "images", 0.5), (settings.UPLOADS_DIR / record.id, 0.5)):
            part.mkdir(parents=True)
            with open(part / "0000.png", "wb") as file:
                file.truncate(int(megabytes * share * 1e6))
        store.create(record)
        if state == "running":
            while store.claim(1) != record.id:
                pass
        return record.id

    return make


def left(settings: Settings, store: Store) -> set[str]:
    """The runs there are: the same in the index, the results and the uploads."""
    names = {row.id for row in store.history(per_page=1000)[0]}
    assert {path.name for path in settings.RESULTS_DIR.iterdir() if path.is_dir()} == names
    assert {path.name for path in settings.UPLOADS_DIR.glob("[!.]*")} == names
    return names


# ---------------------------------------------------------------- by themselves


def monthly(settings: Settings) -> Settings:
    """Runs are kept for 30 days; unless told so, for ever."""
    return replace(settings, KEEP_DAYS=30)


def test_runs_that_ended_too_long_ago_go(settings: Settings, store: Store, add: Add) -> None:
    old, _ = add(days=30.01), [kept := {add(days=29.9), add(days=40, state="queued"), add(days=40, state="running")}]
    assert Retention(monthly(settings), store).apply() == [old]
    assert left(settings, store) == kept
    assert Retention(settings, store).apply() == []


def test_above_the_quota_the_oldest_go(settings: Settings, store: Store, add: Add) -> None:
    first, second, waiting = add(3, 4), add(5, 4), add(9, 4, state="queued")
    third, running, newest = add(1, 4), add(9, 4, state="running"), add(0, 4)
    retention = Retention(replace(settings, KEEP_MB=24), store)
    assert retention.apply() == [second]  # the records make it a little more than 24
    assert Retention(replace(settings, KEEP_MB=17), store).apply() == [first]
    # What runs or waits counts, but does not go; nor does the newest, which somebody waits for.
    assert Retention(replace(settings, KEEP_MB=1), store).apply() == [third]
    assert left(settings, store) == {waiting, running, newest}


def test_what_two_runs_share_counts_once(settings: Settings, store: Store, add: Add) -> None:
    old, new = add(2, 4), add(1, 4)
    for folder in (settings.UPLOADS_DIR, settings.RESULTS_DIR):
        one, other = (next((folder / run).rglob("*.png")) for run in (old, new))
        other.unlink()
        os.link(one, other)
    assert Retention(replace(settings, KEEP_MB=5), store).apply() == []


RUN = st.tuples(st.sampled_from(["done", "queued", "running"]), st.integers(0, 60), st.integers(0, 5))


@given(st.lists(RUN, max_size=7), st.sampled_from([0, 30.5]), st.integers(0, 12))
@hypothesis_settings(max_examples=25, deadline=None)
def test_nothing_goes_that_need_not(
    tmp_path_factory: pytest.TempPathFactory, runs: list[tuple[str, int, int]], days: float, megabytes: int
) -> None:
    folder = tmp_path_factory.mktemp("runs")
    own = Settings(UPLOADS_DIR=folder / "u", RESULTS_DIR=folder / "r", KEEP_DAYS=days, KEEP_MB=megabytes)
    store = Store(own.database_url, own.RESULTS_DIR)
    make = add.__wrapped__(own, store)  # type: ignore[attr-defined]
    facts = {make(age, size, state): (state, age, size) for state, age, size in runs}
    gone = set(Retention(own, store).apply())
    kept = facts.keys() - gone
    assert ({row.id for row in store.history(per_page=99)[0]} if facts else set()) == kept
    store.close()
    # The newest first; of two that ended on the same day the one that was made later.
    ended = [(age, run) for run, (state, age, _) in reversed(facts.items()) if state == "done"]
    ended.sort(key=lambda one: one[0])
    assert gone <= {run for _, run in ended}
    due = {run for age, run in ended if days and age > days}
    assert due <= gone
    rest = [run for age, run in ended if run not in due]
    for_room = [run for run in rest if run in gone]
    assert for_room == rest[len(rest) - len(for_room) :] and (not rest or rest[0] in kept)  # the oldest of them
    total = sum(facts[run][2] for run in kept)
    if for_room:  # one less would have been too much
        assert total + facts[for_room[0]][2] > megabytes - 0.1
    if megabytes and total > megabytes:
        assert len([run for run in rest if run in kept]) <= 1


def test_a_run_that_is_downloaded_does_not_go(
    settings: Settings, store: Store, client: FlaskClient, make_run: MakeRun
) -> None:
    run = make_run(finished="2026-01-01T00:00:00+00:00")
    retention = Retention(monthly(settings), store)
    with client.get(f"/runs/{run.id}/results.zip", buffered=False) as answer:
        pieces = iter(answer.response)
        first = next(pieces)
        assert retention.apply() == [] and store.get(run.id)
        assert len(zipfile.ZipFile(BytesIO(first + b"".join(pieces))).namelist()) >= 9
    assert retention.apply() == [run.id]


def test_a_download_that_is_broken_off_or_refused_holds_nothing(
    settings: Settings, store: Store, client: FlaskClient, make_run: MakeRun
) -> None:
    run, empty = make_run(finished="2026-01-01T00:00:00+00:00"), make_run(state="failed")
    answer = client.get(f"/runs/{run.id}/results.zip", buffered=False)
    next(iter(answer.response))
    answer.close()
    assert client.get(f"/runs/{empty.id}/results.zip").status_code == 404
    for folder in (run.id, empty.id):
        assert not list((settings.RESULTS_DIR / folder).glob("download-*"))


@pytest.mark.skipif(os.name != "posix", reason="kill -9")
def test_a_download_of_an_app_that_was_killed_holds_nothing(settings: Settings, store: Store, add: Add) -> None:
    run = add(days=31)
    code = "import sys; from pathlib import Path; from imgproc.runs.removal import in_use\n"
    code += "with in_use(Path(sys.argv[1])): print('ready', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(settings.RESULTS_DIR / run)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=Path(__file__).parents[1], stdin=pipe, stdout=pipe, text=True) as app:
        assert app.stdout and app.stdout.readline() == "ready\n"
        assert Retention(monthly(settings), store).apply() == []
        app.kill()
    assert Retention(monthly(settings), store).apply() == [run]


def test_a_mark_of_another_machine_holds_for_a_day(settings: Settings, store: Store, add: Add) -> None:
    run = add(days=31)
    mark = settings.RESULTS_DIR / run / "download-0badcafe-1-0123456789ab"
    mark.touch()
    assert Retention(monthly(settings), store).apply() == []
    os.utime(mark, (time.time() - 86_500,) * 2)
    assert Retention(monthly(settings), store).apply() == [run]


def test_the_runner_sees_to_it(settings: Settings, store: Store, add: Add) -> None:
    old, new = add(days=31), add(days=1)
    lost = add(days=1)
    for folder in (settings.RESULTS_DIR, settings.UPLOADS_DIR):
        subprocess.run(["rm", "-r", str(folder / lost)], check=True)
    runner = Runner(monthly(settings), store, lambda *_, **__: None)
    runner.tidy()
    assert left(settings, store) == {new} and store.get(old) is None


def test_an_index_that_cannot_be_used_keeps_them(
    settings: Settings, store: Store, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(days=31)

    def unavailable(*_: Any) -> None:
        raise UserError("No.", code="unavailable")

    monkeypatch.setattr(store, "delete", unavailable)
    Runner(monthly(settings), store, lambda *_, **__: None).tidy()
    monkeypatch.undo()
    assert len(left(settings, store)) == 1


@pytest.mark.parametrize(("changes", "said"), [
    ({"KEEP_DAYS": 30, "KEEP_MB": 20_000}, r"until 31.Jan.2026, \d\d:\d\d, or until newer runs need the room: 20.0.GB"),
    ({"KEEP_DAYS": 30}, r"until 31.Jan.2026, \d\d:\d\d\."),
    ({"KEEP_MB": 500}, r"until newer runs need the room: 500\.0.MB for all together\."),
    ({}, "until somebody deletes it"),
])  # fmt: skip
def test_the_page_says_until_when(settings: Settings, make_run: MakeRun, changes: dict[str, Any], said: str) -> None:
    run = make_run(finished="2026-01-01T12:00:00+00:00")
    app = create_app(replace(settings, **changes))
    page = app.test_client().get(f"/runs/{run.id}", headers=HTML).text
    app.config["STORE"].close()
    assert re.search(rf"Kept, with the images that were sent, {said}", page)


# ---------------------------------------------------------------- at once


def test_several_are_deleted_at_once(client: FlaskClient, make_run: MakeRun, store: Store, settings: Settings) -> None:
    mine = owner_in(client)
    own = [make_run(owner=mine).id for _ in range(3)]
    running, theirs = make_run(owner=mine, state="running").id, make_run(owner=owner_of("x"), visible="public").id
    page = client.get("/runs", headers=HTML).text
    assert [page.count(f'name="run" value="{run}"') for run in (*own, running, theirs)] == [1, 1, 1, 0, 1]
    answer = client.post("/runs/delete", data={"run": [*own[:2], own[0], running, theirs, "0" * 32]}, headers=JSON)
    said = answer.get_json()
    assert answer.status_code == 200 and said["deleted"] == own[:2]
    assert {one["id"]: one["code"] for one in said["stay"]} == {
        running: "conflict", theirs: "not_owner", "0" * 32: "not_found"
    }  # fmt: skip
    assert left(settings, store) == {own[2], running, theirs}
    answer = client.post("/runs/delete", data={"run": [running]}, headers=HTML)
    assert answer.status_code == 409 and "1 of 1 run could not be deleted. This run is being measured." in answer.text
    assert client.post("/runs/delete", data={"run": own[2:]}, headers=HTML).headers["Location"] == "/runs"
    assert client.post("/runs/delete", headers=JSON).get_json()["error"]["field"] == "run"
    assert left(settings, store) == {running, theirs}


def test_deleting_does_not_wait_for_a_download(client: FlaskClient, make_run: MakeRun, settings: Settings) -> None:
    run = make_run(owner=owner_in(client))
    with in_use(settings.RESULTS_DIR / run.id):
        assert client.post(f"/runs/{run.id}/delete", headers=JSON).status_code == 200
        assert not (settings.RESULTS_DIR / run.id).exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MB, of whose space nothing is kept back."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here (needs Linux and its administrator)")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> None:
    with open(folder / "filler", "wb", buffering=0) as file:
        for size in (100_000, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as problem:
                assert problem.errno == errno.ENOSPC


@pytest.mark.parametrize("secret", [{}, {"SECRET_KEY": secrets.token_hex(32)}], ids=["key", "index"])
def test_on_a_full_disk_the_app_says_at_its_start_that_it_is_full(
    secret: dict[str, str], small_disk: Path, settings: Settings
) -> None:
    """The first that it wants to write is its key, or, where it has one, the index."""
    own = replace(settings, UPLOADS_DIR=small_disk / "u", RESULTS_DIR=small_disk / "r")
    app = create_app(own)
    assert app.config["STORE"].waiting() == 0  # the index is there from now on
    app.config["STORE"].close()
    fill(small_disk)
    environment = {**os.environ, "UPLOADS_DIR": str(own.UPLOADS_DIR), "RESULTS_DIR": str(own.RESULTS_DIR)}
    done = subprocess.run(
        [sys.executable, "-m", "imgproc", "serve", "--port", "0"], capture_output=True, text=True, timeout=15,
        env={**environment, **secret},
    )  # fmt: skip
    assert done.returncode == 1 and "The disk is full. Free some space" in done.stderr
    assert "Traceback" not in done.stderr and "remove the index" not in done.stderr


def test_an_app_that_was_served_before_starts_on_a_full_disk(tmp_path: Path) -> None:
    """In the room that its runner has kept back, so that runs can be deleted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=5m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here (needs Linux and its administrator)")
    try:
        with Live(tmp_path, UPLOADS_DIR=disk / "u", RESULTS_DIR=disk / "r") as live:
            live.start()
            live.wait((disk / "r" / RESERVED).exists, "the room kept back", 30)
            live.stop()
            fill(disk)
            live.start()
            answer = live.http.get("/healthz")
            assert (answer.status_code, answer.json()["status"]) == (503, "disk full")
            assert live.http.get("/runs").status_code == 200
            (disk / "filler").unlink()
            live.stop()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_deleting_on_a_full_disk_makes_room(small_disk: Path, settings: Settings) -> None:
    own = replace(settings, UPLOADS_DIR=small_disk / "u", RESULTS_DIR=small_disk / "r")
    app = create_app(own)
    client, store = app.test_client(), app.config["STORE"]
    runs = []
    for number in range(2):
        record = Record(f"{number:032x}", "parallel", RunSettings(["canny"], {}), state="done")
        Access(owner_in(client)).save(own.RESULTS_DIR / record.id)
        record.save(own.RESULTS_DIR / record.id)
        (own.UPLOADS_DIR / record.id).mkdir()
        (own.UPLOADS_DIR / record.id / "0000.jpg").write_bytes(bytes(300_000))
        store.create(record)
        runs.append(record.id)
    assert client.get("/runs", headers=HTML).text.count('name="run"') == 2
    fill(small_disk)
    with pytest.raises(UserError) as full:  # it really is too full for the index
        store.show(runs[1], "public")
    assert full.value.code == "disk_full"
    for run in runs:
        answer = client.post(f"/runs/{run}/delete", headers=JSON)
        assert (answer.status_code, answer.get_json()["state"]) == (200, "deleted")
        assert client.get(f"/runs/{run}", headers=HTML).status_code == 404
        assert not (own.RESULTS_DIR / run).exists() and not (own.UPLOADS_DIR / run).exists()
    assert "No run yet" in client.get("/runs", headers=HTML).text
    app.config["PREVIEWS"].close()
    store.close()


@pytest.fixture
def apart(settings: Settings, tmp_path: Path) -> Iterator[tuple[Settings, Store]]:
    """Settings with an index that does not lie among the results, and that index."""
    own = replace(settings, DATABASE_URL=f"sqlite:///{tmp_path / 'elsewhere.sqlite'}")
    own.make_folders()
    store = Store(own.database_url, own.RESULTS_DIR)
    yield own, store
    store.close()


def test_results_that_are_not_mounted_cost_the_index_nothing(
    apart: tuple[Settings, Store], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    own, store = apart
    ended = add_to(own, store)
    runs = [ended(days=day) for day in (3, 2, 1)]
    Retention(own, store).apply()
    mounted = own.RESULTS_DIR.rename(tmp_path / "not mounted")
    own.RESULTS_DIR.mkdir()
    new = ended()  # which goes on where the disk should be
    hour_ago = time.time() - 2 * 3600
    for run in runs:
        os.utime(own.UPLOADS_DIR / run, (hour_ago, hour_ago))
    runner = Runner(own, store, lambda *_, **__: None)
    runner.recover()
    runner.tidy()
    runner.tidy()
    assert {row.id for row in store.ended()} == {*runs, new}
    assert all((own.UPLOADS_DIR / run).is_dir() for run in runs)
    assert [record.getMessage()[:19] for record in caplog.records] == ["3 runs of the index"]

    (own.RESULTS_DIR / new).rename(mounted / new)
    shutil.rmtree(own.RESULTS_DIR)
    mounted.rename(own.RESULTS_DIR)
    shutil.rmtree(own.RESULTS_DIR / runs[0])  # this one is gone indeed
    runner.tidy()
    assert {row.id for row in store.ended()} == {*runs[1:], new}


def test_a_run_waits_while_its_results_are_not_mounted_and_goes_on_afterwards(
    apart: tuple[Settings, Store], tmp_path: Path
) -> None:
    own, store = apart
    add = add_to(own, store)
    waits, runs = add(state="queued"), add(state="running")
    mounted = own.RESULTS_DIR.rename(tmp_path / "not mounted")
    own.RESULTS_DIR.mkdir()

    def execute(record: Record, *_: Any, **__: Any) -> None:
        record.state = "done"

    runner = Runner(own, store, execute)
    runner.recover()
    runner.tidy()
    assert not runner.run_next()
    assert {row.id: (row.state, row.error) for row in store.history()[0]} == dict.fromkeys(
        (waits, runs), ("queued", None)
    )
    app = create_app(replace(own, HISTORY="shared"))
    answer = app.test_client().get(f"/runs/{waits}.json")
    assert answer.status_code == 503 and "disk that is not there" in answer.get_json()["error"]["message"]
    app.config["STORE"].close()

    shutil.rmtree(own.RESULTS_DIR)
    mounted.rename(own.RESULTS_DIR)
    assert runner.run_next() and runner.run_next()
    assert {row.state for row in store.history()[0]} == {"done"}
    runner.tidy()
    shutil.rmtree(own.RESULTS_DIR / add(state="queued"))  # with the disk there, this one is gone
    assert runner.run_next()
    assert [row.state for row in store.history()[0]].count("failed") == 1


def test_uploads_stay_while_results_and_index_are_not_mounted(
    settings: Settings, store: Store, add: Add, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = add()
    Runner(settings, store, lambda *_, **__: None).recover()
    store.close()
    mounted = settings.RESULTS_DIR.rename(tmp_path / "not mounted")
    settings.RESULTS_DIR.mkdir()
    abandoned = settings.UPLOADS_DIR / ("f" * 32)
    abandoned.mkdir()
    for folder in (settings.UPLOADS_DIR / run, abandoned):
        os.utime(folder, (1, 1))
    empty = Store(settings.database_url, settings.RESULTS_DIR)
    runner = Runner(settings, empty, lambda *_, **__: None)
    runner.recover()
    runner.tidy()
    assert (settings.UPLOADS_DIR / run).is_dir() and abandoned.is_dir()
    assert [one.getMessage()[:14] for one in caplog.records] == ["RESULTS_DIR is"]
    empty.close()

    shutil.rmtree(settings.RESULTS_DIR)
    mounted.rename(settings.RESULTS_DIR)
    Runner(settings, store, lambda *_, **__: None).recover()
    assert (settings.UPLOADS_DIR / run).is_dir() and not abandoned.exists()


def test_an_index_elsewhere_forgets_nothing_before_it_has_seen_its_results(apart: tuple[Settings, Store]) -> None:
    own, store = apart
    ended = add_to(own, store)
    runs = [ended(), ended()]
    shutil.rmtree(own.RESULTS_DIR / runs[0])
    Retention(own, store).apply()
    assert {row.id for row in store.ended()} == set(runs)
    assert store.delete(runs[0])
    Retention(own, store).apply()
    shutil.rmtree(own.RESULTS_DIR / runs[1])
    Retention(own, store).apply()
    assert not store.ended()


def test_where_the_index_is_full_the_files_go_and_the_rest_follows(
    settings: Settings, store: Store, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, running, real = add(), add(state="running"), store.delete

    def full(run_id: str) -> bool:
        raise UserError("The disk is full.", code="disk_full")

    monkeypatch.setattr(store, "delete", full)
    assert remove(settings, store, run)
    assert not (settings.RESULTS_DIR / run).exists() and not (settings.UPLOADS_DIR / run).exists()
    assert not remove(settings, store, running) and (settings.RESULTS_DIR / running).exists()
    monkeypatch.setattr(store, "delete", real)
    Runner(monthly(settings), store, lambda *_, **__: None).tidy()
    assert left(settings, store) == {running}


@pytest.mark.browser
def test_choosing_runs_in_a_browser(browser: Any, server: str, app: Flask, make_run: MakeRun, store: Store) -> None:
    with browsing(browser, server) as open_page:
        page = open_page("/runs", viewport={"width": 360, "height": 800})
        answer = page.request.post(f"{server}/process", form={"samples": "1"}, headers=JSON)
        assert answer.status == 202
        page.reload()
        page.get_by_role("button", name="Choose all on this page").click()
        assert page.get_by_role("checkbox", name="Choose the run").is_checked()
        page.get_by_text("Delete chosen").click()
        page.get_by_role("button", name="Delete the chosen runs").click()
        page.get_by_role("heading", name="No run yet").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert store.history()[1] == 0
