"""A finished run that lacks rounds is measured on: by a new run, of the same, with as many as it takes."""

from __future__ import annotations

import json
import math
import random
import statistics
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeRun, jpeg, owner_in
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st
from scale_runs import conclude, measured, scale_run

from imgproc.cli import main
from imgproc.measure.derive import derive
from imgproc.measure.statistics import LOOKS, PRECISE, forecast, paired_speedup, precise, rounds_for
from imgproc.report.longer import offer
from imgproc.report.predictions import plan
from imgproc.runs.advisor.prediction import Prediction
from imgproc.runs.longer import longer, measured_on, same_sample
from imgproc.runs.record import Record
from imgproc.settings import Settings

HTML, JSON = {"Accept": "text/html"}, {"Accept": "application/json"}


@pytest.fixture
def mine(client: FlaskClient) -> str:
    return owner_in(client)


@pytest.fixture
def stranger(app: Flask) -> FlaskClient:
    return app.test_client()


def error(answer: Any) -> dict[str, Any]:
    return answer.get_json()["error"]


def noisy(rounds: int, noise: float) -> Record:
    """A comparison of two techniques over twelve images."""
    record = scale_run()
    record.mode, record.weak, record.scaling = "compare", [], None
    record.settings.techniques = ["threading"]
    record.techniques = [
        measured("threading", "Threads", 0.6, 2, noise=noise, rounds=rounds),
        measured("sequential", "Sequential", 1.2, noise=noise, rounds=rounds),
    ]
    derive(record.techniques, images=12, megapixels=36.0)
    record.conclude()
    return record


# ---------------------------------------------------------------- how many rounds it takes


def test_so_many_rounds_are_enough_in_four_runs_of_five() -> None:
    """Of a simulated pilot with 6 rounds, and of the run that follows it, with 36 comparisons at once."""
    draw = random.Random(5)
    narrow = 0
    for _ in range(300):
        count = rounds_for([draw.gauss(0, 0.06) for _ in range(6)], 36)
        assert count is not None
        base, technique = [1.0] * count, [math.exp(draw.gauss(0, 0.06)) for _ in range(count)]
        _, interval = paired_speedup(base, technique, 36)
        assert interval
        narrow += math.sqrt(interval[1] / interval[0]) <= 1 + PRECISE
    assert 0.72 <= narrow / 300 <= 0.90


@how(deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=3, max_size=30), st.integers(1, 66))
def test_more_scatter_and_more_comparisons_ask_for_no_fewer_rounds(logs: list[float], comparisons: int) -> None:
    one = rounds_for(logs, comparisons)
    more = rounds_for([2 * log for log in logs], comparisons + 1)
    assert one is not None and more is not None and 6 <= one <= more


def test_two_rounds_say_nothing_of_their_scatter() -> None:
    assert rounds_for([0.0, 0.1]) is None
    assert rounds_for([0.0, 0.0, 0.0]) == 6


def test_the_forecast_is_the_first_look_at_which_times_like_these_are_precise() -> None:
    draw = random.Random(3)
    steady, wild = ([draw.gauss(1, sigma) for _ in range(5)] for sigma in (0.001, 0.08))
    assert forecast({"a": steady}, LOOKS) == 6
    assert forecast({"a": steady, "b": [0.1, 5, 0.1, 5, 0.1]}, LOOKS) == 30
    assert 6 < forecast({"a": steady, "b": wild}, LOOKS) < 30
    assert forecast({"a": [1.0, 9.0]}, LOOKS) == 6  # too few to say
    assert forecast({"a": [1.0, 9.0] * 20}, LOOKS) == 40  # there is no further look
    long = [draw.gauss(1, 0.08) for _ in range(200)]
    look = forecast({"a": long[:12]}, LOOKS)
    reached = [next((n for n in LOOKS if precise(long[k : k + n])), 30) for k in range(0, 160, 10)]
    assert abs(look - statistics.median(reached)) <= 11


# ---------------------------------------------------------------- what a run lacks


