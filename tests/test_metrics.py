"""What monitors are told, and what the log tells of requests."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import MakeRun, owner_in
from filelock import FileLock
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from imgproc.errors import UserError
from imgproc.runs import logs
from imgproc.runs.store import Store
from imgproc.settings import Settings
from imgproc.web.metrics import Requests

HTML, JSON = {"Accept": "text/html"}, {"Accept": "application/json"}
SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? ([-+0-9.e]+|\+Inf)')


def samples(text: str) -> dict[str, float]:
    """All of Prometheus' text format that is used here, read strictly."""
    found: dict[str, float] = {}
    kinds: dict[str, str] = {}
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in kinds and kind in ("counter", "gauge", "histogram")
            kinds[name] = kind
        elif not line.startswith("# HELP "):
            match = SAMPLE.fullmatch(line)
            assert match, line
            base = re.sub("_(bucket|sum|count)$", "", match[1])
            assert kinds.get(match[1]) or kinds.get(base) == "histogram", line
            key = f"{match[1]}{{{match[2]}}}" if match[2] else match[1]
            assert key not in found, line
            found[key] = float(match[3])
    return found


def of(client: FlaskClient) -> dict[str, float]:
    answer = client.get("/metrics")
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return samples(answer.text)


# ---------------------------------------------------------------- /metrics


def test_requests_are_counted_by_route_and_status(client: FlaskClient, make_run: MakeRun) -> None:
    run = make_run()
    for path in (f"/runs/{run.id}.txt", f"/runs/{'0' * 32}.txt", "/runs/x.txt", "/nowhere/at/all"):
        client.get(path)
    client.open("/techniques", method="BREW")
    found = of(client)
    counted = "speedup_lab_http_requests_total"
    assert found[f'{counted}{{method="GET",route="/runs/<run_id>.txt",status="200"}}'] == 1
    assert found[f'{counted}{{method="GET",route="/runs/<run_id>.txt",status="404"}}'] == 2
    assert found[f'{counted}{{method="GET",route="none",status="404"}}'] == 1
    assert found[f'{counted}{{method="other",route="none",status="405"}}'] == 1
    assert of(client)[f'{counted}{{method="GET",route="/metrics",status="200"}}'] == 1
    assert f"/runs/{run.id}" not in client.get("/metrics").text


def test_the_histogram_adds_up(client: FlaskClient) -> None:
    for _ in range(5):
        client.get("/healthz")
    found = of(client)
    buckets = [value for name, value in found.items() if name.startswith("speedup_lab_http_request_seconds_bucket")]
    assert buckets == sorted(buckets) and buckets[-1] == found["speedup_lab_http_request_seconds_count"] == 5
    assert 0 < found["speedup_lab_http_request_seconds_sum"] < 60
    requests = Requests()
    for seconds in (0.005, 0.0051, 99.0):
        requests.add("GET", 'a "route"\\\n', 200, seconds)
    told = samples("\n".join(requests.lines()) + "\n")
    ends = ("0.005", "0.01", "30", "+Inf")
    assert [told[f'speedup_lab_http_request_seconds_bucket{{le="{end}"}}'] for end in ends] == [1, 2, 2, 3]


def test_nothing_is_lost_when_many_count_at_once() -> None:
    requests = Requests()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: requests.add("GET", "/", 200, n % 3), range(4000)))
    found = samples("\n".join(requests.lines()) + "\n")
    assert found["speedup_lab_http_request_seconds_count"] == 4000
    assert found["speedup_lab_http_request_seconds_sum"] == sum(n % 3 for n in range(4000))


def test_runs_runner_and_machine(client: FlaskClient, make_run: MakeRun, settings: Settings) -> None:
    for state in ("queued", "queued", "done", "failed"):
        make_run(state=state)
    found = of(client)
    states = {name: value for name, value in found.items() if name.startswith("speedup_lab_runs{")}
    assert {re.findall('"(.*)"', name)[0] for name, value in states.items() if value} == {"queued", "done", "failed"}
    assert states['speedup_lab_runs{state="queued"}'] == 2 and states['speedup_lab_runs{state="running"}'] == 0
    assert found["speedup_lab_runner_up"] == 0 and found["speedup_lab_index_up"] == 1
    assert found['speedup_lab_disk_free_bytes{folder="results"}'] > 1e6 and found["process_resident_memory_bytes"] > 1e6
    with FileLock(settings.RESULTS_DIR / "runner.lock"):
        assert of(client)["speedup_lab_runner_up"] == 1


