"""Dask's workers on this machine and of a scheduler that is there, and what becomes of images when they fail."""

import importlib.util
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from contextlib import closing, suppress
from dataclasses import replace
from http.client import HTTPConnection, HTTPException
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil
import pytest
from distributed.security import Security

from imgproc.backends import TECHNIQUES
from imgproc.backends.base import BackendError, Options
from imgproc.backends.dask import workers as dask_workers
from imgproc.backends.dask.cluster import DaskCluster
from imgproc.backends.task import Task
from imgproc.operations import DEFAULT_OPERATIONS, parse_parameters
from imgproc.pixels.codecs import encode
from imgproc.pixels.job import ImageJob, process_image
from imgproc.pixels.stopwatch import Stopwatch
from imgproc.settings import Settings
from tests import backend_faults as faults
from tests import dask_faults
from tests.file_contents import contents
from tests.many_images import assert_done, many_images

ROOT = Path(__file__).resolve().parents[1]
LONG = 60.0
DASK = TECHNIQUES["dask"]
unix = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL or SIGSTOP")


@pytest.fixture
def local():
    backend = DaskCluster(2)
    backend.start()
    yield backend
    backend.close()


def run(backend, *tasks, deadline=LONG):
    """Results by index; exactly one each."""
    results = list(backend.run([Task(i, *task) for i, task in enumerate(tasks)], deadline=deadline))
    assert sorted(r.index for r in results) == list(range(len(tasks)))
    return sorted(results, key=lambda r: r.index)


def family():
    me = psutil.Process()
    return [me, *me.children(recursive=True)]


def listeners():
    return {c.laddr for p in family() for c in p.net_connections() if c.status == psutil.CONN_LISTEN}


def page_status(port, path):
    """The HTTP status of a page, None where nobody speaks HTTP."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=1)) as connection:
        try:
            connection.request("GET", path)
            with connection.getresponse() as response:
                return response.status
        except (OSError, HTTPException):
            return None


# On this machine


def test_nobody_else_can_reach_a_local_cluster_and_there_are_no_pages():
    before = listeners()
    with closing(DaskCluster(2)) as backend:
        backend.start()
        opened = listeners() - before
        assert opened and {address.ip for address in opened} == {"127.0.0.1"}
        assert backend.dashboard is None
        for address in opened:
            for path in ("/status", "/info/main/workers.html", "/health"):
                assert page_status(address.port, path) in (None, 404)
    assert listeners() == before


def let_in(port, context):
    """Whether what listens there begins to talk, as Dask does with whom it lets in."""
    with socket.create_connection(("127.0.0.1", port), timeout=1) as plain:
        try:
            with context.wrap_socket(plain) if context else plain as connection:
                return bool(connection.recv(1))
        except OSError:  # of ssl's too
            return False


def test_only_who_has_the_key_gets_in_to_scheduler_workers_and_nannies():
    before = listeners()
    with closing(DaskCluster(2)) as backend:
        backend.start()
        cluster = backend._cluster.cluster
        ports = {address.port for address in listeners() - before}
        nannies = cluster.workers.values()
        addresses = {cluster.scheduler_address, *(n.address for n in nannies), *(n.worker_address for n in nannies)}
        assert ports == {urlsplit(address).port for address in addresses} and len(ports) == 5

        ours = cluster.security.get_connection_args("client")["ssl_context"]
        other = Security.temporary().get_connection_args("client")["ssl_context"]
        keyless = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for context in other, keyless:  # for the server to refuse, not for them
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        for port in ports:
            assert let_in(port, ours)
            assert not any(let_in(port, context) for context in (other, keyless, None))

        settings = Settings(DASK_SCHEDULER=cluster.scheduler_address)
        with pytest.raises(BackendError, match="did not take the connection"):
            DaskCluster(2, Options(settings=settings)).start()
        assert [r.value for r in run(backend, (faults.double, 4))] == [8]  # they hurt nobody


def test_the_dashboard_listens_where_it_is_asked_to(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    settings = Settings(DASK_DASHBOARD=address)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: True)
    with closing(DaskCluster(1, Options(settings=settings))) as backend:
        assert backend.availability(settings).ok
        backend.start()
        assert backend.dashboard == f"http://{address}/status"
        assert address in {f"{a.ip}:{a.port}" for a in listeners()}


def test_a_closed_cluster_leaves_no_process_and_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = family()
    with closing(DaskCluster(2)) as backend:
        run(backend, (faults.double, 1))
        assert list(tmp_path.iterdir())
        workers = [p for p in family() if p not in before and "resource_tracker" not in " ".join(p.cmdline())]
        assert len(workers) == 2
    _, left = psutil.wait_procs(workers, timeout=10)
    assert left == [] and list(tmp_path.iterdir()) == []


def test_a_worker_that_dask_does_without_is_made_anew(local, monkeypatch):
    monkeypatch.setattr("imgproc.backends.dask.cluster.RENEW_SECONDS", 2.0)
    cluster = local._cluster.cluster
    cluster.sync(cluster.workers[0].close)
    begin = time.perf_counter()
    results = run(local, *[(faults.nap, 0.05)] * 8)
    assert len({r.worker.pid for r in results}) == local.workers == 2
    assert time.perf_counter() - begin < 40


@unix
def test_ctrl_c_is_for_the_caller(local):
    for worker in {r.worker.pid for r in run(local, *[(faults.nap, 0.05)] * 8)}:
        os.kill(worker, signal.SIGINT)
    time.sleep(0.3)
    assert [r.attempts for r in run(local, *[(faults.nap, 0.05)] * 8)] == [1] * 8
    assert len([m for m in local._cluster._members.values() if m.joined]) == 2 and not local._cluster._past


def environment():
    """Without Dask's own mark, and with what is the same as nothing."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("__DASK")}
    return {**kept, "PYTHONHASHSEED": kept.get("PYTHONHASHSEED", "random")}


