"""A technique is one file, written to the words of its base class, and one entry of the table: in a copy of the
checkout it passes the contract's tests, and the command line offers it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ENTRY = """        Technique(
            "newcomer", "Newcomer", "imgproc.backends.newcomer:Newcomer", "", "What it does.", "For this.", "For that."
        ),
"""
INLINE = '''
from imgproc.backends.base import Backend, Capabilities
from imgproc.backends.task import run_task
from imgproc.pixels.inner_threads import pin_threads


class Newcomer(Backend):
    """One after the other, in the caller's thread."""

    name = "newcomer"
    capabilities = Capabilities(memory="shared", killable=False, max_workers=1, inline=True)

    def start(self):
        pin_threads(self.cv2_threads)

    def run(self, tasks, *, deadline):
        pin_threads(self.cv2_threads)
        yield from map(run_task, tasks)

    def close(self, *, kill=False):
        pass
'''
THREADS = '''
import threading
from queue import Queue

from imgproc.backends.pools.threaded import ThreadBackend


class Newcomer(ThreadBackend):
    """Threads and a queue."""

    name = "newcomer"

    def _open(self):
        self._queue, self._threads, self._given_up = Queue(), [], set()
        for _ in range(self.workers):
            self._add()

    def _add(self):
        thread = threading.Thread(target=self._work, args=(self._queue,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self, queue):
        while threading.current_thread() not in self._given_up and (assignment := queue.get()):
            self.work_on(assignment)

    def submit(self, assignment):
        self._queue.put(assignment)

    def _replace(self, thread):
        self._given_up.add(thread)
        self._threads.remove(thread)
        self._add()

    def _let_go(self):
        for _ in self._threads:
            self._queue.put(None)
        return self._threads
'''
PROCESSES = '''
from concurrent.futures import ProcessPoolExecutor

from imgproc.backends.pools.processes import ProcessBackend, hang_up, in_background
from imgproc.backends.pools.watcher import kill
from imgproc.backends.worker_loop import run_batch


class Newcomer(ProcessBackend):
    """A library's processes."""

    name = "newcomer"
    _executor = None

    def _open_pool(self, initializer):
        self._executor = ProcessPoolExecutor(self.workers, self.context(), initializer)
        for _ in range(self.workers):
            self._executor.submit(int)

    def _submit(self, batch, last, done):
        future = self._executor.submit(run_batch, batch)

        def gone(future):
            if future.exception():
                self._breaks()  # of all futures, before the executor ends the other workers
            done(None if future.exception() else future.result())

        future.add_done_callback(gone)

    def _discard_pool(self):
        kill(self._workers)
        executor, self._executor = self._executor, None
        if executor:
            hang_up(in_background(executor.shutdown), executor, "_call_queue._reader", "_result_queue._writer")
'''


def in_copy(copy, *arguments):
    done = subprocess.run([sys.executable, "-m", *arguments], cwd=copy, capture_output=True, text=True, timeout=170)
    return done.returncode, done.stdout


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("code", "fewest"), [(INLINE, 12), (THREADS, 17), pytest.param(PROCESSES, 30, marks=pytest.mark.slow)]
)
def test_one_file_and_one_entry_make_a_technique(code, fewest, tmp_path):
    for name in ("imgproc", "tests", "benchmarks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("app.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "imgproc/backends/newcomer.py").write_text(code)
    table = tmp_path / "imgproc/backends/table.py"
    before, of_tuple, after = table.read_text().partition("    for technique in (\n")
    table.write_text(before + of_tuple + ENTRY + after)

    status, said = in_copy(tmp_path, "pytest", "-q", "-p", "no:cacheprovider", "tests/test_backends_contract.py",
                           "-k", "newcomer or capabilit or obtained or default")  # fmt: skip
    assert status == 0, said
    assert int(said.rpartition(" passed")[0].split()[-1]) >= fewest
    assert "newcomer" in in_copy(tmp_path, "imgproc", "techniques")[1]
    assert "newcomer" in in_copy(tmp_path, "imgproc", "process", "--help")[1]
