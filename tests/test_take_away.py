"""What is taken away with the results, what words mean, and what the tab of the browser says."""

from __future__ import annotations

import csv
import io
import json
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeRun, browsing, owner_in
from flask.testing import FlaskClient

from imgproc.report.glossary import GLOSSARY

HTML = {"Accept": "text/html"}


@pytest.mark.parametrize(("mode", "figures"), [("compare", True), ("parallel", True), ("sequential", False)])
def test_the_zip_says_what_its_results_are_of(mode: str, figures: bool, client: FlaskClient, make_run: MakeRun) -> None:
    run = make_run(mode=mode, bad=1)
    answer = client.get(f"/runs/{run.id}/results.zip?about=1")
    assert int(answer.headers["Content-Length"]) == len(answer.data)
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
        assert archive.read("about/summary.txt").decode() == client.get(f"/runs/{run.id}.txt").text
        with client.get(f"/runs/{run.id}.json") as record:
            assert json.loads(archive.read("about/run.json")) == record.json
        assert archive.read("about/rounds.csv").decode() == client.get(f"/runs/{run.id}/rounds.csv").text.replace(
            "\r\n", "\r\n"
        )
        rows = list(csv.DictReader(io.StringIO(archive.read("about/techniques.csv").decode())))
        assert [row["technique"] for row in rows] == [t.name for t in run.techniques]
        svgs = [name for name in names if name.endswith(".svg")]
        assert bool(svgs) == figures and all(b"<svg" in archive.read(name) for name in svgs)
    made = [output.file for image in run.good_images for output in image.outputs]
    assert [name for name in names if not name.startswith("about/")] == made
    assert f'href="/runs/{run.id}/results.zip?about=1"' in client.get(f"/runs/{run.id}", headers=HTML).text
    with zipfile.ZipFile(io.BytesIO(client.get(f"/runs/{run.id}/results.zip").data)) as archive:
        assert archive.namelist() == made  # which scripts rely on


def test_a_result_that_is_called_as_a_table_loses_nothing(
    client: FlaskClient, make_run: MakeRun, settings: Any
) -> None:
    run = make_run(images=1)
    images = settings.RESULTS_DIR / run.id / "images"
    (images / "about").mkdir()
    run.images[0].outputs[0].file = "about/summary.txt"
    (images / "about" / "summary.txt").write_bytes(b"picture")
    run.save(settings.RESULTS_DIR / run.id)
    with zipfile.ZipFile(io.BytesIO(client.get(f"/runs/{run.id}/results.zip?about=1").data)) as archive:
        assert archive.read("about/summary.txt") == b"picture"
        assert b"Processing Mode" in archive.read("about/summary (2).txt")


def test_the_history_is_taken_away_as_csv(client: FlaskClient, make_run: MakeRun) -> None:
    mine = [make_run(owner=owner_in(client), mode=mode) for mode in ("compare", "sequential", "parallel")]
    make_run(owner="another's")
    answer = client.get("/runs.csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert answer.mimetype == "text/csv" and {row["id"] for row in rows} == {run.id for run in mine}
    of_id = {row["id"]: row for row in rows}
    assert float(of_id[mine[0].id]["speedup"]) == 1.93 and of_id[mine[0].id]["technique"] == "threading"
    only = list(csv.DictReader(io.StringIO(client.get("/runs.csv?mode=sequential").text)))
    assert [row["id"] for row in only] == [mine[1].id]
    assert 'href="/runs.csv?mode=sequential"' in client.get("/runs?mode=sequential", headers=HTML).text


def test_words_are_explained_where_they_stand(client: FlaskClient, make_run: MakeRun) -> None:
    page = client.get(f"/runs/{make_run().id}", headers=HTML).text
    for term in ("Baseline", "Median", "Warm-up", "Interval", "Seed", "GIL"):
        assert f"<dt>{term}</dt><dd>{GLOSSARY[term].replace(chr(39), '&#39;')}</dd>" in page
    every = client.get("/techniques", headers=HTML).text
    assert all(f"<dt>{term}</dt>" in every for term in GLOSSARY) and 'id="words"' in every


@pytest.mark.browser
def test_the_tab_says_how_far_a_run_is(browser: Any, server: str, runner: threading.Event, photos: list[Path]) -> None:
    runner.clear()
    with browsing(browser, server) as open_page:
        page = open_page("/")
        page.set_input_files("#images", photos)
        page.locator("[data-run]").click()
        page.wait_for_url("**/runs/*")
        page.locator("[data-now]", has_text="Round 2 of 6, Threads").wait_for()
        for _ in range(100):
            if page.title().startswith("37\u00a0% – "):
                break
            page.wait_for_timeout(100)
        assert page.title().startswith("37\u00a0% – ")
        runner.set()
        page.locator(".verdict-line").wait_for()
        assert not page.title().startswith("37")