def test_a_run_with_narrow_intervals_lacks_nothing() -> None:
    assert longer(noisy(12, 0.002)) is None
    assert longer(scale_run()) is None


def test_a_run_with_one_round_is_given_enough_for_intervals() -> None:
    found = longer(noisy(1, 0.0))
    assert found is not None and (found.rounds, found.few, found.enough) == (12, True, None)
    assert 12 * 1.8 < found.seconds < 60
    said = offer(found)
    assert said.startswith("Some speedups have no interval.") and "with 12 rounds, enough for intervals;" in said


def test_wide_intervals_ask_for_rounds_by_their_scatter() -> None:
    some, many = longer(noisy(7, 0.08)), longer(noisy(7, 0.25))
    assert some is not None and many is not None
    assert 7 < some.rounds < many.rounds == LOOKS[-1]
    assert (some.few, some.enough, many.enough) == (False, True, False)
    assert "Some intervals are wide." in offer(some) and "at most 5\u00a0% to each side" in offer(some)
    assert "though wider than 5\u00a0% to each side" in offer(many)
    most = longer(noisy(30, 0.9))  # which has had its 30
    assert most is not None and most.rounds == 100


def test_a_budget_that_is_allowed_limits_the_rounds() -> None:
    found = longer(noisy(7, 0.25), most_seconds=30)
    assert found is not None and found.seconds == 30 and found.rounds * 1.8 < 30 and found.enough is False


def test_of_several_starts_it_is_starts_that_are_lacking() -> None:
    record = noisy(6, 0.2)
    record.settings.starts = 3
    for t in record.techniques:
        for number, one in enumerate(t.rounds):
            one.start = 1 + number // 2
    derive(record.techniques, images=12, megapixels=36.0)
    record.conclude()
    found = longer(record)
    assert found is not None and found.few and found.starts >= 4 and found.rounds == 2 * found.starts
    asked = measured_on(record).settings
    assert (asked.starts, asked.rounds, asked.rounds_of_start) == (found.starts, found.rounds, 2)


def test_every_amount_of_work_of_a_scale_run_counts() -> None:
    assert longer(scale_run(noise=0.002)) is None
    record = scale_run(noise=0.002)
    record.weak = scale_run(noise=0.3).weak
    conclude(record)
    found = longer(record)
    assert found is not None and not found.few and found.rounds > 7


def test_the_same_images_are_measured_where_it_was_a_sample() -> None:
    record = noisy(1, 0.0)
    record.sample = [1, 5, 9]
    assert same_sample(record, [0, 1, 5, 8, 9]) == [1, 2, 4]
    record.sample = None
    assert same_sample(record, [0, 1]) is None
    new = measured_on(record)
    assert new.measures_on == record.id and new.id != record.id and new.settings.seed == 0
    new.sample = [1, 2]
    new.forget_results()
    assert (new.measures_on, new.sample) == (record.id, [1, 2])


# ---------------------------------------------------------------- on the command line


def test_a_run_is_measured_on_from_its_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for index, name in enumerate(("a.jpg", "b.jpg", "c.jpg", "d.jpg")):
        (tmp_path / name).write_bytes(jpeg(seed=index))
    words = ["process", *sorted(map(str, tmp_path.glob("*.jpg"))), "--technique", "threading", "--no-wait"]
    assert main([*words, "--out", "out", "--rounds", "2", "--budget", "5", "--json=run.json"]) == 0
    data = json.loads(Path("run.json").read_text()) | {"sample": [0, 2, 3]}
    Path("few.json").write_text(json.dumps(data))
    capsys.readouterr()
    assert main(["repeat", "few.json", "--measure-on", "--no-wait", "--json=on.json"]) == 0
    said = capsys.readouterr().out
    said = " ".join(said.split())
    assert (
        said.startswith(f"Measures on run {data['id']} of ") and "which had 2 rounds; none of them count here." in said
    )
    assert "Processing Mode: " in said and "It reproduces" not in said
    on = Record.from_dict(json.loads(Path("on.json").read_text()))
    assert on.measures_on == data["id"] and on.repetition is None and on.sample == [0, 2, 3]
    assert on.techniques[0].first_round_images == 4 and {span.image for span in on.techniques[0].spans} == {0, 2, 3}
    assert min(len(t.rounds) for t in on.techniques) >= 6 and all(t.speedup for t in on.techniques)
    assert main(["verify", "on.json"]) == 0