def test_workers_have_the_environment_of_this_process_which_stays_as_it_is():
    """Dask has its own memory settings, which would make the same work slower than on other techniques."""
    before = environment()
    with closing(DaskCluster(1)) as backend:
        [result] = run(backend, (dask_faults.environment, None))
        assert environment() == before
    assert not {name for name in result.value if name.startswith("MALLOC") or name.endswith("NUM_THREADS")} - {*before}


def killing(backend, tasks, kills):
    """Run the tasks and kill a worker after every so many results; returns the results and the longest wait for one."""
    results, longest, last = [], 0.0, time.perf_counter()
    every = len(tasks) // (kills + 1)
    for result in backend.run(tasks, deadline=LONG):
        longest, last = max(longest, time.perf_counter() - last), time.perf_counter()
        results.append(result)
        if len(results) % every == 0 and len(results) // every <= kills:
            alive = [m.process.pid for m in backend._cluster._members.values() if m.process and m.process.is_running()]
            os.kill(alive[len(results) % len(alive)], signal.SIGKILL)
    return results, longest


@unix
@pytest.mark.parametrize(
    ("count", "kills"), [(40, 4), pytest.param(200, 20, marks=(pytest.mark.slow, pytest.mark.timeout(300)))]
)
def test_killed_workers_cost_no_image(local, count, kills):
    results, longest = killing(local, [Task(i, faults.nap, 0.1) for i in range(count)], kills)
    assert sorted(r.index for r in results) == list(range(count))
    assert [r.error for r in results if r.error] == []
    assert kills / 2 <= sum(r.attempts == 2 for r in results) <= kills  # some had nothing begun
    assert longest < 20
    begin = time.perf_counter()
    local.start()
    assert time.perf_counter() - begin < 20  # all workers are there again
    assert local.workers == 2


@unix
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_twenty_kills_in_a_run_of_200_images_lose_none(local, tmp_path):
    jobs = many_images(tmp_path, 200, 1000)
    results, longest = killing(local, [Task(n, process_image, job) for n, job in enumerate(jobs)], 20)
    print(f"longest wait: {longest:.2f} s")
    assert sorted(r.index for r in results) == list(range(200))
    assert [r.error for r in results if r.error] == []
    assert longest < 20
    assert_done(jobs, tmp_path)


