"""The access token beyond loopback: who gets in, what the others are told, and what is printed at start."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import MakeRun, browsing, served
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from imgproc.errors import UserError
from imgproc.settings import Settings
from imgproc.web import access_token
from imgproc.web.public_url import PublicUrl

HTML, JSON = {"Accept": "text/html"}, {"Accept": "application/json"}
TOKEN = "the token of these tests: 0123456789"
PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    app = create_app(replace(settings, ACCESS_TOKEN=TOKEN))
    yield app
    app.config["PREVIEWS"].close()
    app.config["STORE"].close()


# ---------------------------------------------------------------- who gets in


@pytest.mark.parametrize("headers", [HTML, JSON, {}], ids=["page", "json", "text"])
def test_nothing_but_the_page_that_asks_is_shown_without_it(
    client: FlaskClient, make_run: MakeRun, headers: dict[str, str]
) -> None:
    run = make_run(visible="public")
    asked = set()
    for path in (
        "/",
        "/runs",
        "/techniques",
        f"/runs/{run.id}",
        f"/runs/{run.id}/results.zip",
        "/nothing",
        "/exhibits/gil",
    ):
        answer = client.get(path, headers=headers)
        assert answer.status_code == 401 and answer.headers["WWW-Authenticate"].startswith("Bearer ")
        assert "Set-Cookie" not in answer.headers and run.id not in answer.text
        asked.add(answer.data)
    assert len(asked) == 1
    said = asked.pop().decode()
    assert "token" in said and ("Authorization: Bearer TOKEN" in said or "open that link" in said)
    assert "This machine" not in said
    for path in ("/process", "/preview", f"/runs/{run.id}/delete", "/exhibits/gil"):
        assert client.post(path, data={"samples": "1"}, headers=headers).status_code == 401
    with client.get("/static/app.css") as style:
        assert style.status_code == 200
    assert client.get("/healthz").status_code == 200


def test_a_link_with_the_token_becomes_a_cookie(client: FlaskClient, app: Flask) -> None:
    answer = client.get("/runs", query_string={"token": TOKEN, "q": "a b&c", "mode": "compare"}, headers=HTML)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/runs?q=a+b%26c&mode=compare")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and TOKEN not in cookie
    assert client.get("/runs", headers=HTML).status_code == 200
    assert client.post("/process", data={"samples": "1"}, headers=JSON).status_code == 202
    # Where the token is another one, the cookie of before is worth nothing.
    other = create_app(replace(app.config["SETTINGS"], ACCESS_TOKEN=TOKEN + "!"))
    stranger = other.test_client()
    stranger.set_cookie("speedup_lab", client.get_cookie("speedup_lab").value)  # type: ignore[union-attr]
    assert stranger.get("/runs", headers=HTML).status_code == 401
    other.config["STORE"].close()


@pytest.mark.parametrize("path", ["//evil.example", "/\\evil.example", "///evil.example/x", "/%5cevil.example"])
def test_the_link_leads_nowhere_else(client: FlaskClient, path: str) -> None:
    answer = client.get(f"{path}?token={TOKEN}", headers=HTML)
    assert answer.status_code != 303 or re.match(r"/[^/\\]", answer.headers["Location"])


def test_a_program_sends_it_as_a_bearer(app: Flask) -> None:
    curl = app.test_client(use_cookies=False)
    bearer = {**JSON, "Authorization": f"Bearer {TOKEN}"}
    run = curl.post("/process", data={"samples": "1"}, headers=bearer).get_json()
    assert curl.get(f"{run['url']}.json", headers=bearer).status_code == 200
    assert curl.get(f"{run['url']}.json").status_code == 401
    assert curl.get("/runs", headers={"Authorization": f"bearer {TOKEN}"}).status_code == 200


WRONG = ("", " ", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "ünï", "\ud800", "x" * 10_000)


@pytest.mark.parametrize("wrong", WRONG, ids=range(len(WRONG)))
def test_a_wrong_one_is_said(client: FlaskClient, wrong: str) -> None:
    for answer in (
        client.get("/", query_string={"token": wrong.encode("utf-8", "replace")}, headers=JSON),
        client.get(
            "/", headers={**JSON, "Authorization": f"Bearer {wrong.encode('utf-8', 'replace').decode('latin-1')}"}
        ),
    ):
        assert answer.status_code == 401 and answer.get_json()["error"]["code"] == "no_access"
        assert "not the access token of this server" in answer.text or not wrong.strip()
    assert client.get("/runs", headers=HTML).status_code == 401  # nor is it kept
    for other in ("Basic abc", "Token " + TOKEN, "Bearer", TOKEN):
        assert client.get("/", headers={"Authorization": other}).status_code == 401


def test_it_is_compared_in_constant_time(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[Any, Any]] = []
    real = access_token.secrets.compare_digest
    monkeypatch.setattr(access_token.secrets, "compare_digest", lambda *pair: compared.append(pair) or real(*pair))
    client.get("/", headers={"Authorization": "Bearer nearly"})
    assert compared == [(b"nearly", TOKEN.encode())]


def test_the_cookie_does_not_make_up_for_a_wrong_token(client: FlaskClient) -> None:
    client.get("/", query_string={"token": TOKEN})
    assert client.get("/").status_code == 200
    assert client.get("/", headers={"Authorization": "Bearer wrong"}).status_code == 401


@pytest.mark.parametrize("sent", [[], ["Authorization: Bearer wrong"]], ids=["none", "a wrong one"])
def test_without_it_no_body_is_taken(app: Flask, sent: list[str]) -> None:
    """On a real socket: the answer comes before anything of the body was sent."""
    lines = ["POST /process HTTP/1.1", "Host: 127.0.0.1", "Accept: application/json", *sent]
    lines += ["Content-Type: multipart/form-data; boundary=xx", "Content-Length: 3000000", "", ""]
    with served(app) as port, socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall("\r\n".join(lines).encode())
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 401 ") and b'"no_access"' in answer


# ---------------------------------------------------------------- where it is asked for


def test_without_one_made_or_set_nothing_is_asked(settings: Settings) -> None:
    app = create_app(settings)
    assert app.config["ACCESS_TOKEN"] == "" and app.test_client().get("/runs").status_code == 200
    app.config["STORE"].close()


def test_the_one_made_is_the_same_after_a_restart_and_unlike_the_key(settings: Settings) -> None:
    apps = [create_app(settings, ask_token=True) for _ in range(2)]
    one, same = (app.config["ACCESS_TOKEN"] for app in apps)
    assert one == same and re.fullmatch("[0-9a-f]{64}", one) and settings.SECRET_KEY not in one
    assert access_token.token_of(settings, "another key", asked=True) != one
    for app in apps:
        app.config["STORE"].close()
    with pytest.raises(UserError, match="ACCESS_TOKEN has 6 characters"):
        create_app(replace(settings, ACCESS_TOKEN="secret"))


@pytest.mark.parametrize(("host", "only_here"), [
    ("127.0.0.1", True), ("127.3.2.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False),
    ("192.0.2.7", False), ("", False), ("no such host.invalid", False),
])  # fmt: skip
def test_loopback(host: str, only_here: bool) -> None:
    assert access_token.is_loopback(host) is only_here


def test_the_link_of_a_machine_without_a_network_is_one_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psutil.net_if_addrs", dict)
    monkeypatch.setattr(access_token, "_FAR", {socket.AF_INET: "256.256.256.256.invalid", socket.AF_INET6: "x.invalid"})
    assert access_token.link("0.0.0.0", 5000) == "http://127.0.0.1:5000/"
    assert access_token.link("::", 5000) == "http://[::1]:5000/"
    assert access_token.link("fe80::1%eth0", 80, "a b") == "http://[fe80::1%eth0]:80/?token=a+b"


@contextmanager
def started(tmp_path: Path, *command: str, lines: int) -> Iterator[list[str]]:
    """What a served app prints first."""
    folders = {"UPLOADS_DIR": str(tmp_path / "u"), "RESULTS_DIR": str(tmp_path / "r")}
    env = {"PATH": os.environ["PATH"], **folders}
    process = subprocess.Popen([sys.executable, *command], cwd=PROJECT, env=env, text=True, stdout=subprocess.PIPE)
    assert process.stdout
    try:
        yield [process.stdout.readline() for _ in range(lines)]
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


def test_serving_to_all_prints_a_link_that_works(tmp_path: Path) -> None:
    with started(tmp_path, "app.py", "--host", "0.0.0.0", "--port", "0", lines=3) as said:
        link = re.search(r"http://\S+/\?token=[0-9a-f]{64}", said[0])
        assert link and "0.0.0.0" not in said[0] and "Authorization: Bearer" in said[1] and "TLS" in said[2]
        with httpx.Client(follow_redirects=True, headers=HTML, trust_env=False) as client:
            assert client.get(link[0].partition("?")[0]).status_code == 401
            page = client.get(link[0])
            assert page.status_code == 200 and "Speedup Lab" in page.text and "token" not in str(page.url)
            assert client.get(f"{page.url}runs").status_code == 200


def test_no_token_says_what_that_means(tmp_path: Path) -> None:
    with started(tmp_path, "app.py", "--host", "0.0.0.0", "--port", "0", "--no-token", lines=3) as said:
        url = re.search(r"http://\S+?:\d+/", said[0])
        assert url and "?token" not in said[0]
        assert said[1].startswith("No access token is asked for: whoever reaches it can start runs")
        assert httpx.get(url[0], trust_env=False).status_code == 200
        assert httpx.get(url[0], headers={"Host": "8.8.8.8"}, trust_env=False).status_code == 200


def test_what_only_this_machine_reaches_answers_to_no_address_of_elsewhere(tmp_path: Path) -> None:
    with started(tmp_path, "app.py", "--port", "0", lines=1) as said:
        url = re.search(r"http://\S+?:\d+/", said[0])
        assert url
        for host, status in ("8.8.8.8", 400), ("localhost", 200):
            assert httpx.get(url[0], headers={"Host": host}, trust_env=False).status_code == status


def test_none_and_one_that_is_set_contradict_each_other(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        said = access_token.told(listening, "", PublicUrl())
        assert said == [f"Speedup Lab is at {url_of(listening)} (Ctrl-C ends it)"]
        assert not access_token.is_asked(settings, listening, token=True)
        with pytest.raises(UserError, match="ACCESS_TOKEN is set, and --no-token asks for none"):
            access_token.is_asked(replace(settings, ACCESS_TOKEN=TOKEN), listening, token=False)


def url_of(listening: socket.socket) -> str:
    return f"http://127.0.0.1:{listening.getsockname()[1]}/"


@pytest.mark.slow
def test_flask_run_asks_beyond_loopback_too(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ("-m", "flask", "--app", "app", "run", "--host", "0.0.0.0", "--port", str(port))
    with started(tmp_path, *command, lines=1) as said:
        link = re.search(r"http://\S+/\?token=[0-9a-f]{64}", said[0])
        assert link
        with httpx.Client(transport=httpx.HTTPTransport(retries=5), trust_env=False) as client:
            assert client.get(f"http://127.0.0.1:{port}/").status_code == 401
            assert client.get(link[0]).status_code == 200


@pytest.mark.slow
def test_flask_run_on_loopback_answers_to_no_address_of_elsewhere(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
    command = ("-m", "flask", "--app", "app", "run", "--port", url.rpartition(":")[2].strip("/"))
    with (
        started(tmp_path, *command, lines=2),
        httpx.Client(transport=httpx.HTTPTransport(retries=5), trust_env=False) as client,
    ):
        for host, status in ("8.8.8.8", 400), ("localhost", 200):
            assert client.get(url, headers={"Host": host}).status_code == status


# ---------------------------------------------------------------- in a browser


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 360])
def test_a_browser_is_asked_once(browser: Any, server: str, width: int) -> None:
    with browsing(browser, server) as open_page:
        page = open_page("/runs", viewport={"width": width, "height": 700})
        assert page.get_by_role("heading", name="This server asks for its token").is_visible()
        assert page.locator("nav").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.get_by_label("Access token").fill("not it")
        page.get_by_role("button", name="Go on").click()
        page.get_by_role("heading", name="This is not the token").wait_for()
        page.get_by_label("Access token").fill(TOKEN)
        page.get_by_role("button", name="Go on").click()
        page.wait_for_url(f"{server}/")
        page.goto("/runs")
        assert page.get_by_role("heading", name="No run yet").is_visible()
