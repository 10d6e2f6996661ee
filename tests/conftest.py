"""What several test files share: an app in a folder of its own, and runs that are done without a runner."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient

import imgproc.settings
from app import create_app
from imgproc.measure.environment import environment
from imgproc.measure.results import Progress, Round, SpanRecord, TechniqueMeasurement
from imgproc.operations import DEFAULT_OPERATIONS, OPERATIONS, PARAMETERS
from imgproc.runs.access import Access, Visible, owner_of
from imgproc.runs.record import ImageRecord, OutputRecord, Record, RunSettings
from imgproc.runs.store import Store
from imgproc.settings import Settings
from imgproc.web.front import Limits
from imgproc.web.serving import listen, wsgi_server

#: The property of a test that is printed at the end.
SUMMARY = "summary"


def pytest_configure() -> None:
    # A shell that starts the tests in the background makes them, and all that they start, deaf to Ctrl-C.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        # Of two that test at once each has its own folder for temporary files, and with it its own lock for measuring.
        os.environ["TMPDIR"] = tempfile.tempdir = tempfile.mkdtemp(prefix=f"{worker}-")
        # Multiprocessing removes its own folder in there first.
        Finalize(None, shutil.rmtree, (tempfile.tempdir,), {"ignore_errors": True}, exitpriority=-1000)
    # What runs of tests teach of this machine, busy as it is, is not for those of its users.
    cache = tempfile.mkdtemp(prefix="cache-")
    atexit.register(shutil.rmtree, cache, ignore_errors=True)
    os.environ["CACHE_DIR"] = cache
    imgproc.settings.user_cache_dir = lambda *_, **__: cache


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests have to say although they pass."""
    for report in (*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")):
        for name, value in report.user_properties if report.when == "call" else ():
            if name == SUMMARY:
                terminalreporter.write_line(str(value))


@pytest.fixture(autouse=True)
def nothing_learned() -> None:
    """What the test before taught of this machine is forgotten."""
    shutil.rmtree(os.environ["CACHE_DIR"], ignore_errors=True)


@pytest.fixture(autouse=True)
def no_operation_stays() -> Iterator[None]:
    """What a test added to the table of operations is taken out again."""
    tables: tuple[dict[str, Any], ...] = (OPERATIONS, PARAMETERS)
    before = [set(table) for table in tables]
    yield
    for table, known in zip(tables, before, strict=True):
        for name in set(table) - known:
            del table[name]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        UPLOADS_DIR=tmp_path / "uploads",
        RESULTS_DIR=tmp_path / "results",
        SECRET_KEY="for tests: abcdefghijklmnopqrstuvwxyz",
    )


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A post waits until its files are checked, however busy the machine is."""
    monkeypatch.setattr("imgproc.web.waiting.CHECK_SECONDS", 60.0)


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    app = create_app(settings)
    yield app
    app.config["PREVIEWS"].close()
    app.config["VETTING"].close()
    app.config["STORE"].close()


@pytest.fixture
def unmeasured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody measures on this machine as far as an app made after this can see."""
    (tmp_path / "locks").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "locks"))


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def store(app: Flask) -> Store:
    found: Store = app.config["STORE"]
    return found


