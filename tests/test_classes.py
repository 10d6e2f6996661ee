"""Classes: what is posted under a name, by whom, and that nothing but its line is shown."""

from __future__ import annotations

import csv
import io
import json
import os
import time
from dataclasses import replace
from typing import Any

import pytest
from conftest import MakeRun, browsing, owner_in
from figure_records import SEVEN, fabricated
from flask import Flask
from flask.testing import FlaskClient
from test_comparing import concluded

from imgproc.report.classes import MOST_DRAWN, figure
from imgproc.runs import classes
from imgproc.runs.access import Access, parse_class
from imgproc.runs.record import Record, new_id
from imgproc.runs.removal import Retention
from imgproc.runs.store import Store
from imgproc.settings import Settings

HTML, JSON = {"Accept": "text/html"}, {"Accept": "application/json"}


def record(**environment: Any) -> Record:
    made = concluded(fabricated(tuple(SEVEN), base=1.7))
    made.id = new_id()
    made.environment |= environment
    return made


def bring(
    client: FlaskClient, data: Record | bytes, name: str = "lab", accept: str = "text/plain", **fields: str
) -> Any:
    content = json.dumps(data.to_dict()).encode() if isinstance(data, Record) else data
    parts = [f'--x\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items()]
    head = '--x\r\nContent-Disposition: form-data; name="records"; filename="laptop.json"\r\n\r\n'
    body = "".join(parts).encode() + head.encode() + content + b"\r\n--x--\r\n"
    kind = "multipart/form-data; boundary=x"
    return client.post(f"/class/{name}", data=body, content_type=kind, headers={"Accept": accept})


def table(client: FlaskClient, name: str = "lab") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(client.get(f"/class/{name}.csv").text)))


def test_a_run_is_posted_and_withdrawn_by_its_owner_alone(client: FlaskClient, app: Flask, make_run: MakeRun) -> None:
    run = make_run(owner=owner_in(client), visible="private")
    stranger = app.test_client()
    assert stranger.post(f"/runs/{run.id}/class", data={"class": "lab"}).status_code == 404  # it is private
    posted = client.post(f"/runs/{run.id}/class", data={"class": " Lab ", "shown_as": "Ada’s laptop"}, headers=HTML)
    assert posted.status_code == 303 and posted.location.endswith("/class/lab")
    (row,) = table(stranger)
    assert (row["shown_as"], row["technique"], row["speedup"]) == ("Ada’s laptop", "threading", "1.93")
    assert (
        row["cores"] and row["from_elsewhere"] == "no" and (row["speedup_low"], row["speedup_high"]) == ("1.89", "1.97")
    )
    assert stranger.post("/class/lab/withdraw", data={"line": run.id}).status_code == 404
    assert client.post("/class/lab/withdraw", data={"line": run.id}).status_code == 200
    assert table(stranger) == []


def test_nothing_else_of_a_run_is_shown(client: FlaskClient, app: Flask, make_run: MakeRun) -> None:
    run = make_run(owner=owner_in(client), visible="private")
    client.post(f"/runs/{run.id}/class", data={"class": "lab"})
    stranger = app.test_client()
    for answer in (stranger.get("/class/lab", headers=HTML), stranger.get("/class/lab", headers=JSON),
                   stranger.get("/class/lab"), stranger.get("/class/lab.csv")):  # fmt: skip
        assert answer.status_code == 200 and "1.93" in answer.text
        assert run.id not in answer.text and "photo" not in answer.text
        assert "no-store" in answer.headers["Cache-Control"]
    assert stranger.get(f"/runs/{run.id}").status_code == 404
    assert f"/runs/{run.id}" in client.get("/class/lab", headers=HTML).text
    assert "class/lab" not in stranger.get("/runs", headers=HTML).text


