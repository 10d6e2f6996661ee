"""Workers of a cluster that die, hang, fall silent and come back, played by a workforce in this process."""

import pickle
from collections import Counter
from contextlib import closing

import pytest

from imgproc.backends import dispatcher as dispatch
from imgproc.backends.base import BackendError
from imgproc.backends.dispatcher import Dispatcher
from imgproc.backends.envelopes import EnvelopePacker
from imgproc.backends.schedules import SCHEDULES
from imgproc.backends.task import Task, TaskResult
from imgproc.backends.worker_loop import Batch, Envelope
from imgproc.pixels.stopwatch import Span

DEADLINE = 10.0


def double(number, stopwatch):
    return 2 * number


class Workers:
    """Workers that do their work when the dispatcher looks at them, unless a test tells them not to.

    ``there``: worker -> whether it was heard of lately. ``idle``: workers that do nothing. ``fatal`` and ``broken``:
    tasks that workers die of, and that come to nothing; ``lost``: whose result dies with its worker. ``deaths``: of
    which tasks workers died. ``now``: the time, of which ``step`` passes with every look.
    """

    room, held = 2, 3
    shared_fate = True

    def __init__(self, *workers, statuses=False):
        self.there = dict.fromkeys(workers, True)
        self.idle, self.ended, self.sent, self.statuses = set(), [], Counter(), statuses
        self.queues = {worker: [] for worker in workers}
        self.now, self.step = 0.0, 1.0
        self.fatal, self.broken, self.lost, self.deaths = set(), set(), set(), Counter()
        self.on_look = lambda: None

    def clock(self):
        return self.now

    def look(self):
        self.now += self.step
        self.on_look()
        for worker in list(self.there):
            if worker not in self.idle:
                self.work(worker)
        return {worker: heard for worker, heard in self.there.items() if worker not in self.ended}

    def work(self, worker):
        while self.queues[worker]:
            assignment = next((one for one in self.queues[worker] if one.tasks[0].index not in self.lost), None)
            if assignment is None:
                return
            first = assignment.tasks[0].index
            if first in self.fatal:
                self.deaths[first] += 1
                self.there.pop(worker)
                self.lost.clear()
                return
            self.queues[worker].remove(assignment)
            sent = assignment.batch.envelopes
            assignment.done(None if first in self.broken else Batch(tuple(self.envelope(worker, one) for one in sent)))

    def envelope(self, worker, sent):
        task, time = pickle.loads(sent.data), self.now + self.ahead(worker)
        result = TaskResult(task.index, task.work(task.payload, None), spans=(Span("canny", time, time),))
        return Envelope(task.index, pickle.dumps(result))

    def submit(self, assignment):
        worker = assignment.worker
        assert worker in self.there and worker not in self.ended
        self.sent.update(task.index for task in assignment.tasks)
        self.queues[worker].append(assignment)
        assert len(self.queues[worker]) <= self.room
        assignment.cancel = lambda: assignment in self.queues[worker] and self.queues[worker].remove(assignment)

    def at(self, worker):
        if not self.statuses:
            return None
        return {assignment.tasks[-1].index: self.now for assignment in self.queues[worker][:1]}

    def ahead(self, worker):
        return 1000.0 if worker == "far" else 0.0

    def end(self, worker, late):
        self.ended.append(worker)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(dispatch, "TICK", 0.001)


def run(workers, count, chunk=1, schedule="dynamic"):
    """Results by index; exactly one each."""
    batches = SCHEDULES[schedule].cut([Task(n, double, n) for n in range(count)], len(workers.there), chunk)
    with closing(EnvelopePacker()) as packer:
        results = list(Dispatcher(workers, packer, DEADLINE, workers.clock).results(batches))
    assert sorted(r.index for r in results) == list(range(count))
    return sorted(results, key=lambda r: r.index)


def outcome(results):
    return [(r.value, r.error, r.attempts) for r in results]


def doubled(count):
    return [(2 * n, None, 1) for n in range(count)]


@pytest.mark.parametrize("chunk", [1, 3, 50])
def test_each_task_is_done_once(chunk):
    workers = Workers("a", "b")
    assert outcome(run(workers, 20, chunk)) == doubled(20)
    assert set(workers.sent.values()) == {1}


