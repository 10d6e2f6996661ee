"""Curves, fits and the grid of scale runs whose truth is known in closed form, and what is said of them."""

import math
import random
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scale_runs import IMAGES, ROUNDS, SEQUENTIAL, conclude, fail, measured, scale_run

from imgproc.measure.curves import Scaling, strong_curve
from imgproc.measure.derive import derive_weak
from imgproc.measure.laws import amdahl, gustafson, karp_flatt, usl
from imgproc.measure.results import Round
from imgproc.numbers import NBSP
from imgproc.report import scale
from imgproc.report.scale import laws
from imgproc.runs.serialization import from_plain


def law(found, name):
    return next(f"{law.sentence} {law.basis}".strip() for law in laws(found) if law.name == name).replace(NBSP, " ")


def headline(record):
    return scale.headline(record).replace(NBSP, " ")


# ---------------------------------------------------------------- weak scaling


def test_the_scaled_speedup_is_so_many_times_the_work_in_so_much_of_the_time():
    baseline = measured("sequential", "Sequential", 1.2)
    weak = measured("threading", "Threads, 4 workers", 1.5, 4, copies=4)
    baseline.rounds = [Round(1.2)] * ROUNDS
    weak.rounds = [Round(1.5)] * ROUNDS
    derive_weak([weak], baseline, images=12, megapixels=36.0)
    assert weak.median_seconds == 1.5 and weak.ci95 == [1.5, 1.5]
    assert weak.speedup == pytest.approx(4 * 1.2 / 1.5)
    assert weak.speedup_ci95 == pytest.approx([3.2, 3.2])
    assert weak.efficiency == pytest.approx(0.8)
    assert weak.images_per_second == pytest.approx(48 / 1.5)
    assert weak.megapixels_per_second == pytest.approx(144 / 1.5)
    assert weak.stages["canny"] == pytest.approx(4 * 0.9 * 1.5) and weak.stages["wait"] == pytest.approx(0.6)
    assert weak.verdict is None and weak.karp_flatt is None and not weak.breakdown and weak.break_even_images is None


@given(st.lists(st.floats(0.5, 2.0), min_size=6, max_size=12), st.integers(2, 16))
def test_what_slows_a_whole_round_does_not_touch_the_scaled_speedup(drift, copies):
    baseline, weak = measured("sequential", "s", 1.0), measured("threading", "t", 1.25, copies, copies=copies)
    baseline.rounds = [Round(slow) for slow in drift]
    weak.rounds = [Round(1.25 * slow) for slow in drift]
    derive_weak([weak], baseline, images=3, megapixels=9.0)
    assert weak.speedup == pytest.approx(copies / 1.25)
    assert weak.speedup_ci95 == pytest.approx([copies / 1.25] * 2)


@pytest.mark.parametrize("why", ["no baseline", "no rounds", "other pixels"])
def test_times_stay_where_there_is_no_scaled_speedup(why):
    baseline, weak = measured("sequential", "s", 1.0), measured("threading", "t", 1.25, 2, copies=2)
    if why == "no rounds":
        baseline.rounds = []
    weak.identical = why != "other pixels"
    derive_weak([weak], None if why == "no baseline" else baseline, images=3, megapixels=9.0)
    assert weak.median_seconds == 1.25 and weak.images_per_second == pytest.approx(4.8)
    assert weak.speedup is weak.speedup_ci95 is weak.efficiency is None


def test_a_weak_measurement_without_rounds_stays_empty():
    weak = measured("threading", "t", 1.25, 2, copies=2, rounds=1)
    weak.rounds = []
    derive_weak([weak], measured("sequential", "s", 1.0), images=3, megapixels=9.0)
    assert weak.median_seconds is None and weak.speedup is None


# ---------------------------------------------------------------- curves and fits


