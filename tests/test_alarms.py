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
from imgproc.backends.plan import whole
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


def raised(m, env=MACHINE, **options):
    """The alarms by name; each one sentence about what was seen, and one about what to do."""
    found = alarms(m, environment=env, **options)
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
    assert raised(m, machine_busy=0.1, env={**MACHINE, "cpu_quota": 2.0}) == {}


def test_nothing_is_doubted_that_was_not_measured_or_is_not_known():
    assert alarms(TechniqueMeasurement("mpi", "MPI", available=False), environment=MACHINE, machine_busy=3.0) == []
    assert raised(measured(workers=64), env={}) == {}


def test_alarms_are_data():
    assert {Alarm("a", "b", "c"), Alarm("a", "b", "c")} == {Alarm("a", "b", "c")}


def test_few_rounds():
    assert set(raised(measured(STEADY[:6]))) == set()
    assert "5 rounds were" in raised(measured(STEADY[:5]))["few-rounds"].message
    assert "1 round was" in raised(measured(STEADY[:1]))["few-rounds"].message


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


def test_slow_first_round():
    found = raised(measured((1.2, *STEADY)))
    assert set(found) == {"slow-first-round"}
    assert "1.20 seconds, 20 % longer" in found["slow-first-round"].message
    assert set(raised(measured((1.05, *STEADY)))) == set()
    assert set(raised(measured((*STEADY, 1.2)))) == set()  # slow, but not the first
    # No slower than others are now and then.
    assert "slow-first-round" not in raised(measured((1.2, 1.0, 1.15, 0.9, 1.1, 1.0)))


@pytest.mark.parametrize(("step", "words"), [(0.02, "slower, by 9.5 %"), (-0.02, "faster, by 11 %")])
def test_drift(step, words):
    walls = [1 + step * n for n in range(6)]
    found = raised(measured(walls))
    assert set(found) == {"drift"}
    assert words in found["drift"].message


def test_drift_is_the_trend_not_one_outlier():
    assert drift((1, 1, 1, 1, 1, 2)) == (0, pytest.approx(4 / (6 * 5 * 17 / 18) ** 0.5))
    assert drift((1, 2, 3, 4, 5)) == (pytest.approx(4 / 3), pytest.approx(9 / (5 * 4 * 15 / 18) ** 0.5))
    assert "drift" not in raised(measured((1, 1.001, 1.002, 1.003, 1.004, 1.005)))  # steady, but tiny


def test_quota():
    env = {**MACHINE, "cpu_quota": 1.5, "cores_usable": 2}
    found = raised(measured(workers=2), env=env)
    assert set(found) == {"quota"}
    assert "allows this program 1.5 cores" in found["quota"].message
    assert "--cpus=2), or ask for 1 thread." in found["quota"].advice
    assert set(raised(measured(workers=1), env=env)) == set()  # it does not need more
    found = raised(measured(workers=1), env={**env, "cpu_quota": 0.5, "cores_usable": 1})
    assert found["quota"].advice == "Raise the quota (with Docker: --cpus=1)."


def test_oversubscribed():
    assert set(raised(measured(workers=4))) == set()
    found = raised(measured(workers=5))
    assert set(found) == {"oversubscribed"}
    assert found["oversubscribed"].message.startswith("5 workers share 4 usable cores")
    found = raised(measured(workers=4, cv2_threads=2))["oversubscribed"]
    assert found.message.startswith("4 workers with 2 OpenCV threads each are 8 threads")
    assert raised(measured(workers=1, cv2_threads=8))["oversubscribed"].message.startswith("8 OpenCV threads share")


def test_superlinear():
    assert set(raised(measured(speedup=2.1, efficiency=1.05))) == set()
    found = raised(measured(speedup=2.24, efficiency=1.12))
    assert set(found) == {"superlinear"}
    assert "2.24x with 2 workers" in found["superlinear"].message
    assert "112 %" in found["superlinear"].message
    assert "4 threads" in raised(measured(cv2_threads=2, speedup=5, efficiency=1.25))["superlinear"].message


def test_a_worker_that_did_nothing():
    found = raised(measured(workers=3, lanes=[0.9, 0.9]))
    assert set(found) == {"idle-workers"}
    assert found["idle-workers"].message.startswith("1 of the 3 workers got nothing")


def test_a_worker_that_was_busy_for_less_than_half_of_the_round():
    assert set(raised(measured(lanes=[0.95, 0.55]))) == set()
    found = raised(measured(lanes=[0.95, 0.45]))
    assert set(found) == {"idle-workers"}
    assert "1 of 2 workers" in found["idle-workers"].message
    assert "45 %" in found["idle-workers"].message


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


def test_fewer_tasks_than_workers():
    found = raised(measured(workers=3, lanes=[0.9, 0.9], images=2))
    assert set(found) == {"idle-workers"}
    assert found["idle-workers"].message.startswith("There was work for 2 of the 3 workers only")
    # The strips of one image are tasks for many.
    assert set(raised(measured(workers=3, images=1), tasks=6)) == set()


def test_hidden_threads_by_their_cpu_time():
    assert set(raised(measured(workers=1, cpu=1.15))) == set()
    assert set(raised(measured(workers=1, cpu=1.3))) == {"hidden-threads"}
    assert set(raised(measured(workers=1, cv2_threads=2, cpu=2.1))) == set()
    assert set(raised(measured([wall / 100 for wall in STEADY], workers=1, cpu=2.0))) == set()  # too short to say


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
    found = raised(m, env=environment(), machine_busy=busy)
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


def test_machine_load_is_what_others_used_between_start_and_stop():
    machine = Readings()
    load = machine.load()
    load.start()
    machine.go(2, others=0.75, ours=2)
    assert load.stop() == pytest.approx(0.75)
    machine.go(100, others=4, ours=0)  # nobody measured here
    load.start()
    machine.go(6, others=0.25, ours=1)
    assert load.stop() == pytest.approx((2 * 0.75 + 6 * 0.25) / 8)


def test_kernel_threads_that_write_our_files_are_not_the_others():
    machine = Readings()
    load = machine.load()
    load.start()
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


def test_machine_load_says_nothing_after_too_short_a_time():
    machine = Readings()
    load = machine.load()
    assert load.stop() is None
    load.start()
    machine.go(0.1, others=2, ours=1)
    assert load.stop() is None


def test_machine_load_is_never_negative():
    machine = Readings()
    load = machine.load()
    load.start()
    machine.go(1, others=-0.02, ours=2)  # the two clocks go by different steps
    assert load.stop() == 0
    assert set(raised(measured(), machine_busy=0.2)) == set()
    assert set(raised(measured(), machine_busy=0.3)) == {"busy-machine"}