@unix
def test_a_stopped_worker_costs_its_images_the_deadline(local):
    results = []
    for result in local.run([Task(i, faults.nap, 0.1) for i in range(12)], deadline=3):
        results.append(result)
        if len(results) == 2:
            os.kill(result.worker.pid, signal.SIGSTOP)
    assert sorted(r.index for r in results) == list(range(12))
    assert [r.error for r in results] == [None] * 12


def test_workers_see_the_folder_of_their_own_machine(local, tmp_path):
    assert local.sees(tmp_path) and not local.sees(tmp_path / "not there")
    assert list(tmp_path.iterdir()) == []


# Whether it can run


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("tcp://127.0.0.1:9", "no answer from tcp://127.0.0.1:9"),
        ("tcp://no-such-host.invalid:8786", "no answer"),
        ("127.0.0.1:8786", "must be an address such as tcp://host:8786"),
        ("tcp://127.0.0.1:port", "must be an address"),
        ("ftp://127.0.0.1:21", "must be an address"),
    ],
)
def test_a_scheduler_that_cannot_be_reached_is_said(monkeypatch, address, words):
    monkeypatch.setenv("DASK_SCHEDULER", address)
    begin = time.perf_counter()
    found = DASK.availability()
    assert not found.ok and words in found.reason and "DASK_SCHEDULER" in found.reason
    assert time.perf_counter() - begin < 15


def test_something_else_at_that_address_is_said():
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings = Settings(DASK_SCHEDULER=f"tcp://127.0.0.1:{other.getsockname()[1]}")
        assert DASK.availability(settings).ok  # somebody is there
        with pytest.raises(BackendError, match="did not take the connection"):
            DaskCluster(2, Options(settings=settings)).start()


