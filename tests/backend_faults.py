"""What the contract tests make workers do. ``python -m tests.backend_faults NAME`` works until it is killed.

Each new worker imports this, so what only few of them need is imported where it is needed.
"""

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from imgproc.backends import worker_loop as loop_module
from imgproc.backends.task import Task
from imgproc.backends.worker_loop import begin_work
from imgproc.errors import UserError
from imgproc.pixels.inner_threads import inner_threads, pin_threads


def double(number, stopwatch):
    with stopwatch.stage("canny"):
        return 2 * number


def scheduling_group(_, stopwatch):
    """The group with which this process shares its part of the processor's time, by Linux."""
    return Path("/proc/self/autogroup").read_text(encoding="ascii")


def nap(seconds, stopwatch):
    time.sleep(seconds)


def company(folder, stopwatch):
    """How many of these are at work at the same time, this one included."""
    own = Path(folder, f"{os.getpid()}-{threading.get_ident()}")
    own.touch()
    time.sleep(0.1)
    found = len(list(Path(folder).iterdir()))
    own.unlink()
    return found


def go_by(_, stopwatch):
    """Comes back at once, whatever it was given."""


def nap_and_tell(seconds_and_word, stopwatch):
    seconds, word = seconds_and_word
    time.sleep(seconds)
    return word


def tell(word, stopwatch):
    return word


def hang_at_first(folder_and_times, stopwatch):
    """Does not come back in each of the first so many calls, wherever they are made; the others say their number."""
    folder, times = folder_and_times
    call = len(list(Path(folder).iterdir())) + 1
    Path(folder, str(call)).touch()
    while call <= times:
        time.sleep(0.01)
    return call


def touch(path, stopwatch):
    Path(path).touch()
    time.sleep(0.05)


def report_threads(_, stopwatch):
    time.sleep(0.02)
    return inner_threads()


def meet(folder_and_count, stopwatch):
    """Come back when ``count`` of these run at the same time, or with False after 20 s."""
    folder, count = folder_and_count
    Path(folder, f"{os.getpid()}-{threading.get_ident()}").touch()
    until = time.monotonic() + 20
    while len(list(Path(folder).iterdir())) < count:
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


def die_beside(folder_and_death, stopwatch):
    """Two of these run at the same time: where ``death`` names a file that is not there, its worker dies, while the
    other is in the middle of it; the next time both come back."""
    folder, death = folder_and_death
    together = meet((folder, 2), stopwatch)
    if death and not Path(death).exists():
        Path(death).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.5)
    return together


def blur(number, stopwatch):
    """Large enough for OpenCV to use all threads it may."""
    import cv2
    import numpy as np

    cv2.GaussianBlur(np.zeros((1500, 1500), np.uint8), (5, 5), 0)
    return number


def pin_one_thread(wanted):
    return pin_threads(1)


def rank_with_one_thread(socket):
    from imgproc.backends.mpi.rank import main

    main(socket, 1)


def begin_with_one_thread(folder, wanted):
    begin_work(folder, 1)


def join_with_one_thread(name, folder, wanted):
    from imgproc.backends.dask import worker as dask_worker

    return dask_worker.join(name, folder, 1)


def never_begin(folder, wanted):
    time.sleep(60)


class SlowToUnpickle:
    """Unpickling it takes so many seconds, as importing a program does on a slow machine."""

    def __init__(self, seconds):
        self.seconds = seconds

    def __reduce__(self):
        return _come_slowly, (self.seconds,)


def _come_slowly(seconds):
    time.sleep(seconds)
    return SlowToUnpickle(seconds)


class Unpicklable(Exception):
    def __init__(self, lock, secret):
        super().__init__(lock, secret)
        self.lock = lock


class Trap:
    """Can be pickled but not unpickled."""

    def __reduce__(self):
        return _spring, ()


def _spring():
    raise ValueError("secret")


def refuse(message, stopwatch):
    raise UserError(message)


