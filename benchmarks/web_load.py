"""The web app under many clients at once, on real sockets: what it promises, and what was reached.

    python benchmarks/web_load.py [--row polling] [--row many-files] [--row stalled] [--row posts] [--scale 1]

Starts the app with folders of its own and prints a table. ``--scale 0.1`` plays each row with a tenth of its clients.
The exit status is 1 where a promise was not kept. Client and server share the machine, so leave it alone meanwhile.

- polling: kept-alive clients ask for the progress of a run that saturates the cores, as its page does.
- many-files: one upload of many files.
- stalled: uploads that never end (some trickle) and readers of a large zip that hardly read, while others come.
- posts: runs are sent all at once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from imgproc.intake.samples import write_sample  # noqa: E402

BOUNDARY = "a-boundary-of-ours"
#: Between two questions of a page, in seconds, as in static/app.js.
PAGE_ASKS = 0.7
#: It waits at least so many times as long as the last answer took, give or take a fifth.
SLOWER = 10
LONGEST = 120.0


@dataclass
class Answer:
    """What came back: ``seconds`` until its last byte."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float


@dataclass
class Promise:
    """A figure that was reached, and whether that is good enough."""

    what: str
    wanted: str
    reached: str
    kept: bool


class Connection:
    """A kept-alive connection to the app."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def __aenter__(self) -> Connection:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()

    async def ask(self, head: str, body: bytes = b"", accept: str = "application/json") -> Answer:
        """Send a request (its first line and headers of its own), and read all of the answer."""
        begin = time.perf_counter()
        lines = [*head.splitlines(), f"Host: 127.0.0.1:{self.port}", f"Accept: {accept}"]
        if body or head.startswith("POST"):
            lines.append(f"Content-Length: {len(body)}")
        self.writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await self.writer.drain()
        status, headers = await self.head()
        length = 0 if head.startswith("HEAD") else int(headers.get("content-length", -1))
        content = await (self.reader.readexactly(length) if length >= 0 else self.reader.read())
        return Answer(status, headers, content, time.perf_counter() - begin)

    async def head(self) -> tuple[int, dict[str, str]]:
        text = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = text.rstrip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return int(first.split()[1]), headers


@dataclass
class App:
    """The app as it is served."""

    port: int
    process: psutil.Process
    folder: Path
    pictures: list[bytes] = field(default_factory=list)

    async def ask(self, head: str, body: bytes = b"", accept: str = "application/json") -> Answer:
        async with Connection(self.port) as connection:
            return await connection.ask(head, body, accept)

    async def post(self, files: list[bytes], **fields: str) -> Answer:
        head, body = upload(files, fields)
        return await self.ask(head, body)

    async def state(self, url: str) -> str:
        return str(json.loads((await self.ask(f"GET {url}.json?view=progress HTTP/1.1")).body)["state"])

    async def until_ended(self, url: str, seconds: float = LONGEST) -> str:
        until = time.monotonic() + seconds
        while (state := await self.state(url)) in ("checking", "queued", "running") and time.monotonic() < until:
            await asyncio.sleep(0.3)
        return state


def upload(files: list[bytes], fields: dict[str, str]) -> tuple[str, bytes]:
    """Head and body of a posted form."""
    named = [(f'name="{name}"', value.encode()) for name, value in fields.items()]
    named += [(f'name="images"; filename="{number}.jpg"', data) for number, data in enumerate(files)]
    start = f"--{BOUNDARY}\r\nContent-Disposition: form-data; "
    parts = [f"{start}{name}\r\n\r\n".encode() + data + b"\r\n" for name, data in named]
    head = f"POST /process HTTP/1.1\nContent-Type: multipart/form-data; boundary={BOUNDARY}"
    return head, b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


@contextmanager
def serving(folder: Path) -> Iterator[App]:
    environment = {**os.environ, "UPLOADS_DIR": str(folder / "uploads"), "RESULTS_DIR": str(folder / "results")}
    # The lock for measuring lies there too, so that runs need not wait for those of other programs.
    environment |= {"CACHE_DIR": str(folder / "cache"), "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "imgproc", "serve", "--port", "0"]
    with (
        open(folder / "server.log", "wb") as log,
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log, text=True) as server,
    ):
        try:
            assert server.stdout
            found = re.search(r":(\d+)/", server.stdout.readline())
            assert found, (folder / "server.log").read_text()
            yield App(int(found[1]), psutil.Process(server.pid), folder)
        finally:
            server.terminate()
            server.wait(30)


def drawn(folder: Path, megapixels: float) -> bytes:
    path = folder / "sample.jpg"
    write_sample(path, 0, megapixels)
    return path.read_bytes()


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else float("inf")


def under(what: str, limit: float, reached: float) -> Promise:
    return Promise(what, f"under {limit:g} s", f"{reached:.3f} s", reached < limit)


def told(what: str, reached: str) -> Promise:
    return Promise(what, "", reached, kept=True)


def exactly(what: str, wanted: int, reached: int) -> Promise:
    return Promise(what, str(wanted), str(reached), reached == wanted)


# ---------------------------------------------------------------- the rows


async def polling(app: App, scale: float) -> list[Promise]:
    clients, seconds = max(2, round(300 * scale)), 20.0
    answer = await app.post([drawn(app.folder, 6.0)] * 6, mode="compare", budget="60", rounds="40")
    assert answer.status == 202, answer.body
    url = answer.headers["location"]
    while await app.state(url) in ("checking", "queued"):
        await asyncio.sleep(0.2)
    took: list[float] = []
    errors: list[str] = []
    until = time.monotonic() + seconds

    async def client() -> None:
        await asyncio.sleep(random.random() * PAGE_ASKS)
        try:
            async with Connection(app.port) as connection:
                while time.monotonic() < until:
                    request = connection.ask(f"GET {url}.json?view=progress HTTP/1.1")
                    found = await asyncio.wait_for(request, LONGEST)
                    took.append(found.seconds)
                    if found.status != 200:
                        errors.append(str(found.status))
                    await asyncio.sleep(max(PAGE_ASKS, SLOWER * found.seconds) * random.uniform(0.8, 1.2))
        except (OSError, EOFError, TimeoutError) as problem:
            errors.append(repr(problem))

    async def visitor() -> list[float]:
        found = []
        while time.monotonic() < until:
            found.append((await app.ask("GET / HTTP/1.1", accept="text/html")).seconds)
            await asyncio.sleep(0.5)
        return found

    pages, *_ = await asyncio.gather(visitor(), *(client() for _ in range(clients)))
    state = await app.state(url)
    return [
        Promise(f"{clients} kept-alive clients: errors", "0", str(len(errors)), not errors),
        under("… p95", 0.25, percentile(took, 0.95)),
        told("… p50, p99", f"{statistics.median(took):.3f} s, {percentile(took, 0.99):.3f} s"),
        told("… questions a second; the run meanwhile", f"{len(took) / seconds:.0f}; {state}"),
        under("a new visitor’s page, slowest", 1.0, max(pages)),
    ]


async def many_files(app: App, scale: float) -> list[Promise]:
    count = max(2, round(1000 * scale))
    picture = drawn(app.folder, 6.0)
    health: list[float] = []
    over = asyncio.Event()

    async def watch() -> None:
        while not over.is_set():
            health.append((await app.ask("GET /healthz HTTP/1.1")).seconds)
            await asyncio.sleep(0.1)

    watching = asyncio.create_task(watch())
    answer = await app.post([picture] * count, mode="sequential", budget="0", operations="gaussian")
    while await app.state(answer.headers["location"]) == "checking":
        await asyncio.sleep(0.3)
    over.set()
    await watching
    state = await app.until_ended(answer.headers["location"], 900)
    record = json.loads((await app.ask(f"GET {answer.headers['location']}.json HTTP/1.1")).body)
    made = sum(len(image["outputs"]) for image in record["images"])
    return [
        under(f"{count} files of {len(picture) / 1e6:.1f} MB in one post: answered", 15.0, answer.seconds),
        exactly(f"… results ({state})", count, made),
        told("… /healthz meanwhile, p50, p99", f"{statistics.median(health):.3f} s, {percentile(health, 0.99):.3f} s"),
    ]


@asynccontextmanager
async def held(app: App, heads: list[bytes]) -> AsyncIterator[list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]:
    """Connections that have sent this and are let be; with small windows, so that little is on the way."""
    opened = [await asyncio.open_connection("127.0.0.1", app.port, limit=4096) for _ in heads]
    for (_, writer), head in zip(opened, heads, strict=True):
        writer.write(head)
    try:
        yield opened
    finally:
        for _, writer in opened:
            writer.transport.abort()


async def stalled(app: App, scale: float) -> list[Promise]:
    uploads, readers = max(2, round(200 * scale)), max(2, round(100 * scale))
    done = await app.post([drawn(app.folder, 12.0)] * 12, mode="sequential", budget="0")
    url = done.headers["location"]
    state = await app.until_ended(url)
    zipped = await app.ask(f"HEAD {url}/results.zip HTTP/1.1")
    host = f"Host: 127.0.0.1:{app.port}\r\n"
    head, body = upload([app.pictures[0]], {})
    sent = head.replace("\n", "\r\n") + f"\r\n{host}Content-Length: 50000000\r\n\r\n"
    begun = [sent.encode() + body[:2000]] * uploads
    get = [f"GET {url}/results.zip HTTP/1.1\r\n{host}\r\n".encode()] * readers
    pages: list[float] = []
    dropped: list[float] = []

    async def upload_for_ever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, trickles: bool) -> None:
        async def trickle() -> None:
            while True:
                writer.write(b"x")
                await asyncio.sleep(1)

        begin = time.monotonic()
        trickling = asyncio.create_task(trickle()) if trickles else None
        with suppress(OSError):
            await reader.read()
        dropped.append(time.monotonic() - begin)
        if trickling:
            trickling.cancel()

    async with held(app, get) as reading, held(app, begun) as sending:
        waiting = [
            asyncio.create_task(upload_for_ever(*pair, trickles=number % 2 == 1)) for number, pair in enumerate(sending)
        ]
        until = time.monotonic() + 40
        while time.monotonic() < until and len(dropped) < uploads:
            try:
                pages.append((await asyncio.wait_for(app.ask("GET / HTTP/1.1", accept="text/html"), 15)).seconds)
            except (OSError, EOFError, TimeoutError):
                pages.append(15.0)
            for reader, _ in reading:  # slow, but they read
                with suppress(OSError, TimeoutError):
                    await asyncio.wait_for(reader.read(1024), 0.001)
            await asyncio.sleep(0.2)
        for task in waiting:
            task.cancel()
    size = int(zipped.headers.get("content-length", 0)) / 1e6
    return [
        told(f"{uploads} stalled uploads, {readers} slow readers of a zip ({state})", f"{size:.0f} MB"),
        under("… a new visitor’s page, slowest", 1.0, max(pages)),
        exactly("… stalled uploads dropped", uploads, len(dropped)),
        under("… the last of them after", 35.0, max(dropped, default=float("inf"))),
    ]


async def posts(app: App, scale: float) -> list[Promise]:
    count = max(2, round(100 * scale))
    health: list[float] = []
    over = asyncio.Event()

    async def watch() -> None:
        while not over.is_set():
            health.append((await app.ask("GET /healthz HTTP/1.1")).seconds)
            await asyncio.sleep(0.1)

    async def send(number: int) -> Answer:
        return await asyncio.wait_for(app.post([app.pictures[number % 2]], mode="sequential", budget="0"), LONGEST)

    watching = asyncio.create_task(watch())
    answers = await asyncio.gather(*(send(number) for number in range(count)))
    over.set()
    await watching
    accepted = [answer.headers["location"] for answer in answers if answer.status in (202, 303)]
    full = sum(answer.status == 429 and "retry-after" in answer.headers for answer in answers)
    states = [await app.until_ended(url) for url in accepted]
    in_time = sum(answer.seconds < 2 for answer in answers)
    return [
        exactly(f"{count} posts at once: answered within 2 s", count, in_time),
        under("… slowest", 2.0, max(answer.seconds for answer in answers)),
        exactly("… by 202, or by 429 with Retry-After", count, len(accepted) + full),
        exactly(f"… of the {len(accepted)} accepted, done", len(accepted), states.count("done")),
        under("… /healthz meanwhile, slowest", 2.0, max(health)),
    ]


ROWS = {"polling": polling, "many-files": many_files, "stalled": stalled, "posts": posts}


def play(name: str, scale: float) -> list[Promise]:
    """One row, on an app of its own."""
    with tempfile.TemporaryDirectory(prefix="web-load-") as folder, serving(Path(folder)) as app:
        app.pictures = [drawn(app.folder, megapixels) for megapixels in (0.5, 8.0)]
        return asyncio.run(ROWS[name](app, scale))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--row", action="append", choices=ROWS, help="only this one (may be given several times)")
    parser.add_argument("--scale", type=float, default=1.0, help="clients, as a multiple of the full number")
    arguments = parser.parse_args()
    kept = True
    for name in arguments.row or ROWS:
        print(f"{name} (load {os.getloadavg()[0] if hasattr(os, 'getloadavg') else 0:.1f} before)", flush=True)
        for promise in play(name, arguments.scale):
            kept &= promise.kept
            mark = "ok    " if promise.kept else "MISSED"
            wanted = f" (wanted: {promise.wanted})" if promise.wanted else ""
            print(f"  {mark} {promise.what}: {promise.reached}{wanted}", flush=True)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
