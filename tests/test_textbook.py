"""The antipattern: the pool of tutorials shows on every page what it costs, and takes part only where it is named."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from test_advice import run_of, told
from test_advisor import images_of, learned, settings_of
from test_execute import run  # noqa: F401  a fixture

import imgproc
from imgproc.backends import TECHNIQUES, cannot_run, default_techniques
from imgproc.backends.base import Options
from imgproc.cli import main
from imgproc.exhibits import EXHIBITS
from imgproc.measure.alarms import Alarm
from imgproc.operations import DEFAULT_OPERATIONS, parse_parameters
from imgproc.report.advice import advice
from imgproc.report.exhibits import Measured, lesson
from imgproc.report.sentences import doing
from imgproc.report.text import comparison
from imgproc.runs.advisor.calibration import way
from imgproc.runs.advisor.choice import pick, predictions
from imgproc.runs.advisor.prediction import Batch
from imgproc.runs.contenders import find_contenders
from imgproc.runs.execute import process
from imgproc.runs.parsing import check_options
from imgproc.runs.passes import RunFolders
from imgproc.runs.record import ImageRecord, Record, RunSettings
from imgproc.runs.tasks.exhibits import exhibit_settings
from imgproc.settings import Settings
from tests import own_functions as own

NAME = "textbook"
LABEL = TECHNIQUES[NAME].label


def asked(**more):
    return RunSettings(list(DEFAULT_OPERATIONS), parse_parameters({}), **{"workers": 2, **more})


def contenders(mode, **more):
    return find_contenders(Record("0" * 12, mode, asked(**more)), deadline=5).same_work


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """A comparison of it with the pool that does the same as it should be done, on images of a megapixel."""
    folder, rng = tmp_path_factory.mktemp("textbook"), np.random.default_rng(8)
    images, sources = [], {}
    for index in range(4):
        sources[index] = folder / f"{index}.png"
        cv2.imwrite(str(sources[index]), cv2.blur(rng.integers(0, 256, (800, 1200), np.uint8), (9, 9)))
        images.append(ImageRecord(index, f"{index}.png", 1200, 800, "PNG", sources[index].stat().st_size))
    wanted = asked(techniques=[NAME, "multiprocessing"], transfers=["paths", "shared"], rounds=6, budget=30.0)
    record = Record("0123456789ab", "compare", wanted, images)
    process(record, RunFolders(sources, folder / "out", None, folder / "work"), Settings())
    return record


def test_an_antipatterns_label_says_so_and_nobody_elses():
    assert [t.name for t in TECHNIQUES.values() if t.antipattern] == [NAME]
    assert all(t.label.endswith(" (antipattern)") == t.antipattern for t in TECHNIQUES.values())
    assert {t.name for t in TECHNIQUES.values()} - {t.name for t in default_techniques()} == {NAME}
    assert cannot_run(TECHNIQUES[NAME], 1) is None


def test_it_takes_part_only_where_it_is_named():
    assert NAME not in {c.technique.name for c in contenders("compare")}
    assert NAME in {c.technique.name for c in contenders("compare", techniques=[NAME])}
    assert contenders("parallel", technique=NAME)[0].technique.name == NAME
    assert NAME not in {t.name for t in imgproc.compare(own.square, range(4), **QUICK).record.techniques}
    found = imgproc.compare(own.square, range(4), techniques=[NAME], **QUICK).record.techniques[0]
    assert (found.name, found.antipattern, found.identical) == (NAME, True, True)


QUICK = {"workers": 2, "rounds": 2, "budget": 1, "progress": False}


@pytest.mark.parametrize("threads", [1, 3])
def test_opencvs_threads_are_those_that_it_takes_unless_told_otherwise(threads):
    assert TECHNIQUES[NAME].load()(2, Options(cv2_threads=threads)).cv2_threads == cv2.getNumberOfCPUs()


def test_pixels_travel_the_textbooks_way_whatever_others_were_asked_for(record):
    [textbook] = [t for t in record.techniques if t.name == NAME]
    assert (textbook.transfer, textbook.antipattern, textbook.identical) == ("arrays", True, True)
    assert [t.transfer for t in record.techniques if t.name == "multiprocessing"] == ["paths", "shared"]
    assert textbook.cv2_threads == cv2.getNumberOfCPUs() and textbook.split == []
    assert textbook.rounds[0].bytes_moved > 4 * (1 + 3) * 800 * 1200
    by_caller = {span.stage for span in textbook.spans if span.worker == 0}
    assert {"read", "decode", "encode", "write", "transfer"} <= by_caller
    assert {span.stage for span in textbook.spans if span.worker > 0} >= set(DEFAULT_OPERATIONS)
    assert not any(t.antipattern for t in record.techniques if t is not textbook)


def test_the_record_and_its_page_mark_it_and_the_harm_is_there(record):
    again = Record.from_dict(json.loads(json.dumps(record.to_dict())))
    assert [t.name for t in again.techniques if t.antipattern] == [NAME]
    older = record.to_dict()
    for technique in older["techniques"]:  # where it was called otherwise
        technique["exhibit"] = technique.pop("antipattern")
    assert Record.from_dict(json.loads(json.dumps(older))) == again
    [row] = [row for row in comparison(record, ["photos"]).splitlines() if row.startswith(f"{NAME} ")]
    assert row.endswith(", an antipattern")
    if cv2.getNumberOfCPUs() * 2 > record.environment["cores_usable"]:
        [alarm] = [alarm for alarm in record.alarms if alarm.name == "oversubscribed"]
        assert alarm.who == LABEL and "OpenCV threads each" in alarm.message


def test_what_is_predicted_and_taken_is_never_an_antipattern():
    calibration = learned()
    calibration.passes[way(NAME, 2)] = calibration.passes[way("threading", 2)]
    calibration.passes[way("threading", 2)] = calibration.passes[way("multiprocessing", 2)]
    found = predictions(calibration, Batch(images_of([2.0] * 40), settings_of(), "isal"), 2)
    assert NAME not in {one.technique for one in found} and pick(found, baseline=True).technique != NAME


def antipattern(t):
    t.antipattern = t.name == NAME


def test_the_fastest_may_be_an_antipattern_but_another_is_advised():
    found = told(run_of(change=antipattern, textbook=0.5, threading=0.6, sequential=1.2))
    assert found.technique == "threading" and "antipattern" not in found.use
    found = told(run_of("parallel", change=antipattern, textbook=0.6, sequential=1.2))
    assert (found.technique, found.use.partition(".")[0]) == (
        None,
        "Only an antipattern was measured beside sequential",
    )
    assert found.command.startswith("python -m imgproc compare") or "compare" in found.command
    found = told(run_of(change=antipattern, textbook=0.9, threading=1.3, sequential=1.2))
    assert found.technique == "sequential" and "textbook" not in found.use


def test_an_alarm_about_an_antipattern_makes_no_advice_doubtful():
    record = run_of(change=antipattern, textbook=1.5, threading=0.6, sequential=1.2)
    calm = advice(record)
    record.alarms = [Alarm("oversubscribed", "m", "a", LABEL)]
    assert advice(record) == calm
    record.alarms.append(Alarm("spread", "m", "a", "Threads"))
    assert "One alarm of this run makes that doubtful." in advice(record).use


def test_what_it_cannot_do_is_refused():
    with pytest.raises(imgproc.UserError, match="cannot choose how pixels move") as problem:
        check_options("parallel", asked(technique=NAME, transfers=["shared"]))
    assert problem.value.field == "transfer" and NAME not in problem.value.limit
    with pytest.raises(imgproc.UserError, match="not scaled"):
        check_options("scale", asked(technique=NAME))
    check_options("compare", asked(techniques=[NAME, "multiprocessing"], transfers=["paths", "shared"]))


def test_it_is_marked_where_techniques_are_listed(client, capsys):
    assert main(["techniques"]) == 0
    [line] = [line for line in capsys.readouterr().out.splitlines() if f" {NAME} " in line]
    assert line.endswith("(antipattern)")
    assert main(["techniques", "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out) if row["antipattern"]] == [NAME]
    assert [t.name for t in imgproc.techniques() if t.antipattern] == [NAME]
    assert f">{LABEL}</h3>" in client.get("/techniques").text
    page = client.get("/").text
    able = sum(t.availability().ok for t in default_techniques())
    assert f">{LABEL}</option>" in page and f"{able} techniques, 6 rounds or more" in page


def test_the_page_of_a_run_and_its_figures_mark_it(client, make_run, settings):
    kept = make_run(mode="compare")
    kept.techniques.append(replace(kept.techniques[0], name=NAME, label=LABEL, antipattern=True, transfer="arrays"))
    kept.conclude()
    kept.save(settings.RESULTS_DIR / kept.id)
    page = client.get(f"/runs/{kept.id}", headers={"Accept": "text/html"}).text
    assert f'scope="row">{LABEL}<small>{NAME}, ' in page
    assert "(antipattern)" in client.get(f"/runs/{kept.id}/figures/speedup.svg").text
    with client.get(f"/runs/{kept.id}.json") as answer:
        assert [t["name"] for t in answer.json["techniques"] if t["antipattern"]] == [NAME]


def test_how_many_are_compared_is_said_without_it(record):
    able = sum(t.availability().ok for t in default_techniques())
    unnamed = replace(record, settings=replace(record.settings, techniques=[]))
    assert doing(unnamed).startswith(f"Comparing {able} techniques")


def test_pinning_is_all_that_differs_in_its_exhibit(run):  # noqa: F811
    shown = EXHIBITS["unpinned"]
    found = exhibit_settings(shown, shown.parts[0], {}, Settings())
    assert (found.techniques, found.transfers, found.operations) == ([*shown.techniques], ["arrays"], ["bilateral"])
    same = {"techniques": found.techniques, "transfers": found.transfers}
    record, _ = run("auto", ((60, 80), (50, 70)), "compare", **same, rounds=1, budget=1)
    unpinned, pinned = (next(t for t in record.techniques if t.name == name) for name in shown.techniques)
    assert unpinned.cv2_threads == cv2.getNumberOfCPUs() and pinned.cv2_threads == 1
    for name in ("workers", "transfer", "start_method", "identical", "chunk_size", "split"):
        assert getattr(unpinned, name) == getattr(pinned, name), name
    record.environment["cores_usable"] = 2
    conclusion = lesson(shown, [Measured(shown.parts[0], record)])[0]
    assert conclusion.startswith(
        ("Pinning pays here: large pictures ", "Here pinning is not seen to pay: large pictures ")
    )
