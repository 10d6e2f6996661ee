"""The queue and index: order, claims from many sides, search, index from records, and damaged things."""

from __future__ import annotations

import json
import math
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgproc.errors import UserError
from imgproc.measure.results import Progress, Round, TechniqueMeasurement
from imgproc.runs.access import Access
from imgproc.runs.record import ImageRecord, Record, RunSettings
from imgproc.runs.store import RunRow, Store
from tests import postgresql

PROJECT = Path(__file__).resolve().parents[1]


def key(number: int) -> str:
    """The id of a record with this number."""
    return f"{number:012x}"


def record(number: int, *names: str, **values: object) -> Record:
    images = [ImageRecord(i, name, 1000, 1000, "JPEG") for i, name in enumerate(names or ("photo.jpg",))]
    created = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number)).isoformat()
    given = {"mode": "parallel", "settings": RunSettings(["canny"], {}), "created": created, **values}
    return Record(id=key(number), images=images, **given)  # type: ignore[arg-type]


def measured(name: str = "threading", seconds: float = 2.0, speedup: float | None = 1.5) -> TechniqueMeasurement:
    return TechniqueMeasurement(
        name, name.title(), workers=2, rounds=[Round(seconds)], median_seconds=seconds, speedup=speedup,
        speedup_ci95=[1.2, 1.8] if speedup else None,
    )  # fmt: skip


def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'index.sqlite'}"


@pytest.fixture(scope="module")
def new_database() -> Iterator[Callable[[], str]]:
    with postgresql.databases() as new:
        yield new


DATABASES = [
    "sqlite",
    pytest.param("postgresql", marks=pytest.mark.skipif(bool(postgresql.WHY_NOT), reason=postgresql.WHY_NOT)),
]


