"""The protocol on programmed times: what is timed, in which order, when it stops, and what it concludes."""

import os

import pytest
from fakes import Clock

from imgproc.backends import Technique
from imgproc.backends.base import BackendError
from imgproc.backends.phases import whole
from imgproc.backends.task import Task
from imgproc.measure import protocol
from imgproc.measure.derive import break_even
from imgproc.measure.process_tree import own_tree
from imgproc.measure.protocol import Contender, conclude, interleave

TASKS = [Task(i, print, None) for i in (4, 2, 9)]


def nothing(_):
    pass


def contender(clock, name="fake", times=(1.0,), workers=1, **attributes):
    technique = Technique(name, name.title(), "fakes:Fake", "", "", "", "")
    made = Contender(technique, workers, deadline=5, clock=clock)
    for key, value in {"clock": clock, "times": times, **attributes}.items():
        setattr(made.backend, key, value)
    return made


@pytest.fixture
def clock():
    return Clock()


def one_pass(contender, number):
    return contender.run(whole(TASKS), nothing)


def take_turns(clock, contenders, one=one_pass, **options):
    interleave(contenders, one, **{"rounds": 6, "budget": 1e9, "seed": 1, "clock": clock, **options})


def measured(clock, pairs, **options):
    """Two contenders run over (baseline time, technique time) rounds."""
    base = contender(clock, "sequential", [b for b, _ in pairs])
    fast = contender(clock, "fake", [f for _, f in pairs], workers=2, **options)
    both = [base, fast]
    for one in both:
        one.start()
    take_turns(clock, both, rounds=len(pairs), seed=3)
    conclude(both, images=3, megapixels=6.0)
    return base.measurement, fast.measurement


def test_startup_is_a_figure_of_its_own(clock):
    c = contender(clock)
    c.start()
    done = c.run(whole(TASKS), nothing)
    assert c.measurement.startup_seconds == 0.25
    assert done.round.wall_seconds == pytest.approx(1.0)


def test_a_techniques_helpers_are_watched_with_it_and_with_nobody_else(clock):
    helper = os.getppid()
    helped, other = contender(clock, helpers=(helper,)), contender(clock)
    helped.start()
    other.start()
    assert helper in helped.processes and helper in own_tree([helper])
    assert helper not in other.processes and helper not in own_tree()


def test_medians_speedup_and_interval_from_paired_rounds(clock):
    base, fast = measured(clock, [(2.0, 1.0), (2.2, 1.1), (1.8, 0.9), (2.0, 1.0), (2.1, 1.05), (1.9, 0.95)])
    assert base.median_seconds == pytest.approx(2.0)
    assert fast.median_seconds == pytest.approx(1.0)
    assert base.speedup == 1
    assert fast.speedup == pytest.approx(2.0)
    assert fast.speedup_ci95 == [pytest.approx(2.0), pytest.approx(2.0)]
    assert fast.efficiency == pytest.approx(1.0)
    assert fast.karp_flatt == pytest.approx(0.0)
    assert fast.verdict == "faster"
    assert fast.images_per_second == pytest.approx(3.0)
    assert fast.megapixels_per_second == pytest.approx(6.0)
    assert fast.ci95 == [pytest.approx(0.9), pytest.approx(1.1)]


def test_a_slowdown_is_below_one_and_called_slower(clock):
    _, slow = measured(clock, [(1.0, 1.2)] * 6)
    assert slow.speedup == pytest.approx(1 / 1.2)
    assert slow.verdict == "slower"


def test_no_interval_and_no_verdict_below_six_rounds(clock):
    _, fast = measured(clock, [(2.0, 1.0)] * 5)
    assert fast.speedup == pytest.approx(2.0)
    assert fast.speedup_ci95 is None and fast.verdict is None and fast.ci95 is None


def test_no_speedup_for_other_pixels(clock):
    base, fast = contender(clock, "sequential"), contender(clock, times=(0.5,))
    take_turns(clock, [base, fast])
    fast.measurement.identical = False
    conclude([base, fast], images=3, megapixels=1)
    assert fast.measurement.speedup is None and fast.measurement.verdict is None
    assert fast.measurement.median_seconds == pytest.approx(0.5)