@settings(deadline=None, max_examples=40)
@given(st.floats(0.002, 0.9), st.floats(0.0, 0.9))
def test_amdahls_and_gustafsons_fractions_come_back(serial, weak_serial):
    found = scale_run(
        (4, 1, 8, 2), lambda p: amdahl(p, serial), lambda p: gustafson(p, weak_serial), noise=0.0
    ).scaling  # fmt: skip
    assert [p.workers for p in found.strong] == [p.workers for p in found.weak] == [1, 2, 4, 8]
    assert [p.speedup for p in found.strong] == pytest.approx([amdahl(p, serial) for p in (1, 2, 4, 8)])
    assert [p.speedup for p in found.weak] == pytest.approx([gustafson(p, weak_serial) for p in (1, 2, 4, 8)])
    assert [p.karp_flatt for p in found.strong[1:]] == pytest.approx([serial] * 3)
    assert found.strong[0].karp_flatt is None
    assert [p.efficiency for p in found.strong] == pytest.approx([amdahl(p, serial) / p for p in (1, 2, 4, 8)])
    assert found.amdahl.serial == pytest.approx(serial, abs=1e-5)
    assert found.amdahl.limit == pytest.approx(1 / serial, rel=1e-3)
    assert found.gustafson.serial == pytest.approx(weak_serial, abs=1e-5)
    assert found.gustafson.limit is None
    for fit, points in ((found.amdahl, found.strong), (found.gustafson, found.weak)):
        assert fit.workers == [1, 2, 4, 8] and not fit.oversubscribed
        assert fit.scale == pytest.approx(1, abs=1e-4) and fit.largest_error < 1e-4
        assert [at for _, at in fit.curve] == pytest.approx([p.speedup for p in points], rel=1e-4)


def test_noise_is_covered_by_the_interval():
    """With three points there is one degree of freedom, and the interval is honest about it."""
    covered, runs = 0, 120
    for seed in range(runs):
        record, rng = scale_run(scaled=None), random.Random(seed)
        for m in record.techniques:
            m.rounds = [Round(m.median_seconds * math.exp(rng.gauss(0, 0.03))) for _ in range(ROUNDS)]
        low, high = conclude(record).amdahl.serial_ci95 or (1.0, 0.0)
        covered += low <= 0.05 <= high
    assert covered >= 0.9 * runs


def test_the_one_worker_point_of_both_curves_is_one_measurement():
    found = scale_run(noise=0.01).scaling
    assert asdict(found.weak[0]) == asdict(found.strong[0])
    assert found.strong[0].ci95 and found.strong[0].speedup_ci95


@pytest.mark.parametrize("counts", [(2, 4), (1, 2), (3,)])
def test_below_three_numbers_of_workers_there_is_no_fit(counts):
    found = scale_run(counts).scaling
    assert found.amdahl is found.gustafson is found.usl is None
    there = {2: "there are two", 1: "there is one"}[len(counts)]
    assert law(found, "Amdahl’s law") == f"No fit: it needs speedups of three numbers of workers, and {there}."


def test_points_above_the_cores_are_marked_and_left_out_of_the_fits():
    """Four cores: beyond them nothing is gained, which is not serial work."""
    found = scale_run((1, 2, 4, 8, 16), lambda p: amdahl(min(p, 4), 0.05), cores=4).scaling
    assert [p.oversubscribed for p in found.strong] == [False, False, False, True, True]
    assert found.amdahl.workers == [1, 2, 4] and not found.amdahl.oversubscribed
    assert found.amdahl.serial == pytest.approx(0.05, abs=0.01)
    assert [p for p, _ in found.amdahl.curve] == [1, 2, 4]
    said = law(found, "Amdahl’s law")
    assert "Left out: 8 and 16 workers, more than the 4 cores" in said and "Fitted to 1, 2 and 4 workers" in said
    assert "that is beyond what was measured, 1 to 4 workers" in said