@pytest.fixture(params=DATABASES)
def index(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of each kind."""
    if request.param == "sqlite":
        return url(tmp_path)
    new: Callable[[], str] = request.getfixturevalue("new_database")
    return new()


@pytest.fixture
def store(index: str, tmp_path: Path) -> Iterator[Store]:
    store = Store(index, tmp_path)
    yield store
    store.close()


def row_of(store: Store, number: int) -> RunRow:
    row = store.get(key(number))
    assert row is not None
    return row


def test_oldest_first_and_each_once(store: Store) -> None:
    for number in (3, 1, 2):
        store.create(record(number))
    assert store.queued() == 3
    assert [store.position(key(n)) for n in (3, 1, 2)] == [0, 1, 2]
    assert store.claim(1) == key(3)
    assert [store.position(key(n)) for n in (3, 1, 2)] == [0, 1, 2]
    assert [store.claim(1), store.claim(1), store.claim(1)] == [key(1), key(2), None]
    assert store.queued() == 0


def test_a_run_queued_again_is_first_in_line(store: Store) -> None:
    for number in (1, 2, 3):
        store.create(record(number))
    assert store.claim(1) == key(1)
    store.requeue(key(1))
    row = row_of(store, 1)
    assert (row.state, row.attempts, row.started) == ("queued", 1, None)
    assert store.claim(1) == key(1)
    assert row_of(store, 1).attempts == 2


def together(script: str, *arguments: str, count: int) -> list[list[str]]:
    """What processes print that begin at the same moment: each says when it is ready, then all are let go."""
    script = f"import sys\nfrom pathlib import Path\nfrom imgproc.runs.store import Store\n{script}"
    script = script.replace("BEGIN", "print('ready', flush=True); sys.stdin.readline()")
    command, pipe = [sys.executable, "-c", script, *arguments], subprocess.PIPE
    started = [subprocess.Popen(command, cwd=PROJECT, text=True, stdin=pipe, stdout=pipe) for _ in range(count)]
    for process in started:
        assert process.stdout and process.stdout.readline() == "ready\n"
    with ThreadPoolExecutor() as threads:
        answers = list(threads.map(lambda process: process.communicate("go\n", timeout=60)[0].split(), started))
    assert [process.returncode for process in started] == [0] * count
    return answers


CLAIMER = """
store, mine = Store(sys.argv[1]), []
store.queued()
BEGIN
while (run := store.claim(1)) is not None:
    mine.append(run)
print(*mine)
"""


def test_two_processes_never_claim_the_same_run(store: Store, index: str) -> None:
    everything = [key(n) for n in range(200)]
    for number in range(200):
        store.create(record(number))
    one, two = together(CLAIMER, index, count=2)
    assert one and two
    assert sorted(one + two) == everything
    assert one == sorted(one) and two == sorted(two)


BEGINNER = """
BEGIN
for index, folder in zip(sys.argv[1::2], sys.argv[2::2]):
    print(Store(index, Path(folder)).queued())
"""


@pytest.mark.parametrize("kind", DATABASES)
def test_web_and_runner_may_begin_at_once_on_no_database(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    places = []
    for folder in (tmp_path / str(number) for number in range(8)):
        for number in range(4):
            record(number).save(folder / key(number))
        new = request.getfixturevalue("new_database") if kind == "postgresql" else lambda of=folder: url(of)
        places.append((new(), folder))
    assert len(together(BEGINNER, *(str(part) for place in places for part in place), count=4)) == 4
    for index, folder in places:
        store = Store(index, folder)
        assert store.history()[1] == 4
        store.close()


def test_threads_share_one_store(store: Store) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: store.create(record(n)), range(40)))
        claimed = list(threads.map(lambda _: store.claim(1), range(40)))
    assert sorted(filter(None, claimed)) == [key(n) for n in range(40)]


def test_what_a_row_says_of_a_run(store: Store, tmp_path: Path) -> None:
    Access("me", "public").save(tmp_path / key(1))
    store.create(record(1, "a.jpg", "b.jpg"))
    row = row_of(store, 1)
    assert (row.state, row.mode, row.technique, row.images) == ("queued", "parallel", "auto", 2)
    assert (row.owner, row.visible) == ("me", "public")
    assert row.created == datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
    assert (row.megapixels, row.seconds, row.progress, row.attempts) == (2.0, None, None, 0)
    assert store.claim(7) == row.id
    store.set_progress(row.id, Progress("rounds", "threading", round=3, share=0.5, seconds_left=math.inf))
    running = row_of(store, 1)
    assert running.progress is not None and running.started is not None
    assert (running.progress["round"], running.progress["seconds_left"]) == (3, None)
    done = record(1, "a.jpg", "b.jpg", state="done", techniques=[measured()], finished="2026-01-01T00:05:00+00:00")
    store.finish(done)
    row = row_of(store, 1)
    assert (row.state, row.technique, row.label, row.workers) == ("done", "threading", "Threading", 2)
    assert (row.seconds, row.speedup, row.speedup_low, row.speedup_high) == (2.0, 1.5, 1.2, 1.8)
    assert row.progress is None
    assert row.finished == datetime(2026, 1, 1, 0, 5, tzinfo=UTC)
    store.set_progress(row.id, Progress("rounds"))  # too late: the run has ended
    assert row_of(store, 1).progress is None
    assert store.get("nothing") is None


def test_a_comparison_is_listed_under_its_winner(store: Store) -> None:
    techniques = [measured("sequential", 4, None), measured("threading", 2, 2.0), measured("joblib", 1, 4.0)]
    store.finish(record(1, mode="compare", state="done", techniques=techniques, best="joblib"))
    assert row_of(store, 1).technique == "joblib"


def test_history_filters_and_pages(store: Store) -> None:
    for number in range(5):
        store.create(record(number, f"IMG_{number}.jpg", "Größe 100%.png"))
    store.finish(record(2, "IMG_2.jpg", state="done", techniques=[measured()]))
    store.finish(record(9, "other.jpg", mode="sequential", state="failed"))

    def ids(**filters: object) -> list[int]:
        return [int(row.id, 16) for row in store.history(**filters)[0]]  # type: ignore[arg-type]

    assert ids() == [9, 4, 3, 2, 1, 0]
    assert ids(per_page=2, page=2) == [3, 2]
    assert ids(per_page=2, page=9) == []
    assert ids(page=-1, per_page=1) == [9]
    assert store.history(per_page=2)[1] == 6
    assert ids(q="img_3") == [3]
    assert ids(q="GRÖSSE") == [4, 3, 1, 0]
    assert ids(q="00%.p") == [4, 3, 1, 0]
    assert ids(q="I_G") == ids(q="i%g") == ids(q="'; drop table runs_4; --") == []
    assert ids(q=key(4)) == [4]
    assert ids(mode="sequential") == ids(state="failed") == [9]
    assert ids(technique="threading", state="done") == [2]
    assert ids(since=datetime(2026, 1, 1, 0, 3, tzinfo=UTC)) == [9, 4, 3]


def test_technique_times_over_all_done_runs(store: Store) -> None:
    one = record(1, "a", "b", state="done", techniques=[measured("sequential", 4, None), measured("threading", 2, 2)])
    two = record(2, "a", state="done", techniques=[measured("threading", 3, 0.5)])
    three = record(3, "a", "b", "c", state="done", techniques=[measured("threading", 5, 3)])
    for run in (one, two):
        for technique in run.techniques:
            technique.megapixels_per_second = run.megapixels / (technique.median_seconds or 1)
    three.sample, three.techniques[0].megapixels_per_second = [0], 0.25
    ignored = record(4, state="failed", techniques=[measured("joblib", 1, 9)])
    for item in (one, two, three, ignored, two):  # the same run told twice counts once
        store.finish(item)
    first, second = store.by_technique()
    assert (first.technique, first.runs, first.images, first.speedup) == ("sequential", 1, 2, 1.0)
    assert first.seconds_per_megapixel == 2.0
    assert (second.technique, second.label, second.runs, second.images) == ("threading", "Threading", 3, 4)
    assert (second.speedup, second.speedup_min, second.speedup_max) == (2.0, 0.5, 3.0)
    paces = (second.seconds_per_megapixel, second.seconds_per_megapixel_min, second.seconds_per_megapixel_max)
    assert paces == (3.0, 1.0, 4.0)
    store.delete(one.id)
    assert [times.technique for times in store.by_technique()] == ["threading"]


def test_a_technique_that_ran_in_several_ways_counts_once_as_its_fastest(store: Store) -> None:
    ways = [measured("multiprocessing", seconds, speedup) for seconds, speedup in ((2, 1.0), (1, 2.0), (4, 0.5))]
    store.finish(record(1, "a", state="done", techniques=ways))
    [times] = store.by_technique()
    assert (times.runs, times.speedup) == (1, 2.0)


def test_cancel_of_a_waiting_run_is_at_once_and_in_its_record(store: Store, tmp_path: Path) -> None:
    waiting = record(1)
    waiting.save(tmp_path / waiting.id)
    store.create(waiting)
    assert store.request_cancel(waiting.id)
    assert row_of(store, 1).state == "cancelled"
    assert Record.load(tmp_path / waiting.id).state == "cancelled"
    assert store.claim(1) is None
    assert not store.request_cancel(waiting.id)
    assert not store.request_cancel("nothing")


def test_cancel_of_a_running_run_is_a_wish(store: Store) -> None:
    store.create(record(1))
    assert store.claim(1) == key(1)
    assert not store.cancel_requested(key(1))
    assert store.request_cancel(key(1))
    assert store.cancel_requested(key(1))
    assert row_of(store, 1).state == "running"


def test_delete_spares_a_running_run(store: Store) -> None:
    store.create(record(1))
    store.create(record(2))
    assert store.claim(1) == key(1)
    assert not store.delete(key(1))
    assert store.delete(key(2))
    assert not store.delete(key(2))
    assert store.history()[1] == 1


ODD: dict[str, dict[str, object]] = {
    "null-parts": {"images": None},
    "odd-time": {"created": "yesterday"},
    "odd-state": {"state": "asleep"},
    "number-name": {"id": 7},
    "of-another": {"id": key(5)},
    "odd-image": {"images": [{"index": 0, "name": 5, "outputs": []}]},
}
GARBAGE = {
    "no-json": b"\xff{",
    "empty": b"",
    "list": b"[]",
    "other-schema": b'{"schema": 99}',
    "cut": b'{"schema": 1, "id": "cut"',
    **{name: json.dumps({**record(5).to_dict(), "id": name, **odd}).encode() for name, odd in ODD.items()},
}


def test_an_empty_database_is_made_from_the_records_past_garbage(
    index: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, data in GARBAGE.items():
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "run.json").write_bytes(data)
    record(1, state="done", techniques=[measured()]).save(tmp_path / key(1))
    for number in (2, 3):
        record(number).save(tmp_path / key(number))
    store = Store(index, tmp_path)
    rows, total = store.history()
    assert total == 3
    assert [int(row.id, 16) for row in rows] == [3, 2, 1]
    assert caplog.text.count("cannot be read") == len(GARBAGE)
    assert store.by_technique()[0].technique == "threading"
    assert store.claim(1) == key(2)
    store.close()


def test_a_database_deleted_under_a_living_store(tmp_path: Path) -> None:
    store, other = Store(url(tmp_path), tmp_path), Store(url(tmp_path), tmp_path)
    for number in (1, 2):
        record(number).save(tmp_path / key(number))
        store.create(record(number))
    assert other.claim(1) == key(1)
    for file in tmp_path.glob("index.sqlite*"):
        file.unlink()
    assert other.history()[1] == 2
    other.finish(record(1, state="done", techniques=[measured()]))
    assert row_of(store, 1).state == "done"
    assert store.claim(1) == key(2)


def test_creating_a_run_whose_record_was_found_first_is_no_error(store: Store) -> None:
    store.create(record(1))
    store.create(record(1))
    assert store.history()[1] == 1


@given(st.text(max_size=30), st.floats())
@settings(max_examples=40, deadline=None)
def test_any_name_and_any_number_can_be_kept(lasting: Store, name: str, number: float) -> None:
    store = lasting
    item = record(1, name, state="done", techniques=[measured(seconds=1, speedup=number)])
    store.delete(item.id)
    store.finish(item)
    assert row_of(store, 1).speedup == (number if math.isfinite(number) else None)
    word = name.replace("\0", "").strip()
    assert store.history(q=word)[1] == 1


@pytest.fixture(scope="module", params=DATABASES)
def lasting(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One for all examples of a test."""
    postgres = request.param == "postgresql"
    store = Store(request.getfixturevalue("new_database")() if postgres else url(tmp_path_factory.mktemp("shared")))
    yield store
    store.close()


def test_a_busy_writer_is_waited_for(tmp_path: Path) -> None:
    store = Store(url(tmp_path))
    store.create(record(1))
    other = sqlite3.connect(tmp_path / "index.sqlite", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.5, lambda: other.execute("ROLLBACK"))
    timer.start()
    assert store.claim(1) == key(1)
    timer.join()
    other.close()


def damage_nothing_of_it(file: Path) -> None:
    file.write_bytes(b"this is no database" * 100)


def damage_the_middle(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[4096 : len(data) - 4096] = b"\xa5" * (len(data) - 8192)
    file.write_bytes(data)


def damage_the_columns(file: Path) -> None:
    connection = sqlite3.connect(file)
    connection.execute(f"ALTER TABLE {RunRow.__tablename__} DROP COLUMN megapixels")
    connection.commit()
    connection.close()


@pytest.mark.parametrize("damage", [damage_nothing_of_it, damage_the_middle, damage_the_columns])
def test_a_damaged_index_is_set_aside_and_made_anew(damage: Callable[[Path], None], tmp_path: Path) -> None:
    file = tmp_path / "index.sqlite"
    before = Store(url(tmp_path), tmp_path)
    for number in range(40):
        record(number).save(tmp_path / key(number))
        before.create(record(number))
    before.close()
    damage(file)
    damaged = file.read_bytes()
    assert len(together(BEGINNER, url(tmp_path), str(tmp_path), count=3)) == 3
    assert Store(url(tmp_path), tmp_path).history()[1] == 40
    [aside] = tmp_path.glob("index.sqlite.damaged-*")
    assert aside.read_bytes() == damaged


def test_an_index_that_is_damaged_while_it_is_used_is_made_anew_at_the_next_use(tmp_path: Path) -> None:
    store = Store(url(tmp_path), tmp_path)
    for number in range(40):
        record(number).save(tmp_path / key(number))
        store.create(record(number))
    checkpoint = sqlite3.connect(tmp_path / "index.sqlite")
    checkpoint.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    checkpoint.close()
    damage_the_middle(tmp_path / "index.sqlite")
    store.close()  # what this process has read is not looked at again otherwise
    with suppress(UserError):
        store.history()
    assert store.history()[1] == 40
    assert store.claim(1) == key(0)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("index.sqlite", "no SQLAlchemy URL"),
        ("sqlite+nothing://", "no SQLAlchemy URL"),
        ("postgresql+psycopg://host:port/index", "no SQLAlchemy URL"),
        ("oracle://host/index", "needs the Python package"),
    ],
)
def test_an_address_of_no_database_is_said_in_plain_words(address: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        Store(address)
    assert caught.value.field == "DATABASE_URL"


@pytest.mark.skipif(bool(postgresql.WHY_NOT), reason=postgresql.WHY_NOT)
def test_a_database_that_does_not_answer_is_not_told_to_be_a_file() -> None:
    with pytest.raises(UserError, match="see that the database of DATABASE_URL is running") as caught:
        Store("postgresql+psycopg://127.0.0.1:1/index?connect_timeout=5").queued()
    assert caught.value.code == "unavailable"


def test_a_file_that_is_no_database_is_said_in_plain_words(tmp_path: Path) -> None:
    (tmp_path / "index.sqlite").write_bytes(b"this is no database" * 100)
    with pytest.raises(UserError, match="cannot be read or written") as caught:
        Store(url(tmp_path)).queued()
    assert caught.value.code == "unavailable"
    assert str(tmp_path) not in caught.value.message


def test_sqlite_keeps_a_write_ahead_log(tmp_path: Path) -> None:
    Store(url(tmp_path)).create(record(1))
    assert (tmp_path / "index.sqlite").read_bytes()[18:20] == b"\x02\x02"
