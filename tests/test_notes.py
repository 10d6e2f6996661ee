"""Names, tags and notes: who may give a run some, where they are shown and found, and that they are no part of the
record."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeRun, owner_in
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from imgproc.cli import main
from imgproc.errors import UserError
from imgproc.runs.notes import MOST_NAME, MOST_NOTE, MOST_TAG, Notes, parse_notes
from imgproc.runs.store import Store
from imgproc.settings import Settings

HTML = {"Accept": "text/html"}
GIVEN = {"name": "Plugged in", "tags": "laptop, Öffi, laptop", "note": "Quiet room.\n<b>Second</b> line."}


def test_they_are_shown_on_the_page_in_the_history_and_in_the_report(
    client: FlaskClient, make_run: MakeRun, settings: Settings
) -> None:
    run = make_run(owner=owner_in(client))
    before = (settings.RESULTS_DIR / run.id / "run.json").read_bytes()
    assert client.post(f"/runs/{run.id}/notes", data=GIVEN, headers=HTML).status_code == 303
    for address in (f"/runs/{run.id}", f"/runs/{run.id}/report"):
        shown = client.get(address, headers=HTML).text
        assert all(text in shown for text in ("Plugged in", "laptop", "Öffi", "Quiet room.", "&lt;b&gt;Second"))
    assert "Plugged in" in client.get("/runs", headers=HTML).text
    assert (settings.RESULTS_DIR / run.id / "run.json").read_bytes() == before
    (row,) = csv.DictReader(io.StringIO(client.get("/runs.csv").text))
    assert (row["name"], row["tags"], row["note"]) == ("Plugged in", "laptop,Öffi", "Quiet room.\n<b>Second</b> line.")
    with zipfile.ZipFile(io.BytesIO(client.get(f"/runs/{run.id}/results.zip?about=1").data)) as made:
        assert "about/notes.json" in made.namelist()


@pytest.mark.parametrize("words", ["PLUGGED", "öffi", "quiet room"])
def test_the_history_finds_them(words: str, client: FlaskClient, make_run: MakeRun, store: Store) -> None:
    run, other = make_run(owner=owner_in(client)), make_run(owner=owner_in(client))
    client.post(f"/runs/{run.id}/notes", data=GIVEN)
    found = client.get("/runs", query_string={"q": words}, headers=HTML).text
    assert f'value="{run.id}"' in found and f'value="{other.id}"' not in found
    store.finish(run)  # what the runner does in the end leaves them
    assert f'value="{run.id}"' in client.get("/runs", query_string={"q": words}, headers=HTML).text


def test_a_new_index_has_them(client: FlaskClient, make_run: MakeRun, settings: Settings) -> None:
    run = make_run(owner=owner_in(client))
    client.post(f"/runs/{run.id}/notes", data=GIVEN)
    again = Store(f"sqlite:///{settings.RESULTS_DIR / 'new.sqlite'}", settings.RESULTS_DIR)
    row = again.get(run.id)
    again.close()
    assert row and (row.name, row.tags) == ("Plugged in", "laptop,Öffi")


def test_only_the_owner_changes_them_and_they_go_again(
    client: FlaskClient, app: Flask, make_run: MakeRun, settings: Settings
) -> None:
    run = make_run(owner=owner_in(client))
    stranger = app.test_client()
    assert stranger.post(f"/runs/{run.id}/notes", data=GIVEN).status_code == 403
    assert "Name and note" not in stranger.get(f"/runs/{run.id}", headers=HTML).text
    client.post(f"/runs/{run.id}/notes", data=GIVEN)
    assert "Plugged in" in stranger.get(f"/runs/{run.id}", headers=HTML).text
    client.post(f"/runs/{run.id}/notes", data={})
    assert "Plugged in" not in client.get(f"/runs/{run.id}", headers=HTML).text
    assert not (settings.RESULTS_DIR / run.id / "notes.json").exists()


@pytest.mark.parametrize(("changes", "field"), [
    ({"name": "x" * (MOST_NAME + 1)}, "name"), ({"note": "x" * (MOST_NOTE + 1)}, "note"),
    ({"tags": "x" * (MOST_TAG + 1)}, "tags"), ({"tags": ",".join("abcdefghijk")}, "tags"),
    ({"name": "\x1b[2J"}, "name"),
])  # fmt: skip
def test_what_is_too_much_is_refused(
    changes: dict[str, Any], field: str, client: FlaskClient, make_run: MakeRun
) -> None:
    run = make_run(owner=owner_in(client))
    answer = client.post(f"/runs/{run.id}/notes", data=changes, headers={"Accept": "application/json"})
    assert answer.status_code == 400 and answer.get_json()["error"]["field"] == field


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=30))
def test_what_is_accepted_is_read_again_as_it_is(name: str, tags: str, note: str) -> None:
    try:
        notes = parse_notes(name, tags, note)
    except UserError:
        return
    assert parse_notes(notes.name, ",".join(notes.tags), notes.note) == notes
    assert len({tag.casefold() for tag in notes.tags}) == len(notes.tags)


def test_the_command_shows_those_beside_the_record(make_run: MakeRun, settings: Settings, tmp_path: Path) -> None:
    folder = settings.RESULTS_DIR / make_run().id
    Notes("Plugged in", ("laptop",), "Quiet room.").save(folder)
    assert Notes.load(folder) == Notes("Plugged in", ("laptop",), "Quiet room.")
    assert main(["report", str(folder / "run.json"), "-o", str(tmp_path / "r.html")]) == 0
    assert "Plugged in" in (tmp_path / "r.html").read_text()
    for damaged in (
        "",
        "[]",
        '{"name": 3, "tags": [], "note": ""}',
        '{"name": "a", "tags": [1], "note": ""}',
        '{"name": "a"}',
    ):
        (folder / "notes.json").write_text(damaged)
        assert Notes.load(folder) == Notes()
