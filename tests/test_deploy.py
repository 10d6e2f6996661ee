"""The files of docs/deploy, tried as far as this machine lets them: a real nginx in front of the real app, systemd's
own check of the unit, a container's files."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from conftest import jpeg

from app import create_app
from imgproc.errors import UserError
from imgproc.settings import Settings
from imgproc.web.public_url import PublicUrl, public_url

PROJECT = Path(__file__).resolve().parents[1]
DEPLOY = PROJECT / "docs" / "deploy"
HOST, PREFIX = "lab.example.org", "/speedup"
HTML, JSON = {"Accept": "text/html"}, {"Accept": "application/json"}
#: Debian has it where not every user looks.
NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")


# ---------------------------------------------------------------- the address of the proxy


@pytest.mark.parametrize(("text", "expected"), [
    ("", PublicUrl()),
    ("https://lab.example.org", PublicUrl("https://lab.example.org", "lab.example.org", "", True)),
    ("https://Lab.example.org:8443/a/b-2/",
     PublicUrl("https://Lab.example.org:8443/a/b-2", "lab.example.org", "/a/b-2", True)),
    ("http://[2001:db8::7]/x", PublicUrl("http://[2001:db8::7]/x", "2001:db8::7", "/x", False)),
])  # fmt: skip
def test_what_the_address_of_a_proxy_says(text: str, expected: PublicUrl) -> None:
    assert public_url(Settings(PUBLIC_URL=text)) == expected


@pytest.mark.parametrize("text", [
    "lab.example.org", "ftp://lab.example.org", "https://", "https:///speedup", "https://lab.example.org:x", "https://[",
    "https://a@lab.example.org", "https://lab.example.org/?a=1", "https://lab.example.org/#a", "https://lab.example.org//a",
    "https://lab.example.org/../a", "https://lab.example.org/a b", "https://lab.example.org/;a", "https://h:99999",
])  # fmt: skip
def test_what_is_no_address_of_a_proxy_stops_the_start_with_words(settings: Settings, text: str) -> None:
    with pytest.raises(UserError, match="PUBLIC_URL is an address such as https://") as caught:
        create_app(replace(settings, PUBLIC_URL=text))
    assert caught.value.field == "PUBLIC_URL"


@pytest.mark.parametrize(("public", "path", "secure"), [
    ("", "/", False), ("http://lab.example.org", "/", False), ("https://lab.example.org/speedup", "/speedup", True),
])  # fmt: skip
def test_the_cookie_is_for_the_app_behind_its_prefix_alone(
    settings: Settings, public: str, path: str, secure: bool
) -> None:
    app = create_app(replace(settings, PUBLIC_URL=public, ACCESS_TOKEN=(token := "0123456789abcdefghijklmnopqrstuvw")))
    cookie = app.test_client().get(f"/?token={token}", headers=HTML).headers["Set-Cookie"]
    assert f"Path={path};" in f"{cookie};" and ("Secure" in cookie) == secure and "HttpOnly" in cookie
    app.config["STORE"].close()


# ---------------------------------------------------------------- behind nginx


class Proxied:
    """The app behind nginx: ``link``, as it printed it; ``http``, a client that finds nginx at that name."""

    def __init__(self, port: int, plain: int, lines: list[str], certificate: Path) -> None:
        self.port, self.plain, self.lines = port, plain, lines
        self.link = re.search(r"https://\S+", lines[0])[0]  # type: ignore[index]
        self.http = httpx.Client(
            transport=_ToThisMachine(
                verify=ssl.create_default_context(cafile=certificate), limits=httpx.Limits(max_keepalive_connections=0)
            ),
            timeout=60, follow_redirects=True, base_url=f"https://{HOST}:{port}",
        )  # fmt: skip
        self.token = self.link.partition("token=")[2]


class _ToThisMachine(httpx.HTTPTransport):
    """Asks this machine, whatever the name."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        here = httpx.Request(
            request.method, request.url.copy_with(host="127.0.0.1"), headers=request.headers, stream=request.stream,
            extensions={"sni_hostname": request.url.host, **request.extensions},
        )  # fmt: skip
        return super().handle_request(here)


