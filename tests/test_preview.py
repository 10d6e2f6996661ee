"""/preview: the operations on one image, small; what it keeps, refuses, and never disturbs."""

from __future__ import annotations

import base64
import io
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import pytest
from conftest import MakeRun, jpeg
from filelock import FileLock
from flask import Flask
from flask.testing import FlaskClient
from test_web import HTML, JSON, error, form
from test_web import post as send
from werkzeug.test import TestResponse

from app import create_app
from imgproc.functions.operations import operation_of, registered
from imgproc.intake.inspector import Trial
from imgproc.measure.lock import NAME, machine_lock
from imgproc.operations import DEFAULT_OPERATIONS, OPERATIONS, PARAMETERS
from imgproc.runs import kept
from imgproc.runs.runner import remove_abandoned
from imgproc.settings import Settings
from imgproc.web import preview as previews
from imgproc.web import serving

TEXT = {"Accept": "*/*"}
pytestmark = pytest.mark.usefixtures("unmeasured")


def post(client: FlaskClient, data: dict[str, Any], headers: dict[str, str] = JSON) -> TestResponse:
    return send(client, data, headers, "/preview")


def folders(settings: Settings) -> list[Path]:
    return sorted(settings.UPLOADS_DIR.glob("*"))


def decoded(source: str) -> np.ndarray:
    kind, _, data = source.partition(";base64,")
    assert kind in ("data:image/png", "data:image/jpeg")
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    return picture


@pytest.fixture
def token(client: FlaskClient) -> str:
    """Of an image that this client sent."""
    found: str = post(client, form("a.jpg")).get_json()["token"]
    return found


# ---------------------------------------------------------------- what it shows


def test_the_pictures_are_those_of_the_first_image(client: FlaskClient) -> None:
    answer = post(client, form("first.jpg", "second.jpg"))
    said = answer.get_json()
    assert (answer.status_code, said["name"]) == (200, "first.jpg")
    assert [picture["operation"] for picture in said["pictures"]] == list(DEFAULT_OPERATIONS)
    gray = cv2.imdecode(np.frombuffer(jpeg(seed=0), np.uint8), cv2.IMREAD_GRAYSCALE)
    defaults = {name: p.default for name, p in PARAMETERS.items()}
    for picture in said["pictures"]:
        result = OPERATIONS[picture["operation"]].apply(gray, defaults)
        assert np.abs(decoded(picture["source"]).astype(int) - result).mean() < 4
    edges, blur, _ = said["pictures"]
    share = np.count_nonzero(decoded(edges["source"])) / gray.size  # so small that nothing is reduced
    assert edges["said"] == f"edges: {100 * share:.1f}\u00a0% of the pixels" and blur["said"] == ""
    assert blur["parameters"] == [["Kernel", "5"], ["Sigma", "0"]]
    assert decoded(said["original"]).shape == gray.shape


def fades(image: np.ndarray, strength: int = 2) -> np.ndarray:
    """A function that only the app knows, which travels to the child."""
    if strength == 9:
        raise ValueError("too strong")
    return image // strength


