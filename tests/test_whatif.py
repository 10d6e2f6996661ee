"""A law of scaling laid over the points of a run: what it says of them and of more workers, its page and its figure."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from conftest import MakeRun
from figure_records import BARS, SCALES, fabricated
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from scale_runs import scale_run

from imgproc.errors import UserError
from imgproc.measure.laws import amdahl, gustafson
from imgproc.measure.whatif import WhatIf
from imgproc.report import whatif
from imgproc.report.charts import style
from imgproc.report.charts import whatif as figure
from imgproc.runs.record import Record

HTML, JSON = {"Accept": "text/html"}, {"Accept": "application/json"}
EIGHT = SCALES["eight cores"]


def ask(record: Record, **query: str) -> WhatIf:
    return whatif.chosen(whatif.bases(record), query)


# ---------------------------------------------------------------- what the law says


def test_what_is_not_chosen_is_what_was_measured() -> None:
    asked = ask(EIGHT)
    assert EIGHT.scaling and EIGHT.scaling.amdahl
    assert asked.serial == pytest.approx(EIGHT.scaling.amdahl.serial, abs=1e-4) and asked.basis.fitted
    # The curve is the fit's own, up to the two decimals that the field shows.
    for workers, speedup in EIGHT.scaling.amdahl.curve:
        assert asked.predicted(workers) == pytest.approx(speedup, rel=1e-3)
    assert asked.workers == 4 * 12 and asked.extrapolated


def test_with_too_few_points_for_a_fit_it_begins_with_karp_flatt() -> None:
    asked = ask(SCALES["two cores"])  # the fit had to use more workers than cores
    assert SCALES["two cores"].scaling and SCALES["two cores"].scaling.amdahl
    assert SCALES["two cores"].scaling.amdahl.oversubscribed and not asked.basis.fitted
    assert asked.serial == pytest.approx(0.03, abs=2e-3)
    assert all(miss.inside for miss in asked.misses) and {miss.point.workers for miss in asked.misses} == {1, 2}


@settings(deadline=None, max_examples=60)
@given(
    law=st.sampled_from(["amdahl", "gustafson"]), serial=st.floats(0, 100), workers=st.integers(1, whatif.MOST_WORKERS)
)
def test_it_is_the_law_times_its_height_and_never_above_its_limit(law: str, serial: float, workers: int) -> None:
    asked = ask(EIGHT, law=law, serial=repr(serial), workers=str(workers))
    by_hand = (amdahl if law == "amdahl" else gustafson)(workers, serial / 100)
    assert asked.speedup == pytest.approx(asked.basis.height * by_hand)
    assert asked.limit is None or asked.speedup <= asked.limit * (1 + 1e-12)
    assert (asked.limit is None) == (law == "gustafson" or serial == 0)
    # The words, the table, the data and the text of the figure can be told for whatever is chosen.
    assert all(whatif.said(asked).sentences) and figure.chart(asked).alt
    assert math.isfinite(whatif.as_dict(asked)["speedup"])


def test_the_distance_counts_the_intervals_that_the_law_passes() -> None:
    record = scale_run([1, 2, 4, 8], lambda p: amdahl(p, 0.1), None, cores=8)
    right, wrong = ask(record, serial="10"), ask(record, serial="50")
    assert [miss.inside for miss in right.misses] == [True] * 4
    assert [miss.inside for miss in wrong.misses] == [True, False, False, False]
    assert wrong.farthest.point.workers == 8
    assert wrong.farthest.off == pytest.approx(amdahl(8, 0.1) / amdahl(8, 0.5) - 1, rel=1e-3)
    assert whatif.said(wrong).distance == (
        "Of four measured points the farthest is 165\u00a0% above it, at 8 workers, and the law passes through one of "
        "four intervals; beyond 8 workers it is extrapolation."
    )
    assert whatif.said(right).distance == "All four measured points lie on it; beyond 8 workers it is extrapolation."


def test_one_number_of_workers_is_one_point_of_the_fastest() -> None:
    record = BARS["seven"]
    asked = ask(record)
    assert record.technique and list(whatif.bases(record)) == ["amdahl"]
    assert [p.speedup for p in asked.basis.points] == [record.technique.speedup]
    assert asked.farthest.off == pytest.approx(0, abs=1e-3)
    assert any("any loss looks like serial work" in note for note in whatif.said(asked).notes)


@pytest.mark.parametrize(
    "record", [fabricated([("sequential", "Sequential", 1, 1.0)]), fabricated([("opencv", "OpenCV", 1, 0.9)])]
)
def test_without_a_speedup_of_more_workers_there_is_nothing_to_lay_it_over(record: Record) -> None:
    assert not whatif.bases(record)
    with pytest.raises(UserError, match="nothing to lay a law over") as refused:
        ask(record)
    assert refused.value.code == "not_found"


@pytest.mark.parametrize(("query", "field", "limit"), [
    ({"serial": "101"}, "serial", "0 to 100"),
    ({"serial": "nan"}, "serial", "0 to 100"),
    ({"serial": "a lot"}, "serial", "0 to 100"),
    ({"workers": "0"}, "workers", "1 to 1024"),
    ({"workers": "2000"}, "workers", "1 to 1024"),
    ({"workers": "2.5"}, "workers", "1 to 1024"),
    ({"law": "moore"}, "law", "amdahl or gustafson"),
])  # fmt: skip
def test_what_cannot_be_is_refused_with_its_field_and_range(query: dict[str, str], field: str, limit: str) -> None:
    with pytest.raises(UserError) as refused:
        ask(EIGHT, **query)
    assert (refused.value.field, refused.value.limit) == (field, limit)


# ---------------------------------------------------------------- the figure


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("query", [{}, {"serial": "0", "workers": "1024"}, {"serial": "100", "workers": "1"}])
def test_the_figure_shows_points_law_and_what_was_chosen(query: dict[str, str], narrow: bool) -> None:
    asked = ask(EIGHT, **query)
    made = style.drawn(figure.chart(asked), style.Style(narrow=narrow))
    axes = made.axes[0]
    lines = {line.get_marker(): line for line in axes.lines if line.get_marker() == "D"}
    assert [list(xy) for xy in lines["D"].get_data()] == [[asked.workers], [pytest.approx(asked.speedup)]]
    drawn = sorted(x for bars in axes.containers for x in bars.lines[0].get_xdata())
    assert drawn == [p.workers for p in asked.basis.points]
    # What is dotted begins where the last measured point is.
    dotted = [line for line in axes.lines if line.get_linestyle() == ":"]
    assert [line.get_xdata()[0] for line in dotted] == [12] * asked.extrapolated
    low, high = axes.get_ylim()
    assert low <= asked.speedup <= high and all(low <= (p.speedup or 0) <= high for p in asked.basis.points)


# ---------------------------------------------------------------- the page


def kept(make_run: MakeRun, record: Record, **more: Any) -> Record:
    names = ("settings", "techniques", "weak", "scaling", "environment", "findings", "best")
    return make_run(mode=record.mode, **{name: getattr(record, name) for name in names}, **more)


def test_the_page_has_the_form_the_figure_and_what_it_says(client: FlaskClient, make_run: MakeRun) -> None:
    run = kept(make_run, EIGHT)
    address = f"/runs/{run.id}/what-if?serial=20&workers=100"
    page = client.get(address, headers=HTML).text
    asked = ask(EIGHT, serial="20", workers="100")
    assert whatif.said(asked).headline in page and "beyond 12 workers it is extrapolation" in page
    assert 'name="serial" value="20"' in page and 'name="workers" value="100"' in page
    (figure_address, *_) = re.findall(r'src="(/runs/[^"]+what-if/figure\.svg[^"]*)"', page)
    drawn = client.get(figure_address.replace("&amp;", "&"))
    assert drawn.mimetype == "image/svg+xml" and drawn.data.startswith(b"<?xml")
    assert f'href="/runs/{run.id}/what-if"' in client.get(f"/runs/{run.id}", headers=HTML).text


def test_it_answers_programs_too(client: FlaskClient, make_run: MakeRun) -> None:
    run = kept(make_run, EIGHT)
    asked = ask(EIGHT, law="gustafson", serial="5", workers="64")
    address = f"/runs/{run.id}/what-if?law=gustafson&serial=5&workers=64"
    answer = client.get(address, headers=JSON).get_json()
    assert answer["speedup"] == pytest.approx(gustafson(64, 0.05) * asked.basis.height) and answer["limit"] is None
    assert [point["workers"] for point in answer["points"]] == [1, 2, 4, 6, 8] and answer["extrapolated"]
    text = client.get(address).text
    assert text.splitlines()[0] == whatif.said(asked).headline.replace("\u00a0", " ") and "\u00a0" not in text


@pytest.mark.parametrize("headers", [HTML, JSON, {}])
def test_a_bad_value_is_said_in_its_place(client: FlaskClient, make_run: MakeRun, headers: dict[str, str]) -> None:
    run = kept(make_run, EIGHT)
    answer = client.get(f"/runs/{run.id}/what-if?serial=250&workers=7", headers=headers)
    said = "Serial share in % (serial) must be a number from 0 to 100, not “250”."
    assert answer.status_code == 400
    if headers is JSON:
        error = answer.get_json()["error"]
        assert (error["field"], error["limit"], error["message"]) == ("serial", "0 to 100", said)
    else:
        assert said in answer.text
    if headers is HTML:
        assert 'value="250"' in answer.text and 'value="7"' in answer.text and 'aria-invalid="true"' in answer.text
    figure_of = client.get(f"/runs/{run.id}/what-if/figure.svg?serial=250", headers=headers)
    assert figure_of.status_code == 400


def test_a_law_that_nothing_was_measured_for_is_refused(client: FlaskClient, make_run: MakeRun) -> None:
    run = kept(make_run, SCALES["two counts"])
    answer = client.get(f"/runs/{run.id}/what-if?law=gustafson", headers=HTML)
    assert answer.status_code == 400 and "Law (law) must be amdahl, not “gustafson”." in answer.text


def test_there_is_none_for_a_run_without_points(client: FlaskClient, make_run: MakeRun) -> None:
    run = make_run(mode="sequential", techniques=[])
    assert client.get(f"/runs/{run.id}/what-if", headers=HTML).status_code == 404
    assert "/what-if" not in client.get(f"/runs/{run.id}", headers=HTML).text
    assert client.get(f"/runs/{run.id}/what-if/figure.gif", headers=HTML).status_code == 404
    assert client.get("/runs/000000000fff/what-if", headers=HTML).status_code == 404