def test_tasks_are_spread_before_any_worker_gets_two():
    workers = Workers("a", "b", "c")
    workers.idle.update("abc")
    seen = []

    def look():
        seen.append([len(queue) for queue in workers.queues.values()])
        if len(seen) > 2:
            workers.idle.clear()

    workers.on_look = look
    run(workers, 8)
    assert seen[1] == [2, 2, 1]  # and the last three are for whoever is free first


def test_what_a_dead_worker_was_at_is_tried_again_alone_and_last():
    workers = Workers("a", "b")
    workers.idle.add("a")
    alone = []

    def look():
        if workers.now == 3:
            del workers.there["a"]
        alone.extend(one.tasks[0].index for one in workers.queues["b"])

    workers.on_look = look
    results = run(workers, 12)
    assert outcome(results) == [(2 * n, None, 2 if n in (0, 2) else 1) for n in range(12)]  # either may be to blame
    assert alone[-2:] == [2, 0] and workers.sent == Counter({0: 2, 2: 2, **dict.fromkeys({1, *range(3, 12)}, 1)})


def test_a_task_kills_two_workers_at_most_though_the_result_before_it_died_with_the_first():
    """One worker comes first, so it has two tasks; it is through with one, and its result is still there when the
    other one kills it."""
    workers = Workers("a")
    workers.lost, workers.fatal = {0}, {1}

    def look():
        if workers.now > 2:
            for name in "bcd":
                if name not in workers.queues:
                    workers.there[name], workers.queues[name] = True, []

    workers.on_look = look
    results = run(workers, 8)
    assert workers.deaths == {1: 2}
    assert results[1].attempts == 2 and "ended without an answer, twice" in results[1].error
    assert [r.error for r in results if r.index != 1] == [None] * 7


def test_a_status_says_which_task_of_a_batch_it_was():
    workers = Workers("a", "b", statuses=True)
    workers.idle.add("a")
    workers.on_look = lambda: workers.now == 3 and workers.there.pop("a")
    assert [r.attempts for r in run(workers, 12, chunk=3)] == [1, 1, 2, *[1] * 9]  # the last of the first batch


@pytest.mark.parametrize(("schedule", "shares"), [
    ("static", [[0, 1, 2, 3], [4, 5, 6]]), ("cyclic", [[0, 2, 4, 6], [1, 3, 5]]),
])  # fmt: skip
def test_a_share_that_is_fixed_beforehand_goes_to_one_worker_as_a_whole(schedule, shares):
    workers = Workers("a", "b")
    workers.idle.update("ab")
    seen = []

    def look():
        seen.append([[[t.index for t in one.tasks] for one in queue] for queue in workers.queues.values()])
        if len(seen) > 2:
            workers.idle.clear()

    workers.on_look = look
    assert outcome(run(workers, 7, schedule=schedule)) == doubled(7)
    assert seen[1] == [[share] for share in shares] and set(workers.sent.values()) == {1}


@pytest.mark.parametrize("schedule", ["static", "cyclic", "guided"])
def test_of_a_share_whose_worker_dies_the_rest_goes_to_another_as_a_whole(schedule):
    workers = Workers("a", "b", "c", statuses=True)
    workers.idle.add("a")
    lost = []

    def look():
        if workers.now == 3:
            lost.extend(task.index for one in workers.queues["a"] for task in one.tasks)
            del workers.there["a"]

    workers.on_look = look
    results = run(workers, 12, schedule=schedule)
    victim = [n for n, r in enumerate(results) if r.attempts == 2]
    assert len(victim) == 1 and victim[0] in lost and [r.value for r in results] == [2 * n for n in range(12)]
    assert workers.sent == Counter({n: 2 if n in lost else 1 for n in range(12)})


def test_a_share_has_time_for_each_of_its_tasks():
    workers = Workers("a", "b")
    workers.idle.add("a")
    results = run(workers, 8, schedule="static")
    assert workers.ended == ["a"] and workers.now > 4 * DEADLINE  # nobody can tell which of its four tasks it was at
    assert [r.attempts for r in results] == [2] * 4 + [1] * 4 and all(r.error is None for r in results)


def test_a_task_that_had_two_workers_die_is_given_up():
    workers = Workers("a", "b", "c")
    workers.fatal.add(5)
    results = run(workers, 9)
    assert results[5].attempts == 2 and "ended without an answer, twice" in results[5].error
    assert outcome(results[:5] + results[6:]) == [(2 * n, None, 1) for n in range(9) if n != 5]
    assert list(workers.there) != [] and workers.sent[5] == 2