def test_functions_that_the_app_lists_are_shown_too_with_their_parameters(client: FlaskClient) -> None:
    def post_fades(**more: str) -> TestResponse:
        return post(client, form("a.jpg", operations="fades,fades+canny,canny", **more))

    gray = cv2.imdecode(np.frombuffer(jpeg(seed=0), np.uint8), cv2.IMREAD_GRAYSCALE)
    with registered(operation_of(fades)):
        for strength in (2, 5):
            pictures = {one["operation"]: one for one in post_fades(strength=str(strength)).get_json()["pictures"]}
            assert set(pictures) == {"canny", "fades", "fades+canny"}
            assert pictures["fades"]["parameters"] == [["Strength", str(strength)]]
            assert np.abs(decoded(pictures["fades"]["source"]).astype(int) - gray // strength).mean() < 4
        answer = post_fades(strength="9")
        assert answer.status_code == 422 and error(answer)["field"] == "operations"
        assert "“fades” raised ValueError" in error(answer)["message"] and "Traceback" not in answer.text
        assert post(client, form("a.jpg", operations="canny")).status_code == 200


def test_a_function_that_ends_or_hangs_its_process_costs_only_the_preview(client: FlaskClient) -> None:
    def ends(image: np.ndarray) -> np.ndarray:
        os._exit(3)

    with registered(operation_of(ends)):
        assert post(client, form("a.jpg", operations="ends")).status_code == 422
        assert post(client, form("a.jpg", operations="canny")).status_code == 200


def test_parameters_move_the_result_and_the_image_is_sent_once(client: FlaskClient, settings: Settings) -> None:
    first = post(client, form("a.jpg", operations="canny")).get_json()
    strict = {"token": first["token"], "operations": "canny", "canny_low": "3000", "canny_high": "3000"}
    second = post(client, strict).get_json()
    assert second["token"] == first["token"] and second["name"] == "a.jpg" and len(folders(settings)) == 1
    assert decoded(first["pictures"][0]["source"]).any() and not decoded(second["pictures"][0]["source"]).any()
    assert second["pictures"][0]["said"] == "edges: 0\u00a0% of the pixels, so all is black"
    offset = {"token": first["token"], "operations": "adaptive_threshold,resize", "threshold_offset": "255"}
    white, small = post(client, offset).get_json()["pictures"]
    assert (
        white["said"] == "brighter parts: 100\u00a0% of the pixels, so all is white" and decoded(white["source"]).all()
    )
    assert small["said"] == "resized: 48\u00a0×\u00a032, 0.0015\u00a0MP" and decoded(small["source"]).shape == (32, 48)
    colour = post(client, {"token": first["token"], "operations": "gaussian", "color": "on"}).get_json()
    assert [len(decoded(picture["source"]).shape) for picture in colour["pictures"]] == [3]


def test_deep_samples_are_read_as_the_form_says(client: FlaskClient) -> None:
    faint = np.linspace(0, 2000, 64 * 96).astype(np.uint16).reshape(64, 96)
    sent = {"images": [(io.BytesIO(cv2.imencode(".png", faint)[1].tobytes()), "deep.png")], "operations": "gaussian"}
    dark = post(client, sent).get_json()
    spread = post(client, {"token": dark["token"], "depth": "full range", "operations": "gaussian"}).get_json()
    assert decoded(dark["original"]).max() < 12 and decoded(spread["original"]).max() > 240
    assert dark["notes"] and dark["notes"] != spread["notes"]


def test_a_page_for_browsers_without_scripts(client: FlaskClient, settings: Settings) -> None:
    answer = post(client, form("<b>.jpg", kernel="9", mode="scale", workers="nonsense", samples=""), HTML)
    assert answer.status_code == 200 and answer.mimetype == "text/html"
    page = answer.text
    assert "&lt;b&gt;.jpg" in page and "<b>.jpg" not in page
    assert page.count("data:image/") == 1 + len(DEFAULT_OPERATIONS)
    assert "<dt>Kernel</dt><dd>9</dd>" in page and "% of the pixels" in page
    assert folders(settings) == []  # it keeps its files itself


def test_without_an_image_one_is_drawn(client: FlaskClient) -> None:
    assert "A drawn picture" in post(client, {}, HTML).text
    text = post(client, {"operations": "canny"}, TEXT).text
    assert text.startswith("A drawn picture: 1224\u00a0×\u00a0816") and "edges: " in text


def test_the_form_offers_it(client: FlaskClient) -> None:
    page = client.get("/", headers=HTML).text
    assert 'formaction="/preview" formtarget="_blank"' in page and 'data-preview="/preview"' in page
    assert [page.count(f'data-preview-of="{name}"') for name in OPERATIONS] == [1] * len(OPERATIONS)


# ---------------------------------------------------------------- what it refuses


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"canny_low": "300"}, "canny_low"), ({"kernel": "4"}, "kernel"), ({"operations": ""}, "operations"),
        ({"operations": "sharpen"}, "operations"), ({"color": "blue"}, "color"), ({"colour": "on"}, "colour"),
    ],
)  # fmt: skip
def test_fields_are_refused_as_in_a_run_and_the_image_stays(
    client: FlaskClient, data: dict[str, str], field: str
) -> None:
    answer = post(client, form("a.jpg", **data))
    run = send(client, form("a.jpg", **data))
    said = error(answer)
    assert answer.status_code == 400 and said["field"] == field and said["message"] == error(run)["message"]
    assert post(client, {"token": said["token"]}).status_code == 200
    page = post(client, form("a.jpg", **data), HTML)
    assert page.status_code == 400 and "Nothing was tried" in page.text


