"""The web server under many clients, on real sockets: short forms of what ``benchmarks/web_load.py`` plays at full
size. Times here are generous; without what is tested nothing would be answered at all."""

from __future__ import annotations

import io
import json
import shutil
import socket
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from conftest import MakeRun, jpeg, served
from flask import Flask

from app import create_app
from imgproc.settings import Settings
from imgproc.web import front, health
from imgproc.web.front import PIECES, Limits, Server
from imgproc.web.serving import LANES, listen

JSON = {"Accept": "application/json"}
#: A client that has had no answer by then will get none.
PATIENCE = 30.0
HASTY = Limits(stalled_seconds=1.5, head_seconds=1.5, idle_seconds=1.5)


@contextmanager
def open_sockets(port: int, count: int, sent: bytes = b"") -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        sockets = [socket.create_connection(("127.0.0.1", port), PATIENCE) for _ in range(count)]
        for one in sockets:
            stack.enter_context(closing(one))
            one.sendall(sent)
        yield sockets


def ask(port: int, path: str = "/", **options: Any) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE, **options)


def head(request: str, port: int, *headers: str) -> bytes:
    lines = [f"{request} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Accept: application/json", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def read_answer(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    """Status and body of an answer in JSON after which the server closes."""
    data = b"".join(iter(lambda: connection.recv(65_536), b""))
    begin, _, body = data.partition(b"\r\n\r\n")
    return int(begin.split()[1]), json.loads(body) if body.startswith(b"{") else {"text": body.decode()}


def is_closed(connection: socket.socket) -> bool:
    connection.settimeout(PATIENCE)
    try:
        while connection.recv(65_536):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


@pytest.fixture
def large_run(make_run: MakeRun, settings: Settings) -> str:
    """The address of a zip that is much larger than what lies in sockets."""
    record = make_run(images=1)
    file = record.images[0].outputs[0].file
    (settings.RESULTS_DIR / record.id / "images" / file).write_bytes(bytes(range(256)) * 80_000)
    return f"/runs/{record.id}/results.zip"


UPLOAD = ("Content-Type: multipart/form-data; boundary=xx", "Content-Length: 50000000")
PART = b'--xx\r\nContent-Disposition: form-data; name="images"; filename="a.jpg"\r\n\r\n'


def test_pages_come_while_uploads_stall_and_readers_are_slow(app: Flask, large_run: str) -> None:
    with served(app, replace(HASTY, stalled_seconds=3)) as port, ExitStack() as stack:
        readers = stack.enter_context(open_sockets(port, sum(LANES.values()), head(f"GET {large_run}", port)))
        uploads = stack.enter_context(open_sockets(port, 60, head("POST /process", port, *UPLOAD) + PART))
        over = threading.Event()

        def trickle() -> None:
            while not over.wait(0.2):
                for one in uploads[::2]:
                    with suppress(OSError):
                        one.send(b"x")

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            assert ask(port).status_code == 200
            assert ask(port, "/healthz").json()["status"] == "ok"
            with ThreadPoolExecutor(len(uploads)) as threads:
                assert all(threads.map(is_closed, uploads))
            assert all(is_closed(one) for one in readers[:3])
        finally:
            over.set()
            thread.join()


def test_one_who_reads_slowly_but_reads_gets_all(app: Flask, large_run: str) -> None:
    with served(app, replace(HASTY, slowest=1_000)) as port:
        with httpx.stream("GET", f"http://127.0.0.1:{port}{large_run}", timeout=PATIENCE) as answer:
            pieces = []
            for piece in answer.iter_raw(1_000_000):
                pieces.append(piece)
                time.sleep(0.1)
        length = int(answer.headers["Content-Length"])
        data = b"".join(pieces)
        assert len(data) == length > 20_000_000
        assert zipfile.ZipFile(io.BytesIO(data)).testzip() is None
        told = httpx.head(f"http://127.0.0.1:{port}{large_run}", timeout=PATIENCE)
        assert int(told.headers["Content-Length"]) == length and not told.content


@pytest.mark.parametrize("sent", [b"", b"GET / HT"], ids=["nothing", "half a head"])
def test_who_sends_no_request_is_dropped(app: Flask, sent: bytes) -> None:
    with served(app, HASTY) as port, open_sockets(port, 3, sent) as waiting:
        assert all(is_closed(one) for one in waiting)


def test_many_kept_alive_connections(server: str) -> None:
    """Each asks twice; more than waitress takes by itself."""
    port = int(server.rpartition(":")[2])
    with open_sockets(port, 130) as clients:
        for _ in range(2):
            for one in clients:
                one.sendall(head("GET /healthz", port))
            for one in clients:
                answer = b""
                while not answer.endswith(b"}\n"):
                    answer += one.recv(65_536)
                assert answer.startswith(b"HTTP/1.1 200")
        assert ask(port).status_code == 200


def test_idle_connections_make_room(app: Flask) -> None:
    limits = Limits(connections=20, per_address=20)
    with served(app, limits) as port, open_sockets(port, 40):
        assert all(ask(port, "/healthz").status_code == 200 for _ in range(3))


def test_one_address_cannot_have_all_connections(app: Flask) -> None:
    with served(app, Limits(per_address=10)) as port:
        begun = head("POST /process", port, *UPLOAD) + PART
        with open_sockets(port, 10, begun):
            until = time.monotonic() + PATIENCE
            while (answer := ask(port, "/healthz")).status_code != 429 and time.monotonic() < until:
                time.sleep(0.05)
            assert answer.status_code == 429 and answer.headers["Retry-After"] and "too many" in answer.text
        until = time.monotonic() + PATIENCE
        while ask(port, "/healthz").status_code != 200:
            assert time.monotonic() < until
            time.sleep(0.05)


LARGE = "Content-Length: 4400000000"


@pytest.mark.parametrize(("request_line", "headers", "status", "code"), [
    ("POST /healthz", [LARGE], 405, "method_not_allowed"),
    ("POST /nothing", [LARGE], 404, "not_found"),
    ("GET /healthz", [LARGE], 413, "too_large"),
    ("POST /runs/7f3c22aaaaaa/cancel", [LARGE], 413, "too_large"),
    ("POST /process", [LARGE], 413, "too_large"),
    ("POST /process", [LARGE, "Expect: 100-continue"], 413, "too_large"),
    ("POST /process", ["Content-Length: 3000000", "Origin: https://evil.example"], 403, "cross_site"),
])  # fmt: skip
def test_a_body_is_refused_before_it_is_sent(
    app: Flask, request_line: str, headers: list[str], status: int, code: str
) -> None:
    form = "Content-Type: multipart/form-data; boundary=xx"
    with served(app) as port, open_sockets(port, 1, head(request_line, port, form, *headers)) as (one,):
        found, said = read_answer(one)
    assert (found, said["error"]["code"]) == (status, code)


def test_a_strange_host_may_send_no_body(app: Flask) -> None:
    sent = head("POST /process", 0, *UPLOAD).replace(b"127.0.0.1:0", b"evil.example")
    with served(app) as port, open_sockets(port, 1, sent) as (one,):
        assert read_answer(one)[0] == 400


def test_who_sends_all_of_a_body_that_is_too_large_still_reads_why(settings: Settings) -> None:
    app = create_app(replace(settings, MAX_UPLOAD_MB=1))
    with served(app) as port:
        begun = head("POST /process", port, UPLOAD[0], "Content-Length: 40000000")
        with open_sockets(port, 1, begun) as (one,):
            one.sendall(bytes(40_000_000))
            status, said = read_answer(one)
    assert (status, said["error"]["code"], said["error"]["limit"]) == (413, "too_large", 1)


@pytest.mark.parametrize(("address", "status"), [("/process", 413), ("/healthz", 405), ("/runs/1/cancel", 413)])
def test_a_body_of_unknown_length_ends_at_the_limit(settings: Settings, address: str, status: int) -> None:
    app = create_app(replace(settings, MAX_UPLOAD_MB=1))
    with served(app) as port, open_sockets(port, 1) as (one,):
        one.sendall(head(f"POST {address}", port, UPLOAD[0], "Transfer-Encoding: chunked"))
        for _ in range(40):
            one.sendall(b"%x\r\n" % 200_000 + bytes(200_000) + b"\r\n")
        assert read_answer(one)[0] == status


def test_a_disk_that_fills_up_meanwhile_ends_the_upload(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    free = iter([10**12, 10**12])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=next(free, 0)))
    with served(app) as port, open_sockets(port, 1, head("POST /process", port, *UPLOAD) + PART) as (one,):
        one.sendall(bytes(5_000_000))
        status, said = read_answer(one)
    assert (status, said["error"]["code"]) == (507, "disk_full")


def test_uploads_on_their_way_share_the_room_there_is(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=340_000_000))
    with served(app) as port, ExitStack() as stack:
        begun = head("POST /process", port, *UPLOAD) + PART
        (first,) = stack.enter_context(open_sockets(port, 1, begun))
        assert ask(port, "/healthz").status_code == 200  # so the first was looked at
        (second,) = stack.enter_context(open_sockets(port, 1, begun))
        assert read_answer(second)[0] == 507
        first.settimeout(0.3)
        with pytest.raises(TimeoutError):
            first.recv(1)