def test_where_too_few_points_are_within_the_cores_all_are_used_and_it_is_said():
    found = scale_run((1, 2, 4), lambda p: amdahl(min(p, 2), 0.05), cores=2).scaling
    assert found.amdahl.workers == [1, 2, 4] and found.amdahl.oversubscribed
    assert found.amdahl.limit is None
    said = law(found, "Amdahl’s law")
    assert "looks serial" in said and "4 workers on 2 cores had to be among them" in said and "too high" in said
    assert "would exceed" not in said


def test_unknown_cores_mark_nothing():
    assert not any(p.oversubscribed for p in scale_run((1, 2, 400), cores=None).scaling.strong)


def test_usl_needs_six_points_and_takes_those_above_the_cores():
    counts = (1, 2, 3, 4, 6, 8)
    found = scale_run(counts, lambda p: usl(p, 0.05, 0.01), cores=4).scaling
    assert found.usl.sigma == pytest.approx(0.05, abs=1e-3) and found.usl.kappa == pytest.approx(0.01, abs=1e-3)
    assert found.usl.peak == pytest.approx(math.sqrt(0.95 / 0.01), abs=0.3) and found.usl.peak_beyond
    assert [p for p, _ in found.usl.curve] == list(counts)
    assert [s for _, s in found.usl.curve] == pytest.approx([usl(p, 0.05, 0.01) for p in counts], rel=1e-2)
    assert "highest at about 10 workers, beyond what was measured, 1 to 8 workers" in law(
        found, "Universal Scalability Law"
    )
    near = scale_run((*counts, 16), lambda p: usl(p, 0.05, 0.01)).scaling
    assert not near.usl.peak_beyond
    assert "within what was measured" in law(near, "Universal Scalability Law")
    assert scale_run(counts[:5]).scaling.usl is None


def test_a_peak_or_a_limit_that_the_data_cannot_know_is_none():
    found = scale_run((1, 2, 3, 4, 6, 8), float, noise=0.0).scaling
    assert found.usl.peak is None and found.amdahl.limit is None
    assert "has no peak that 1 to 8 workers could show" in law(found, "Universal Scalability Law")
    assert "sets no limit that 1 to 8 workers could show" in law(found, "Amdahl’s law")


def test_speedups_that_no_serial_share_explains():
    found = scale_run(range(1, 9), lambda p: p**1.2, noise=0.0).scaling
    assert found.amdahl.serial_ci95 is None
    assert law(found, "Amdahl’s law").startswith("No serial share explains these speedups: they grow faster")


# ---------------------------------------------------------------- the grid, and techniques with threads of their own


def test_the_grid_has_a_cell_for_each_pair():
    found = scale_run((1, 2, 4), inner=(1, 2), cores=4).scaling
    assert [(c.workers, c.cv2_threads) for c in found.grid] == [(w, t) for w in (1, 2, 4) for t in (1, 2)]
    assert [c.oversubscribed for c in found.grid] == [False] * 5 + [True]
    assert found.grid[1].speedup == pytest.approx(1.3, rel=1e-6) and found.grid[1].speedup_ci95
    assert [p.workers for p in found.strong] == [1, 2, 4]
    assert scale_run((1, 2, 4)).scaling.grid == []


def test_the_grid_says_where_two_levels_of_threads_fight():
    record = scale_run((1, 2, 4), inner=(1, 2))
    said = scale.grid_headline(record).replace(NBSP, " ")
    assert said.startswith(
        "Two levels of threads fight: with 2 OpenCV threads each, 2 and 4 workers take 1.25 times as long as with one "
        "each. More OpenCV threads help: with 2 OpenCV threads each, 1 worker is 1.30 times as fast as with one each."
    )
    assert said.endswith("Fastest: 4 workers with 1 OpenCV thread each.")
    calm = scale_run((1, 2), inner=(1, 2), grid=lambda w, t: amdahl(w, 0.05), noise=0.02)
    assert "make no measurable difference" in scale.grid_headline(calm)
    few = scale_run((1, 2), inner=(1, 2), rounds=3)
    assert "too few to tell" in scale.grid_headline(few)