def test_who_may_see_it_and_which_class_it_is_in_are_kept_beside_each_other(
    client: FlaskClient, make_run: MakeRun, settings: Settings, store: Store
) -> None:
    run = make_run(owner=owner_in(client))
    client.post(f"/runs/{run.id}/class", data={"class": "lab", "shown_as": "A"})
    client.post(f"/runs/{run.id}/share", data={"visible": "private"})
    kept = Access.load(settings.RESULTS_DIR / run.id)
    assert (kept.visible, kept.class_name, kept.shown_as) == ("private", "lab", "A")
    again = Store(f"sqlite:///{settings.RESULTS_DIR / 'new.sqlite'}", settings.RESULTS_DIR)  # made from the files
    assert [row.id for row in again.of_class("lab")] == [run.id]
    again.close()
    client.post(f"/runs/{run.id}/delete")
    assert table(client) == []


def test_a_link_posts_the_run_when_it_is_done(client: FlaskClient, app: Flask, runner: Any) -> None:
    form = client.get("/?class=PC-7&technique=threading", headers=HTML).text
    assert 'value="pc-7"' in form and "/class/pc-7" in form
    assert "Post to the class" not in client.get("/", headers=HTML).text
    fields = {"samples": "1", "class": "pc-7", "shown_as": "Bob", "mode": "parallel"}
    run = client.post("/process", data=fields, headers=JSON).get_json()["id"]
    until = time.monotonic() + 60
    lines: list[Any] = []
    while client.get(f"/runs/{run}.json?view=progress").get_json()["state"] != "done" and time.monotonic() < until:
        assert lines == []  # of before the question, to which the run was not done yet
        lines = table(client, "pc-7")
        time.sleep(0.05)
    assert [row["shown_as"] for row in table(app.test_client(), "pc-7")] == ["Bob"]


@pytest.mark.parametrize("name", ["a b", "-a", "a-", "ä", "a" * 41, "../x", "a.csv"])
def test_names_are_checked(name: str, client: FlaskClient, make_run: MakeRun) -> None:
    answer = client.post("/process", data={"samples": "1", "class": name}, headers=JSON)
    assert answer.status_code == 400 and answer.get_json()["error"]["field"] == "class"
    assert name in client.get("/", query_string={"class": name}, headers=HTML).text
    run = make_run(owner=owner_in(client))
    assert client.post(f"/runs/{run.id}/class", data={"class": name}).status_code == 400
    assert client.get(f"/class/{name}/figures/speedup.svg").status_code in (400, 404)
    assert parse_class(" PC-7 ") == "pc-7"


def test_a_record_from_elsewhere_is_verified_and_marked(client: FlaskClient, app: Flask, settings: Settings) -> None:
    laptop = record(cpu="Laptop 5", cores_usable=8)
    assert bring(client, laptop, shown_as="Ada").status_code == 200
    assert bring(app.test_client(), laptop, shown_as="Eve").status_code == 200  # once, as who came first calls it
    (row,) = table(client)
    assert (row["shown_as"], row["cpu"], row["cores"], row["from_elsewhere"]) == ("Ada", "Laptop 5", "8", "yes")
    assert "from elsewhere, verified" in client.get("/class/lab", headers=HTML).text
    assert not list(settings.RESULTS_DIR.rglob("run.json"))  # nothing but the line is kept
    (line,) = (settings.RESULTS_DIR / "classes" / "lab").iterdir()
    assert app.test_client().post("/class/lab/withdraw", data={"line": line.stem}).status_code == 403
    assert client.post("/class/lab/withdraw", data={"line": line.stem}).status_code == 200
    assert table(client) == []


def test_what_does_not_verify_or_has_no_speedup_is_refused(client: FlaskClient, make_run: MakeRun) -> None:
    forged = record().to_dict()
    forged["techniques"][1]["speedup"] = 40.0
    answer = bring(client, json.dumps(forged).encode(), accept="text/html")
    assert answer.status_code == 422 and "does not verify" in answer.text and "speedup is 40.0" in answer.text
    for data in (b"no", json.dumps(replace(record(), techniques=[], findings=None).to_dict()).encode()):
        assert bring(client, data).status_code in (400, 422)
    assert client.post("/class/lab", data={}).status_code == 400
    assert table(client) == []