def test_a_precise_run_is_not_measured_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noisy(12, 0.002).save(tmp_path)
    assert main(["repeat", str(tmp_path / "run.json"), "--measure-on"]) == 2
    assert "This run lacks no rounds" in capsys.readouterr().err


# ---------------------------------------------------------------- on the page


def test_its_owner_is_offered_to_measure_on_and_sees_of_which_run_it_is(
    client: FlaskClient, stranger: FlaskClient, make_run: MakeRun, mine: str, settings: Settings
) -> None:
    old = make_run(owner=mine, mode="compare", techniques=noisy(1, 0.0).techniques, sample=[0, 2])
    address = f"/runs/{old.id}/measure-on"
    page = client.get(f"/runs/{old.id}", headers=HTML).text
    assert address in page and "Some speedups have no interval. A new run measures the same images" in page
    assert address not in stranger.get(f"/runs/{old.id}", headers=HTML).text
    refused = stranger.post(address, headers=JSON)
    assert (refused.status_code, error(refused)["code"]) == (403, "not_owner")
    answer = client.post(address, headers=JSON)
    assert answer.status_code == 202
    new = Record.load(settings.RESULTS_DIR / answer.get_json()["id"])
    assert (new.measures_on, new.sample, new.settings.rounds) == (old.id, [0, 2], 12)
    assert new.settings.techniques == ["threading", "sequential"] and new.settings.operations == old.settings.operations
    assert [i.name for i in new.images] == [i.name for i in old.images]


def test_the_page_of_a_run_that_measures_on_links_to_the_earlier_one_where_that_may_be_seen(
    client: FlaskClient, stranger: FlaskClient, make_run: MakeRun, mine: str
) -> None:
    old = make_run(owner=mine, visible="private")
    new = make_run(owner=mine, measures_on=old.id)
    for browser, shown in ((client, True), (stranger, False)):
        page = browser.get(f"/runs/{new.id}", headers=HTML).text
        assert "This run measures on" in page and (f'href="/runs/{old.id}"' in page) is shown


def test_a_precise_run_and_one_whose_images_are_gone_are_not_offered_it(
    client: FlaskClient, make_run: MakeRun, mine: str, settings: Settings
) -> None:
    precise_one = make_run(owner=mine, mode="compare", techniques=noisy(12, 0.002).techniques)
    assert "/measure-on" not in client.get(f"/runs/{precise_one.id}", headers=HTML).text
    answer = client.post(f"/runs/{precise_one.id}/measure-on", headers=JSON)
    assert (answer.status_code, error(answer)["code"]) == (409, "conflict")
    old = make_run(owner=mine, mode="compare", techniques=noisy(1, 0.0).techniques)
    (settings.UPLOADS_DIR / old.id / old.images[0].stored).unlink()
    assert "/measure-on" not in client.get(f"/runs/{old.id}", headers=HTML).text
    answer = client.post(f"/runs/{old.id}/measure-on", headers=JSON)
    assert (answer.status_code, error(answer)["code"]) == (409, "conflict")


# ---------------------------------------------------------------- before it is measured


def test_a_dry_run_says_which_budget_all_images_need() -> None:
    record = noisy(6, 0.01)
    record.settings.budget = 60.0
    known = [Prediction("threading", 2, 0.0, 3.5, 0.0, True), Prediction("sequential", 1, 0.0, 6.9, 0.0, True)]
    said = plan(record, record.techniques, [], known, None)
    assert "A sample of the images would be measured: all of them need about 90 s, --budget 90.\n" in said
    record.settings.budget = 90.0
    assert "A sample" not in plan(record, record.techniques, [], known, None)
    record.settings.budget = 60.0
    assert "A sample" not in plan(record, record.techniques, [], known[:1], None)  # of one nothing is known