def test_a_technique_with_threads_of_its_own_is_scaled_by_these():
    record = scale_run(technique="opencv", strong=lambda p: amdahl(p, 0.8), inner=(1, 2))
    record.techniques = [m for m in record.techniques if "each" not in m.label]
    found = conclude(record)
    assert [p.workers for p in found.strong] == [p.workers for p in found.weak] == [1, 2, 4]
    assert found.grid == [] and found.amdahl.serial == pytest.approx(0.8, abs=0.01)
    assert headline(record).startswith("Four threads are 1.18 times as fast")
    assert all(m.workers == 1 for m in strong_curve("opencv", record.techniques))


# ---------------------------------------------------------------- what is missing


def test_what_failed_is_on_no_curve_and_is_named():
    record = fail(scale_run((1, 2, 4, 8), inner=(1, 2)), "Threads, 4 workers", "A worker died twice.")
    fail(record, "Threads, 8 workers, 8 times the images", "The disk is full.")
    found = record.scaling
    assert [p.workers for p in found.strong] == [1, 2, 8] and [p.workers for p in found.weak] == [1, 2, 4]
    assert (4, 1) not in [(c.workers, c.cv2_threads) for c in found.grid]
    assert scale.left_out(record.techniques, record.weak) == [
        "Threads, 4 workers was not measured: A worker died twice.",
        "Threads, 8 workers, 8 times the images was not measured: The disk is full.",
    ]


def test_other_pixels_have_a_time_but_no_speedup_and_are_in_no_fit():
    record = scale_run((1, 2, 4, 8))
    wrong = next(m for m in record.techniques if m.workers == 8)
    wrong.identical, wrong.reason = False, "its pixels differ"
    wrong.speedup = wrong.speedup_ci95 = wrong.efficiency = wrong.karp_flatt = wrong.verdict = None
    found = conclude(record)
    assert found.strong[-1].speedup is None and found.strong[-1].seconds > 0
    assert found.amdahl.workers == [1, 2, 4] and found.best == "Threads, 4 workers"
    assert headline(record).startswith("Four workers are")
    assert scale.left_out(record.techniques, record.weak) == ["Threads, 8 workers has no speedup: its pixels differ."]


def test_without_the_baseline_there_are_times_only():
    record = fail(scale_run((1, 2, 4)), "Sequential", "It failed.")
    for m in (*record.techniques, *record.weak):
        m.speedup = m.speedup_ci95 = m.efficiency = m.karp_flatt = m.verdict = None
    found = conclude(record)
    assert len(found.strong) == 3 and found.amdahl is found.gustafson is found.usl is None
    assert found.best == "Threads, 4 workers"
    assert "there is none" in law(found, "Amdahl’s law") and headline(record).startswith("No speedup can be shown")


def test_nothing_measured_is_an_empty_record():
    record = scale_run((1,))
    fail(record, "Threads, 1 worker", "It failed.")
    found = record.scaling
    assert found == Scaling("threading", 8) and len(laws(found)) == 4
    assert scale.weak_headline(found) == ""


# ---------------------------------------------------------------- sentences


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"strong": lambda p: {1: 1.0, 2: 1.93, 4: 1.925}[p], "noise": 0.05},
            "Two workers are 1.93 times as fast as sequential; four add nothing.",
        ),
        (
            {"strong": lambda p: {1: 1.0, 2: 1.93, 4: 1.5}[p]},
            "Two workers are 1.93 times as fast as sequential; four are slower.",
        ),
        (
            {"strong": lambda p: {1: 1.0, 2: 1.93, 4: 1.936}[p], "noise": 0.02},
            "Four workers are 1.94 times as fast as sequential; two are not measurably slower, more were not measured.",
        ),
        (
            {"strong": lambda p: amdahl(p, 0.05)},
            "Four workers are 3.48 times as fast as sequential; more were not measured.",
        ),
        ({"strong": lambda p: 1 - 0.1 * p}, "No number of workers is faster than sequential; one worker is 0.90 times"),
        ({"strong": lambda p: 1.0, "noise": 0.06}, "No number of workers is measurably faster than sequential."),
        ({"strong": lambda p: 1.0, "noise": 0.001}, "No number of workers is more than 1 % faster than"),
        ({"counts": (2,)}, "Two workers are 1.90 times as fast as sequential."),
        (
            {"rounds": 3},
            "Four workers are 3.48 times as fast as sequential, by rounds too few for an interval; more were not",
        ),
    ],
)
def test_the_result_is_one_sentence(changes, said):
    assert headline(scale_run(**changes)).startswith(said)


