"""The web contract: routes, answers by ``Accept``, errors, and who may do what."""

from __future__ import annotations

import io
import json
import re
import secrets
import shutil
import socket
import stat
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from conftest import MakeRun, jpeg, owner_in
from filelock import FileLock
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import EnvironBuilder, TestResponse

import imgproc.operations as operations
from app import create_app
from imgproc.backends import TECHNIQUES, Technique
from imgproc.errors import UserError
from imgproc.measure import environment
from imgproc.operations import DEFAULT_OPERATIONS, OPERATIONS, PARAMETERS
from imgproc.operations.contract import Operation
from imgproc.parameters import Parameter
from imgproc.runs.execute import execute
from imgproc.runs.record import Record
from imgproc.runs.store import Store
from imgproc.settings import Settings
from imgproc.web import errors, security
from imgproc.web.serving import warm_up

HTML, JSON = {"Accept": "text/html"}, {"Accept": "application/json"}
#: What posts of parts made by hand are sent with.
PARTS = {**JSON, "Content-Type": "multipart/form-data; boundary=xx"}
PAGES = ("/", "/runs", "/techniques")
ClientWith = Callable[..., FlaskClient]


def form(*names: str, **fields: Any) -> dict[str, Any]:
    files = [(io.BytesIO(jpeg(seed=n)), name) for n, name in enumerate(names)]
    return {"images": files, **fields}


def post(
    client: FlaskClient, data: dict[str, Any], headers: dict[str, str] = JSON, url: str = "/process"
) -> TestResponse:
    sent = EnvironBuilder(method="POST", data=data, content_type="multipart/form-data").get_environ()
    # As browsers do it; Werkzeug leaves out the empty line that ends the headers of a part without content.
    body = sent["wsgi.input"].read().replace(b"\r\n\r\n--", b"\r\n\r\n\r\n--")
    return client.post(url, data=body, headers=headers, content_type=sent["CONTENT_TYPE"])


def error(answer: TestResponse) -> dict[str, Any]:
    found: dict[str, Any] = answer.get_json()["error"]
    return found


def record_of(settings: Settings, run_id: str) -> Record:
    return Record.load(settings.RESULTS_DIR / run_id)


def left_behind(settings: Settings) -> list[Path]:
    return [p for folder in (settings.UPLOADS_DIR, settings.RESULTS_DIR) for p in folder.iterdir() if p.is_dir()]


# ---------------------------------------------------------------- posting


def test_json_post_queues_the_run(client: FlaskClient, settings: Settings, store: Store) -> None:
    answer = post(client, form("a.jpg", "b.jpg", mode="parallel", technique="futures-threads", workers="1", kernel="7"))
    assert answer.status_code == 202
    said = answer.get_json()
    assert said == {"id": said["id"], "url": f"/runs/{said['id']}", "state": "queued"}
    assert answer.headers["Location"] == said["url"]
    record = record_of(settings, said["id"])
    assert [i.name for i in record.images] == ["a.jpg", "b.jpg"]
    assert (record.mode, record.settings.technique, record.settings.workers) == ("parallel", "futures-threads", 1)
    assert record.settings.parameters == {**{n: p.default for n, p in PARAMETERS.items()}, "kernel": 7}
    assert record.settings.operations == list(DEFAULT_OPERATIONS)
    stored = [settings.UPLOADS_DIR / said["id"] / i.stored for i in record.images]
    assert [p.read_bytes() for p in stored] == [jpeg(seed=0), jpeg(seed=1)]
    assert store.queued() == 1


def test_folders_of_an_upload_are_kept_and_lead_nowhere_else(
    client: FlaskClient, settings: Settings, store: Store
) -> None:
    """From the names that were sent to results, page, zip and the images of a second run."""
    names = ("album/pic.jpg", "album/more/pic.jpg", "album/more/PIC.jpg", "album/CON/pic.jpg", "album/../../pic.jpg")
    sent = form(*names[:4], technique="threading", budget="0", operations="canny")
    record = record_of(settings, post(client, sent).get_json()["id"])
    assert [i.name for i in record.images] == ["pic.jpg", "more/pic.jpg", "more/PIC.jpg", "CON/pic.jpg"]
    store.claim(1)
    folder = settings.RESULTS_DIR / record.id
    execute(
        record, settings.UPLOADS_DIR / record.id, folder, settings, progress=lambda _: None, cancelled=lambda: False
    )
    record.save(folder)
    store.finish(record)
    made = ["pic_canny.png", "more/pic_canny.png", "more/PIC-2_canny.png", "folder-CON/pic_canny.png"]
    assert [output.file for image in record.images for output in image.outputs] == made
    with client.get(f"/runs/{record.id}/results.zip") as answer:
        assert zipfile.ZipFile(io.BytesIO(answer.data)).namelist() == made
    page = client.get(f"/runs/{record.id}", headers=HTML).text
    for file, image in zip(made, record.images, strict=True):
        assert f"/runs/{record.id}/images/{file}" in page and f'data-file="{image.name}"' in page
        with client.get(f"/runs/{record.id}/images/{file}") as answer:
            assert answer.status_code == 200 and answer.data.startswith(b"\x89PNG")
    for outside in ("../run.json", "more/../../run.json", "%2e%2e/run.json", "/etc/passwd", "more"):
        assert client.get(f"/runs/{record.id}/images/{outside}").status_code in (308, 404)
    again = record_of(settings, post(client, {"images_of": record.id}).get_json()["id"])
    assert [(i.name, i.folder) for i in again.images] == [(i.name, i.folder) for i in record.images]
    climbing = record_of(settings, post(client, form("x.jpg", *names[3:])).get_json()["id"])
    assert [(i.name, i.folder) for i in climbing.images[1:]] == [
        ("album/CON/pic.jpg", "album/folder-CON"), ("pic.jpg", ""),
    ]  # fmt: skip


