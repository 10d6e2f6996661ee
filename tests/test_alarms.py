"""Every alarm is raised by its cause, real or faked, and by nothing else; each says what to do in plain words."""

import os
import statistics
import subprocess
import sys
import time

import cv2
import numpy as np
import psutil
import pytest

from imgproc.backends import Technique
from imgproc.backends.phases import whole
from imgproc.backends.task import Task
from imgproc.measure.alarms import Alarm, alarms, drift, spread
from imgproc.measure.derive import derive
from imgproc.measure.environment import environment, usable_cores
from imgproc.measure.load import MachineLoad, kernel_seconds, tree_cpu_seconds
from imgproc.measure.protocol import Contender
from imgproc.measure.results import Round, SpanRecord, TechniqueMeasurement

STEADY = (1.00, 1.02, 0.99, 1.01, 0.98, 1.00, 1.01)
MACHINE = {"cores_logical": 4, "cores_usable": 4, "cpu_quota": None}
BURN = "import time\nend = time.time() + 30\nwhile time.time() < end: pass"


def measured(walls=STEADY, *, workers=2, cv2_threads=1, cpu=None, lanes=None, images=None, **values):
    """A technique with these rounds; ``lanes``: the share of the round that each worker was busy."""
    m = TechniqueMeasurement("threading", "Threads", workers=workers, cv2_threads=cv2_threads)
    m.rounds = [Round(wall, cpu * wall if cpu else None) for wall in walls]
    for number, wall in enumerate(walls, 1):
        for worker, share in enumerate(lanes or [0.95] * workers, 1):
            for image in range(2):
                index = (worker + image * workers) % images if images else worker + image * workers
                start = image * share * wall / 2
                m.spans.append(SpanRecord(worker, index, "canny", start, start + share * wall / 2, number))
    derive([m], images=2 * workers, megapixels=4.0)
    for name, value in values.items():
        setattr(m, name, value)
    return m


def raised(m, env=MACHINE, busy=None, tasks=None):
    """The alarms by name; each one sentence about what was seen, and one about what to do. ``tasks``: as many as
    images where not given."""
    found = alarms(m, env | {"cores_used_by_others": busy}, tasks or len({span.image for span in m.spans}))
    for alarm in found:
        for text in (alarm.message, alarm.advice):
            assert text[0].isupper() or text[0].isdigit()
            assert text.endswith(".")
            assert ". " not in text
        assert any(c.isdigit() for c in alarm.message)
        assert alarm.text == f"{alarm.message} {alarm.advice}"
    assert len({alarm.name for alarm in found}) == len(found)
    return {alarm.name: alarm for alarm in found}


def test_a_clean_measurement_raises_none():
    m = measured(cpu=1.97, speedup=1.95, efficiency=0.975)
    assert raised(m, busy=0.1, env={**MACHINE, "cpu_quota": 2.0}) == {}


def test_nothing_is_doubted_that_was_not_measured_or_is_not_known():
    assert alarms(TechniqueMeasurement("mpi", "MPI", available=False), MACHINE | {"cores_used_by_others": 3.0}, 2) == []
    assert raised(measured(workers=64), env={}) == {}


def test_alarms_are_data():
    assert {Alarm("a", "b", "c"), Alarm("a", "b", "c")} == {Alarm("a", "b", "c")}


NARROW = {**MACHINE, "cpu_quota": 1.5, "cores_usable": 2}


