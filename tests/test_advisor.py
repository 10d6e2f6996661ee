"""Predictions: what is learned from records, what follows for images not seen, and what auto makes of it."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgproc.backends import TECHNIQUES, default_techniques
from imgproc.cli import main
from imgproc.measure.results import Round, SpanRecord, TechniqueMeasurement
from imgproc.operations import DEFAULT_OPERATIONS, parse_parameters
from imgproc.runs.advisor import calibrate as calibrating
from imgproc.runs.advisor.calibration import Calibration, Overhead, reference, way
from imgproc.runs.advisor.choice import batch_of, pick, predictions, why
from imgproc.runs.advisor.fit import Fit
from imgproc.runs.advisor.learning import learn, learn_and_keep
from imgproc.runs.advisor.prediction import Batch, Prediction, predict, predicted_costs
from imgproc.runs.execute import process
from imgproc.runs.passes import RunFolders
from imgproc.runs.record import ImageRecord, Record, RunSettings
from imgproc.settings import Settings

PER_MEGAPIXEL = {"read": 0.0001, "decode": 0.002, "canny": 0.003, "encode": 0.004, "write": 0.001}
PER_TASK = 0.0004


def images_of(sizes, format="JPEG"):
    """Images of so many megapixels, of 0.4 bytes for each pixel."""
    return [ImageRecord(i, f"{i}.jpg", round(mp * 1000), 1000, format, round(mp * 4e5)) for i, mp in enumerate(sizes)]


def settings_of(**changed):
    asked = {"operations": ["canny"], "parameters": parse_parameters({}), "workers": 2, "split": "never"}
    return RunSettings(**{**asked, **changed})


def seconds_of(image):
    return {stage: cost * image.megapixels for stage, cost in PER_MEGAPIXEL.items()}


def measured_record(sizes, factors, **changed):
    """A record of a machine on which every stage takes ``PER_MEGAPIXEL`` and a technique ``factors`` as long as the
    makespan of two equal workers, and ``PER_TASK`` for each image."""
    record = Record("0" * 12, "compare", settings_of(**changed), images_of(sizes))
    record.environment = {"cores_used_by_others": 0.0, "png_encoder": "isal"}
    spans, now = [], 0.0
    for image in record.images:
        for stage, seconds in seconds_of(image).items():
            spans.append(SpanRecord(1, image.index, stage, now, now + seconds))
            now += seconds
    for name, (start, factor) in factors.items():
        workers = 1 if name == "sequential" else 2
        wall = now / workers * factor + PER_TASK * len(sizes)
        m = TechniqueMeasurement(name, TECHNIQUES[name].label, workers, identical=True, median_seconds=wall)
        m.startup_seconds, m.first_round_seconds, m.first_round_images = start, wall + 0.01, len(sizes)
        m.rounds = [Round(wall)] * 3
        m.spans = spans if name == "sequential" else []
        m.transfer = "paths" if name == "multiprocessing" else None
        record.techniques.append(m)
    return record


FACTORS = {"sequential": (0.0, 1.0), "threading": (0.001, 1.1), "multiprocessing": (0.5, 1.05)}


def at_pace(record, slower):
    """The record as it would be on a machine that takes so many times as long for everything."""
    record.environment["pace_seconds"] = 0.02 * slower
    for m in record.techniques:
        m.median_seconds, m.startup_seconds = m.median_seconds * slower, m.startup_seconds * slower
        m.first_round_seconds *= slower
        m.rounds = [Round(one.wall_seconds * slower) for one in m.rounds]
        m.spans = [replace(span, start=span.start * slower, end=span.end * slower) for span in m.spans]
    return record


def test_a_machine_that_changes_its_pace_teaches_the_same_and_is_told_the_pace_of_now():
    steady, changing = Calibration(), Calibration()
    for slower in (1.0, 1.0, 1.0):
        learn(steady, at_pace(measured_record([0.5, 1.0, 2.0], FACTORS), slower))
    for slower in (1.0, 1.5, 0.7):
        learn(changing, at_pace(measured_record([0.5, 1.0, 2.0], FACTORS), slower))
    batch = batch_of(images_of([1.0, 3.0]), settings_of())
    now, other = predictions(steady, batch, 2, 0.02), predictions(changing, batch, 2, 0.02)
    assert [one.seconds for one in other] == pytest.approx([one.seconds for one in now], rel=0.01)
    later = predictions(steady, batch, 2, 0.03)
    assert [one.job_seconds for one in later] == pytest.approx([1.5 * one.job_seconds for one in now])
    assert predictions(steady, batch, 2) == now  # where the pace is not known, that of the calibration


def learned(factors=FACTORS, times=3):
    calibration = Calibration()
    for _ in range(times):
        for sizes in ([0.5] * 4, [2.0] * 6, [0.1] * 50, [8.0, 8.0], [0.03] * 400):
            assert learn(calibration, measured_record(sizes, factors))
    return calibration


@pytest.fixture(scope="module")
def calibration():
    return learned()


@settings(deadline=None)
@given(
    st.lists(st.floats(0.002, 0.05), min_size=2, max_size=2),
    st.lists(st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)), min_size=6, max_size=12),
)
def test_a_fit_finds_the_costs_that_there_are(costs, amounts):
    fit = Fit()
    for _ in range(40):
        for one in amounts:
            fit.learn(one, float(np.dot(one, costs)))
    found = fit.costs((0.01, 0.01), (0.1, 0.1))
    assert (found >= 0).all()
    for one in amounts:
        assert np.dot(one, found) == pytest.approx(np.dot(one, costs), rel=0.1)


def test_a_fit_without_measurements_is_what_was_believed_and_new_ones_outweigh_old_ones():
    fit = Fit()
    assert fit.costs((0.5, 2.0), (0.1, 0.1)).tolist() == [0.5, 2.0]
    for cost in (1.0, 3.0):
        for _ in range(20):
            fit.age(0.8)
            fit.learn((0.0, 1.0), cost)
    assert fit.costs((0.5, 2.0), (0.1, 1.0))[1] == pytest.approx(3.0, rel=0.1)
    fit.learn((0.0, 1.0), 0.0)  # a clock that says nothing teaches nothing
    assert np.isfinite(fit.costs((0.5, 2.0), (0.1, 0.1))).all()


@pytest.mark.parametrize("sizes", [[1.0] * 7, [0.2] * 100, [4.0, 1.0, 1.0], [12.0]], ids=len)
def test_what_was_learned_predicts_images_that_were_not_seen(calibration, sizes):
    batch = Batch(images_of(sizes), settings_of(), "isal")
    alone = sum(sum(seconds_of(image).values()) for image in batch.images)
    assert predicted_costs(calibration, batch).total.sum() == pytest.approx(alone, rel=0.1)
    found = predict(calibration, batch, predicted_costs(calibration, batch), TECHNIQUES["sequential"], 1)
    assert found.pass_seconds == pytest.approx(alone + PER_TASK * len(sizes), rel=0.1)
    assert found.measured


def test_start_up_decides_for_small_work_and_the_workers_for_large(calibration):
    def taken(sizes, **changed):
        batch = Batch(images_of(sizes), settings_of(**changed), "isal")
        return pick(predictions(calibration, batch, 2), baseline=True).technique

    assert taken([0.1]) == "sequential"
    assert taken([2.0] * 40) == "threading"
    slow_threads = learned({**FACTORS, "threading": (0.001, 2.2)})
    batch = Batch(images_of([2.0] * 300), settings_of(), "isal")
    assert pick(predictions(slow_threads, batch, 2), baseline=True).technique == "multiprocessing"
    small = Batch(images_of([0.1]), settings_of(), "isal")
    assert pick(predictions(calibration, small, 2), baseline=False).technique != "sequential"


def test_of_predictions_that_are_alike_the_simplest_technique_is_taken():
    def one(technique, seconds):
        return Prediction(technique, 2, 0.0, seconds, 0.0, measured=True)

    alike = [one("futures-threads", 1.0), one("threading", 1.01), one("sequential", 1.02), one("joblib", 1.5)]
    assert pick(alike, baseline=True).technique == "sequential"
    assert pick(alike, baseline=False).technique == "threading"
    assert pick([one("futures-threads", 1.0), one("threading", 1.2)], baseline=False).technique == "futures-threads"
    assert pick([], baseline=False) is None
    elsewhere = replace(one("futures-threads", 1.0), measured=False)
    assert pick([elsewhere, one("threading", 1.1)], baseline=False).technique == "threading"
    guessed = [replace(each, measured=False) for each in alike]
    assert pick(guessed, baseline=True).technique == pick(guessed, baseline=False).technique == "threading"


def test_the_reason_names_what_is_predicted_and_from_where(calibration):
    batch = Batch(images_of([2.0] * 40), settings_of(), "isal")
    found = predictions(calibration, batch, 2)
    said = why(pick(found, baseline=False), found, batch)
    assert "Threads, 2 workers" in said and "40 images of 80 megapixels" in said and "Sequential" in said
    assert "on this machine" in said and "calibrate" not in said
    unknown = predictions(Calibration(), batch, 2)
    assert "calibrate" in why(pick(unknown, baseline=False), unknown, batch)


def test_what_the_package_brings_knows_every_technique_of_a_cpu():
    known = {key.rpartition(" ")[0] for key in reference().passes}
    on_cpu = {t.name for t in default_techniques() if t.load().capabilities.memory != "device"}
    assert known == on_cpu - NEWER - {"asyncio"} - {"interpreters"}  # which do no images, as NumPy does not load there
    assert all(f"decode {format} {color}" in reference().stages for format in calibrating.INPUTS for color in COLORS)
    assert all(f"{name} {color}" in reference().stages for name in DEFAULT_OPERATIONS for color in COLORS)


COLORS = ("gray", "colour")
#: Techniques that came after the file was measured, which is done for all at once, on a quiet machine.
NEWER = {"numba-parallel"}


def test_of_what_the_package_brings_no_figures_nothing_is_predicted_until_it_was_measured(calibration):
    batch = Batch(images_of([1.0] * 4), settings_of(), "isal")
    for name in NEWER:
        assert name not in {one.technique for one in predictions(calibration, batch, 2)}
        known = Calibration(passes={**calibration.passes, way(name, 2): calibration.passes[way("threading", 2)]})
        [found] = [one for one in predictions(known, batch, 2) if one.technique == name]
        assert found.measured and found.seconds > 0


def test_a_slower_machine_takes_longer_also_at_what_it_never_did(calibration):
    batch = Batch(images_of([1.0] * 4), settings_of(color=True), "isal")
    slow = Calibration()
    for key, fit in reference().stages.items():
        if key.endswith("gray"):
            slow.stages[key] = Fit()
            for amounts in ((1, 0.2, 0.1), (1, 1.0, 0.4), (1, 4.0, 2.0)) * 40:
                slow.stages[key].learn(
                    amounts, 3 * float(np.dot(amounts, fit.costs((1e-4, 2e-3, 0), (1e-4, 1e-4, 1e-3))))
                )
    ratio = predicted_costs(slow, batch).total / predicted_costs(Calibration(), batch).total
    assert ratio == pytest.approx(3.0, rel=0.15)


def test_other_parameters_have_costs_of_their_own():
    calibration = Calibration()
    plain, wide = (parse_parameters({"kernel": value}) for value in ("5", "31"))
    for parameters, factor in ((plain, 1.0), (wide, 6.0)):
        record = measured_record([1.0] * 8, FACTORS)
        record.settings = replace(record.settings, operations=["gaussian"], parameters=parameters)
        for span in record.techniques[0].spans:
            if span.stage == "canny":
                span.stage, span.end = "gaussian", span.start + (span.end - span.start) * factor
        learn(calibration, record)
    costs = [
        predicted_costs(calibration, Batch(images_of([1.0]), settings_of(parameters=p, operations=["gaussian"]), ""))
        for p in (plain, wide)
    ]
    assert costs[1].operations[0] > 2.5 * costs[0].operations[0]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda record: record.techniques.pop(0),
        lambda record: record.techniques[0].spans.clear(),
        lambda record: record.techniques[0].rounds.clear(),
    ],
    ids=["no baseline", "no spans", "no rounds"],
)
def test_a_record_without_a_baseline_teaches_nothing(spoil):
    record, calibration = measured_record([1.0] * 3, FACTORS), Calibration()
    spoil(record)
    assert not learn(calibration, record)
    assert calibration == Calibration()


def test_techniques_whose_pixels_differ_or_that_ran_otherwise_teach_nothing():
    record, calibration = measured_record([1.0] * 3, FACTORS), Calibration()
    record.techniques[1].identical = False
    record.techniques[2].chunk_size = 8
    assert learn(calibration, record)
    assert set(calibration.passes) == {"sequential 1"}


def test_what_is_known_is_kept_for_this_machine_and_not_learned_beside_others(tmp_path, calibration):
    folder = tmp_path / "cache"
    busy = measured_record([1.0] * 3, FACTORS)
    busy.environment["cores_used_by_others"] = 1.2
    learn_and_keep(busy, folder)
    assert not folder.exists()
    calibration.save(folder)
    assert Calibration.load(folder) == calibration
    learn_and_keep(measured_record([1.0] * 3, {**FACTORS, "joblib": (0.2, 1.0)}), folder)
    assert Calibration.load(folder).measured("joblib")
    [file] = folder.iterdir()
    file.write_text('{"stages": 7}')
    assert Calibration.load(folder) == Calibration()
    file.write_text("{")
    assert Calibration.load(folder) == Calibration()


def test_a_cache_folder_that_cannot_be_written_costs_nothing_but_a_line_in_the_log(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    learn_and_keep(measured_record([1.0] * 3, FACTORS), tmp_path / "file" / "cache")
    assert "CACHE_DIR" in caplog.text


def test_overheads_follow_what_was_measured_last():
    overhead = Overhead(1.0, 0.2)
    for _ in range(10):
        overhead.learn(3.0, 0.1)
    assert overhead.start == pytest.approx(3.0, rel=0.02) and overhead.first == pytest.approx(0.1, rel=0.02)


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    noise = np.random.default_rng(5).integers(0, 256, (120, 160, 3), np.uint8)
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.jpg"), cv2.blur(np.roll(noise, number), (5, 5)))
    return folder


def test_a_measured_run_stands_beside_its_prediction_and_teaches(photographs, tmp_path):
    settings = Settings(CACHE_DIR=str(tmp_path / "cache"))
    sources = dict(enumerate(sorted(photographs.iterdir())))
    images = [ImageRecord(i, p.name, 160, 120, "JPEG", p.stat().st_size) for i, p in sources.items()]
    for _ in range(2):
        asked = RunSettings(list(DEFAULT_OPERATIONS), parse_parameters({}), workers=2, rounds=3, budget=5.0)
        record = Record("0" * 12, "parallel", asked, [replace(image, outputs=[]) for image in images])
        process(record, RunFolders(sources, tmp_path / "out", None, tmp_path / "work"), settings)
        for m in record.techniques:
            assert m.predicted_seconds > 0 and m.predicted_startup_seconds is not None
        assert record.advice.startswith("auto took ")
        main, took = record.technique, {t.name for t in record.techniques}
        own = main.predicted_seconds + main.predicted_startup_seconds
        assert record.untried is not None and took.isdisjoint(one.technique for one in record.untried)
        assert all(0 < one.seconds < own for one in record.untried)
        assert record.untried == sorted(record.untried, key=lambda one: one.seconds)
        assert (
            Record.from_dict(record.to_dict()).techniques[0].predicted_seconds == record.techniques[0].predicted_seconds
        )
        record.environment["cores_used_by_others"] = 0.0
        learn_and_keep(record, settings.cache_dir)
        assert Calibration.load(settings.cache_dir).measured(record.techniques[0].name)


def test_advise_runs_nothing_and_says_what_to_take(photographs, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CACHE_DIR", str(tmp_path / "cache"))
    learned().save(tmp_path / "cache")
    before = sorted(tmp_path.rglob("*"))
    assert main(["advise", str(photographs), "--workers", "2"]) == 0
    out = capsys.readouterr().out
    assert "3 images, 0.0576 megapixels" in out and "Take: --technique sequential --workers 1" in out
    assert sum(line.startswith("threading ") for line in out.splitlines()) == 2  # one worker, and two
    assert sorted(tmp_path.rglob("*")) == before
    assert main(["advise", str(photographs), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows == sorted(rows, key=lambda row: row["job_seconds"])
    # What was measured here, and before all of that perhaps a technique that only the reference machine knows.
    assert next(row for row in rows if row["measured"])["technique"] == "sequential"
    assert {"workers", "start_seconds", "seconds", "measured"} <= rows[0].keys()
    file = tmp_path / "advice.json"
    assert main(["advise", str(photographs), f"--json={file}"]) == 0
    assert json.loads(file.read_text()) == rows


def test_one_that_the_package_brings_no_figures_of_is_predicted_by_the_one_that_it_is_like():
    batch = Batch(images_of([1.0] * 4), settings_of(), "isal")
    expected = {one.technique: one for one in predictions(Calibration(), batch, 2)}
    own, like = expected["asyncio"], expected["futures-threads"]
    assert (own.seconds, own.start_seconds, own.measured) == (like.seconds, like.start_seconds, False)
    fitted = Calibration(passes={way("asyncio", 2): reference().passes[way("sequential", 1)]})
    [measured] = [one for one in predictions(fitted, batch, 2) if one.technique == "asyncio"]
    assert measured.measured and measured.seconds != like.seconds
    assert all(TECHNIQUES[t.like].like == "" for t in TECHNIQUES.values() if t.like)


def test_calibrate_measures_every_technique_and_keeps_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(calibrating, "BATCHES", (((2, 0.05),), ((4, 0.03), (1, 0.1))))
    monkeypatch.setattr(calibrating, "CODECS", ((1, 0.05),))
    monkeypatch.setattr(calibrating, "STRIPS", ((1, 0.05),))
    assert main(["calibrate", "--workers", "2", "--no-wait"]) == 0
    out = capsys.readouterr().out
    calibration = Calibration.load(tmp_path / "cache")
    here = {t.name for t in default_techniques() if t.availability().ok}
    assert {key.rpartition(" ")[0] for key in calibration.passes} == here
    assert all(way("sequential" and name, 1 if name == "sequential" else 2) in calibration.passes for name in here)
    assert all(f"decode {format} {color}" in calibration.stages for format in calibrating.INPUTS for color in COLORS)
    assert "decode JPEG gray" in out and "threading" in out
    batch = batch_of(images_of([0.1]), settings_of())
    assert all(one.measured for one in predictions(calibration, batch, 2))


@pytest.mark.parametrize("value", ["0", "x", "1000"])
def test_calibrate_refuses_a_number_of_workers_that_is_none(value, capsys):
    assert main(["calibrate", "--workers", value]) == 2
    assert "--workers" in capsys.readouterr().err