def test_weak_scaling_is_one_sentence():
    said = scale.weak_headline(scale_run(cores=2).scaling).replace(NBSP, " ")
    assert said == (
        "Two workers with twice the images take 1.03 times as long as one worker with the images once; "
        "ideal would be 1.00."
    )
    without_one = scale.weak_headline(scale_run((2, 4)).scaling).replace(NBSP, " ")
    assert (
        without_one == "Four workers with four times the images do 3.85 times as much as sequential in the same time."
    )
    assert scale.weak_headline(scale_run(scaled=None).scaling) == ""


def test_karp_flatt_tells_overhead_from_serial_work():
    assert "no measurable change" in law(scale_run(noise=0.01).scaling, "Karp-Flatt")
    overhead = scale_run(strong=lambda p: 1 / (1 / p + 0.01 * p)).scaling
    said = law(overhead, "Karp-Flatt")
    first, last = (karp_flatt(1 / (1 / p + 0.01 * p), p) for p in (2, 4))
    assert said.startswith(
        f"It grows from {100 * first:.1f} % with 2 to {100 * last:.1f} % with 4 workers: what is lost"
    )
    assert law(scale_run((1, 2), cores=2).scaling, "Karp-Flatt").startswith("No trend")
    warming = scale_run(strong=lambda p: {1: 1.0, 2: 1.6, 4: 3.6}[p]).scaling
    assert warming.trend.change == "falls" and law(warming, "Karp-Flatt").startswith("It falls from 25 % with 2 to")
    first, last = warming.trend.first, warming.trend.last
    assert first.karp_flatt_ci95[0] <= first.karp_flatt <= first.karp_flatt_ci95[1]
    assert last.karp_flatt_ci95[1] < first.karp_flatt_ci95[0] and warming.strong[0].karp_flatt_ci95 is None


def test_every_law_has_a_sentence_whatever_was_measured():
    for counts in ((1,), (1, 2), (1, 2, 4), (1, 2, 3, 4, 6, 8)):
        for cores in (None, 1, 2, 64):
            for found in laws(scale_run(counts, cores=cores, noise=0.03).scaling):
                assert found.sentence.endswith(".") and found.what and "None" not in found.sentence


# ---------------------------------------------------------------- the record


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.integers(1, 32), min_size=1, max_size=7, unique=True),
    st.sampled_from([(1,), (1, 2), (1, 2, 4)]),
    st.one_of(st.none(), st.integers(1, 16)),
    st.floats(0, 0.2),
)
def test_a_scaling_survives_its_record(counts, inner, cores, noise):
    found = scale_run(counts, inner=inner, cores=cores, noise=noise, scaled=lambda p: gustafson(p, 0.1)).scaling
    data = asdict(found)
    assert from_plain(Scaling, data) == found
    data["strong"][0]["something new"] = data["something new"] = 1
    assert from_plain(Scaling, data) == found


def test_the_figures_are_those_of_the_measurements():
    record = scale_run()
    assert record.scaling.best == "Threads, 4 workers"
    assert record.technique.label == "Threads, 4 workers"
    assert record.seconds == pytest.approx(SEQUENTIAL / amdahl(4, 0.05))
    assert record.techniques[0].images_per_second == pytest.approx(IMAGES / SEQUENTIAL)
