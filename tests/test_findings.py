"""What a run found: worked out once, kept as data, and the same in every place that tells it."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from typing import Any

import pytest
from conftest import MakeRun, owner_in
from flask.testing import FlaskClient
from scale_runs import conclude, measured, scale_run

from imgproc.backends import TECHNIQUES
from imgproc.backends.base import Availability
from imgproc.library.comparison import Comparison
from imgproc.measure import findings as of_run
from imgproc.measure.derive import derive
from imgproc.measure.findings import Findings, findings
from imgproc.measure.results import TechniqueMeasurement
from imgproc.measure.statistics import FIRST_RULES
from imgproc.report import page, sentences
from imgproc.report.charts import CHARTS
from imgproc.report.conditions import facts
from imgproc.report.text import comparison, summary
from imgproc.runs.record import Record, RunSettings
from imgproc.runs.store import Store
from imgproc.runs.verify import verify
from imgproc.settings import Settings

HTML = {"Accept": "text/html"}


def compared(rounds: int = 7, **seconds: float) -> list[TechniqueMeasurement]:
    """Techniques of the table with such medians, with little noise."""
    found = [measured(n, TECHNIQUES[n].label, s, noise=0.01, rounds=rounds) for n, s in seconds.items()]
    derive(found, images=12, megapixels=36.0)
    return found


# ---------------------------------------------------------------- the data


@pytest.mark.parametrize(
    ("seconds", "rounds", "best", "technique", "outcome"),
    [
        ({"mpi": 0.4, "sequential": 1.2, "threading": 0.5}, 7, "mpi", "MPI", "faster"),
        ({"threading": 2.0, "sequential": 1.2}, 7, "sequential", "Sequential", "baseline"),
        ({"threading": 1.198, "sequential": 1.2}, 7, "threading", "Threads", "no difference that matters"),
        ({"threading": 1.185, "sequential": 1.2}, 7, "threading", "Threads", "no measurable difference"),
        ({"mpi": 0.4, "sequential": 1.2, "threading": 0.5}, 1, None, "Sequential", "undecided"),
        ({"mpi": 0.4, "sequential": 1.2, "threading": 0.5}, 5, None, "Sequential", "undecided"),
        ({"mpi": 2.4, "sequential": 1.2}, 5, None, "Sequential", "undecided"),
        ({"mpi": 0.4, "threading": 0.5}, 7, "mpi", "MPI", "not compared"),
        ({"mpi": 0.4, "threading": 0.5}, 5, None, "MPI", "undecided"),
        ({"sequential": 1.2}, 1, "sequential", "Sequential", "baseline"),
    ],
)
def test_a_comparison_crowns_who_is_measurably_the_fastest(
    seconds: dict[str, float], rounds: int, best: str | None, technique: str, outcome: str
) -> None:
    found = findings("compare", compared(rounds, **seconds), [], None)
    assert (found.best, found.technique, found.outcome) == (best, technique, outcome)
    assert found.order == [TECHNIQUES[name].label for name in sorted(seconds, key=lambda name: seconds[name])]


def test_a_run_of_one_technique_is_about_that(make_run: MakeRun) -> None:
    slow = findings("parallel", compared(multiprocessing=2.0, sequential=1.2), [], None)
    assert (slow.best, slow.technique, slow.outcome) == ("sequential", "Process pool", "slower")
    few = findings("parallel", compared(1, multiprocessing=0.7, sequential=1.2), [], None)
    assert (few.technique, few.outcome, few.order) == ("Process pool", "no interval", ["Process pool", "Sequential"])
    assert findings("sequential", [], [], None) == Findings()
    wrong = compared(threading=0.5, sequential=1.2)
    wrong[0].identical, wrong[0].speedup = False, None
    assert findings("parallel", wrong, [], None).outcome == "not compared"


def test_each_pair_that_is_told_is_there_once_and_can_be_read_from_both_sides() -> None:
    techniques = compared(mpi=0.4, threading=0.5, joblib=0.4001, sequential=1.2)
    found = findings("compare", techniques, [], None)
    assert [(pair.technique, pair.verdict) for pair in found.pairs] == [
        ("Threads", "slower"), ("joblib", "no measurable difference"), ("Sequential", "slower"),
    ]  # fmt: skip
    there, back = found.versus("Threads", "MPI"), found.versus("MPI", "Threads")
    assert there.speedup == pytest.approx(0.8, rel=0.02) and back.speedup == pytest.approx(1.25, rel=0.02)
    assert there.speedup_ci95 and back.speedup_ci95
    assert back.speedup_ci95 == pytest.approx([1 / there.speedup_ci95[1], 1 / there.speedup_ci95[0]])
    assert (there.verdict, back.verdict) == ("slower", "faster")
    assert found.versus("joblib", "Threads") == of_run.Pair("joblib", "Threads")  # told nowhere


def test_a_technique_more_makes_every_interval_wider_and_its_record_says_for_how_many_they_hold() -> None:
    """Each with each is 1 comparison of two techniques, 3 of three and 6 of four."""
    seconds = {"sequential": 1.2, "threading": 0.5, "mpi": 0.4, "joblib": 0.45}
    widths, counts = [], []
    for many in (2, 3, 4):
        found = compared(**dict(list(seconds.items())[:many]))
        low, high = next(t for t in found if t.name == "threading").speedup_ci95 or (0.0, 0.0)
        widths.append(high - low)
        counts.append(findings("compare", found, [], None).comparisons)
    assert widths == sorted(set(widths)) and counts == [1, 3, 6]
    said = dict(facts(scale_run((1, 2), scaled=None))["Settings"])
    assert said["Intervals"] == "95\N{NO-BREAK SPACE}% for all 3 comparisons of the run at once"


def test_a_record_with_intervals_for_all_but_ratios_of_medians_is_held_to_its_own_rules() -> None:
    """Of a version between the first and the one that knows a smallest difference."""
    record = scale_run((1, 2, 4), noise=0.02)
    conclude(record, replace(FIRST_RULES, simultaneous=True))
    data = record.to_dict()
    del data["findings"]["smallest_difference"], data["findings"]["estimand"], data["settings"]["smallest_difference"]
    for m in (*data["techniques"], *data["weak"]):
        del m["geometric_mean_seconds"], m["speedup_check_ci95"]
    again = Record.from_dict(data)
    assert verify(again) == [] and again.found.pairs == record.found.pairs and again.found.comparisons
    again.techniques[0].speedup = (again.techniques[0].speedup or 0.0) * 1.001
    assert verify(again)


def test_verify_does_not_take_intervals_of_one_comparison_for_those_of_all() -> None:
    record = scale_run((1, 2, 4), noise=0.02)
    comparisons = record.found.comparisons
    conclude(record, replace(record.rules, simultaneous=False))
    record.found.comparisons = comparisons
    assert any("speedup_ci95 is " in said for said in verify(record))


def test_rounds_that_are_no_pairs_have_no_verdict() -> None:
    techniques = compared(mpi=0.4, joblib=0.8, sequential=1.2)
    techniques[1].rounds = techniques[1].rounds[:3]
    pair = findings("compare", techniques, [], None).versus("joblib", "MPI")
    assert pair.speedup == pytest.approx(0.5, rel=0.02) and pair.verdict is pair.speedup_ci95 is None


def test_a_scale_run_has_the_pairs_of_its_curve_and_of_its_grid() -> None:
    found = scale_run((1, 2, 4), inner=(1, 2)).found
    assert found.technique == "Threads, 4 workers" and found.order[-1] == "Sequential"
    for one, other in (
        ("Threads, 2 workers", "Threads, 4 workers"),
        ("Threads, 2 workers with 2 OpenCV threads each", "Threads, 2 workers"),
        ("Threads, 2 workers with 2 OpenCV threads each", "Threads, 4 workers"),
    ):
        assert found.versus(one, other).verdict == "slower"
    assert len({frozenset((pair.technique, pair.other)) for pair in found.pairs}) == len(found.pairs)


def test_findings_survive_their_record_and_verify_works_them_out_again(tmp_path: Any) -> None:
    record = scale_run((1, 2, 4), inner=(1, 2), noise=0.02)
    record.environment["cores_used_by_others"] = 0.9
    record.alarms = record.raised_alarms()
    assert {(alarm.who, alarm.name) for alarm in record.alarms} >= {("", "busy-machine")}
    record.save(tmp_path)
    again = Record.load(tmp_path)
    assert again.findings == record.findings and again.alarms == record.alarms and verify(again) == []
    for change, said in (
        (lambda data: data["findings"]["pairs"][0].update(verdict="faster"), "findings.pairs[0].verdict is faster"),
        (lambda data: data["findings"]["order"].reverse(), "findings.order is "),
        (lambda data: data["findings"]["losses"][0].update(seconds=9.0), "findings.losses[0].seconds is 9.0"),
        (lambda data: data.update(best="mpi"), "best is mpi"),
        (lambda data: data["alarms"][0].update(advice="Never mind."), "alarms[0].advice is Never mind."),
    ):
        data = again.to_dict() | {"findings": asdict(again.found), "alarms": [asdict(a) for a in again.alarms]}
        change(data)
        found = verify(Record.from_dict(data))
        assert len(found) == 1 and found[0].startswith(said), found


def test_a_record_of_an_earlier_version_has_them_when_it_is_read() -> None:
    """It is of a time when each interval had its own 95 %, any difference mattered and a speedup was the ratio of the
    medians; that is not called wrong."""
    record = scale_run((1, 2, 4), noise=0.02)
    wider = record.found
    conclude(record, FIRST_RULES)
    assert record.found.pairs != wider.pairs and record.found.comparisons is record.found.estimand is None
    threads = record.techniques[1]
    assert threads.speedup == (record.techniques[-1].median_seconds or 0.0) / (threads.median_seconds or 1.0)
    record.state, record.environment["cores_used_by_others"] = "done", 0.9
    alarm = record.raised_alarms()[0]
    record.warnings = [alarm.text, "A worker died."]
    data = record.to_dict()
    del data["findings"], data["alarms"]
    again = Record.from_dict(data)
    assert again.findings == record.findings and again.alarms == [alarm] and verify(again) == []
    data["state"] = "running"
    assert Record.from_dict(data).findings is None


# ---------------------------------------------------------------- too few rounds, in every place


def few_rounds(make_run: MakeRun, settings: Settings, store: Store, rounds: int = 1) -> Record:
    """A comparison in which MPI took a third of the time, but as few rounds as that; as an earlier version wrote it,
    which called MPI the best."""
    record = make_run(mode="compare", state="running", visible="public")
    record.techniques = compared(rounds, mpi=0.4, threading=0.5, sequential=1.2)
    record.state, record.best, record.finished = "done", "mpi", record.created
    record.save(settings.RESULTS_DIR / record.id)
    store.finish(Record.load(settings.RESULTS_DIR / record.id))
    return record


@pytest.mark.parametrize("rounds", [1, 5])
def test_a_comparison_without_intervals_crowns_nobody(
    client: FlaskClient, make_run: MakeRun, settings: Settings, store: Store, rounds: int
) -> None:
    run_id = few_rounds(make_run, settings, store, rounds).id
    record = Record.load(settings.RESULTS_DIR / run_id)
    assert record.best is None and record.technique and record.technique.label == "Sequential"
    said = "Too few rounds to tell who is fastest; give it more time"
    assert sentences.headline(record) == sentences.Headline(f"{said}.")
    lines = summary(record).splitlines()
    assert lines[:5] == [
        "Processing Mode: Compare (3 techniques)",
        f"Number of Images: {len(record.good_images)}",
        f"Time Taken: {record.techniques[2].median_seconds:.2f} seconds",
        f"Speedup: not shown (t{said[1:]})",
        "Note: the time is that of Sequential.",
    ]
    assert client.get(f"/runs/{run_id}.txt").text == summary(record)
    head, advice = "\n".join(lines[:-1]), lines[-1]  # the advice stands at the end of both
    assert advice.startswith("Advice: Nothing can be told yet: ") and comparison(record).count(f"\n\n{advice}\n") == 1
    assert comparison(record).startswith(head) and comparison(record).count("too few rounds\n") == 2
    html = client.get(f"/runs/{run_id}", headers=HTML).text
    assert re.search(r"<title>Too few rounds to tell, \d images? – Speedup Lab</title>", html)
    assert re.search(rf'<h1 class="verdict-line">{said}\.</h1>', html)
    assert "so nobody can be called faster" in html and "no measurable difference" not in html
    assert "is-best" not in html and not any(row.best for row in page.table(record))
    row = store.get(run_id)
    assert row and row.technique == "sequential" and row.speedup is row.speedup_low is None
    history = client.get("/runs", headers=HTML).text
    assert "too few rounds to tell" in history
    for html in (history, client.get("/techniques", headers=HTML).text):
        assert "3.00×" not in html and "2.40×" not in html


# ---------------------------------------------------------------- a difference too small to matter, in every place


def nearly_level(make_run: MakeRun, smallest: float = 1.0, owner: str = "") -> Record:
    """Threads are faster by half a percent, which rounds this steady can tell from nothing."""
    record = make_run(mode="compare", state="running", owner=owner)
    record.settings.smallest_difference = smallest
    record.techniques = [
        measured(name, TECHNIQUES[name].label, s, noise=0.001, rounds=9)
        for name, s in {"threading": 1.194, "mpi": 1.197, "sequential": 1.2}.items()
    ]
    derive(record.techniques, images=record.total, megapixels=record.megapixels, rules=record.rules)
    record.state, record.finished = "done", record.created
    record.conclude()
    return record


def test_a_difference_too_small_to_matter_is_told_alike_everywhere(
    client: FlaskClient, make_run: MakeRun, settings: Settings, store: Store
) -> None:
    record = nearly_level(make_run, owner=owner_in(client))
    record.save(settings.RESULTS_DIR / record.id)
    store.finish(Record.load(settings.RESULTS_DIR / record.id))
    none = "no difference that matters"
    assert record.found.outcome == none and verify(record) == []
    assert [t.verdict for t in record.techniques] == [none, none, None]
    assert record.techniques[0].speedup_ci95 and record.techniques[0].speedup_ci95[0] > 1  # and so it is measurable
    percent = "1\N{NO-BREAK SPACE}%"
    assert sentences.title(record) == f"Nothing more than {percent} faster than sequential, 3 images"
    headline = sentences.headline(record)
    assert headline and headline.lead == f"No technique is more than {percent} faster than"
    assert summary(record).splitlines()[3] == f"Speedup: 1.0x over Sequential (95% CI 1.0 to 1.0): {none}"
    assert "Sequential is enough: no technique is more than 1 % faster." in summary(record)
    assert len(re.findall(rf"(?m)^(?:threading|mpi) .* {none}$", comparison(record))) == 2
    assert dict(facts(record)["Settings"])["Faster and slower"] == f"by more than {percent}"
    assert Comparison(record).verdicts == {"Threads": none, "MPI": none, "Sequential": None}
    assert (chart := CHARTS["speedup"](record)) and chart.sentence.endswith("two techniques without one that matters.")
    html = client.get(f"/runs/{record.id}", headers=HTML).text
    assert html.count(none) >= 2 and "is-best" not in html and 'class="verdict-word is-faster"' not in html
    assert not any(row.best for row in page.table(record))
    row = store.get(record.id)
    assert row and row.verdict == none and row.speedup_low and row.speedup_low > 1
    runs = client.get("/runs", headers=HTML).text.partition("</table>")[0]  # what follows sums up many runs
    assert 'class="micro is-none"' in runs and 'class="micro is-faster"' not in runs


def test_how_small_matters_is_up_to_whoever_asks(make_run: MakeRun) -> None:
    record = nearly_level(make_run, smallest=0.1)
    assert record.found.outcome == "faster" and record.found.smallest_difference == 0.001
    again = Record.from_dict(record.to_dict())
    assert again.rules == record.rules and verify(again) == []
    again.found.smallest_difference = 0.01  # its verdicts are not by this
    assert any("verdict is faster" in said for said in verify(again))


def test_nobody_is_marked_as_the_best_who_is_not_measurably_faster(make_run: MakeRun) -> None:
    record = make_run(mode="compare")
    assert [row.best for row in page.table(record)] == [True, False]
    assert sentences.title(record) == "1.93× with threads, 3 images"
    threads = record.techniques[0]
    threads.verdict, threads.speedup, threads.speedup_ci95 = "no measurable difference", 1.01, [0.98, 1.04]
    assert not any(row.best for row in page.table(record))
    assert sentences.title(record) == "Nothing measurably faster than sequential, 3 images"
    threads.median_seconds = 0.9
    assert sentences.title(record) == "Nothing faster than sequential, 3 images"


def test_without_the_baseline_the_fastest_has_a_time_only() -> None:
    record = Record("0123456789ab", "compare", RunSettings([], {}), techniques=compared(mpi=0.4, threading=0.5))
    said = sentences.headline(record)
    assert said.rest == " with MPI," and said.after == "without a speedup: the baseline was not measured."


# ---------------------------------------------------------------- what can run here


def test_a_scheduler_that_comes_up_later_is_seen_without_a_restart(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([Availability(False, "The scheduler gave no answer."), Availability(True)])
    dask = replace(TECHNIQUES["dask"])
    monkeypatch.setattr(type(dask), "availability", _instead(dask.name, lambda: next(answers)))
    assert "The scheduler gave no answer." in client.get("/techniques", headers=HTML).text
    assert "The scheduler gave no answer." not in client.get("/techniques", headers=HTML).text


def _instead(name: str, answer: Any) -> Any:
    real = type(TECHNIQUES[name]).availability
    return lambda self: answer() if self.name == name else real(self)