@pytest.mark.parametrize(("content", "status"), [(b"no image", 415), (jpeg()[:900], 422), (b"", 422)])
def test_refused_files_say_why_as_in_a_run(
    client: FlaskClient, settings: Settings, content: bytes, status: int
) -> None:
    answer = post(client, {"images": [(io.BytesIO(content), "a.jpg")]})
    run = send(client, {"images": [(io.BytesIO(content), "a.jpg")]})
    assert answer.status_code == run.status_code == status
    said = error(answer)
    assert said["message"] == error(run)["files"][0]["error"] and said["field"] == "images"
    assert "token" not in said and str(settings.UPLOADS_DIR) not in answer.text
    assert folders(settings) == []


def test_what_is_too_large_or_from_elsewhere_is_refused(app: Flask, client: FlaskClient, settings: Settings) -> None:
    app.config["SETTINGS"] = Settings(**{**vars(settings), "MAX_UPLOAD_MB": 0})
    answer = post(client, form("a.jpg"))
    assert (answer.status_code, error(answer)["code"]) == (413, "too_large")
    app.config["SETTINGS"] = Settings(**{**vars(settings), "DISK_RESERVE_MB": 10**9})
    assert post(client, form("a.jpg")).status_code == 507
    assert post(client, form("a.jpg"), {**JSON, "Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert client.get("/preview", headers=JSON).status_code == 405
    assert folders(settings) == []


def test_a_form_of_many_files_writes_one(
    client: FlaskClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    make = previews.Previews.make

    def spy(self: previews.Previews, folder: Path, *rest: Any) -> previews.Preview:
        seen.append(sorted(path.name for path in folder.iterdir()))
        return make(self, folder, *rest)

    monkeypatch.setattr(previews.Previews, "make", spy)
    others = [(io.BytesIO(b"x"), f"{number}.jpg") for number in range(200)]
    assert post(client, {"images": [*form("a.jpg")["images"], *others]}, HTML).status_code == 200
    assert seen == [["incoming-0000", "name"]]


# ---------------------------------------------------------------- what it keeps


def test_a_token_is_good_for_its_browser_alone(app: Flask, client: FlaskClient, token: str) -> None:
    stranger = app.test_client()
    answer = post(stranger, {"token": token})
    assert (answer.status_code, error(answer)["code"], error(answer)["field"]) == (404, "not_found", "token")
    for wrong in ("0" * 32, "../" + token, "*", token[:-1], token + "\n"):
        assert post(client, {"token": wrong}).status_code == 404
    assert post(client, {"token": token}).status_code == 200


def test_an_image_is_forgotten_after_a_while(client: FlaskClient, settings: Settings, token: str) -> None:
    (folder,) = folders(settings)
    past = time.time() - kept.KEPT_SECONDS + 60
    os.utime(folder, (past, past))
    assert post(client, {"token": token}).status_code == 200  # and so it is used again
    assert time.time() - folder.stat().st_mtime < 60
    past = time.time() - kept.KEPT_SECONDS - 60
    os.utime(folder, (past, past))
    assert post(client, {"token": token}).status_code == 404
    remove_abandoned(settings)  # by the runner, whether anyone asks or not
    assert folders(settings) == []


def test_few_images_are_kept_and_the_oldest_go(app: Flask, client: FlaskClient, settings: Settings) -> None:
    tokens = []
    for number in range(kept.MOST_OF_ONE + 1):
        tokens.append(post(client, form(f"{number}.jpg")).get_json()["token"])
        for age, folder in enumerate(sorted(folders(settings), key=lambda one: tokens.index(kept.token_of(one)))):
            os.utime(folder, (time.time() - 100 + age,) * 2)
    assert [post(client, {"token": token}).status_code for token in tokens] == [404] + [200] * kept.MOST_OF_ONE
    for number in range(kept.MOST):
        (settings.UPLOADS_DIR / f"preview-{number}-x").mkdir()
    post(app.test_client(), form("a.jpg"))
    assert len(folders(settings)) == kept.MOST


def test_an_image_that_vanishes_is_asked_for_again(
    app: Flask, client: FlaskClient, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vanish(*_: object) -> Trial:
        raise FileNotFoundError

    monkeypatch.setattr(app.config["PREVIEWS"]._inspector, "attempt", vanish)
    answer = post(client, {"token": token})
    assert (answer.status_code, error(answer)["field"]) == (404, "token")


# ---------------------------------------------------------------- what it never disturbs


@pytest.mark.parametrize("state", ["running", "queued"])
def test_nothing_is_computed_while_a_run_is_measured(
    client: FlaskClient, make_run: MakeRun, store: Any, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    run = make_run(state=state)
    started: list[object] = []
    monkeypatch.setattr("imgproc.intake.inspector._Child", started.append)
    answer = post(client, form("a.jpg"))
    said = error(answer)
    assert (answer.status_code, said["code"]) == (409, "conflict") and "A run is being measured" in said["message"]
    assert "A run is being measured" in post(client, form("a.jpg"), HTML).text
    assert started == []
    monkeypatch.undo()
    run.state = "done"
    store.finish(run)
    assert post(client, {"token": said["token"]}).status_code == 200  # without sending it again


def test_it_waits_for_other_programs_that_measure(
    client: FlaskClient, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previews, "WAIT_SECONDS", 0.5)
    with machine_lock(lambda seconds: None):
        answer = post(client, {"token": token})
        assert answer.status_code == 409 and "A run is being measured" in error(answer)["message"]
    assert post(client, {"token": token}).status_code == 200


def test_a_server_looks_for_the_lock_where_other_programs_do(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has a folder of its own for temporary files, which the runner and the command line know nothing of."""
    outside = tempfile.gettempdir()

    def run(app: Flask, listening: socket.socket) -> None:
        listening.close()
        app.config["STORE"].close()
        assert tempfile.gettempdir() != outside and str(app.config["PREVIEWS"]._lock_folder) == outside
        raise SystemExit(7)

    monkeypatch.setattr(serving, "wsgi_server", run)
    monkeypatch.setattr(serving, "create_app", lambda settings, supervise, **_: create_app(settings))
    for name in ("UPLOADS_DIR", "RESULTS_DIR"):
        monkeypatch.setenv(name, str(getattr(settings, name)))
    with pytest.raises(SystemExit) as ended:
        serving.serve(port=0)
    assert ended.value.code == 7


@pytest.fixture
def held(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    """The next preview says that it began, and ends when it is let go."""
    began, go = threading.Event(), threading.Event()
    inspector = app.config["PREVIEWS"]._inspector
    attempt = inspector.attempt

    def wait(*arguments: Any) -> Trial:
        began.set()
        assert go.wait(20)
        found: Trial = attempt(*arguments)
        return found

    monkeypatch.setattr(inspector, "attempt", wait)
    yield began, go
    go.set()


def test_one_at_a_time_and_others_wait_a_moment(
    app: Flask, client: FlaskClient, token: str, held: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go = held
    monkeypatch.setattr(previews, "WAIT_SECONDS", 0.3)
    answers: list[TestResponse] = []
    first = threading.Thread(target=lambda: answers.append(post(client, {"token": token})))
    first.start()
    assert began.wait(10)
    busy = post(app.test_client(), form("b.jpg"))
    assert (busy.status_code, error(busy)["code"], busy.headers["Retry-After"]) == (429, "busy", "3")
    assert error(busy)["token"]
    with pytest.raises(TimeoutError):  # nor is anything measured meanwhile, by whatever program
        FileLock(Path(app.config["PREVIEWS"]._lock_folder) / NAME).acquire(timeout=0.1)
    monkeypatch.setattr(previews, "WAIT_SECONDS", 20)
    second = threading.Thread(target=lambda: answers.append(post(app.test_client(), form("b.jpg"))))
    second.start()
    time.sleep(0.2)
    go.set()
    first.join(20)
    second.join(20)
    assert [answer.status_code for answer in answers] == [200, 200]


def test_few_may_wait_at_once(app: Flask, client: FlaskClient, token: str, held: Any) -> None:
    began, go = held
    waiting = [
        threading.Thread(target=post, args=(app.test_client(), form("b.jpg"))) for _ in range(previews.MOST_WAITING)
    ]
    for thread in waiting:
        thread.start()
    assert began.wait(10)
    end = time.monotonic() + 10
    while app.config["PREVIEWS"]._waiting._value and time.monotonic() < end:
        time.sleep(0.01)
    since = time.monotonic()
    assert post(client, {"token": token}).status_code == 429 and time.monotonic() - since < 5
    go.set()
    for thread in waiting:
        thread.join(20)


def test_the_pixels_are_touched_by_a_child_alone(app: Flask, client: FlaskClient, monkeypatch: Any) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("in the web process")

    sent = form("a.jpg")
    for name in ("imdecode", "Canny", "resize", "imencode"):
        monkeypatch.setattr(cv2, name, never)
    assert post(client, sent).status_code == 200
    (child,) = app.config["PREVIEWS"]._inspector._children
    process = psutil.Process(child._process.pid)
    app.config["PREVIEWS"].close()
    assert not process.is_running()
