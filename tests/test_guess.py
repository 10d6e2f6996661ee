"""Predict first: what was guessed of the speedup, in the record, and how near it was, wherever a run is told."""

from __future__ import annotations

import pytest
from conftest import MakeRun
from flask.testing import FlaskClient

from imgproc.numbers import NBSP
from imgproc.report.exercise import discussion
from imgproc.report.sentences import guess
from imgproc.report.text import summary
from imgproc.runs.record import Record
from imgproc.settings import Settings

JSON, HTML = {"Accept": "application/json"}, {"Accept": "text/html"}


def said(record: Record, guessed: float) -> str:
    record.settings.guess = guessed
    return guess(record).replace(NBSP, " ")


@pytest.fixture
def run(make_run: MakeRun) -> Record:
    record = make_run(mode="compare")
    main = record.technique
    assert main and main.speedup and main.speedup_ci95
    main.speedup, main.speedup_ci95 = 1.8, [1.7, 1.9]
    return record


def test_it_is_right_too_high_or_too_low_by_the_interval(run: Record) -> None:
    assert said(run, 0.0) == ""
    assert said(run, 1.88) == (
        "The guess was 1.88 times as fast as sequential, and it was right: 1.80 times with threads, 95 % interval "
        "1.70–1.90, in which the guess lies."
    )
    assert "which is 11 % too high: 1.80 times with threads" in said(run, 2.0)
    assert "which is 50 % too low: 1.80 times with threads" in said(run, 0.9)


def test_without_an_interval_or_a_speedup_nobody_judges_it(run: Record) -> None:
    main = run.technique
    assert main
    main.speedup_ci95 = None
    assert "without a speedup and its interval nothing says how near that is." in said(run, 2.0)
    main.speedup = None
    assert "nothing says how near" in said(run, 2.0)
    run.state = "cancelled"
    assert said(run, 2.0) == ""


def test_where_nothing_is_faster_it_says_so(make_run: MakeRun) -> None:
    run = make_run(mode="compare")
    for t in run.techniques:
        if t.name != "sequential":
            t.speedup, t.speedup_ci95, t.verdict = 0.1, [0.08, 0.12], "slower"
            t.median_seconds = t.geometric_mean_seconds = 99.0
    run.conclude()
    assert said(run, 2.0).endswith("; nothing is measurably faster than sequential here.")


def test_summary_page_and_report_tell_it(client: FlaskClient, run: Record, settings: Settings) -> None:
    told = said(run, 2.0)
    run.save(settings.RESULTS_DIR / run.id)
    assert f"Note: {told}" in summary(run).replace(NBSP, " ")
    page = client.get(f"/runs/{run.id}", headers=HTML).text
    assert guess(run) in page
    assert discussion(run)[0].replace(NBSP, " ").startswith(told)
    assert "What did you base the guess on" in client.get(f"/runs/{run.id}/report").text


def test_the_form_asks_for_it_and_the_record_keeps_it(client: FlaskClient, settings: Settings) -> None:
    form = client.get("/", headers=HTML).text
    assert 'name="guess"' in form and "Your guess of the speedup" in form
    fields = {"samples": "1", "sample_megapixels": "0.1", "guess": "1.9"}
    for mode, kept in (("compare", 1.9), ("sequential", 0.0)):
        answer = client.post("/process", data={**fields, "mode": mode}, headers=JSON)
        assert Record.load(settings.RESULTS_DIR / answer.get_json()["id"]).settings.guess == kept
    refused = client.post("/process", data={**fields, "mode": "compare", "guess": "fast"}, headers=JSON)
    assert refused.status_code == 400 and refused.get_json()["error"]["field"] == "guess"