def picture(width: int = 96, height: int = 64, seed: int = 0) -> np.ndarray:
    """Discs on a slope: edges and grays enough for every operation."""
    rng = np.random.default_rng(seed)
    image = np.linspace(40, 200, width, dtype=np.uint8)[None, :, None] * np.ones((height, 1, 3), np.uint8)
    for _ in range(12):
        at = int(rng.integers(width)), int(rng.integers(height))
        colour = [int(c) for c in rng.integers(0, 255, 3)]
        cv2.circle(image, at, int(rng.integers(3, max(4, height // 4))), colour, -1, cv2.LINE_AA)
    return image


def jpeg(width: int = 96, height: int = 64, seed: int = 0) -> bytes:
    return cv2.imencode(".jpg", picture(width, height, seed))[1].tobytes()


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Three small JPEG files."""
    paths = []
    for number in range(3):
        path = tmp_path / f"photo {number + 1}.jpg"
        path.write_bytes(jpeg(seed=number, width=240, height=160))
        paths.append(path)
    return paths


MakeRun = Callable[..., Record]


@pytest.fixture
def make_run(settings: Settings, store: Store) -> MakeRun:
    """A run as the runner would leave it: files, run.json and index."""
    numbers = iter(range(1, 1000))

    def make(
        *,
        state: str = "done",
        mode: str = "parallel",
        images: int = 3,
        owner: str = "",
        visible: Visible = "link",
        bad: int = 0,
        **changes: object,
    ) -> Record:
        run_id = f"{next(numbers):012x}"
        asked = RunSettings(
            list(DEFAULT_OPERATIONS), {name: p.default for name, p in PARAMETERS.items()}, workers=2, seed=7
        )
        record = Record(run_id, mode, asked)  # type: ignore[arg-type]
        results, uploads = settings.RESULTS_DIR / run_id, settings.UPLOADS_DIR / run_id
        for index in range(images):
            record.images.append(_image(index, results, uploads, with_results=state == "done"))
        for index in range(images, images + bad):
            why = "The file ends in the middle of the picture. Copy it again from where it came."
            record.images.append(ImageRecord(index, f"broken <{index}>.jpg", format="JPEG", bytes=4321, error=why))
        store_state, record.state = state, "queued"
        if state in ("done", "failed", "cancelled", "interrupted"):
            record.state, record.finished, record.environment = state, record.created, environment()
        if state == "done":
            record.techniques = techniques(mode, images)
            record.best = record.techniques[0].name
        for name, value in changes.items():
            setattr(record, name, value)
        Access(owner, visible).save(results)
        record.save(results)
        store.create(record)
        if store_state == "running":
            assert store.claim(1) == run_id
        return record

    return make


def owner_in(client: FlaskClient) -> str:
    """The client as the owner of runs, with a cookie that says so."""
    with client.session_transaction() as session:
        return owner_of(session.setdefault("owner", "a token for tests"))


def _image(index: int, results: Path, uploads: Path, *, with_results: bool) -> ImageRecord:
    name = f"photo {index + 1}.jpg"
    image = ImageRecord(index, name, 96, 64, "JPEG", stored=f"{index:04d}.jpg", preview=f"{index:04d}.jpg")
    for folder in (results / "images", results / "previews", uploads):
        folder.mkdir(parents=True, exist_ok=True)
    pixels = picture(seed=index)
    data = cv2.imencode(".jpg", pixels)[1].tobytes()
    (uploads / image.stored).write_bytes(data)
    (results / "previews" / f"{index:04d}.jpg").write_bytes(data)
    image.bytes = len(data)
    defaults = {name: p.default for name, p in PARAMETERS.items()}
    for name in DEFAULT_OPERATIONS if with_results else ():
        operation = OPERATIONS[name]
        made = operation.apply(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), defaults)
        output = OutputRecord(operation.name, f"photo {index + 1}_{operation.name}.png")
        output.preview = f"{index:04d}_{operation.name}.jpg"
        data = cv2.imencode(".png", made)[1].tobytes()
        output.bytes = len(data)
        (results / "images" / output.file).write_bytes(data)
        (results / "previews" / output.preview).write_bytes(cv2.imencode(".jpg", made)[1].tobytes())
        image.outputs.append(output)
    return image


def techniques(mode: str, images: int) -> list[TechniqueMeasurement]:
    """Times as they might be measured on two cores, with spans of one round."""
    sequential = _measured("sequential", "Sequential", 1, 0.528, images)
    sequential.speedup, sequential.efficiency = 1.0, 1.0
    if mode == "sequential":
        return [sequential]
    threads = _measured("threading", "Threads", 2, 0.274, images)
    threads.speedup, threads.speedup_ci95, threads.efficiency = 1.93, [1.89, 1.97], 0.96
    threads.verdict, threads.identical, threads.startup_seconds = "faster", True, 0.0021
    return [threads, sequential]


def _measured(name: str, label: str, workers: int, median: float, images: int) -> TechniqueMeasurement:
    shares = {
        "read": 0.02, "decode": 0.2, "canny": 0.25, "gaussian": 0.08, "equalize": 0.1, "encode": 0.3, "write": 0.03,
    }  # fmt: skip
    each = median * workers / max(1, images)
    spans = []
    for index in range(images):
        at = (index // workers) * each
        for stage, share in shares.items():
            spans.append(SpanRecord(index % workers + 1, index, stage, at, at + share * each))
            at += share * each
    return TechniqueMeasurement(
        name,
        label,
        workers=workers,
        startup_seconds=0.0004,
        first_round_seconds=median * 1.2,
        rounds=[Round(median * (1 + 0.005 * k)) for k in range(-3, 3)],
        median_seconds=median,
        ci95=[median * 0.98, median * 1.02],
        images_per_second=images / median,
        identical=True,
        spans=spans,
    )


@pytest.fixture
def runner(store: Store, settings: Settings) -> Iterator[threading.Event]:
    """Ends every queued run as done after a moment, in place of the real runner. While the event is clear, it
    holds the run in its first round."""
    go, stop = threading.Event(), threading.Event()
    go.set()

    def work() -> None:
        while not stop.wait(0.05):
            run_id = store.claim(1)
            if run_id is None:
                continue
            store.set_progress(
                run_id,
                Progress("round", "threading", "Threads", 2, 6, 1, 3, 4, 13, share=0.37, seconds_left=21, elapsed=12),
            )
            while not go.wait(0.05) and not stop.is_set() and not store.cancel_requested(run_id):
                pass
            record = Record.load(settings.RESULTS_DIR / run_id)
            record.state = "cancelled" if store.cancel_requested(run_id) else "done"
            if record.state == "done":
                _results(record, settings.RESULTS_DIR / run_id, settings.UPLOADS_DIR / run_id)
            record.save(settings.RESULTS_DIR / run_id)
            store.finish(record)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield go
    stop.set()
    thread.join(10)


def _results(record: Record, results: Path, uploads: Path) -> None:
    for image in record.good_images:
        for operation in record.settings.operations:
            output = OutputRecord(operation, f"{Path(image.name).stem}_{operation}.png", preview=None)
            pixels = cv2.imread(str(uploads / image.stored), cv2.IMREAD_GRAYSCALE)
            made = OPERATIONS[operation].apply(pixels, record.settings.parameters)
            (results / "images").mkdir(exist_ok=True)
            cv2.imwrite(str(results / "images" / output.file), made)
            output.bytes = (results / "images" / output.file).stat().st_size
            image.outputs.append(output)
    record.environment = environment()
    record.techniques = techniques(record.mode, max(1, len(record.good_images)))
    record.best = record.techniques[0].name


@contextmanager
def served(app: Flask, limits: Limits | None = None) -> Iterator[int]:
    """The app over HTTP, as it is served; without a runner. Yields the port."""
    listening = listen("127.0.0.1", 0)
    serving = wsgi_server(app, listening, limits)

    def serve() -> None:
        with suppress(OSError):  # it is closed while it waits
            serving.run()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listening.getsockname()[1]
    serving.close()
    thread.join(5)


@pytest.fixture
def server(app: Flask) -> Iterator[str]:
    with served(app) as port:
        yield f"http://127.0.0.1:{port}"


CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
# The browser says so of every answer over 399, also where a test asks for one; ``missing`` looks at the others.
EXPECTED = "Failed to load resource: "
PARTS = ("image", "script", "stylesheet", "font")
CSP = "addEventListener('securitypolicyviolation', e => console.error('CSP', e.violatedDirective, e.blockedURI))"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM:
        pytest.skip("Chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-quic", "--disable-background-networking"]
        )
        yield found
        found.close()


@contextmanager
def browsing(browser: Any, server: str) -> Iterator[Callable[..., Any]]:
    """Opens pages, each in a browser of its own, and fails the test for whatever the browser complains about."""
    complaints: list[str] = []
    contexts = []

    def complain(kind: str, text: str) -> None:
        if not text.startswith(EXPECTED):
            complaints.append(f"{kind}: {text}")

    def missing(response: Any) -> None:
        if response.status >= 400 and response.request.resource_type in PARTS:
            complain("missing", response.url)

    def open_page(path: str = "/", **options: Any) -> Any:
        context = browser.new_context(base_url=server, **options)
        context.set_default_timeout(15_000)
        contexts.append(context)
        if options.get("java_script_enabled", True):
            context.add_init_script(CSP)
        page = context.new_page()
        page.on("console", lambda m: complain(m.type, m.text) if m.type in ("error", "warning") else None)
        page.on("response", missing)
        page.on("pageerror", lambda e: complain("script", str(e)))
        page.on("request", lambda r: r.url.startswith((server, "data:", "blob:")) or complain("foreign", r.url))
        page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def photo(tmp_path):
    """A photograph whose path has letters that few encodings have."""
    folder = tmp_path / "Łódź’s"
    folder.mkdir()
    (folder / "café.jpg").write_bytes(jpeg())
    return folder / "café.jpg"