def test_text_from_elsewhere_is_text_and_no_formula(client: FlaskClient) -> None:
    bad = "<img src=x onerror=alert(1)>"
    assert bring(client, record(cpu=bad), shown_as="=1+1").status_code == 200
    page = client.get("/class/lab", headers=HTML).text
    assert bad not in page and "&lt;img src=x" in page
    assert table(client)[0]["shown_as"] == "'=1+1"
    assert bring(client, record(cpu="x" * 5000), shown_as="y" * 41).status_code == 400
    assert bring(client, record(cpu="x" * 5000)).status_code == 200
    assert max(len(row["cpu"]) for row in table(client)) == 120


def test_a_class_has_so_many_lines_and_no_more(
    client: FlaskClient, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classes, "MOST_LINES", 2)
    one, two, three = (make_run(owner=owner_in(client)) for _ in range(3))
    assert client.post(f"/runs/{one.id}/class", data={"class": "lab"}).status_code == 200
    assert bring(client, record()).status_code == 200
    assert client.post(f"/runs/{two.id}/class", data={"class": "lab"}).status_code == 409
    assert bring(client, record(cpu="other")).status_code == 409
    assert client.post("/process", data={"samples": "1", "class": "lab"}).status_code == 409
    assert client.post(f"/runs/{one.id}/class", data={"class": "lab", "shown_as": "A"}).status_code == 200  # it is in
    monkeypatch.setattr(classes, "MOST_BROUGHT", 1)
    assert bring(client, record(cpu="third"), "other").status_code == 503
    assert client.post(f"/runs/{three.id}/class", data={"class": "other"}).status_code == 200


def test_lines_from_elsewhere_go_after_keep_days(client: FlaskClient, settings: Settings, store: Store) -> None:
    for cpu in ("old", "new"):
        assert bring(client, record(cpu=cpu)).status_code == 200
    old = next(f for f in (settings.RESULTS_DIR / "classes" / "lab").iterdir() if '"old"' in f.read_text())
    os.utime(old, (time.time() - 3 * 86_400,) * 2)
    Retention(settings, store).apply()
    assert len(table(client)) == 2
    Retention(replace(settings, KEEP_DAYS=2), store).apply()
    assert [row["cpu"] for row in table(client)] == ["new"]


def test_what_is_damaged_is_left_out(client: FlaskClient, settings: Settings) -> None:
    assert bring(client, record()).status_code == 200
    folder = settings.RESULTS_DIR / "classes" / "lab"
    for number, text in enumerate(("", "[]", "{}", '{"key": 3}')):
        (folder / f"{number:032x}.json").write_text(text)
    assert len(table(client)) == 1


def test_the_figure_has_a_bar_for_each_machine_or_for_some(client: FlaskClient, make_run: MakeRun) -> None:
    run = make_run(owner=owner_in(client))
    assert client.get("/class/lab/figures/speedup.svg").status_code == 404
    client.post(f"/runs/{run.id}/class", data={"class": "lab", "shown_as": "Ada"})
    bring(client, record(cpu="Laptop 5"))
    drawn = client.get("/class/lab/figures/speedup.svg").text
    assert "Ada: " in drawn and "Laptop 5" in drawn
    line = classes.Line(
        "k", "r", "o", True, "", "", "cpu", 4, "compare", "", 3, 1.0, "mpi", "MPI", 4, 2.0, 1.9, 2.1, None
    )
    many = figure([replace(line, speedup=9 - k / 50, speedup_low=None) for k in range(200)])
    assert many and many.alt.count("MPI") == MOST_DRAWN and "40 are drawn" in many.sentence
    assert figure([replace(line, speedup=None)]) is None


@pytest.mark.browser
def test_in_a_browser_thirty_laptops_make_one_picture(browser: Any, server: str, client: FlaskClient) -> None:
    for k in range(30):
        assert bring(client, record(cpu=f"Laptop {k}", cores_usable=2 + k % 7)).status_code == 200
    with browsing(browser, server) as open_page:
        page = open_page("/class/lab", viewport={"width": 320, "height": 800})
        assert page.get_by_role("row").count() == 31
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        drawn = page.locator("figure img:visible")
        drawn.scroll_into_view_if_needed()
        drawn.evaluate("async (image) => { await image.decode(); }")
        assert drawn.evaluate("image => image.naturalHeight") > 900