def free_ports(count: int) -> list[int]:
    with_sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in with_sockets]
    for one in with_sockets:
        one.close()
    return ports


@contextmanager
def running(command: list[str], **options: object) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, text=True, **options)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


def configured(folder: Path, secure: int, plain: int, app: int) -> Path:
    """The documented configuration with the ports and files of this test, and around it what Debian has around it."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={HOST}", "-addext",
         f"subjectAltName=DNS:{HOST}", "-keyout", key, "-out", certificate], check=True, capture_output=True,
    )  # fmt: skip
    text = (DEPLOY / "nginx.conf").read_text()
    for given, here in (
        ("listen 443 ssl;", f"listen 127.0.0.1:{secure} ssl;"), ("listen [::]:443 ssl;", ""),
        ("listen 80;", f"listen 127.0.0.1:{plain};"), ("listen [::]:80;", ""),
        (f"/etc/ssl/{HOST}/fullchain.pem", str(certificate)), (f"/etc/ssl/{HOST}/key.pem", str(key)),
        ("http://127.0.0.1:5000", f"http://127.0.0.1:{app}"),
    ):  # fmt: skip
        assert given in text
        text = text.replace(given, here)
    places = "".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = folder / "nginx.conf"
    main.write_text(
        f"daemon off; pid {folder}/pid; error_log stderr; {'user root;' if os.getuid() == 0 else ''}"
        f"events {{}} http {{ access_log off; {places} {text} }}"
    )
    return main


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    if not NGINX or not shutil.which("openssl"):
        pytest.skip("nginx or openssl is not installed")
    folder = tmp_path_factory.mktemp("deploy")
    (folder / "t").mkdir()  # nobody else measures there
    secure, plain, port = free_ports(3)
    env = {
        "PATH": os.environ["PATH"], "UPLOADS_DIR": str(folder / "u"), "RESULTS_DIR": str(folder / "r"),
        "TMPDIR": str(folder / "t"), "PUBLIC_URL": f"https://{HOST}:{secure}{PREFIX}", "MAX_UPLOAD_MB": "1",
        "LOG_FORMAT": "json",
    }  # fmt: skip
    with (
        (folder / "log").open("w") as log,
        running([sys.executable, "app.py", "--port", str(port)], cwd=PROJECT, env=env, stdout=-1, stderr=log) as app,
        running([NGINX, "-c", str(configured(folder, secure, plain, port)), "-e", "stderr"], stderr=-1),
    ):
        assert app.stdout
        yield (made := Proxied(secure, plain, [app.stdout.readline() for _ in range(3)], folder / "cert.pem"))
        made.http.close()


def form(*contents: bytes, **fields: str) -> dict[str, object]:
    files = [("images", (f"{n}.jpg", content, "image/jpeg")) for n, content in enumerate(contents)]
    return {"files": files, "data": fields}


def bearer(proxied: Proxied) -> dict[str, str]:
    return {**JSON, "Authorization": f"Bearer {proxied.token}"}


def test_the_link_that_the_app_prints_is_that_of_the_proxy_and_works(proxied: Proxied) -> None:
    assert proxied.link.startswith(f"https://{HOST}:{proxied.port}{PREFIX}/?token=") and "127.0.0.1" in proxied.lines[1]
    assert proxied.http.get(f"{PREFIX}/", headers=HTML).status_code == 401  # though the app is on loopback
    first = proxied.http.get(proxied.link, headers=HTML, follow_redirects=False)
    assert first.status_code == 303 and first.headers["Location"] == f"{PREFIX}/"
    assert {"Path=/speedup", "Secure", "HttpOnly"} <= set(first.headers["Set-Cookie"].split("; "))
    page = proxied.http.get(PREFIX, headers=HTML)
    assert (page.status_code, page.url.path) == (200, f"{PREFIX}/") and "Speedup Lab" in page.text
    assert page.headers["Strict-Transport-Security"].startswith("max-age=")
    with httpx.Client(trust_env=False) as plain:
        moved = plain.get(f"http://127.0.0.1:{proxied.plain}{PREFIX}/runs", headers={"Host": HOST})
        assert (moved.status_code, moved.headers["Location"]) == (308, f"https://{HOST}{PREFIX}/runs")
    proxied.http.cookies.clear()


def test_every_link_of_the_pages_is_behind_the_prefix_and_leads_somewhere(proxied: Proxied) -> None:
    proxied.http.get(proxied.link, headers=HTML)
    asked, waiting = set[str](), [f"{PREFIX}/"]
    while waiting:
        path = waiting.pop()
        if path in asked or len(asked) > 40:
            continue
        asked.add(path)
        answer = proxied.http.get(path, headers=HTML)
        assert answer.status_code == 200, path
        if answer.headers["Content-Type"].startswith("text/html"):
            found = re.findall(r'\s(?:href|src|action|data-preview|data-live)="([^"#?][^"#]*)', answer.text)
            here = [link for link in found if not link.startswith(("https://", "data:"))]
            assert here and all(link.startswith(f"{PREFIX}/") for link in here), path
            paths = {link.partition("?")[0] for link in here}
            waiting += [link for link in re.findall(r'\s(?:href|src)="([^"#?]+)', answer.text) if link in paths]
    assert {f"{PREFIX}/techniques", f"{PREFIX}/runs", f"{PREFIX}/static/app.js"} <= asked
    proxied.http.cookies.clear()


def test_an_upload_is_run_and_its_results_come_back_as_a_zip(proxied: Proxied) -> None:
    asked = form(jpeg(), jpeg(seed=1), mode="sequential", operations="canny")
    posted = proxied.http.post(f"{PREFIX}/process", headers=bearer(proxied), **asked)  # type: ignore[arg-type]
    assert posted.status_code == 202, posted.text
    url = posted.json()["url"]
    assert url.startswith(f"{PREFIX}/runs/") and posted.headers["Location"].endswith(url)
    begin, state = time.monotonic(), ""
    while state != "done" and time.monotonic() - begin < 60:
        state = proxied.http.get(f"{url}.json?view=progress", headers=bearer(proxied)).json()["state"]
        assert state not in ("failed", "cancelled", "interrupted")
        time.sleep(0.2)
    page = proxied.http.get(url, headers={**bearer(proxied), **HTML})
    assert f'"{url}/results.zip' in page.text
    # What is there to copy works from elsewhere.
    assert f"https://{HOST}:{proxied.port}{PREFIX}/process" in page.text
    answer = proxied.http.get(f"{url}/results.zip", headers=bearer(proxied))
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None and len(archive.namelist()) == 2
    assert int(answer.headers["Content-Length"]) == len(answer.content)


@pytest.mark.parametrize("megabytes", [2, 60])
def test_an_upload_that_is_too_large_is_refused_in_the_words_of_the_app(proxied: Proxied, megabytes: int) -> None:
    asked = form(bytes(megabytes * 1_000_000))
    answer = proxied.http.post(f"{PREFIX}/process", headers=bearer(proxied), **asked)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    assert "up to 1 MB" in answer.json()["error"]["message"]


def test_posts_of_other_sites_and_strange_hosts_are_refused_behind_it_too(proxied: Proxied) -> None:
    for origin, status in (f"https://{HOST}:{proxied.port}", 400), ("https://evil.example", 403):
        answer = proxied.http.post(
            f"{PREFIX}/process", headers={**bearer(proxied), "Origin": origin}, data={"mode": "x"}
        )
        assert answer.status_code == status, answer.text
    strange = proxied.http.get(
        f"https://evil.example:{proxied.port}{PREFIX}/healthz", extensions={"sni_hostname": HOST}
    )
    assert strange.status_code == 400 and "TRUSTED_HOSTS" in strange.text


def test_a_visitor_cannot_say_who_he_is_by_headers_of_a_proxy(proxied: Proxied) -> None:
    said = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Prefix": "/evil", "X-Forwarded-Proto": "http",
            "Forwarded": "host=evil.example", "X-Request-Id": "not-ours-0123456789"}  # fmt: skip
    answer = proxied.http.get(f"{PREFIX}/techniques", headers={**bearer(proxied), **HTML, **said})
    assert answer.status_code == 200 and "evil" not in answer.text
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["X-Request-Id"])  # nginx's own


# ---------------------------------------------------------------- systemd


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_understands_the_unit_and_finds_it_hardened(tmp_path: Path) -> None:
    unit = tmp_path / "speedup-lab.service"
    text = (DEPLOY / "speedup-lab.service").read_text()
    command = "/opt/speedup-lab/.venv/bin/python"
    assert command in text
    unit.write_text(text.replace(command, sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=25", unit], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd judges only services that run")
    assert done.returncode == 0, done.stdout


# ---------------------------------------------------------------- a container


def instructions(word: str) -> list[str]:
    text = (DEPLOY / "Containerfile").read_text().replace("\\\n", " ")
    return re.findall(rf"^{word} (.+)$", text, re.MULTILINE)


def test_what_the_container_file_copies_is_enough_to_serve(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    for line in instructions("COPY"):
        *sources, target = line.split()
        if sources[0].startswith("--from") or target == "/":
            continue
        for source in sources:
            copy = shutil.copytree if (PROJECT / source).is_dir() else shutil.copy
            copy(PROJECT / source, tmp_path / "app" / source if target == "./" else tmp_path / "app" / target)
    port = str(free_ports(1)[0])
    [start] = instructions("CMD")
    words = [word.replace("5000", port).replace("0.0.0.0", "127.0.0.1") for word in json.loads(start)]
    env = {"PATH": os.environ["PATH"]}
    for line in instructions("ENV"):
        given = (pair.split("=") for pair in line.split())
        env |= {name: value.replace("/data", f"{tmp_path}/data") for name, value in given if name != "PATH"}
    with running([sys.executable, *words[1:]], cwd=tmp_path / "app", env=env, stdout=-1) as app:
        assert app.stdout and app.stdout.readline().startswith("Speedup Lab is at")
        assert httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).status_code == 200
    assert (tmp_path / "data" / "results" / "secret_key").exists()


def builder() -> str | None:
    for name in ("podman", "docker", "buildah"):
        if shutil.which(name) and not subprocess.run([name, "info"], capture_output=True, check=False).returncode:
            return name
    return None


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_container_builds_and_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILDAH_ISOLATION", "chroot")  # buildah's way that needs no runtime for containers
    build = builder()
    if not build:
        pytest.skip("nothing here builds containers")
    [image] = {line.split()[0] for line in instructions("FROM")}
    if subprocess.run([build, "pull", image], capture_output=True, check=False).returncode:
        pytest.skip(f"{image} cannot be had here")
    subprocess.run([build, "build", "-t", "speedup-lab-test", "-f", DEPLOY / "Containerfile", PROJECT], check=True)
    port = str(free_ports(1)[0])
    [start] = instructions("CMD")
    words = [word.replace("5000", port) for word in json.loads(start)]
    with ExitStack() as stack:
        if build == "buildah":
            made = subprocess.run([build, "from", "speedup-lab-test"], stdout=-1, text=True, check=True).stdout.strip()
            stack.callback(subprocess.run, [build, "rm", made], check=False)
            serve = [build, "run", made, "--", *words]
        else:
            serve = [build, "run", "--rm", "--shm-size", "1g", "--publish", f"127.0.0.1:{port}:{port}",
                     "speedup-lab-test", *words]  # fmt: skip
        app = stack.enter_context(running(serve, stdout=-1))
        assert app.stdout and app.stdout.readline().startswith("Speedup Lab is at")
        assert httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).status_code == 200