def test_posts_all_at_once_are_each_answered(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody runs anything, so that a few fill the queue."""
    monkeypatch.setattr("imgproc.web.waiting.CHECK_SECONDS", 1.0)
    app = create_app(replace(settings, MAX_QUEUED=5))
    with served(app) as port, ThreadPoolExecutor(40) as threads:

        def post(number: int) -> httpx.Response:
            files = {"images": ("a.jpg", jpeg(seed=number), "image/jpeg")}
            return httpx.post(f"http://127.0.0.1:{port}/process", files=files, headers=JSON, timeout=PATIENCE)

        answers = list(threads.map(post, range(40)))
        accepted = [answer.headers["Location"] for answer in answers if answer.status_code == 202]
        full = [answer for answer in answers if answer.status_code == 429]
        assert (len(accepted), len(full)) == (5, 35)
        assert all(answer.headers["Retry-After"] for answer in full)
        until = time.monotonic() + PATIENCE
        for url in accepted:
            while (state := ask(port, f"{url}.json", headers=JSON).json()["state"]) == "checking":
                assert time.monotonic() < until
                time.sleep(0.1)
            assert state == "queued"
    app.config["VETTING"].close()


def test_health_is_told_while_every_other_thread_is_busy(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    over, store = threading.Event(), app.config["STORE"]
    app.add_url_rule("/slow", "slow", lambda: str(over.wait(PATIENCE)), methods=["GET", "POST"])
    with served(app) as port, ExitStack() as stack:
        stack.callback(over.set)
        for method in ("GET", "POST"):
            stack.enter_context(open_sockets(port, 2 * max(LANES.values()), head(f"{method} /slow", port)))
        told = [ask(port, "/healthz") for _ in range(5)]
        assert all(answer.json()["status"] == "ok" for answer in told)
        assert min(answer.elapsed.total_seconds() for answer in told) < 0.5

        monkeypatch.setattr(store, "queued", lambda: over.wait(PATIENCE))  # the index hangs: not at once, but soon
        assert ask(port, "/healthz").json()["status"] == "ok"
        app.config["HEALTH"] = health.Health(app.config["SETTINGS"], store)  # which has found nothing yet
        answer = ask(port, "/healthz", headers=JSON)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
        assert answer.elapsed.total_seconds() < 2
        over.set()
        monkeypatch.undo()
        until = time.monotonic() + PATIENCE
        while ask(port, "/healthz").status_code != 200:
            assert time.monotonic() < until


Answer = Callable[[dict[str, Any], Callable[..., Any]], Iterator[bytes]]


@contextmanager
def serving_alone(answer: Answer) -> Iterator[int]:
    listening = listen("127.0.0.1", 0)
    server = Server(answer, listening, look=lambda *_: None, lanes=LANES, lane=lambda *_: PIECES, limits=HASTY)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield listening.getsockname()[1]
    server.close()


def long_answer(length: int, pieces: int, closed: threading.Event) -> Answer:
    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", str(length))])

        def body() -> Iterator[bytes]:
            try:
                for _ in range(pieces):
                    yield bytes(100_000)
            finally:
                closed.set()

        return body()

    return answer


def test_a_long_answer_is_closed_when_its_reader_goes_away() -> None:
    closed = threading.Event()
    with serving_alone(long_answer(10**9, 10_000, closed)) as port:
        with open_sockets(port, 1, head("GET /", port)) as (one,):
            assert len(one.makefile("rb").read(5_000_000)) == 5_000_000
        assert closed.wait(PATIENCE)


def test_a_long_answer_that_breaks_off_breaks_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    closed = threading.Event()
    with serving_alone(long_answer(10**9, 30, closed)) as port:
        with pytest.raises(httpx.RemoteProtocolError):
            ask(port)
        assert closed.wait(PATIENCE)


def test_a_small_answer_is_left_as_it_is() -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    given: list[Any] = []
    assert front.piecewise(app)({"REQUEST_METHOD": "GET"}, lambda *a: given.append(a)) == [b"ok"]
    assert given[0][0] == "200 OK"