def fail(_, stopwatch):
    raise ZeroDivisionError("secret of the library")


def fail_unpicklably(_, stopwatch):
    raise Unpicklable(threading.Lock(), "secret")


def lose_file(path, stopwatch):
    Path(path).read_bytes()


def give_lock(_, stopwatch):
    return threading.Lock()


def give_trap(_, stopwatch):
    return Trap()


def leave(_, stopwatch):
    sys.exit("secret")


def interrupt(_, stopwatch):
    raise KeyboardInterrupt


def signal_self(number_and_times, stopwatch):
    """Send this process a signal in each of the first ``times`` calls; later calls say the number of the call."""
    number, folder, times = number_and_times
    call = len(list(Path(folder).iterdir())) + 1
    if call <= times:
        Path(folder, str(call)).write_text(str(os.getpid()))
        os.kill(os.getpid(), number)
        time.sleep(30)
    return call


def die_after(payload, stopwatch):
    """Gives bytes back. The first worker to get here dies soon after, while these or the next task are on the way."""
    _, size, file = payload
    with suppress(FileExistsError), open(file, "x"):
        threading.Thread(target=_die_when_free, args=(_free(),), daemon=True).start()
    return bytes(size)


def _free():
    """Since when this worker has nothing to do; a GPU's threads do not say."""
    return loop_module._loop.free if loop_module._loop else 0.0


def _die_when_free(before):
    while _free() == before:
        time.sleep(0.0005)
    time.sleep(0.003)
    os.kill(os.getpid(), signal.SIGKILL)


GATE = threading.Event()
CALLS = []


def hang(times, stopwatch):
    """In this process only: wait for the gate in each of the first ``times`` calls."""
    CALLS.append(threading.get_ident())
    if len(CALLS) <= times:
        GATE.wait(60)
    return len(CALLS)


def main(name):
    from imgproc.backends.base import Options
    from imgproc.settings import Settings
    from tests.backend_kinds import kind

    backend = kind(name)(2, Options(settings=Settings.from_environment()))
    backend.start()
    for result in backend.run([Task(0, double, 1), *(Task(i, nap, 60) for i in range(1, 9))], deadline=100):
        assert result.value == 2, result
        print("ready", flush=True)


def exit_with_hung_thread(name):
    """A program that ends by itself although a worker hangs in it."""
    from tests.backend_kinds import kind

    backend = kind(name)(2)
    backend.start()
    results = list(backend.run([Task(0, hang, 2), Task(1, double, 4)], deadline=1))
    print(sorted((r.index, r.value, r.attempts) for r in results), flush=True)


def carry(name, transfer, source, folder, *, again):
    """A program that processes an image many times, with ``again`` until it is killed; says each result's error."""
    from imgproc.backends.sharing.transport import image_task
    from imgproc.operations import DEFAULT_OPERATIONS, parse_parameters
    from imgproc.pixels.job import ImageJob
    from tests.backend_kinds import kind

    jobs = [
        ImageJob(
            source, tuple((op, str(Path(folder, f"{n}_{op}.png"))) for op in DEFAULT_OPERATIONS), parse_parameters({})
        )
        for n in range(6)
    ]
    backend = kind(name)(2)
    while True:
        for result in backend.run([image_task(n, job, transfer) for n, job in enumerate(jobs)], deadline=100):
            print(result.error, flush=True)
        if not again:
            break
    backend.close()


if __name__ == "__main__":
    from tests import backend_faults  # workers find functions by the name of their module

    signal.alarm(100) if hasattr(signal, "alarm") else None
    match sys.argv[1:]:
        case [name]:
            backend_faults.main(name)
        case ["rank", socket, _]:
            backend_faults.rank_with_one_thread(socket)
        case [name, "hang"]:
            backend_faults.exit_with_hung_thread(name)
        case [name, ("carry" | "carry-on") as how, transfer, source, folder]:
            backend_faults.carry(name, transfer, source, folder, again=how == "carry-on")