def test_without_its_package_the_command_is_said(monkeypatch):
    for name in [name for name in sys.modules if name.startswith(("distributed", "imgproc.backends.dask"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "distributed", None)
    found = DASK.availability()
    assert (found.ok, found.reason) == (False, "The Python package distributed is not installed.")
    assert found.command == "pip install distributed cryptography"


def test_without_what_makes_its_key_a_local_cluster_is_not_there_and_a_scheduler_is(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "cryptography" else find(name))
    found = DASK.availability(Settings())
    assert (found.ok, found.command) == (False, "pip install cryptography")
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert DASK.availability(Settings(DASK_SCHEDULER=f"tcp://127.0.0.1:{other.getsockname()[1]}")).ok


def test_a_dashboard_without_bokeh_is_said(monkeypatch):
    monkeypatch.setenv("DASK_DASHBOARD", "127.0.0.1:8787")
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "bokeh" else find(name))
    found = DASK.availability()
    assert not found.ok and "bokeh" in found.reason and found.command == "pip install bokeh"


def test_settings_that_cannot_be_read_are_no_exception(monkeypatch):
    monkeypatch.setenv("MAX_WORKERS", "many")
    assert "MAX_WORKERS must be a number" in DASK.availability().reason


# A scheduler that is there


class Cluster:
    """Somebody else's scheduler and workers, each a process of its own."""

    def __init__(self, folder, *files, prefix=()):
        self.folder, self.files, self.prefix, self.processes = folder, files, list(prefix), {}
        self.address = self.begin("scheduler", "scheduler", *files, stdout=subprocess.PIPE).stdout.readline().strip()

    def begin(self, name, *arguments, prefix=(), stdout=subprocess.DEVNULL):
        command = [*prefix, sys.executable, "-m", "tests.dask_faults", *map(str, arguments)]
        process = subprocess.Popen(
            command, stdout=stdout, stderr=subprocess.DEVNULL, text=True, cwd=ROOT, start_new_session=True,
            env={**os.environ, "DASK_TEMPORARY_DIRECTORY": str(self.folder)},
        )  # fmt: skip
        self.processes[name] = process
        return process

    def backend(self, workers, **options):
        """Not started."""
        return DaskCluster(workers, Options(settings=Settings(DASK_SCHEDULER=self.address), **options))

    def worker(self, name, *options, prefix=()):
        return self.begin(name, "worker", self.address, name, *options, *self.files, prefix=prefix)

    def end(self):
        for process in self.processes.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if process.stdout:
                process.stdout.close()


@pytest.fixture
def cluster(tmp_path):
    made = Cluster(tmp_path)
    yield made
    made.end()


@pytest.fixture
def remote(cluster):
    for name in "ab":
        cluster.worker(name)
    backend = cluster.backend(2)
    backend.start()
    yield backend
    backend.close()


@unix
def test_workers_of_a_scheduler_that_is_there(remote, cluster, tmp_path):
    assert (remote.workers, remote.local, remote.start_method) == (2, False, None)
    results = run(remote, *[(faults.double, n) for n in range(20)], (faults.fail, None))
    assert [r.value for r in results[:20]] == [2 * n for n in range(20)] and "ZeroDivision" in results[20].error
    assert {r.worker.pid for r in results} == {cluster.processes[name].pid for name in "ab"}
    assert remote.sees(tmp_path)
    remote.close()
    assert all(process.poll() is None for process in cluster.processes.values())  # they are not ours to end
    assert [r.value for r in run(remote, (faults.double, 4))] == [8]


@unix
def test_a_worker_with_several_threads_does_one_thing_at_a_time(remote):
    results = run(remote, *[(faults.nap, 0.05)] * 12)
    by_worker = {}
    for result in results:
        by_worker.setdefault(result.worker.pid, []).append((result.spans[0].start, result.spans[-1].end))
    for times in by_worker.values():
        times.sort()
        assert all(one[1] <= following[0] for one, following in pairwise(times))


@unix
def test_fewer_workers_than_were_asked_for_are_said(cluster, monkeypatch):
    monkeypatch.setattr("imgproc.backends.dask.cluster.MORE_SECONDS", 2.0)
    cluster.worker("a")
    with closing(cluster.backend(5, cv2_threads=2)) as backend:
        backend.start()
        assert (backend.workers, backend.cv2_threads) == (1, 2)
        begin = time.perf_counter()
        run(backend, (faults.double, 1))
        assert time.perf_counter() - begin < 1.8  # they are waited for once


@unix
def test_no_more_workers_are_used_than_were_asked_for(cluster):
    for name in "abc":
        cluster.worker(name)
    with closing(cluster.backend(2)) as backend:
        backend.start()
        assert len({r.worker.pid for r in run(backend, *[(faults.nap, 0.02)] * 20)}) == 2


@unix
def test_without_workers_it_does_not_start(cluster, monkeypatch):
    monkeypatch.setattr("imgproc.backends.dask.cluster.START_SECONDS", 0.5)
    with pytest.raises(BackendError, match="no Dask worker ready"):
        cluster.backend(2).start()


@unix
def test_a_killed_worker_of_another_machine_costs_no_image(remote, cluster):
    results = []
    for result in remote.run([Task(i, dask_faults.nap_and_say, 0.1) for i in range(16)], deadline=LONG):
        results.append(result)
        if len(results) == 4:
            os.kill(result.worker.pid, signal.SIGKILL)
            cluster.worker("c")
    assert sorted(r.index for r in results) == list(range(16))
    assert [r.error for r in results] == [None] * 16
    assert 1 <= sum(r.attempts == 2 for r in results) <= 2  # what it was at, and what it was handed beside it


@unix
def test_a_task_that_kills_every_worker_is_reported_and_the_others_are_done(cluster, tmp_path):
    for name in "ab":
        cluster.worker(name, "nanny")
    calls = tmp_path / "calls"
    calls.mkdir()
    with closing(cluster.backend(2)) as backend:
        kill = (faults.signal_self, (signal.SIGKILL, str(calls), 9))
        results = run(backend, (faults.double, 0), kill, *[(faults.double, n) for n in range(8)])
    assert results[1].attempts == 2 and "ended without an answer, twice" in results[1].error
    assert [r.error for r in (results[0], *results[2:])] == [None] * 9
    assert len(list(calls.iterdir())) == 2  # Dask did not run it again by itself


@unix
def test_a_worker_that_falls_silent_is_done_without_and_used_again(remote, cluster, monkeypatch):
    monkeypatch.setattr(dask_workers, "SILENT_SECONDS", 2.0)
    stopped, results = None, []
    for result in remote.run([Task(i, faults.nap, 0.1) for i in range(60)], deadline=LONG):
        results.append(result)
        if len(results) == 4:
            stopped = result.worker.pid
            os.kill(stopped, signal.SIGSTOP)
        if len(results) == 45:
            os.kill(stopped, signal.SIGCONT)
    assert sorted(r.index for r in results) == list(range(60))
    assert [r.error for r in results] == [None] * 60
    assert {r.worker.pid for r in results[5:40]} == {cluster.processes[n].pid for n in "ab"} - {stopped}


@unix
def test_a_worker_that_hangs_is_given_up(remote):
    results = run(remote, (faults.nap, 30), *[(faults.double, n) for n in range(9)], deadline=3)
    assert results[0].attempts == 2 and "longer than the limit of 3 seconds" in results[0].error
    assert [r.value for r in results[1:]] == [2 * n for n in range(9)]


@unix
def test_a_lost_scheduler_is_an_error_and_not_a_wait(remote, cluster):
    begin = time.perf_counter()
    with pytest.raises(BackendError):
        for _ in remote.run([Task(i, faults.nap, 0.1) for i in range(400)], deadline=LONG):
            cluster.processes["scheduler"].kill()
    assert time.perf_counter() - begin < 40
    begin = time.perf_counter()
    remote.close()
    assert time.perf_counter() - begin < 15


@unix
def test_a_worker_that_sees_other_files_is_found(cluster, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    apart = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs tmpfs {shared} && exec "$@"', "sh"]
    if not shutil.which("unshare") or subprocess.run([*apart, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a file system of its own")
    cluster.worker("a")
    cluster.worker("b", prefix=apart)
    with closing(cluster.backend(2)) as backend:
        backend.start()
        assert backend.workers == 2 and not backend.sees(shared) and backend.sees(ROOT / "tests")


@unix
def test_encrypted_and_with_certificates(tmp_path):
    if not shutil.which("openssl"):
        pytest.skip("openssl makes the certificates, and is not there")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-keyout", key, "-out", cert], check=True, capture_output=True,
    )  # fmt: skip
    made = Cluster(tmp_path, cert, cert, key)
    try:
        assert made.address.startswith("tls://")
        made.worker("a")
        settings = Settings(
            DASK_SCHEDULER=made.address, DASK_TLS_CA=str(cert), DASK_TLS_CERT=str(cert), DASK_TLS_KEY=str(key)
        )
        with closing(DaskCluster(1, Options(settings=settings))) as backend:
            assert [r.value for r in run(backend, (faults.double, 3))] == [6]
        with pytest.raises(BackendError, match="did not take the connection"):
            DaskCluster(1, Options(settings=replace(settings, DASK_TLS_CERT=""))).start()
    finally:
        made.end()


# joblib over Dask, as the documents show it


def test_the_documented_program_with_joblib_makes_the_same_files(tmp_path):
    photos, results = tmp_path / "in", tmp_path / "out"
    photos.mkdir()
    for number in range(4):
        noise = np.random.default_rng(number).integers(0, 256, (301, 403), np.uint8)
        (photos / f"{number}.png").write_bytes(encode(noise, "png"))
    command = [sys.executable, "docs/joblib_dask.py", photos, results]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 0 and done.stdout.startswith("4 images, "), done.stderr
    expected = tmp_path / "expected"
    expected.mkdir()
    for photo in photos.iterdir():
        outputs = tuple((name, str(expected / f"{photo.stem}_{name}.png")) for name in DEFAULT_OPERATIONS)
        process_image(ImageJob(str(photo), outputs, parse_parameters({})), Stopwatch())
    assert len(list(results.iterdir())) == 4 * len(DEFAULT_OPERATIONS)
    for made in results.iterdir():
        assert contents(made) == contents(expected / made.name)
