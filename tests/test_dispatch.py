"""Workers of a cluster that die, hang, fall silent and come back, played by a crew in this process."""

import pickle
from collections import Counter
from contextlib import closing

import pytest

from imgproc.backends import dispatcher as dispatch
from imgproc.backends.base import BackendError
from imgproc.backends.dispatcher import AHEAD, Dispatcher
from imgproc.backends.envelopes import Desk
from imgproc.backends.task import Task, TaskResult
from imgproc.backends.worker_loop import Entry, Item, Parcel
from imgproc.pixels.stopwatch import Span

DEADLINE = 10.0


def double(number, stopwatch):
    return 2 * number


class Crew:
    """Workers that do their work when the dispatcher looks at them, unless a test tells them not to.

    ``there``: worker -> whether it was heard of lately. ``idle``: workers that do nothing. ``fatal`` and ``broken``:
    tasks that workers die of, and that come to nothing. ``now``: the time, of which ``step`` passes with every look.
    """

    def __init__(self, *workers, boards=False):
        self.there = dict.fromkeys(workers, True)
        self.idle, self.ended, self.sent, self.boards = set(), [], Counter(), boards
        self.queues = {worker: [] for worker in workers}
        self.now, self.step, self.fast = 0.0, 1.0, {}
        self.fatal, self.broken = set(), set()
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
            parcel, done = self.queues[worker][0]
            first = parcel.items[0].task
            if first in self.fatal:
                self.there.pop(worker)
                return
            self.queues[worker].pop(0)
            done(None if first in self.broken else Parcel(tuple(self.item(worker, item) for item in parcel.items)))

    def item(self, worker, item):
        task, time = pickle.loads(item.data), self.now + self.ahead(worker)
        result = TaskResult(task.index, task.work(task.payload, None), spans=(Span("canny", time, time),))
        return Item(task.index, pickle.dumps(result))

    def submit(self, worker, parcel, done):
        assert worker in self.there and worker not in self.ended
        self.sent.update(item.task for item in parcel.items)
        one = parcel, done
        self.queues[worker].append(one)
        assert len(self.queues[worker]) <= AHEAD
        return lambda: one in self.queues[worker] and self.queues[worker].remove(one)

    def at(self, worker):
        if not self.boards:
            return None
        first = self.queues[worker][0][0].items[-1].task if self.queues[worker] else 0
        return Entry(bool(self.queues[worker]), first, self.fast.get(worker, 0.0), 1)

    def ahead(self, worker):
        return 1000.0 if worker == "far" else 0.0

    def end(self, worker):
        self.ended.append(worker)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(dispatch, "TICK", 0.001)


def run(crew, count, chunk=1):
    """Results by index; exactly one each."""
    tasks = [Task(n, double, n) for n in range(count)]
    with closing(Desk()) as desk:
        results = list(Dispatcher(crew, desk, chunk, DEADLINE, crew.clock).results(tasks))
    assert sorted(r.index for r in results) == list(range(count))
    return sorted(results, key=lambda r: r.index)


def outcome(results):
    return [(r.value, r.error, r.attempts) for r in results]


def doubled(count):
    return [(2 * n, None, 1) for n in range(count)]


@pytest.mark.parametrize("chunk", [1, 3, 50])
def test_each_task_is_done_once(chunk):
    crew = Crew("a", "b")
    assert outcome(run(crew, 20, chunk)) == doubled(20)
    assert set(crew.sent.values()) == {1}


def test_tasks_are_spread_before_any_worker_gets_two():
    crew = Crew("a", "b", "c")
    crew.idle.update("abc")
    seen = []

    def look():
        seen.append([len(queue) for queue in crew.queues.values()])
        if len(seen) > 2:
            crew.idle.clear()

    crew.on_look = look
    run(crew, 8)
    assert seen[1] == [2, 2, 1]  # and the last three are for whoever is free first


def test_what_a_dead_worker_was_at_is_tried_again_alone_and_last():
    crew = Crew("a", "b")
    crew.idle.add("a")
    alone = []

    def look():
        if crew.now == 3:
            del crew.there["a"]
        alone.extend(parcel.items[0].task for parcel, _ in crew.queues["b"])

    crew.on_look = look
    results = run(crew, 12)
    assert outcome(results) == [(2 * n, None, 2 if n == 0 else 1) for n in range(12)]
    assert alone[-1] == 0 and crew.sent == Counter({0: 2, 2: 2, **dict.fromkeys({1, *range(3, 12)}, 1)})


