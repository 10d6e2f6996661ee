"""Whose run is whose: links, the history, what only the owner may do, and what nobody is told."""

from __future__ import annotations

import json
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeRun, jpeg, owner_in
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from test_web import form, post
from werkzeug.test import TestResponse

from app import create_app
from imgproc.errors import UserError
from imgproc.runs.access import Access, owner_of
from imgproc.runs.record import Record, new_id
from imgproc.runs.runner import remove_abandoned
from imgproc.runs.store import Store, Visitor
from imgproc.settings import Settings

HTML, JSON = {"Accept": "text/html"}, {"Accept": "application/json"}
#: Every address of a run that only shows something, and what only its owner may do.
SHOWN = ("", ".json", ".json?view=progress", ".txt", "/report", "/report?download", "/results.zip", "/rounds.csv",
         "/trace/perfetto.json", "/images/photo 1_canny.png", "/previews/0000.jpg", "/figures/speedup.svg")  # fmt: skip
DEEDS = ("cancel", "again", "delete", "share")


@pytest.fixture
def stranger(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def shared(settings: Settings) -> Iterator[FlaskClient]:
    app = create_app(replace(settings, HISTORY="shared"))
    yield app.test_client()
    app.config["PREVIEWS"].close()
    app.config["STORE"].close()


def listed(client: FlaskClient, query: str = "") -> set[str]:
    return set(
        re.findall(
            r'<th role="rowheader" scope="row">(?:<input[^>]*>)?<a href="/runs/(\w+)"', client.get(f"/runs{query}").text
        )
    )


def wait(client: FlaskClient, run: str, state: str) -> None:
    until = time.monotonic() + 60
    while client.get(f"/runs/{run}.json?view=progress").get_json()["state"] != state:
        assert time.monotonic() < until
        time.sleep(0.05)


# ---------------------------------------------------------------- ids and links


def test_an_id_has_128_random_bits(client: FlaskClient) -> None:
    ids = {post(client, {"samples": "1"}).get_json()["id"] for _ in range(3)}
    ids |= set(client.post("/exhibits/gil", headers=JSON).get_json()["runs"])
    assert len(ids) == 3 + 4 and all(re.fullmatch("[0-9a-f]{32}", one) for one in ids)
    bits = [int(new_id(), 16) for _ in range(400)]
    # Each of the 128 is set in about half of them.
    assert all(100 < sum(number >> at & 1 for number in bits) < 300 for at in range(128))


def test_without_a_cookie_the_link_is_enough(app: Flask, runner: Any) -> None:
    """What scripts do with curl: post, ask by the address, fetch the results."""

    def curl() -> FlaskClient:
        return app.test_client(use_cookies=False)

    said = post(curl(), form("a.jpg")).get_json()
    wait(curl(), said["id"], "done")
    assert curl().get(f"{said['url']}.txt").text.startswith("Processing Mode: ")
    assert curl().get(f"{said['url']}/results.zip").data.startswith(b"PK")
    assert curl().get(said["url"], headers=HTML).status_code == 200


def test_runs_with_ids_of_earlier_versions_are_still_there(client: FlaskClient, make_run: MakeRun) -> None:
    old = make_run(owner=owner_in(client))
    assert len(old.id) == 12 and listed(client) == {old.id}
    assert client.get(f"/runs/{old.id}").status_code == 200


def test_uploads_that_never_became_a_run_go_whatever_the_length_of_their_id(settings: Settings) -> None:
    gone = [settings.UPLOADS_DIR / name for name in ("0" * 12, "a" * 32)]
    kept = [settings.UPLOADS_DIR / name for name in ("a" * 31, "not-ours")]
    for folder in (*gone, *kept):
        folder.mkdir(parents=True)
        os.utime(folder, (0, 0))
    remove_abandoned(settings)
    assert not any(folder.exists() for folder in gone) and all(folder.exists() for folder in kept)


# ---------------------------------------------------------------- the history


def test_a_browser_lists_only_its_own_runs_and_public_ones(
    client: FlaskClient, stranger: FlaskClient, make_run: MakeRun
) -> None:
    mine, theirs = owner_in(client), owner_of("another browser")
    own = {make_run(owner=mine, visible=visible).id for visible in ("private", "link", "public")}
    theirs_public = make_run(owner=theirs, visible="public").id
    for visible in ("private", "link"):
        make_run(owner=theirs, visible=visible)
    nobodys = make_run(owner="")
    assert listed(client) == {*own, theirs_public}
    public = {run for run in own if run in listed(stranger)}
    assert len(public) == 1 and listed(stranger) == {*public, theirs_public}
    # Nor do filters, search or the summary by technique reach further.
    assert listed(stranger, "?q=photo") == listed(stranger, "?state=done") == listed(stranger)
    assert nobodys.id not in client.get("/runs?q=" + nobodys.id).text.replace(f'value="{nobodys.id}"', "")
    rows = re.findall(r'data-label="Runs">(\d+)<', stranger.get("/runs").text)
    assert rows and set(rows) == {"2"}
    assert "Timed in 2 runs of your history" in stranger.get("/techniques").text


def test_shared_history_is_the_way_of_a_class_room(
    shared: FlaskClient, make_run: MakeRun, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [make_run(owner=owner_of("a"), visible=visible).id for visible in ("link", "public", "private")]
    assert listed(shared) == set(others[:2])
    assert shared.post(f"/runs/{others[0]}/delete", headers=JSON).status_code == 403
    assert shared.get(f"/runs/{others[2]}").status_code == 404
    assert Settings.from_environment({"HISTORY": "shared"}).HISTORY == "shared"
    with pytest.raises(UserError, match="HISTORY is one of own, shared, not “class”"):
        Settings.from_environment({"HISTORY": "class"})


OWNERS, VISIBLE = ("", "a", "b"), ("private", "link", "public")
RUNS = st.lists(st.tuples(st.sampled_from(OWNERS), st.sampled_from(VISIBLE)), max_size=6)


@given(RUNS, st.sampled_from(OWNERS), st.booleans())
@hypothesis_settings(max_examples=30, deadline=None)
def test_nothing_private_and_nobody_elses_is_ever_listed(
    tmp_path_factory: pytest.TempPathFactory, runs: list[tuple[str, str]], visitor: str, shared: bool
) -> None:
    folder = tmp_path_factory.mktemp("runs")
    for number, (owner, visible) in enumerate(runs):
        record = Record(f"{number:032x}", "parallel", _asked())
        Access(owner, visible).save(folder / record.id)  # type: ignore[arg-type]
        record.save(folder / record.id)
    store = Store("sqlite://", folder)  # made from the records
    found = {int(row.id, 16) for row in store.history(visitor=Visitor(visitor, shared))[0]}
    store.close()
    expected = set()
    for number, (owner, visible) in enumerate(runs):
        own = owner == visitor != ""
        if own or visible == "public" or (shared and visible == "link"):
            expected.add(number)
    assert found == expected


def _asked() -> Any:
    from imgproc.runs.record import RunSettings

    return RunSettings(["canny"], {})


# ---------------------------------------------------------------- sharing


def test_the_owner_says_who_may_see_a_run(
    client: FlaskClient, stranger: FlaskClient, make_run: MakeRun, store: Store, settings: Settings
) -> None:
    run = make_run(owner=owner_in(client))
    url = f"/runs/{run.id}"
    assert stranger.get(url).status_code == 200 and run.id not in stranger.get("/runs").text
    answer = client.post(f"{url}/share", data={"visible": "public"}, headers=JSON)
    assert answer.get_json() == {"id": run.id, "url": url, "state": "done", "visible": "public"}
    assert listed(stranger) == {run.id} and "public" in stranger.get("/runs").text
    assert client.post(f"{url}/share", data={"visible": "private"}, headers=HTML).status_code == 303
    assert listed(stranger) == set() and stranger.get(url).status_code == 404
    assert listed(client) == {run.id} and 'value="private" checked' in client.get(url, headers=HTML).text
    # It is kept where a new index is made from.
    again = Store("sqlite://", settings.RESULTS_DIR)
    row = again.get(run.id)
    again.close()
    assert row and (row.owner, row.visible) == (owner_in(client), "private")
    bad = client.post(f"{url}/share", data={"visible": "publik"}, headers=JSON)
    assert bad.status_code == 400 and "Did you mean “public”?" in bad.get_json()["error"]["message"]
    assert bad.get_json()["error"]["field"] == "visible"


def test_a_run_can_be_hidden_while_it_is_measured(
    client: FlaskClient, stranger: FlaskClient, runner: Any, store: Store
) -> None:
    runner.clear()
    run = post(client, form("a.jpg")).get_json()["id"]
    wait(client, run, "running")
    assert "Share" in client.get(f"/runs/{run}", headers=HTML).text
    assert client.post(f"/runs/{run}/share", data={"visible": "private"}, headers=JSON).status_code == 200
    runner.set()
    wait(client, run, "done")
    assert stranger.get(f"/runs/{run}").status_code == 404


def test_only_the_owner_cancels_repeats_shares_and_deletes(
    client: FlaskClient, stranger: FlaskClient, make_run: MakeRun, store: Store
) -> None:
    run = make_run(owner=owner_in(client))
    before = store.history()[1]
    with stranger.session_transaction() as session:
        session["owner"] = owner_in(client)  # the owner's name is not the token it is made of
    for deed in DEEDS:
        answer = stranger.post(f"/runs/{run.id}/{deed}", data={"visible": "public"}, headers=JSON)
        assert (answer.status_code, answer.get_json()["error"]["code"]) == (403, "not_owner")
    page = stranger.get(f"/runs/{run.id}", headers=HTML).text
    assert not any(word in page for word in ("Delete this run", "Run again", "Who may see"))
    row = store.get(run.id)
    assert store.history()[1] == before and row and row.visible == "link"


MALFORMED = (
    "0" * 32,
    "0" * 12,
    "x",
    "%00",
    "..%2f..%2fsecret_key",
    "%c3%a9",
    "a" * 5000,
    "'or'1'='1",
    "-1",
    "%20",
    "*",
)


def answer_of(client: FlaskClient, path: str, headers: dict[str, str], deed: bool) -> tuple[Any, ...]:
    ask: Callable[..., TestResponse] = client.post if deed else client.get
    with ask(path, headers=headers) as answer:
        same = [header for header in sorted(answer.headers.items()) if header[0] != "X-Request-Id"]
        return answer.status_code, answer.data, same


@pytest.mark.parametrize("headers", [HTML, JSON, {}], ids=["page", "json", "text"])
def test_unknown_foreign_and_malformed_ids_get_one_404(
    client: FlaskClient, stranger: FlaskClient, make_run: MakeRun, headers: dict[str, str]
) -> None:
    private = make_run(owner=owner_in(client), visible="private").id
    for end in (*SHOWN, *(f"/{deed}" for deed in DEEDS)):
        deed = end[1:] in DEEDS
        foreign = answer_of(stranger, f"/runs/{private}{end}", headers, deed)
        assert foreign[0] == 404 and private.encode() not in foreign[1], end
        for other in MALFORMED:
            assert answer_of(stranger, f"/runs/{other}{end}", headers, deed) == foreign, (other, end)
        if not deed:
            with client.get(f"/runs/{private}{end}", headers=headers) as own:
                assert own.status_code == 200, end


def test_side_by_side_and_with_the_images_of_before_a_private_run_is_like_none(
    client: FlaskClient, stranger: FlaskClient, make_run: MakeRun, settings: Settings
) -> None:
    private, shown = make_run(owner=owner_in(client), visible="private").id, make_run().id
    for headers in (HTML, JSON, {}):
        foreign, unknown = (
            answer_of(stranger, f"/compare?run={shown}&run={run}", headers, False) for run in (private, "0" * 32)
        )
        assert foreign == unknown and foreign[0] == 404 and private.encode() not in foreign[1]
    with client.get(f"/compare?run={shown}&run={private}", headers=HTML) as own:
        assert own.status_code == 200 and own.headers["Cache-Control"] == "no-store"
    # Their images are for the owner alone, whoever may see the run.
    taken = {run: post(stranger, {"images_of": run}, JSON) for run in (private, shown, "0" * 32, "x")}
    assert {(answer.status_code, answer.data) for answer in taken.values()} == {
        (404, taken[private].data)
    }  # fmt: skip
    assert post(client, {"images_of": private}, JSON).status_code == 202


# ---------------------------------------------------------------- what nobody is told


def test_neither_token_nor_owner_is_in_any_answer_or_record(
    client: FlaskClient, stranger: FlaskClient, make_run: MakeRun, settings: Settings, store: Store
) -> None:
    run = post(client, form("a.jpg")).get_json()["id"]
    with client.session_transaction() as session:
        token = session["owner"]
    done = make_run(owner=owner_of(token), visible="public")
    secrets = [token, owner_of(token), settings.SECRET_KEY]
    paths = ["/", "/runs", "/techniques", "/exhibits/gil", "/healthz", f"/runs/{run}", f"/runs/{run}.json"]
    for path in (*paths, *(f"/runs/{done.id}{end}" for end in SHOWN)):
        for headers in (HTML, JSON, {}):
            with stranger.get(path, headers=headers) as answer:
                assert answer.status_code == (503 if path == "/healthz" else 200), path
                told = answer.data.decode("latin-1") + str(answer.headers)
            assert not any(secret in told for secret in secrets), path
    for file in settings.RESULTS_DIR.rglob("run.json"):
        assert not any(secret in file.read_text() for secret in secrets)
        assert "owner" not in json.loads(file.read_text())
    for file in (path for folder in (settings.RESULTS_DIR, settings.UPLOADS_DIR) for path in folder.rglob("*")):
        assert not file.is_file() or token.encode() not in file.read_bytes(), file


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
def test_what_says_the_owner_is_for_the_app_alone(tmp_path: Path) -> None:
    Access("somebody").save(tmp_path / "run")
    assert stat.S_IMODE((tmp_path / "run" / "access.json").stat().st_mode) == 0o600


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
def test_the_folders_of_the_app_are_for_its_user_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def mode(folder: Path) -> int:
        return stat.S_IMODE(folder.stat().st_mode)

    made, theirs = tmp_path / "new" / "uploads", tmp_path / "results"
    theirs.mkdir(mode=0o755)
    Settings(UPLOADS_DIR=made, RESULTS_DIR=theirs).make_folders()
    assert mode(made) == 0o700 and mode(theirs) == 0o755
    monkeypatch.setattr("imgproc.settings.DATA", tmp_path)  # where they are unless told otherwise
    Settings(UPLOADS_DIR=made, RESULTS_DIR=theirs).make_folders()
    assert mode(theirs) == 0o700


def old_record(folder: Path, token: Any = "the token of a cookie") -> Record:
    """As earlier versions wrote them: the owner's token stands in run.json."""
    record = Record("1234567890ab", "parallel", _asked(), state="done")
    record.save(folder / record.id)
    file = folder / record.id / "run.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "owner": token}))
    return record


def test_a_token_in_a_record_of_an_earlier_version_is_taken_out_and_goes_on_owning_it(
    settings: Settings, app: Flask
) -> None:
    record = old_record(settings.RESULTS_DIR)
    client = app.test_client()
    with client.session_transaction() as session:
        session["owner"] = "the token of a cookie"
    assert listed(client) == {record.id}
    with client.get(f"/runs/{record.id}.json") as answer:
        assert "the token" not in answer.text and answer.get_json()["id"] == record.id
    assert Record.load(settings.RESULTS_DIR / record.id).created == record.created
    assert client.post(f"/runs/{record.id}/delete", headers=JSON).status_code == 200


def test_a_token_that_cannot_be_taken_out_owns_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = old_record(tmp_path)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("imgproc.runs.access.write_whole", full)
    assert Access.load(tmp_path / record.id) == Access()


@pytest.mark.parametrize("content", ["", "[]", "{", '{"owner": 5, "visible": "link"}', '{"visible": "all"}', "null"])
def test_a_damaged_access_file_opens_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "access.json").write_text(content)
    assert Access.load(tmp_path) == Access("", "private")
    assert Access.load(tmp_path / "nothing") == Access("", "link")


def test_pictures_of_a_run_are_kept_by_the_browser_alone(client: FlaskClient, make_run: MakeRun) -> None:
    run = make_run(owner=owner_in(client))
    for end in SHOWN:
        with client.get(f"/runs/{run.id}{end}", headers=HTML) as answer:
            kept = answer.headers["Cache-Control"]
            picture = (answer.mimetype or "").startswith("image/")
            assert set(kept.split(", ")) == ({"private", "max-age=3600"} if picture else {"no-store"}), end
    assert client.get("/runs").headers["Cache-Control"] == "no-store"


def test_a_kept_preview_of_another_browser_is_like_one_that_never_was(
    client: FlaskClient, stranger: FlaskClient, unmeasured: None
) -> None:
    def trial(who: FlaskClient, **fields: Any) -> TestResponse:
        return post(who, {"operations": "gaussian", **fields}, JSON, "/preview")

    import io

    token = trial(client, images=[(io.BytesIO(jpeg()), "a.jpg")]).get_json()["token"]
    assert trial(client, token=token).status_code == 200
    foreign, unknown = trial(stranger, token=token), trial(stranger, token="0" * 32)
    assert foreign.status_code == unknown.status_code == 404 and foreign.data == unknown.data