def test_every_round_runs_all_in_an_order_shuffled_by_the_seed(clock):
    def order(seed):
        seen = []
        all_three = [contender(clock, name) for name in ("sequential", "a", "b")]

        def one(c, number):
            seen.append((number, c.technique.name))
            return one_pass(c, number)

        take_turns(clock, all_three, one, rounds=8, seed=seed)
        return seen

    first = order(5)
    assert order(5) == first
    assert order(6) != first
    rounds = [tuple(name for n, name in first if n == number) for number in range(1, 9)]
    assert all(sorted(r) == ["a", "b", "sequential"] for r in rounds)
    assert len(set(rounds)) > 1


def test_the_budget_ends_it_before_a_round_that_would_exceed_it(clock):
    c = contender(clock, times=(3.0,))
    take_turns(clock, [c], rounds=20, budget=10.0)
    assert len(c.passes) == 3
    tight = contender(clock, times=(3.0,))
    take_turns(clock, [tight], rounds=20, budget=-5.0)
    assert len(tight.passes) == 1


def test_spans_count_from_the_rounds_start_and_waiting_is_what_is_left(clock):
    base, fast = measured(clock, [(3.0, 1.5)] * 6)
    assert [(s.worker, s.image, s.start, s.end) for s in fast.spans if s.round == 1] == [
        (1, 4, 0.0, 0.5),
        (1, 9, 1.0, 1.5),
        (2, 2, 0.5, 1.0),
    ]
    assert fast.stages == {"canny": pytest.approx(1.5), "wait": pytest.approx(1.5)}
    assert base.stages["wait"] == pytest.approx(0.0, abs=1e-6)


def test_hidden_threads_and_missing_results_fail_the_technique(clock):
    with pytest.raises(BackendError, match="4 inner OpenCV threads"):
        contender(clock, inner_threads=4).run(whole(TASKS), nothing)
    with pytest.raises(BackendError, match="one result for each"):
        contender(clock, drop=1).run(whole(TASKS), nothing)


def test_stopping_in_a_callback_ends_the_pass(clock):
    class Stop(Exception):
        pass

    def stop(_):
        raise Stop

    with pytest.raises(Stop):
        contender(clock).run(whole(TASKS), stop)


def test_more_rounds_until_it_is_enough(clock):
    c = contender(clock)
    answers = iter([False, False, True])
    take_turns(clock, [c], most=30, enough=lambda: next(answers))
    assert len(c.passes) == 8
    never = contender(clock)
    take_turns(clock, [never], most=9, enough=lambda: False)
    assert len(never.passes) == 9


def test_who_drops_out_takes_its_passes_along(clock):
    base, gone = contender(clock, "sequential"), contender(clock, "gone")
    both = [base, gone]

    def one(c, number):
        return None if c is gone and number == 3 else one_pass(c, number)

    take_turns(clock, both, one)
    conclude([base, gone], images=3, megapixels=1)
    assert both == [base] and len(base.passes) == 6
    assert gone.passes == [] and gone.measurement.median_seconds is None and gone.measurement.speedup is None


def test_break_even_is_startup_over_what_is_gained_per_image(clock):
    base, fast = measured(clock, [(3.0, 1.5)] * 6, startup=2.0)
    # 2 s of start-up; 0.5 s gained per image
    assert fast.break_even_images == 4
    assert base.break_even_images is None
    fast.first_round_seconds = 2.5  # a cold round that took 1 s longer
    assert break_even(fast, base, 3) == 6
    fast.first_round_seconds, fast.first_round_images = 5.0, 10  # over ten images, which take 5 s warm
    assert break_even(fast, base, 3) == 4
    _, slow = measured(clock, [(1.0, 1.5)] * 6)
    assert slow.break_even_images is None


def test_spans_of_every_round_are_kept_while_they_are_few(clock, monkeypatch):
    _, fast = measured(clock, [(3.0, 1.6), (3.0, 1.5), (3.0, 1.4)] * 2)
    assert {s.round for s in fast.spans} == set(range(1, 7))
    assert fast.typical_round == 2
    assert sum(s.end - s.start for s in fast.spans if s.round == 2) == pytest.approx(1.5)
    monkeypatch.setattr(protocol, "MOST_SPANS", 10)
    _, fast = measured(clock, [(3.0, 1.6), (3.0, 1.5), (3.0, 1.4)] * 2)
    assert {s.round for s in fast.spans} == {2}