def test_browser_post_goes_to_the_run(client: FlaskClient) -> None:
    answer = post(client, form("a.jpg"), {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert answer.status_code == 303
    assert re.fullmatch(r"/runs/[0-9a-f]{32}", answer.headers["Location"])
    page = client.get(answer.headers["Location"], headers=HTML).text
    assert "Measuring threads against sequential on 1 image" in page


@pytest.mark.parametrize(
    ("mode", "first"), [("parallel", "Parallel (threading, 2 workers)"), ("sequential", "Sequential")]
)
def test_plain_post_waits_for_the_summary(client: FlaskClient, runner: Any, mode: str, first: str) -> None:
    answer = post(client, form("a.jpg", mode=mode), {"Accept": "*/*"})
    assert (answer.status_code, answer.mimetype) == (200, "text/plain")
    lines = answer.text.splitlines()
    assert lines[0] == f"Processing Mode: {first}"
    heads = ["Processing Mode", "Number of Images", "Time Taken", "Speedup", "Advice"]
    assert [line.partition(":")[0] for line in lines] == heads


def test_plain_post_tells_when_the_run_failed(
    client: FlaskClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = store.create

    def fail(record: Record) -> None:
        create(record)
        store.fail(record.id, "There was not enough memory for this run.")

    monkeypatch.setattr(store, "create", fail)
    answer = post(client, form("a.jpg"), {"Accept": "*/*"})
    assert answer.status_code == 500
    assert "Error: There was not enough memory for this run." in answer.text


def test_samples_need_no_file(client: FlaskClient, settings: Settings) -> None:
    answer = client.post("/process", data={"samples": "5", "sample_megapixels": "0.5"}, headers=JSON)
    record = record_of(settings, answer.get_json()["id"])
    assert (record.settings.samples, record.settings.sample_megapixels, record.images) == (5, 0.5, [])
    answer = post(client, form("ignored.jpg", samples="form", sample_count="7"))
    assert record_of(settings, answer.get_json()["id"]).settings.samples == 7
    assert not (settings.UPLOADS_DIR / answer.get_json()["id"]).exists()


def test_bad_files_are_listed_and_good_ones_go_on(client: FlaskClient, settings: Settings) -> None:
    data = form("good.jpg")
    data["images"] += [(io.BytesIO(b"no image at all"), "note.txt"), (io.BytesIO(jpeg()[:900]), "<b>cut<i>.jpg")]
    record = record_of(settings, post(client, data).get_json()["id"])
    assert [i.error is None for i in record.images] == [True, False, False]
    page = client.get(f"/runs/{record.id}", headers=HTML).text
    assert "note.txt" in page and "&lt;b&gt;cut&lt;i&gt;.jpg" in page and "<b>cut" not in page


# Every setting's own range is in test_options.
BAD_FIELDS = [
    ({"mode": "quick"}, "mode"), ({"mode": "scale", "technique": "sequential"}, "technique"),
    ({"mode": "scale", "workers": "1,65"}, "workers"), ({"mode": "scale", "worker_list": "1,two"}, "worker_list"),
    ({"workers": "1,2"}, "workers"), ({"transfer": "arrays"}, "transfer"), ({"chunk_size": "2"}, "chunk_size"),
    ({"technique": "joblib", "transfer": "paths,arrays"}, "transfer"), ({"technique": "magic"}, "technique"),
    ({"kernel": "4"}, "kernel"), ({"canny_low": "300"}, "canny_low"), ({"operations": ""}, "operations"),
    ({"operations": "sharpen"}, "operations"), ({"mode": "compare", "budget": "0"}, "budget"),
    ({"samples": "101"}, "samples"), ({"samples": "form", "sample_count": "0"}, "sample_count"),
    ({"samples": "2", "sample_megapixels": "25"}, "sample_megapixels"), ({"kernal": "7"}, "kernal"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "name"), BAD_FIELDS)
def test_a_bad_field_is_named(client: FlaskClient, settings: Settings, fields: dict[str, str], name: str) -> None:
    answer = post(client, form("a.jpg", **fields))
    assert answer.status_code == 400
    assert (error(answer)["code"], error(answer)["field"]) == ("bad_parameter", name)
    assert ("Did you mean “kernel”?" in error(answer)["message"]) is (name == "kernal")
    assert left_behind(settings) == []


def test_a_run_that_is_not_to_be_measured_has_all_its_pages(
    client: FlaskClient, settings: Settings, store: Store
) -> None:
    record = record_of(settings, post(client, form("a.jpg", technique="threading", budget="0")).get_json()["id"])
    store.claim(1)
    folder = settings.RESULTS_DIR / record.id
    execute(
        record, settings.UPLOADS_DIR / record.id, folder, settings, progress=lambda _: None, cancelled=lambda: False
    )
    record.save(folder)
    store.finish(record)
    for end in ("", ".txt", ".json", "/rounds.csv"):
        with client.get(f"/runs/{record.id}{end}", headers=HTML) as answer:
            assert answer.status_code == 200
    assert "Speedup: not shown (the baseline was not measured)" in client.get(f"/runs/{record.id}.txt").text


@pytest.mark.parametrize(
    "data",
    [
        {"mode": "parallel"},
        {"images": (io.BytesIO(b""), "")},  # what a browser sends without a choice
        {"file": (io.BytesIO(jpeg()), "a.jpg")},
    ],
    ids=["none", "empty", "in another field"],
)
def test_no_file_is_an_error_at_the_field(client: FlaskClient, data: dict[str, Any]) -> None:
    answer = post(client, data)
    assert (answer.status_code, error(answer)["field"]) == (400, "images")


def test_the_form_comes_back_with_its_values(client: FlaskClient) -> None:
    data = form(
        "a.jpg", kernel="4", sigma="2.5", mode="sequential", operations=["", "gaussian"], l2gradient=["off", "on"]
    )
    answer = post(client, data, HTML)
    assert answer.status_code == 400
    field = re.search(r'<input[^>]*id="kernel"[^>]*>', answer.text)
    assert field and 'value="4"' in field[0] and 'aria-invalid="true"' in field[0] and "is-invalid" in field[0]
    assert re.search(r'id="kernel-h"[^>]*>Kernel \(kernel\) must be an odd whole number', answer.text)
    assert re.search(r'id="sigma"[^>]*value="2.5"', answer.text)
    assert re.search(r'value="sequential" checked', answer.text)
    assert re.search(r'id="op-gaussian" checked', answer.text)
    assert not re.search(r'id="op-canny" checked', answer.text)
    assert re.search(r'id="l2gradient" checked', answer.text)


def test_none_good_lists_every_reason(client: FlaskClient, settings: Settings) -> None:
    def data() -> dict[str, Any]:
        return {"images": [(io.BytesIO(jpeg()[:900]), "cut.jpg"), (io.BytesIO(b"text"), "note.txt")], "kernel": "9"}

    answer = post(client, data())
    assert (answer.status_code, error(answer)["code"]) == (422, "refused_image")
    assert [f["name"] for f in error(answer)["files"]] == ["cut.jpg", "note.txt"]
    assert all(f["error"] for f in error(answer)["files"])
    assert left_behind(settings) == []
    page = post(client, data(), HTML)
    assert page.status_code == 422 and "cut.jpg" in page.text and "None of the 2 files" in page.text
    back = re.search(r'href="(/\?[^"]*)"', page.text)
    assert back and re.search(r'id="kernel"[^>]*value="9"', client.get(back[1].replace("&amp;", "&")).text)
    plain = post(client, data(), {"Accept": "*/*"})
    assert plain.text.startswith("Error: None of the 2 files") and "Failed: cut.jpg: " in plain.text


def test_no_image_type_at_all_is_415(client: FlaskClient) -> None:
    answer = post(client, {"images": (io.BytesIO(b"just text"), "note.jpg")})
    assert (answer.status_code, error(answer)["code"], error(answer)["file"]) == (415, "unsupported_type", "note.jpg")
    assert client.post("/process", json={"mode": "parallel"}, headers=JSON).status_code == 415


@pytest.fixture
def client_with(settings: Settings) -> Iterator[ClientWith]:
    """A client of an app with other settings."""
    apps: list[Flask] = []

    def make(**changes: Any) -> FlaskClient:
        apps.append(create_app(replace(settings, **changes)))
        return apps[-1].test_client()

    yield make
    for app in apps:
        app.config["STORE"].close()


def test_limits(client_with: ClientWith, settings: Settings) -> None:
    few = client_with(MAX_FILES=2)
    answer = post(few, form("a.jpg", "b.jpg", "c.jpg"))
    assert (answer.status_code, error(answer)["code"], error(answer)["limit"]) == (413, "too_large", 2)
    small = client_with(MAX_UPLOAD_MB=1)
    answer = small.post("/process", data=bytes(1_100_000), headers=JSON, content_type="multipart/form-data; boundary=x")
    assert (answer.status_code, error(answer)["code"], error(answer)["limit"]) == (413, "too_large", 1)
    body = io.BytesIO(b'--x\r\nContent-Disposition: form-data; name="images"\r\n\r\n' + bytes(1_100_000))
    unknown = {"CONTENT_LENGTH": "", "wsgi.input_terminated": True, "wsgi.input": body}
    answer = small.post(
        "/process", headers=JSON, content_type="multipart/form-data; boundary=x", environ_overrides=unknown
    )
    assert (answer.status_code, error(answer)["code"], error(answer)["limit"]) == (413, "too_large", 1)
    full = client_with(DISK_RESERVE_MB=10**9)
    answer = post(full, form("a.jpg"))
    assert (answer.status_code, error(answer)["code"]) == (507, "disk_full")
    short = client_with(MAX_QUEUED=1)
    assert short.post("/process", data={"samples": "1"}, headers=JSON).status_code == 202
    answer = short.post("/process", data={"samples": "1"}, headers=JSON)
    assert (answer.status_code, error(answer)["code"], answer.headers["Retry-After"]) == (429, "queue_full", "30")
    assert len(left_behind(settings)) == 1  # the run that was taken


def test_many_small_files_in_one_post(client: FlaskClient) -> None:
    parts = b"".join(
        b'--xx\r\nContent-Disposition: form-data; name="images"; filename="%d.jpg"\r\n\r\n%d\r\n' % (n, n)
        for n in range(1000)
    )
    answer = client.post("/process", data=parts + b"--xx--\r\n", headers=PARTS)
    assert answer.status_code == 415
    files = error(answer)["files"]
    assert [file["name"] for file in files] == [f"{n}.jpg" for n in range(1000)] and all(f["error"] for f in files)


@pytest.mark.parametrize(("disposition", "name"), [
    (b'name="images"; filename="caf\xe9.jpg"', "caf\ufffd.jpg"),
    (b"name=\"images\"; filename*=UTF-8''caf%E9.jpg", None), (b'name="images"', "unnamed"),
    (b'name="images"; filename="..\\\\..\\\\x.jpg"', None),
])  # fmt: skip
def test_a_file_with_an_unreadable_name_is_kept(
    client: FlaskClient, settings: Settings, disposition: bytes, name: str | None
) -> None:
    body = b"--xx\r\nContent-Disposition: form-data; " + disposition + b"\r\n\r\n" + jpeg() + b"\r\n--xx--\r\n"
    answer = client.post("/process", data=body, headers=PARTS)
    assert answer.status_code == 202
    (image,) = record_of(settings, answer.get_json()["id"]).images
    assert image.error is None and (image.width, image.height) == (96, 64)
    assert name is None or image.name == name


HEADER = b'--xx\r\nContent-Disposition: form-data; name="images"'


@pytest.mark.parametrize("body", [
    b"nonsense", b"--xx\r\n", HEADER, HEADER + b"\r\n\r\nhalf",
    HEADER.replace(b"images", b"mode") + b"\r\n\r\n" + HEADER + b"\r\n\r\nnot to be lost\r\n--xx--\r\n",
])  # fmt: skip
def test_a_broken_form_is_said(client: FlaskClient, settings: Settings, body: bytes) -> None:
    answer = client.post("/process", data=body, headers=PARTS)
    assert (answer.status_code, error(answer)["code"]) == (400, "bad_request")
    assert left_behind(settings) == []


# ---------------------------------------------------------------- reading a run


def test_json_of_a_run(client: FlaskClient, make_run: MakeRun, settings: Settings, store: Store) -> None:
    done = make_run()
    answer = client.get(f"/runs/{done.id}.json")
    assert json.loads(answer.data) == json.loads((settings.RESULTS_DIR / done.id / "run.json").read_text())
    answer.close()
    running, waiting = make_run(state="running"), make_run(state="queued")
    said = client.get(f"/runs/{running.id}.json").get_json()
    assert (said["state"], "progress" in said, said["position"]) == ("running", True, 0)
    assert client.get(f"/runs/{waiting.id}.json").get_json()["position"] == 1
    brief = client.get(f"/runs/{waiting.id}.json?view=progress").get_json()
    assert (brief["state"], brief["final"], brief["detail"]) == ("queued", False, "one run before it")


def test_text_of_a_run(client: FlaskClient, make_run: MakeRun) -> None:
    answer = client.get(f"/runs/{make_run(bad=1).id}.txt")
    assert answer.mimetype == "text/plain"
    assert answer.text.startswith(
        "Processing Mode: Parallel (threading, 2 workers)\nNumber of Images: 3\nTime Taken: 0.27 seconds\n"
        "Speedup: 1.9x over Sequential (95% CI 1.9 to 2.0)\nFailed: broken <3>.jpg: "
    )


def test_page_of_a_done_run(client: FlaskClient, make_run: MakeRun) -> None:
    page = client.get(f"/runs/{make_run(bad=1).id}", headers=HTML).text
    assert "Three images in <b>0.27\u00a0seconds</b> with threads," in page
    assert "1.93\u00a0times as fast as sequential; the same pixels." in page
    assert "1.93×<small>1.89–1.97</small>" in page and "0.274\u00a0s" in page and "96\u00a0%" in page
    assert "broken &lt;3&gt;.jpg" in page
    assert page.count('<rect class="st st-') > 20
    assert "Run again" not in page and "Delete this run" not in page  # somebody else's


def test_a_sequential_run_claims_no_speedup(client: FlaskClient, make_run: MakeRun) -> None:
    page = client.get(f"/runs/{make_run(mode='sequential').id}", headers=HTML).text
    assert "what every speedup is measured against" in page
    assert "times as fast" not in page and 'id="figure-speedup"' not in page


def test_different_pixels_show_no_speedup(client: FlaskClient, make_run: MakeRun, settings: Settings) -> None:
    record = make_run()
    t = record.techniques[0]
    t.identical, t.speedup, t.speedup_ci95, t.verdict = False, None, None, None
    record.save(settings.RESULTS_DIR / record.id)
    page = client.get(f"/runs/{record.id}", headers=HTML).text
    assert "its pixels differ from sequential, so no speedup is shown" in page and "different pixels" in page
    assert "1.93" not in page


@pytest.mark.parametrize(("state", "title"), [
    ("failed", "This run failed"), ("cancelled", "This run was cancelled"),
    ("interrupted", "This run was interrupted"),
])  # fmt: skip
def test_a_run_that_ended_otherwise_says_so(client: FlaskClient, make_run: MakeRun, state: str, title: str) -> None:
    page = client.get(f"/runs/{make_run(state=state, error='The disk is full.').id}", headers=HTML)
    assert page.status_code == 200 and title in page.text and "No result was made." in page.text


def test_page_with_a_thousand_images_stays_usable(client: FlaskClient, make_run: MakeRun) -> None:
    record = make_run(images=1000)
    start = time.perf_counter()
    page = client.get(f"/runs/{record.id}?image=1000&operation=gaussian", headers=HTML).text
    assert time.perf_counter() - start < 5
    assert len(page) < 1_500_000 and "1,000 images" in page
    assert page.count('<rect class="st st-') <= 2_010 and "The first " in page
    assert re.search(r'data-result src="[^"]*0999_gaussian.jpg"', page)


def test_zip_holds_the_results(client: FlaskClient, make_run: MakeRun, settings: Settings) -> None:
    record = make_run()
    answer = client.get(f"/runs/{record.id}/results.zip")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="speedup-lab-{record.id}.zip"'
    assert int(answer.headers["Content-Length"]) == len(answer.data)
    archive = zipfile.ZipFile(io.BytesIO(answer.data))
    folder = settings.RESULTS_DIR / record.id / "images"
    results = [name for name in archive.namelist() if "/" not in name]  # what they are of is in folders beside them
    assert {name: archive.read(name) for name in results} == {p.name: p.read_bytes() for p in folder.iterdir()}
    assert len(results) == 3 * len(DEFAULT_OPERATIONS)
    assert client.get(f"/runs/{make_run(state='queued').id}/results.zip").status_code == 404


def test_images_are_served_harmlessly(client: FlaskClient, make_run: MakeRun) -> None:
    record = make_run()
    file = record.images[0].outputs[0].file
    with client.get(f"/runs/{record.id}/images/{file}") as answer:
        assert answer.mimetype == "image/png" and answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Content-Disposition"].startswith("inline")
    with client.get(f"/runs/{record.id}/images/{file}?download") as answer:
        assert answer.headers["Content-Disposition"].startswith("attachment")
    with client.get(f"/runs/{record.id}/previews/0000_canny.jpg") as answer:
        assert answer.mimetype == "image/jpeg"
    for path in ("images/../run.json", "images/..%2frun.json", "previews/nothing.jpg", "images/run.json"):
        with client.get(f"/runs/{record.id}/{path}") as answer:
            assert answer.status_code == 404


def test_rounds_csv(client: FlaskClient, make_run: MakeRun) -> None:
    answer = client.get(f"/runs/{make_run().id}/rounds.csv")
    assert answer.mimetype == "text/csv" and "attachment" in answer.headers["Content-Disposition"]
    assert answer.text.count("\n") == 1 + 2 * 7 and answer.text.startswith("technique,round,wall_seconds")


# ---------------------------------------------------------------- the owner's buttons


@pytest.fixture
def mine(client: FlaskClient) -> str:
    """The owner's name of this client."""
    return owner_in(client)


def test_only_the_owner_may_change_a_run(client: FlaskClient, make_run: MakeRun, mine: str, app: Flask) -> None:
    record = make_run(owner=mine)
    stranger = app.test_client()
    for verb in ("cancel", "again", "delete"):
        answer = stranger.post(f"/runs/{record.id}/{verb}", headers=JSON)
        assert (answer.status_code, error(answer)["code"]) == (403, "not_owner")
        assert client.get(f"/runs/{record.id}/{verb}").status_code == 405
    page = client.get(f"/runs/{record.id}", headers=HTML).text
    assert "Run again" in page and "Delete this run" in page


def test_cancel(client: FlaskClient, make_run: MakeRun, mine: str, store: Store) -> None:
    record = make_run(state="queued", owner=mine)
    answer = client.post(f"/runs/{record.id}/cancel", headers=HTML)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/runs/{record.id}")
    assert "This run was cancelled" in client.get(answer.headers["Location"], headers=HTML).text
    running = make_run(state="queued", owner=mine)
    while store.claim(1) != running.id:
        pass
    assert client.post(f"/runs/{running.id}/cancel", headers=JSON).get_json()["state"] == "running"
    assert store.cancel_requested(running.id)


def test_again_has_the_same_inputs_and_settings(
    client: FlaskClient, make_run: MakeRun, mine: str, settings: Settings, store: Store
) -> None:
    old = make_run(owner=mine, bad=1)
    (settings.RESULTS_DIR / old.id / "previews" / "thumbnail-0001.jpg").write_bytes(b"small")
    answer = client.post(f"/runs/{old.id}/again", headers=JSON)
    assert answer.status_code == 202
    new = record_of(settings, answer.get_json()["id"])
    row = store.get(new.id)
    assert row and new.id != old.id and row.owner == mine and new.state == "queued" and not new.techniques
    assert new.settings == old.settings
    assert [i.name for i in new.images] == [i.name for i in old.good_images]
    for image in new.images:
        copy, original = (settings.UPLOADS_DIR / run / image.stored for run in (new.id, old.id))
        assert copy.read_bytes() == original.read_bytes()
        assert (settings.RESULTS_DIR / new.id / "previews" / str(image.preview)).is_file()
    assert (settings.RESULTS_DIR / new.id / "previews" / "thumbnail-0001.jpg").read_bytes() == b"small"
    assert client.post(f"/runs/{old.id}/delete", headers=JSON).status_code == 200
    assert (settings.UPLOADS_DIR / new.id / new.images[0].stored).is_file()


def test_again_without_the_images_is_said(
    client: FlaskClient, make_run: MakeRun, mine: str, settings: Settings
) -> None:
    old = make_run(owner=mine)
    for path in (settings.UPLOADS_DIR / old.id).iterdir():
        path.unlink()
    answer = client.post(f"/runs/{old.id}/again", headers=JSON)
    assert (answer.status_code, error(answer)["code"]) == (409, "conflict")


def test_delete_leaves_nothing(
    client: FlaskClient, make_run: MakeRun, mine: str, settings: Settings, store: Store
) -> None:
    record = make_run(owner=mine)
    answer = client.post(f"/runs/{record.id}/delete", headers=HTML)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/runs")
    assert store.get(record.id) is None
    assert record.id not in {p.name for p in left_behind(settings)}
    assert client.get(f"/runs/{record.id}").status_code == 404
    running = make_run(state="queued", owner=mine)
    while store.claim(1) != running.id:
        pass
    assert client.post(f"/runs/{running.id}/delete", headers=JSON).status_code == 409


# ---------------------------------------------------------------- other pages


def test_history_filters_and_pages(client: FlaskClient, make_run: MakeRun, mine: str) -> None:
    assert "No run yet" in client.get("/runs").text
    for _ in range(21):
        make_run(mode="sequential", images=1, owner=mine)
    parallel = make_run(bad=1, owner=mine)
    page = client.get("/runs").text
    assert "22 runs" in page and "1 to 20 of 22" in page and "page=2" in page
    assert "21 to 22 of 22" in client.get("/runs?page=2").text
    found = client.get("/runs?mode=parallel&from=2020-01-01").text
    assert "1 run match" in found and parallel.id in found and "1.93×" in found
    assert parallel.id in client.get("/runs?q=photo+3").text
    assert "No run matches" in client.get("/runs?q=nothing+like+it").text
    summary = re.search(r'id="by-title".*', page, re.S)
    assert summary and "Threads" in summary[0] and "Sequential" in summary[0]
    for odd in ("page=0", "page=99999999999999", "page=x", "from=yesterday", "from=0001-01-01", "mode=x&state=y&q=%00"):
        assert client.get(f"/runs?{odd}").status_code == 200


def test_a_new_operation_and_technique_appear_by_themselves(
    client_with: ClientWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    strength = Parameter("sharp", "Strength", "number", 1.0, minimum=0.5, maximum=9, help="How much.")
    sharpen = Operation("sharpen", "Sharpen", "sharp", "Makes it crisp.", (strength,), lambda image, p: image)
    gone = Technique("far", "Far away", "imgproc.backends.no_such_file:X", "pip install far", "w", "x", "y")
    monkeypatch.setitem(OPERATIONS, "sharpen", sharpen)
    monkeypatch.setitem(operations.PARAMETERS, "sharp", strength)
    monkeypatch.setitem(TECHNIQUES, "far", gone)
    client = client_with()
    page = client.get("/").text
    assert 'value="sharpen"' in page and re.search(r'id="sharp"[^>]*min="0.5" max="9"', page)
    assert "Far away (cannot run here)" in page and f"of {len(TECHNIQUES)} can run here" in page
    page = client.get("/techniques").text
    assert "pip install far" in page and "is not installed" in page
    answer = post(client, form("a.jpg", technique="far"))
    assert (answer.status_code, error(answer)["field"]) == (400, "technique") and "pip install far" in error(answer)[
        "message"
    ]


def test_the_form_offers_only_what_works(client: FlaskClient) -> None:
    page = client.get("/?technique=joblib").text
    assert re.findall(r'name="mode" value="(\w+)"', page) == ["sequential", "parallel", "compare", "scale"]
    assert re.search(r'value="joblib" selected', page)
    for p in PARAMETERS.values():
        assert f'name="{p.name}"' in page


def test_healthz(client: FlaskClient) -> None:
    assert client.get("/healthz").get_json() == {"status": "ok", "queued": 0, "runner": False}


def test_healthz_is_not_well_where_runs_wait_and_nobody_takes_them(
    settings: Settings, client: FlaskClient, make_run: MakeRun
) -> None:
    make_run(state="queued")
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert answer.get_json() == {"status": "no runner", "queued": 1, "runner": False}
    with FileLock(settings.RESULTS_DIR / "runner.lock"):
        answer = client.get("/healthz")
    assert answer.status_code == 200 and answer.get_json() == {"status": "ok", "queued": 1, "runner": True}


def test_healthz_is_not_well_where_the_disk_is_full_or_gone(
    settings: Settings, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=settings.DISK_RESERVE_MB * 1_000_000 - 1))
        answer = client.get("/healthz")
    assert (answer.status_code, answer.get_json()["status"]) == (503, "disk full")
    settings.UPLOADS_DIR.rmdir()
    assert (client.get("/healthz").status_code, client.get("/healthz").get_json()["status"]) == (503, "no disk")


def test_the_first_page_has_nothing_to_compile_and_nothing_to_find_out(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = client.application
    app.jinja_env.cache.clear()  # type: ignore[union-attr]
    environment._fixed.cache_clear()
    warm_up(app)

    def compile(*_: Any, **__: Any) -> None:
        raise AssertionError("a page waits for this")

    monkeypatch.setattr(type(app.jinja_env), "compile", compile)
    for path in ("/", "/runs", "/techniques"):
        assert client.get(path, headers=HTML).status_code == 200
    assert environment._fixed.cache_info().misses == 1


def test_a_run_that_goes_on_when_the_disk_is_full_says_so(
    client: FlaskClient, make_run: MakeRun, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(owner=owner_in(client), state="running")
    said = "he disk is full, so what becomes of this run cannot be written"
    assert said not in client.get(f"/runs/{run.id}", headers=HTML).text
    monkeypatch.setattr(store, "is_full", lambda: True)
    assert said in client.get(f"/runs/{run.id}", headers=HTML).text
    assert said in client.get(f"/runs/{run.id}.json?view=progress").get_json()["detail"]
    answer = client.get(f"/runs/{run.id}.json").get_json()
    assert answer["state"] == "running" and said in answer["error"]


# ---------------------------------------------------------------- errors and guards


def test_every_code_has_a_status() -> None:
    documented = re.findall(r"``(\w+)``", UserError.__doc__ or "")
    assert {code for code in documented if code != "code"} <= errors.STATUS.keys()


@pytest.mark.parametrize(("path", "status"), [("/nothing", 404), ("/runs/7f3c22aaaaaa", 404), ("/process", 405)])
def test_errors_in_three_forms(client: FlaskClient, path: str, status: int) -> None:
    page, data, line = (client.get(path, headers=h) for h in (HTML, JSON, {}))
    assert page.status_code == data.status_code == line.status_code == status
    assert "<h1>" in page.text and set(error(data)) >= {"code", "message"}
    assert re.fullmatch(r"Error: [^\n]+\n", line.text)


def test_an_unexpected_error_tells_nothing(client: FlaskClient, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret /srv/path")

    monkeypatch.setattr(store, "by_technique", explode)
    for headers in (HTML, JSON, {}):
        answer = client.get("/techniques", headers=headers)
        assert answer.status_code == 500
        assert "secret" not in answer.text and "Traceback" not in answer.text


@pytest.mark.parametrize(("headers", "good"), [
    ({}, True), ({"Sec-Fetch-Site": "same-origin"}, True), ({"Sec-Fetch-Site": "none"}, True),
    ({"Sec-Fetch-Site": "same-site"}, False), ({"Sec-Fetch-Site": "cross-site"}, False),
    ({"Origin": "http://localhost"}, True), ({"Origin": "http://localhost:8000"}, False),
    ({"Origin": "https://evil.example"}, False), ({"Origin": "null"}, False), ({"Origin": "http://["}, False),
    ({"Origin": ""}, False), ({"Origin": "localhost"}, False), ({"Origin": "http://localhost@evil.example"}, False),
    # One header does not make up for the other; a proxy may pass on another Host than the browser's.
    ({"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"}, False),
    ({"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}, True),
    ({"Origin": "http://localhost", "Sec-Fetch-Site": "cross-site"}, False),
    ({"Origin": "https://lab.example", "Sec-Fetch-Site": "same-origin"}, True),
    ({"Origin": "https://lab.example", "Sec-Fetch-Site": "same-site"}, False),
    ({"Origin": "https://lab.example"}, False),
])  # fmt: skip
def test_cross_site_posts_are_refused(client_with: ClientWith, headers: dict[str, str], good: bool) -> None:
    client = client_with(TRUSTED_HOSTS="lab.example")
    answer = client.post("/process", data={"samples": "1"}, headers={**JSON, **headers})
    assert answer.status_code == (202 if good else 403)


@pytest.mark.parametrize(("host", "good"), [
    ("localhost:5000", True), ("LOCALHOST", True),
    ("127.0.0.1:5000", True), ("[::1]:5000", True), ("192.168.1.9", True),
    ("lab.example", True), ("a.inside.example", True), ("evil.example", False), ("localhost.evil.example", False),
    ("inside.example.evil", False), ("", False), ("[", False), ("lab.example@evil.example", False),
])  # fmt: skip
def test_hosts(client_with: ClientWith, host: str, good: bool) -> None:
    client = client_with(TRUSTED_HOSTS="Lab.Example, .inside.example")
    assert client.get("/healthz", headers={"Host": host}).status_code == (200 if good else 400)


@pytest.mark.parametrize(("host", "beyond", "here"), [
    ("localhost:5000", True, True), (f"{socket.gethostname()}:5000", True, True), ("127.0.0.1", True, True),
    ("127.8.9.1:80", True, True), ("[::1]:5000", True, True),
    # Where others reach it, an address may be that of a machine in front, and cannot be pointed at this one.
    ("8.8.8.8", True, False), ("192.168.1.9:5000", True, False), ("[2001:db8::7]", True, False),
    ("0.0.0.0:5000", True, False), ("203.0.113.7:8000", True, True), ("8.8.8.8.evil.example", False, False),
    ("2130706433", False, False), ("0x7f.1", False, False),
])  # fmt: skip
def test_addresses_of_elsewhere_are_refused_where_only_this_machine_asks(
    settings: Settings, host: str, beyond: bool, here: bool
) -> None:
    for only_here, good in (False, beyond), (True, here):
        app = create_app(replace(settings, TRUSTED_HOSTS="203.0.113.7"), only_here=only_here)
        answer = app.test_client().get("/healthz", headers={"Host": host})
        assert answer.status_code == (200 if good else 400)
        assert good or "TRUSTED_HOSTS" in answer.text
        app.config["STORE"].close()


@pytest.mark.parametrize("path", [*PAGES, "/nothing", "/healthz", "/static/app.css"])
def test_headers_on_every_answer(client: FlaskClient, path: str) -> None:
    with client.get(path, headers=HTML) as answer:
        assert {name: answer.headers[name] for name in security.HEADERS} == security.HEADERS
        assert "unsafe" not in answer.headers["Content-Security-Policy"]


def test_pages_have_nothing_inline(client: FlaskClient, make_run: MakeRun) -> None:
    runs = [make_run(bad=1), make_run(state="queued"), make_run(state="failed", error="No.")]
    for path in (*PAGES, *(f"/runs/{r.id}" for r in runs), "/nothing"):
        page = client.get(path, headers=HTML).text.replace("http://localhost/", "/")  # its own, as text to copy
        assert not re.search(
            r"\sstyle=|\son\w+=|<style|<script(?! src=)|javascript:|https?://(?!www\.w3\.org)", page
        ), path


def test_the_secret_is_made_once_and_private(tmp_path: Path) -> None:
    settings = Settings(UPLOADS_DIR=tmp_path / "u", RESULTS_DIR=tmp_path / "r")
    first, second = create_app(settings), create_app(settings)
    assert first.config["SECRET_KEY"] == second.config["SECRET_KEY"] and len(first.config["SECRET_KEY"]) == 64
    files = [p for p in (tmp_path / "r").iterdir() if p.name.startswith("secret")]
    assert [p.name for p in files] == ["secret_key"]
    assert stat.S_IMODE(files[0].stat().st_mode) == 0o600


def test_two_that_start_at_once_have_one_key(settings: Settings) -> None:
    settings = replace(settings, SECRET_KEY="")
    with ThreadPoolExecutor(8) as threads:
        keys = list(threads.map(lambda _: security.secret_key(settings), range(8)))
    assert len(set(keys)) == 1 and [path.name for path in settings.RESULTS_DIR.iterdir()] == ["secret_key"]


@pytest.mark.parametrize("key", ["secret", "x" * 64, "12345678" * 3, "ab" * 20, " " * 40, "dev"])
def test_a_key_that_can_be_guessed_is_refused(settings: Settings, key: str) -> None:
    with pytest.raises(UserError, match=r"SECRET_KEY has \d+ characters.*Leave it empty") as caught:
        create_app(replace(settings, SECRET_KEY=key))
    assert (caught.value.field, caught.value.limit) == ("SECRET_KEY", 32)
    assert len(key) < 10 or key not in caught.value.message


@pytest.mark.parametrize("content", ["", "\n", "short", "0" * 64])
def test_a_kept_key_that_can_be_guessed_is_refused(settings: Settings, content: str) -> None:
    settings.RESULTS_DIR.mkdir(parents=True)
    (settings.RESULTS_DIR / "secret_key").write_text(content)
    with pytest.raises(UserError, match=r"The file secret_key in RESULTS_DIR .*Remove the file"):
        create_app(replace(settings, SECRET_KEY=""))
    assert (settings.RESULTS_DIR / "secret_key").read_text() == content


def test_what_is_made_at_random_is_never_refused() -> None:
    for _ in range(300):
        for made in (secrets.token_hex(32), secrets.token_urlsafe(32), secrets.token_urlsafe(24)):
            security.check_secret("It", made, "")


@pytest.mark.parametrize(
    ("command", "change"),
    [
        (("-m", "flask", "--app", "app", "run", "--port", "0"), {"SECRET_KEY": "weak"}),
        (("app.py", "--port", "0"), {"secret_key": ""}),
    ],
)
def test_a_bad_secret_stops_the_start_with_words(
    tmp_path: Path, command: tuple[str, ...], change: dict[str, str]
) -> None:
    env = {"UPLOADS_DIR": str(tmp_path / "u"), "RESULTS_DIR": str(tmp_path / "r"), "PATH": "/usr/bin:/bin", **change}
    if "secret_key" in change:
        (tmp_path / "r").mkdir()
        (tmp_path / "r" / "secret_key").write_text(env.pop("secret_key"))
    done = subprocess.run(
        [sys.executable, *command], cwd=Path(__file__).parents[1], env=env, text=True, capture_output=True, timeout=60
    )
    assert done.returncode == 1 and done.stdout == ""
    assert re.search(r"SECRET_KEY has 4|secret_key in RESULTS_DIR is empty", done.stderr)
    assert "Traceback" not in done.stderr and str(tmp_path) not in done.stderr


# ---------------------------------------------------------------- the real server


def test_over_http(server: str, runner: Any) -> None:
    with httpx.Client(base_url=server) as client:
        files = [("images", (f"{n}.jpg", jpeg(seed=n), "image/jpeg")) for n in range(2)]
        answer = client.post("/process", files=files, data={"mode": "parallel"})
        assert answer.status_code == 200 and answer.text.startswith("Processing Mode: Parallel"), answer.text
        run = client.get("/runs", headers=HTML).text
        run_id = re.findall(r'href="/runs/([0-9a-f]{32})"', run)[0]
        zipped = client.get(f"/runs/{run_id}/results.zip")
        names = zipfile.ZipFile(io.BytesIO(zipped.content)).namelist()
        assert len([name for name in names if "/" not in name]) == 2 * len(DEFAULT_OPERATIONS)


def test_a_client_that_goes_away_frees_its_place(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No runner: these wait for ever, unless the app notices. Too many at once are told where to look."""
    places = threading.BoundedSemaphore(1)
    monkeypatch.setattr("imgproc.web.waiting._places", places)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server}/process", data={"samples": "1"}, timeout=httpx.Timeout(5, read=1))
    with pytest.raises(httpx.ReadTimeout):
        # The place is free again, so this one waits too.
        time.sleep(1)
        httpx.post(f"{server}/process", data={"samples": "1"}, timeout=httpx.Timeout(5, read=1))
    assert places.acquire(timeout=5)
    answer = httpx.post(f"{server}/process", data={"samples": "1"}, timeout=30)
    assert answer.status_code == 202 and answer.text.endswith(f"{answer.headers['Location']}.txt\n")


def _serve(tmp_path: Path, port: int) -> subprocess.Popen[str]:
    env = {"UPLOADS_DIR": str(tmp_path / "u"), "RESULTS_DIR": str(tmp_path / "r"), "MAX_UPLOAD_MB": "1"}
    env["PATH"] = "/usr/bin:/bin"
    code = f"import sys, app; sys.exit(app.serve('127.0.0.1', {port}))"
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[1], env=env, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_serve_says_where_and_ends_cleanly(tmp_path: Path) -> None:
    process = _serve(tmp_path, 0)
    assert process.stdout
    try:
        line = process.stdout.readline()
        url = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert url, line
        assert httpx.get(f"{url[0]}/healthz").status_code == 200
        # Our own page says that it is too large, not the server's.
        big = httpx.post(f"{url[0]}/process", files={"images": ("a.jpg", bytes(1_500_000))}, headers=JSON)
        assert (big.status_code, big.json()["error"]["code"]) == (413, "too_large")
        taken = _serve(tmp_path, int(url[0].rpartition(":")[2]))
        _, said = taken.communicate(timeout=60)
        assert taken.returncode == 1 and "Port" in said and "--port" in said and "Traceback" not in said
    finally:
        process.terminate()
        _, err = process.communicate(timeout=30)
    assert process.returncode == 0 and "Traceback" not in err
