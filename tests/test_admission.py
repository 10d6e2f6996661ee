"""How much may wait, of all and of one visitor; whose turn it is; who may not is told so before the body is sent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeRun, served
from flask import Flask
from flask.testing import FlaskClient
from test_many_clients import UPLOAD, head, open_sockets, read_answer
from test_store import key, record

from app import create_app
from imgproc.runs.access import Access
from imgproc.runs.store import Store
from imgproc.settings import Settings

JSON = {"Accept": "application/json"}
#: What every browser says of itself.
BROWSER = {**JSON, "Sec-Fetch-Site": "same-origin"}
PATIENCE = 30.0

AppWith = Callable[..., Flask]
Create = Callable[[int, str], None]


@pytest.fixture
def app_with(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppWith]:
    """An app with other settings; it waits for the index however busy the machine is."""
    monkeypatch.setattr("imgproc.web.admission.WAIT_SECONDS", PATIENCE)
    apps: list[Flask] = []

    def make(**changes: Any) -> Flask:
        apps.append(create_app(replace(settings, **changes)))
        return apps[-1]

    yield make
    for app in apps:
        app.config["STORE"].close()


def post(client: FlaskClient, headers: dict[str, str] = BROWSER, address: str = "", **fields: str) -> Any:
    origin = {"REMOTE_ADDR": address} if address else {}
    given = {"samples": "1", **fields}
    return client.post("/process", data=given, headers=headers, environ_overrides=origin)


def refused(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 429 and answer.headers["Retry-After"] == "30"
    error: dict[str, Any] = answer.get_json()["error"]
    assert error["code"] == "queue_full"
    return error


# ---------------------------------------------------------------- of one visitor


def test_a_browser_may_have_so_many_waiting_and_others_still_get_in(app_with: AppWith) -> None:
    app = app_with(MAX_QUEUED_PER_VISITOR=2, MAX_QUEUED=4)
    first, second = app.test_client(), app.test_client()
    answers = [post(first) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    error = refused(post(first))
    assert error["limit"] == 2 and "2 of your runs" in error["message"] and "cancel" in error["message"]
    assert post(second).status_code == 202
    assert first.post(f"{answers[0].get_json()['url']}/cancel", headers=JSON).status_code == 200
    assert post(first).status_code == 202
    assert post(second).status_code == 202
    assert refused(post(app.test_client()))["limit"] == 4  # now it is full for all


def test_programs_without_a_cookie_count_by_their_address(app_with: AppWith) -> None:
    app = app_with(MAX_QUEUED_PER_VISITOR=2)

    def curl(address: str) -> Any:
        return post(app.test_client(use_cookies=False), JSON, address)

    assert [curl("192.0.2.1").status_code for _ in range(3)] == [202, 202, 429]
    assert curl("192.0.2.2").status_code == 202


def test_a_class_behind_one_address_is_no_one_visitor(app_with: AppWith) -> None:
    app = app_with(MAX_QUEUED_PER_VISITOR=2)
    assert [post(app.test_client(), address="192.0.2.1").status_code for _ in range(5)] == [202] * 5


def test_minutes_of_measuring_are_limited_by_the_budgets(app_with: AppWith) -> None:
    client = app_with(MAX_MINUTES_PER_VISITOR=10).test_client()
    too_long = post(client, budget="601")
    assert (too_long.status_code, too_long.get_json()["error"]["field"]) == (400, "budget")
    assert post(client, budget="400").status_code == 202
    error = refused(post(client, budget="300"))
    assert error["limit"] == 10 and "7 minutes" in error["message"] and "budget" in error["message"]
    assert post(client, budget="200").status_code == 202
    assert refused(post(client, budget="0"))["limit"] == 10
    assert post(client.application.test_client(), budget="600").status_code == 202


def test_one_user_of_this_machine_never_meets_the_limits_of_a_visitor() -> None:
    settings = Settings()
    assert settings.MAX_QUEUED_PER_VISITOR >= 20  # as many as the queue took before there were such limits
    assert settings.MAX_MINUTES_PER_VISITOR * 60 >= 86_400  # the longest budget there is


def test_whose_runs_wait_is_told_to_nobody(app: Flask, settings: Settings) -> None:
    answer = post(app.test_client(use_cookies=False), JSON, "192.0.2.1")
    row = app.config["STORE"].get(answer.get_json()["id"])
    assert len(row.visitor) == 64 and row.visitor != row.owner
    for path in (settings.RESULTS_DIR / row.id).iterdir():
        assert b"192.0.2.1" not in path.read_bytes()
    assert row.visitor not in (settings.RESULTS_DIR / row.id / "run.json").read_text()


# ---------------------------------------------------------------- before the body


@pytest.fixture
def full(app_with: AppWith, make_run: MakeRun) -> Flask:
    make_run(state="queued")
    return app_with(MAX_QUEUED=1)


@pytest.mark.parametrize("more", [[], ["Expect: 100-continue"]], ids=["", "asks first"])
def test_a_full_queue_refuses_before_a_body_is_sent(full: Flask, more: list[str], settings: Settings) -> None:
    with served(full) as port, open_sockets(port, 1, head("POST /process", port, *UPLOAD, *more)) as (one,):
        status, said = read_answer(one)
    assert (status, said["error"]["code"]) == (429, "queue_full")
    assert len(list(settings.UPLOADS_DIR.iterdir())) == 1  # of the run that waits


def test_who_sends_all_of_it_still_reads_why_and_when_to_come_again(full: Flask) -> None:
    with served(full) as port, open_sockets(port, 1, head("POST /process", port, *UPLOAD)) as (one,):
        one.sendall(bytes(50_000_000))
        answer = b"".join(iter(lambda: one.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 429 ") and b"\r\nRetry-After: 30\r\n" in answer and b"queue_full" in answer


def test_a_visitor_at_the_limit_is_refused_before_a_body_is_sent(app_with: AppWith) -> None:
    app = app_with(MAX_QUEUED_PER_VISITOR=1)
    client = app.test_client()
    cookie = post(client).headers["Set-Cookie"].partition(";")[0]
    with served(app) as port:
        begun = head("POST /process", port, *UPLOAD, f"Cookie: {cookie}")
        with open_sockets(port, 1, begun) as (one,):
            status, said = read_answer(one)
        assert (status, said["error"]["limit"]) == (429, 1)
        with open_sockets(port, 1, head("POST /process", port, *UPLOAD)) as (one,):
            one.settimeout(0.5)
            with pytest.raises(TimeoutError):  # its body is waited for
                one.recv(1)


def test_an_index_that_hangs_keeps_nobody_else_waiting(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(app.config["ADMISSION"]._latest, "_find", lambda: over.wait(PATIENCE))
    with served(app) as port, open_sockets(port, 20, head("POST /process", port, *UPLOAD)):
        with open_sockets(port, 1, head("GET /healthz", port, "Connection: close")) as (one,):
            assert read_answer(one)[0] == 200
        over.set()


# ---------------------------------------------------------------- whose turn it is


def claimed(store: Store) -> list[str]:
    order = []
    while (run := store.claim(1)) is not None:
        store.finish(record(int(run, 16), state="done"))
        order.append(run)
    return order


@pytest.fixture
def create(index: Store, tmp_path: Path) -> Create:
    """Puts a run of a visitor into the queue."""

    def make(number: int, visitor: str) -> None:
        Access(visitor=visitor).save(tmp_path / key(number))
        index.create(record(number))

    return make


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Store]:
    index = Store(f"sqlite:///{tmp_path / 'index.sqlite'}", tmp_path)
    yield index
    index.close()


def test_runs_are_taken_from_each_visitor_in_turn(index: Store, create: Create) -> None:
    for number in range(10):
        create(number, "a")
    assert index.claim(1) == key(0)
    for number, visitor in ((10, "b"), (11, "c"), (12, "b")):
        create(number, visitor)
    expected = [key(n) for n in (1, 10, 11, 2, 12, 3, 4, 5, 6, 7, 8, 9)]
    assert [index.position(run) for run in expected] == list(range(1, 13))
    index.requeue(key(0))
    assert claimed(index) == [key(0), *expected]


def test_nobody_gets_ahead_by_deleting_what_is_done_or_waits_for_ever(index: Store, create: Create) -> None:
    for number in range(3):
        create(number, "a")
    order = []
    for number in range(100, 140, 2):  # somebody else always has two waiting, and deletes those that have ended
        for more in (number, number + 1):
            create(more, "b")
        run = index.claim(1)
        assert run
        order.append(run)
        index.finish(record(int(run, 16), state="done"))
        assert index.delete(run)
    assert [order.index(key(number)) for number in range(3)] == [0, 2, 4]


def test_an_index_made_anew_knows_whose_turn_it_is(make_run: MakeRun, settings: Settings, store: Store) -> None:
    runs = [make_run(state="queued", owner=owner).id for owner in ("a", "a", "b", "", "c")]
    Access("c", visitor="a").save(settings.RESULTS_DIR / runs[4])
    store.show(runs[0], "public")  # which keeps what else is said there
    anew = Store(f"sqlite:///{settings.RESULTS_DIR / 'anew.sqlite'}", settings.RESULTS_DIR)
    assert [anew.position(run) for run in runs] == [0, 3, 1, 2, 4]
    anew.close()