@pytest.mark.parametrize(
    ("m", "options", "alarm", "said"),
    [
        (measured(STEADY[:6]), {}, None, ""),
        (measured(STEADY[:5]), {}, "few-rounds", "5 rounds were"),
        (measured(STEADY[:1]), {}, "few-rounds", "1 round was"),
        (measured((1.2, *STEADY)), {}, "slow-first-round", "1.20 seconds, 20 % longer"),
        (measured((1.05, *STEADY)), {}, None, ""),
        (measured((*STEADY, 1.2)), {}, None, ""),  # slow, but not the first
        (measured([1 + 0.02 * n for n in range(6)]), {}, "drift", "slower, by 9.5 %"),
        (measured([1 - 0.02 * n for n in range(6)]), {}, "drift", "faster, by 11 %"),
        (measured(), {"env": NARROW}, "quota", "allows this program 1.5 cores"),
        (measured(), {"env": NARROW}, "quota", "--cpus=2), or ask for 1 thread."),
        (measured(workers=1), {"env": NARROW}, None, ""),  # it does not need more
        (
            measured(workers=1), {"env": {**MACHINE, "cpu_quota": 0.5, "cores_usable": 1}}, "quota",
            " Raise the quota (with Docker: --cpus=1).",
        ),
        (measured(workers=4), {}, None, ""),
        (measured(workers=5), {}, "oversubscribed", "5 workers share 4 usable cores"),
        (measured(workers=4, cv2_threads=2), {}, "oversubscribed", "4 workers with 2 OpenCV threads each are 8"),
        (measured(workers=1, cv2_threads=8), {}, "oversubscribed", "8 OpenCV threads share"),
        (measured(speedup=2.1, efficiency=1.05), {}, None, ""),
        (measured(speedup=2.24, efficiency=1.12), {}, "superlinear", "2.24x with 2 workers"),
        (measured(speedup=2.24, efficiency=1.12), {}, "superlinear", "112 %"),
        (measured(cv2_threads=2, speedup=5, efficiency=1.25), {}, "superlinear", "4 threads"),
        (measured(workers=3, lanes=[0.9, 0.9]), {}, "idle-workers", "1 of the 3 workers got nothing"),
        (measured(lanes=[0.95, 0.55]), {}, None, ""),
        (measured(lanes=[0.95, 0.45]), {}, "idle-workers", "1 of 2 workers"),
        (measured(lanes=[0.95, 0.45]), {}, "idle-workers", "45 %"),
        (measured(workers=3, lanes=[0.9, 0.9], images=2), {}, "idle-workers", "There was work for 2 of the 3 workers"),
        (measured(workers=3, images=1), {"tasks": 6}, None, ""),  # the strips of one image are tasks for many
        (measured(workers=1, cpu=1.15), {}, None, ""),
        (measured(workers=1, cpu=1.3), {}, "hidden-threads", "1.30 seconds of CPU time"),
        (measured(workers=1, cv2_threads=2, cpu=2.1), {}, None, ""),
        (measured([wall / 100 for wall in STEADY], workers=1, cpu=2.0), {}, None, ""),  # too short to say
        (measured(), {"busy": 0.2}, None, ""),
        (measured(), {"busy": 0.3}, "busy-machine", "0.30 of this machine’s 4 cores"),
    ],
)  # fmt: skip
def test_each_alarm_has_its_cause_and_no_other(m, options, alarm, said):
    found = raised(m, **options)
    assert list(found) == ([alarm] if alarm else [])
    assert alarm is None or said in found[alarm].text


def test_the_first_round_may_be_as_slow_as_others_are_now_and_then():
    assert "slow-first-round" not in raised(measured((1.2, 1.0, 1.15, 0.9, 1.1, 1.0)))


def test_spread():
    walls = (1.0, 1.31, 0.8, 1.2, 0.85, 1.1, 0.9)
    found = raised(measured(walls))
    assert set(found) == {"spread"}
    share = 100 * statistics.stdev(walls) / statistics.mean(walls)
    assert f"{share:.0f} %" in found["spread"].message
    assert "0.80 seconds to 1.31 seconds" in found["spread"].message


def test_one_round_in_six_that_takes_a_third_longer_is_spread():
    assert spread((1, 1, 1, 1, 1, 4 / 3)) == pytest.approx(0.129, abs=0.001)
    assert set(raised(measured((1, 1.01, 1, 4 / 3, 1, 0.99)))) == {"spread"}


def test_noise_of_three_percent_raises_nothing_in_nearly_all_runs():
    rng = np.random.default_rng(5)
    runs = [raised(measured(tuple(rng.lognormal(0, 0.03, 10)))) for _ in range(1000)]
    assert sum(bool(found) for found in runs) <= 20


def test_drift_is_the_trend_not_one_outlier():
    assert drift((1, 1, 1, 1, 1, 2)) == (0, pytest.approx(4 / (6 * 5 * 17 / 18) ** 0.5))
    assert drift((1, 2, 3, 4, 5)) == (pytest.approx(4 / 3), pytest.approx(9 / (5 * 4 * 15 / 18) ** 0.5))
    assert "drift" not in raised(measured((1, 1.001, 1.002, 1.003, 1.004, 1.005)))  # steady, but tiny


def test_waiting_is_not_work():
    m = measured(lanes=[0.95, 0.4])
    for number, wall in enumerate(STEADY, 1):
        m.spans.append(SpanRecord(2, 1, "wait", 0.4 * wall, wall, number))
    assert set(raised(m)) == {"idle-workers"}


def test_only_the_typical_round_is_looked_at():
    m = measured(lanes=[0.95, 0.95])
    other = 1 if m.typical_round != 1 else 2
    m.spans = [s for s in m.spans if s.round != other or s.worker == 1]
    assert set(raised(m)) == set()


def smooth(widely, stopwatch):
    """A task of some 60 ms that uses one thread of OpenCV, or secretly several."""
    if widely:
        cv2.setNumThreads(4)
    try:
        with stopwatch.stage("smooth"):
            cv2.bilateralFilter(np.full((2000, 2000), 7, np.uint8), 9, 50, 50)
    finally:
        cv2.setNumThreads(1)