def test_a_worker_that_takes_too_long_is_ended():
    workers = Workers("a", "b")
    workers.idle.add("a")
    results = run(workers, 6)
    assert workers.ended == ["a"] and workers.now > DEADLINE
    assert [(r.value, r.attempts) for r in results] == [(2 * n, 2 if n == 0 else 1) for n in range(6)]


def test_a_task_that_always_takes_too_long_is_given_up():
    workers = Workers("a", "b")
    workers.idle.update("ab")
    [result] = run(workers, 1)
    assert result.attempts == 2 and "longer than the limit of 10 seconds, twice" in result.error
    assert sorted(workers.ended) == ["a", "b"]


def test_what_was_begun_with_a_late_task_is_blamed_too_and_what_came_later_is_not():
    """Several are worked on at one address, and one of them hangs all: the first that is late need not be it."""

    class Several(Workers):
        room, held = 3, 3

        def at(self, worker):
            return {0: 0.4995, 1: 0.5, 2: 6.0} if worker == "a" and self.queues[worker] else {}

    workers = Several("a")
    workers.idle.add("a")

    def end(worker, late):
        workers.ended.append(worker)
        workers.there["b"], workers.queues["b"] = True, []

    workers.end, workers.step = end, 5.25
    assert [r.attempts for r in run(workers, 3)] == [2, 2, 1]


def test_workers_are_not_late_because_the_caller_is():
    workers = Workers("a", "b")
    batches = [[Task(n, double, n)] for n in range(12)]
    with closing(EnvelopePacker()) as packer:
        for result in Dispatcher(workers, packer, DEADLINE, workers.clock).results(batches):
            assert result.attempts == 1
            for worker in workers.queues:
                workers.work(worker)
            workers.now += DEADLINE + 1  # with something of its own
    assert workers.ended == [] and set(workers.sent.values()) == {1}


def test_a_silent_worker_gets_nothing_more_and_the_first_result_counts():
    workers = Workers("a", "b")
    workers.idle.add("a")
    seen = []

    def look():
        if workers.now == 3:
            workers.there["a"] = False
        if workers.now == 5:
            workers.there["a"] = True
        if workers.now > 3:
            workers.idle.discard("a")  # it answers late
        seen.append((workers.now, {task.index for one in workers.queues["a"] for task in one.tasks}))

    workers.on_look = look
    assert outcome(run(workers, 30)) == doubled(30)
    assert dict(seen)[4] == {0, 2}  # nothing since it fell silent
    assert workers.ended == [] and sum(workers.sent.values()) <= 32


def test_a_silent_worker_that_dies_is_not_blamed_on_what_others_have():
    workers = Workers("a", "b")
    workers.idle.add("a")

    def look():
        if workers.now == 3:
            workers.there["a"] = False
        if workers.now == 4:
            del workers.there["a"]

    workers.on_look = look
    assert outcome(run(workers, 12)) == doubled(12)


def test_what_comes_to_nothing_is_tried_twice():
    workers = Workers("a", "b")
    workers.broken.add(3)
    results = run(workers, 6)
    assert results[3].attempts == 2 and results[3].error
    assert [r.error for r in results if r.index != 3] == [None] * 5


def test_without_workers_the_run_ends(monkeypatch):
    monkeypatch.setattr(dispatch, "PATIENCE", 5.0)
    workers = Workers("a")
    workers.there["a"] = False
    with pytest.raises(BackendError, match="no worker to give an image to for 5 seconds"):
        run(workers, 3)


def test_workers_that_only_come_and_go_do_not_keep_it_waiting(monkeypatch):
    monkeypatch.setattr(dispatch, "PATIENCE", 5.0)
    workers = Workers("a")
    workers.idle.add("a")
    workers.on_look = lambda: workers.there.update(a=workers.now % 2 == 0)
    workers.end = lambda worker, late: None
    with pytest.raises(BackendError, match="given anything back"):
        run(workers, 3000)


def test_times_of_other_machines_are_told_in_the_callers_clock():
    workers = Workers("near", "far")
    for result in run(workers, 8):
        assert all(0 < span.start <= workers.now for span in result.spans)


def test_an_early_end_takes_back_what_is_out():
    workers = Workers("a", "b")
    with closing(EnvelopePacker()) as packer:
        results = Dispatcher(workers, packer, DEADLINE, workers.clock).results(
            [[Task(n, double, n)] for n in range(20)]
        )
        next(results)
        assert any(workers.queues.values())
        results.close()
    assert not any(workers.queues.values())