def test_an_index_that_cannot_be_used_is_said(
    client: FlaskClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable() -> None:
        raise UserError("No.", code="unavailable")

    monkeypatch.setattr(store, "counts", unavailable)
    assert of(client)["speedup_lab_index_up"] == 0


def test_beyond_loopback_the_metrics_need_the_token_too(settings: Settings) -> None:
    app = create_app(settings, ask_token=True)
    bearer = {"Authorization": f"Bearer {app.config['ACCESS_TOKEN']}"}
    assert app.test_client().get("/metrics").status_code == 401
    assert app.test_client().get("/metrics", headers=bearer).status_code == 200
    app.config["STORE"].close()


# ---------------------------------------------------------------- ids and lines


def test_every_answer_has_an_id_and_a_harmless_one_of_a_proxy_stays(client: FlaskClient) -> None:
    ids = {client.get(path).headers["X-Request-Id"] for path in ("/", "/nothing", "/healthz", "/runs")}
    assert len(ids) == 4 and all(re.fullmatch("[0-9a-f]{16}", one) for one in ids)
    given = {"X-Request-Id": "proxy-0123456789.A"}
    assert client.get("/nothing", headers=given).headers["X-Request-Id"] == given["X-Request-Id"]
    for bad in ("short", "x" * 65, "with space", "<b>bold</b>12", "ünicode-12345"):
        assert client.get("/healthz", headers={"X-Request-Id": bad}).headers["X-Request-Id"] != bad


@pytest.fixture
def lines() -> Iterator[Any]:
    """What is logged as JSON, read back."""
    stream, log = io.StringIO(), logging.getLogger("imgproc")
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    before = root.handlers[:], root.level, log.level
    root.handlers.clear()
    logs.set_up("json", [handler])
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:] = before[0]
    root.setLevel(before[1])


def test_a_line_for_each_request_without_what_is_private(client: FlaskClient, make_run: MakeRun, lines: Any) -> None:
    run = make_run(owner=owner_in(client), images=1)
    with client.get(f"/runs/{run.id}/images/photo 1_canny.png?token=hush&q=secret name", headers=HTML) as answer:
        assert answer.status_code == 200
    client.post(f"/runs/{run.id}/share", data={"visible": "public"}, headers=JSON)
    shown, shared = (line for line in lines() if line["logger"] == "imgproc.requests")
    assert shown["route"] == "/runs/<run_id>/images/<path:file>" and (shown["status"], shown["method"]) == (200, "GET")
    assert shown["request_id"] == answer.headers["X-Request-Id"] != shared["request_id"]
    assert shown["run"] == run.id[:8] and 0 <= shown["seconds"] < 60 and shown["bytes"] > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", shown["time"]) and shown["level"] == "info"
    everything = json.dumps(lines())
    assert not any(word in everything for word in (run.id, "hush", "secret", "photo", owner_in(client)))


def test_a_failure_is_found_in_the_log_by_the_number_that_the_page_tells(
    client: FlaskClient, store: Store, lines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: Any, **__: Any) -> None:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(store, "by_technique", explode)
    answer = client.get("/techniques", headers=JSON)
    number = answer.headers["X-Request-Id"]
    assert answer.status_code == 500 and number in answer.get_json()["error"]["message"]
    (failure,) = [line for line in lines() if line["level"] == "error"]
    assert failure["request_id"] == number and failure["traceback"].endswith("RuntimeError: two\nlines")
    logging.getLogger("imgproc.other").warning("of no request")
    assert "request_id" not in lines()[-1]


def test_lines_for_people_have_the_number_too(capsys: pytest.CaptureFixture[str]) -> None:
    handler, stream = logging.StreamHandler(), io.StringIO()
    handler.setStream(stream)
    root = logging.getLogger()
    kept, root.handlers[:] = root.handlers[:], []
    try:
        logs.set_up("text", [handler], "%(levelname)s %(message)s")
        logs.request_id.set("0123456789abcdef")
        logging.getLogger("imgproc.x").warning("Mind this.")
        logs.request_id.set("")
        logging.getLogger("imgproc.x").warning("And this.")
    finally:
        root.handlers[:] = kept
        root.setLevel(logging.WARNING)
    assert stream.getvalue() == "WARNING Mind this. [request 0123456789abcdef]\nWARNING And this.\n"


def test_serving_with_json_writes_nothing_else(tmp_path: Path) -> None:
    folders = {"UPLOADS_DIR": str(tmp_path / "u"), "RESULTS_DIR": str(tmp_path / "r")}
    env = {"PATH": os.environ["PATH"], "LOG_FORMAT": "json", "TMPDIR": str(tmp_path), **folders}
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, "app.py", "--port", "0"],
        cwd=Path(__file__).parents[1],
        env=env,
        text=True,
        stdout=pipe,
        stderr=pipe,
    )
    assert process.stdout
    try:
        url = re.search(r"http://\S+?:\d+", process.stdout.readline())
        assert url
        number = httpx.get(f"{url[0]}/healthz", trust_env=False).headers["X-Request-Id"]
    finally:
        process.terminate()
        _, err = process.communicate(timeout=30)
    found = [json.loads(line) for line in err.splitlines()]
    assert number in {line.get("request_id") for line in found}


def test_two_requests_at_once_keep_their_ids_apart(app: Flask, lines: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2)
    real = app.view_functions["techniques"]

    def wait() -> Any:
        both.wait(20)
        logging.getLogger("imgproc.view").info("inside")
        return real()

    monkeypatch.setitem(app.view_functions, "techniques", wait)
    with ThreadPoolExecutor(2) as threads:
        ids = list(threads.map(lambda _: app.test_client().get("/techniques").headers["X-Request-Id"], range(2)))
    assert sorted(line["request_id"] for line in lines() if line["logger"] == "imgproc.view") == sorted(ids)


def test_the_format_is_one_of_two() -> None:
    with pytest.raises(UserError, match="LOG_FORMAT is one of text, json"):
        Settings.from_environment({"LOG_FORMAT": "xml"})
    assert replace(Settings(), LOG_FORMAT="json").LOG_FORMAT == "json"