def rounds_of(payload):
    """A sequential technique that is measured on real work."""
    technique = Technique("sequential", "Sequential", "imgproc.backends.pools.sequential:Sequential", "", "", "", "")
    contender = Contender(technique, 1, deadline=60)
    contender.start()
    work = [Task(index, smooth, payload) for index in range(3)]
    contender.measurement.rounds = [contender.run(whole(work), lambda result: None).round for _ in range(6)]
    return contender.measurement


@pytest.mark.skipif(usable_cores() < 2, reason="one core cannot run two threads at once")
def test_the_callers_process_is_no_worker_but_may_use_a_core():
    m = measured(workers=2, cpu=2.9)
    assert set(raised(m)) == {"hidden-threads"}
    m.spans += [SpanRecord(0, 0, "transfer", 0, 0.1, number) for number in range(1, 8)]
    assert raised(m) == {}


def test_hidden_threads_of_a_real_library():
    assert "hidden-threads" not in raised(rounds_of(payload=False), env=environment())
    busy = []
    while len(busy) < 4:
        load = MachineLoad()
        load.start()
        if "hidden-threads" in raised(rounds_of(payload=True), env=environment()):
            return
        busy.append(load.stop() or 0.0)
    if min(busy) > 0.3 * os.cpu_count():
        pytest.skip("other programs leave no second core free")
    pytest.fail(f"not seen, though others used {busy} cores only")


@pytest.fixture
def stranger():
    """A process that burns a core and is not our descendant."""
    # Its parent, whose output it must not hold open, is gone at once.
    start = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', sys.argv[1]], stdout=-3).pid)"
    done = subprocess.run([sys.executable, "-c", start, BURN], stdout=subprocess.PIPE, check=True)
    pid = int(done.stdout)
    process = psutil.Process(pid)
    yield process
    process.kill()


def test_a_run_beside_a_busy_stranger_carries_the_alarm(stranger):
    assert stranger.pid not in [child.pid for child in psutil.Process().children(recursive=True)]
    load = MachineLoad()
    load.start()
    m = rounds_of(payload=False)
    busy = load.stop()
    assert busy is not None
    assert busy > 0.3
    found = raised(m, env=environment(), busy=busy)
    assert f"Other programs used {busy:.2f} of this machine’s" in found["busy-machine"].message


def test_our_own_work_is_not_the_others():
    mine = subprocess.Popen([sys.executable, "-c", BURN])
    try:
        others, everyone = MachineLoad(), MachineLoad(own=lambda: 0.0)
        others.start()
        everyone.start()
        time.sleep(1.5)
        assert everyone.stop() - others.stop() > 0.3
    finally:
        mine.kill()
        mine.wait()


def test_time_of_ended_children_is_not_lost():
    before = tree_cpu_seconds()
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.4: pass"], check=True)
    assert 0.3 < tree_cpu_seconds() - before < 2


class Readings:
    """A machine on which time, everybody's and our CPU time are what we say."""

    def __init__(self):
        self.now, self.all, self.ours = 50.0, 900.0, 100.0
        self.threads = {5: 70.0, 6: 2.0}

    def load(self):
        return MachineLoad(busy=lambda: self.all, own=lambda: self.ours, kernel=self.kernel, clock=lambda: self.now)

    def kernel(self):
        return dict(self.threads)

    def go(self, seconds, others, ours):
        self.now += seconds
        self.all += seconds * (others + ours)
        self.ours += seconds * ours


@pytest.fixture
def machine():
    return Readings()


@pytest.fixture
def load(machine):
    """Its load, which has been started."""
    load = machine.load()
    load.start()
    return load


def test_machine_load_is_what_others_used_between_start_and_stop(machine, load):
    machine.go(2, others=0.75, ours=2)
    assert load.stop() == pytest.approx(0.75)
    machine.go(100, others=4, ours=0)  # nobody measured here
    load.start()
    machine.go(6, others=0.25, ours=1)
    assert load.stop() == pytest.approx((2 * 0.75 + 6 * 0.25) / 8)


def test_kernel_threads_that_write_our_files_are_not_the_others(machine, load):
    machine.go(2, others=0.5, ours=1)
    del machine.threads[5]  # it ended, and with it 70 seconds from long ago
    machine.threads[6] += 0.4
    machine.threads[7] = 0.2  # a new one
    assert load.stop() == pytest.approx((2 * 0.5 - 0.4 - 0.2) / 2)


def test_kernel_threads_are_told_apart_from_programs():
    found = kernel_seconds()
    assert os.getpid() not in found
    assert all(psutil.Process(pid).cmdline() == [] for pid in list(found)[:5])
    if psutil.pid_exists(2) and psutil.Process(2).name() == "kthreadd":
        assert len(found) >= 1


def test_machine_load_says_nothing_after_too_short_a_time(machine, load):
    assert machine.load().stop() is None
    machine.go(0.1, others=2, ours=1)
    assert load.stop() is None


def test_machine_load_is_never_negative(machine, load):
    machine.go(1, others=-0.02, ours=2)  # the two clocks go by different steps
    assert load.stop() == 0