def test_a_board_says_which_task_of_a_parcel_it_was():
    crew = Crew("a", "b", boards=True)
    crew.idle.add("a")
    crew.on_look = lambda: crew.now == 3 and crew.there.pop("a")
    assert [r.attempts for r in run(crew, 12, chunk=3)] == [1, 1, 2, *[1] * 9]  # the last of the first parcel


def test_a_task_that_had_two_workers_die_is_given_up():
    crew = Crew("a", "b", "c")
    crew.fatal.add(5)
    results = run(crew, 9)
    assert results[5].attempts == 2 and "ended without an answer, twice" in results[5].error
    assert outcome(results[:5] + results[6:]) == [(2 * n, None, 1) for n in range(9) if n != 5]
    assert list(crew.there) != [] and crew.sent[5] == 2


def test_a_worker_that_takes_too_long_is_ended():
    crew = Crew("a", "b")
    crew.idle.add("a")
    results = run(crew, 6)
    assert crew.ended == ["a"] and crew.now > DEADLINE
    assert [(r.value, r.attempts) for r in results] == [(2 * n, 2 if n == 0 else 1) for n in range(6)]


def test_a_task_that_always_takes_too_long_is_given_up():
    crew = Crew("a", "b")
    crew.idle.update("ab")
    [result] = run(crew, 1)
    assert result.attempts == 2 and "longer than the limit of 10 seconds, twice" in result.error
    assert sorted(crew.ended) == ["a", "b"]


def test_workers_are_not_late_because_the_caller_is():
    crew = Crew("a", "b")
    tasks = [Task(n, double, n) for n in range(12)]
    with closing(Desk()) as desk:
        for result in Dispatcher(crew, desk, 1, DEADLINE, crew.clock).results(tasks):
            assert result.attempts == 1
            for worker in crew.queues:
                crew.work(worker)
            crew.now += DEADLINE + 1  # with something of its own
    assert crew.ended == [] and set(crew.sent.values()) == {1}


def test_a_silent_worker_gets_nothing_more_and_the_first_result_counts():
    crew = Crew("a", "b")
    crew.idle.add("a")
    seen = []

    def look():
        if crew.now == 3:
            crew.there["a"] = False
        if crew.now == 5:
            crew.there["a"] = True
        if crew.now > 3:
            crew.idle.discard("a")  # it answers late
        seen.append((crew.now, {item.task for parcel, _ in crew.queues["a"] for item in parcel.items}))

    crew.on_look = look
    assert outcome(run(crew, 30)) == doubled(30)
    assert dict(seen)[4] == {0, 2}  # nothing since it fell silent
    assert crew.ended == [] and sum(crew.sent.values()) <= 32


def test_a_silent_worker_that_dies_is_not_blamed_on_what_others_have():
    crew = Crew("a", "b")
    crew.idle.add("a")

    def look():
        if crew.now == 3:
            crew.there["a"] = False
        if crew.now == 4:
            del crew.there["a"]

    crew.on_look = look
    assert outcome(run(crew, 12)) == doubled(12)


def test_what_comes_to_nothing_is_tried_twice():
    crew = Crew("a", "b")
    crew.broken.add(3)
    results = run(crew, 6)
    assert results[3].attempts == 2 and results[3].error
    assert [r.error for r in results if r.index != 3] == [None] * 5


def test_without_workers_the_run_ends(monkeypatch):
    monkeypatch.setattr(dispatch, "PATIENCE", 5.0)
    crew = Crew("a")
    crew.there["a"] = False
    with pytest.raises(BackendError, match="no worker to give an image to for 5 seconds"):
        run(crew, 3)


def test_workers_that_only_come_and_go_do_not_keep_it_waiting(monkeypatch):
    monkeypatch.setattr(dispatch, "PATIENCE", 5.0)
    crew = Crew("a")
    crew.idle.add("a")
    crew.on_look = lambda: crew.there.update(a=crew.now % 2 == 0)
    crew.end = lambda worker: None
    with pytest.raises(BackendError, match="given anything back"):
        run(crew, 3000)


def test_times_of_other_machines_are_told_in_the_callers_clock():
    crew = Crew("near", "far")
    for result in run(crew, 8):
        assert all(0 < span.start <= crew.now for span in result.spans)


def test_an_early_end_takes_back_what_is_out():
    crew = Crew("a", "b")
    with closing(Desk()) as desk:
        results = Dispatcher(crew, desk, 1, DEADLINE, crew.clock).results([Task(n, double, n) for n in range(20)])
        next(results)
        assert any(crew.queues.values())
        results.close()
    assert not any(crew.queues.values())
