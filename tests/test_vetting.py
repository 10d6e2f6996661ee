"""The queue in which uploads are vetted: what is said of a run meanwhile and afterwards, turns, budgets, ends."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import jpeg
from flask.testing import FlaskClient

from imgproc.intake.inspector import Inspector
from imgproc.runs import uploads
from imgproc.runs.record import ImageRecord, Record
from imgproc.runs.store import Store
from imgproc.runs.vetting import NoneGood, Vetting
from imgproc.settings import Settings

HTML, JSON = {"Accept": "text/html"}, {"Accept": "application/json"}
PATIENCE = 60.0
CUT = jpeg()[:900]


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Holds every file until it is set; posts do not wait for that."""
    opened, inspect = threading.Event(), uploads.inspect_file

    def held(*arguments: Any) -> None:
        assert opened.wait(PATIENCE)
        inspect(*arguments)

    monkeypatch.setattr("imgproc.runs.vetting.inspect_file", held)
    monkeypatch.setattr("imgproc.web.waiting.CHECK_SECONDS", 0.0)
    yield opened
    opened.set()


def post(client: FlaskClient, *files: bytes, headers: dict[str, str] = JSON, **fields: str) -> str:
    """The address of the run."""
    part = b'--xx\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
    parts = [part % (b"images", b'; filename="%d.jpg"' % number, data) for number, data in enumerate(files)]
    parts += [part % (name.encode(), b"", value.encode()) for name, value in fields.items()]
    body = b"".join(parts) + b"--xx--\r\n"
    answer = client.post("/process", data=body, headers=headers, content_type="multipart/form-data; boundary=xx")
    assert answer.status_code in (202, 303), answer.text
    return answer.headers["Location"]


def read(client: FlaskClient, url: str) -> dict[str, Any]:
    with client.get(f"{url}.json") as answer:
        return dict(answer.get_json())


def until_checked(client: FlaskClient, url: str) -> dict[str, Any]:
    """Its record, once its files are checked."""
    until = time.monotonic() + PATIENCE
    while (record := read(client, url))["state"] == "checking":
        assert time.monotonic() < until
        time.sleep(0.05)
    return record


def test_a_run_is_checking_until_its_files_are_checked(client: FlaskClient, gate: threading.Event) -> None:
    url = post(client, jpeg(), CUT, jpeg(seed=1))
    assert read(client, url)["state"] == "checking"
    page = client.get(url, headers=HTML).text
    assert "Checking 3 files" in page and "0 of 3 files" in page
    live = client.get(f"{url}.json?view=progress").get_json()
    assert (live["state"], live["now"], live["final"]) == ("checking", "Checking the files", False)
    assert "its files are being checked" in client.get("/runs", headers=HTML).text
    gate.set()
    record = until_checked(client, url)
    assert record["state"] == "queued"
    assert [image["error"] is None for image in record["images"]] == [True, False, True]
    page = client.get(url, headers=HTML).text
    assert "1 file of 3 cannot be used" in page and "1.jpg" in page


def test_a_run_without_a_good_file_fails_and_says_how_to_go_on(client: FlaskClient, gate: threading.Event) -> None:
    url = post(client, CUT, b"just text", headers=HTML)
    gate.set()
    record = until_checked(client, url)
    assert record["state"] == "failed" and "None of the 2 files can be used" in record["error"]
    page = client.get(url, headers=HTML).text
    assert "This run failed" in page and "Choose other files on the form." in page and "Run again" not in page
    assert "0.jpg" in page and "1.jpg" in page
    for image in record["images"]:
        assert image["error"] and f"Failed: {image['name']}: {image['error']}" in client.get(f"{url}.txt").text


def test_who_waits_for_a_summary_is_told_of_refused_files(
    client: FlaskClient, gate: threading.Event, settings: Settings
) -> None:
    threading.Timer(0.3, gate.set).start()
    part = b'--xx\r\nContent-Disposition: form-data; name="images"; filename="a.jpg"\r\n\r\njust text\r\n--xx--\r\n'
    answer = client.post("/process", data=part, content_type="multipart/form-data; boundary=xx")
    assert answer.status_code == 415
    assert answer.text.startswith("Error: The file cannot be used. a.jpg: ") and "Failed: a.jpg: " in answer.text


def test_a_run_is_cancelled_while_it_is_checked(
    client: FlaskClient, gate: threading.Event, settings: Settings, store: Store
) -> None:
    url = post(client, jpeg(), jpeg(seed=1))
    assert client.post(f"{url}/cancel", headers=JSON).get_json()["state"] == "cancelled"
    gate.set()
    until = time.monotonic() + PATIENCE
    while client.application.config["VETTING"].progress(url.rpartition("/")[2]):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert read(client, url)["state"] == "cancelled"
    assert store.waiting() == 0


def test_a_run_is_deleted_while_it_is_checked(client: FlaskClient, gate: threading.Event, settings: Settings) -> None:
    url = post(client, jpeg(), jpeg(seed=1))
    assert client.post(f"{url}/delete", headers=JSON).status_code == 200
    gate.set()
    until = time.monotonic() + PATIENCE
    folders = [folder / url.rpartition("/")[2] for folder in (settings.UPLOADS_DIR, settings.RESULTS_DIR)]
    while client.application.config["VETTING"].progress(url.rpartition("/")[2]) or any(f.exists() for f in folders):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert client.get(url).status_code == 404


def test_runs_that_are_checked_count_as_waiting(client: FlaskClient, gate: threading.Event, settings: Settings) -> None:
    client.application.config["SETTINGS"] = replace(settings, MAX_QUEUED=1)
    post(client, jpeg())
    answer = client.post("/process", data={"samples": "1"}, headers=JSON)
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (429, "queue_full")


# ---------------------------------------------------------------- the queue itself


def checked(settings: Settings, store: Store, run_id: str, files: list[bytes]) -> Record:
    """A run as a post leaves it, its files still to be checked."""
    folder = settings.UPLOADS_DIR / run_id
    folder.mkdir(parents=True)
    for number, data in enumerate(files):
        (folder / f"incoming-{number:04d}").write_bytes(data)
    images = [ImageRecord(number, f"{number}.jpg") for number in range(len(files))]
    record = Record(run_id, "sequential", _asked(), images, state="checking")
    record.save(settings.RESULTS_DIR / run_id)
    store.create(record)
    return record


def _asked() -> Any:
    from imgproc.operations import PARAMETERS
    from imgproc.runs.options import RunSettings

    return RunSettings(["gaussian"], {name: p.default for name, p in PARAMETERS.items()})


@pytest.fixture
def vetting(settings: Settings, store: Store) -> Iterator[Vetting]:
    made = Vetting(settings, store)
    yield made
    made.close()


def test_visitors_take_turns(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch, gate: threading.Event
) -> None:
    monkeypatch.setattr("imgproc.runs.vetting.usable_cores", lambda: 1)
    order: list[str] = []

    def inspect(_: Inspector, image: ImageRecord, path: Path, *__: Any) -> None:
        assert gate.wait(PATIENCE)
        order.append(path.parent.name)
        image.stored = image.name

    monkeypatch.setattr("imgproc.runs.vetting.inspect_file", inspect)
    vetting = Vetting(settings, store)
    files = {"a1": 20, "a2": 5, "b1": 3, "c1": 1}
    checks = [vetting.begin(checked(settings, store, name, [b"x"] * n), name[0]) for name, n in files.items()]
    gate.set()
    assert all(check.done.wait(PATIENCE) for check in checks)
    assert max(order.index(name) for name in ("b1", "c1")) <= 4
    assert len(order) - 1 - order[::-1].index("b1") <= 9
    assert order.index("a2") >= 20
    assert [store.get(name).state for name in files] == ["queued"] * 4  # type: ignore[union-attr]
    vetting.close()


def test_a_post_that_takes_too_long_keeps_what_was_checked(settings: Settings, store: Store) -> None:
    vetting = Vetting(replace(settings, VET_SECONDS=0.1), store)
    vetting._most_threads = 1
    files = [jpeg(3000, 2000, seed=n) for n in range(12)]
    record = checked(settings, store, "aaa", files)
    check = vetting.begin(record, "")
    assert check.done.wait(PATIENCE)
    kept = [image for image in record.images if image.error is None]
    late = [image for image in record.images if image.error and "took longer than 0.1 seconds" in image.error]
    assert kept and late and len(kept) + len(late) == 12
    assert sorted(p.name for p in (settings.UPLOADS_DIR / "aaa").iterdir()) == [image.stored for image in kept]
    assert store.get("aaa").state == "queued"  # type: ignore[union-attr]
    vetting.close()


def test_children_end_when_nothing_is_left_to_do(
    settings: Settings, store: Store, vetting: Vetting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgproc.runs.vetting.IDLE_SECONDS", 0.2)
    for run_id in ("aaa", "bbb"):  # the second starts them anew
        assert vetting.begin(checked(settings, store, run_id, [jpeg()]), "").done.wait(PATIENCE)
        until = time.monotonic() + PATIENCE
        while vetting._inspector or vetting._threads:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert store.get(run_id).state == "queued"  # type: ignore[union-attr]


def test_a_disk_that_cannot_be_written_fails_the_run(
    settings: Settings, store: Store, vetting: Vetting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "no space")

    record = checked(settings, store, "aaa", [jpeg()])
    monkeypatch.setattr(Record, "save", full)
    check = vetting.begin(record, "")
    assert check.done.wait(PATIENCE) and check.problem and check.problem.code == "disk_full"
    row = store.get("aaa")
    assert row and row.state == "failed" and row.error and "disk space" in row.error


def test_what_a_killed_app_was_checking_is_checked_anew(settings: Settings, store: Store, vetting: Vetting) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for run_id, pid in (("aaa", gone.pid), ("bbb", os.getppid()), ("ccc", os.getpid())):
        checked(settings, store, run_id, [jpeg(), CUT])
        assert store.take_check(store.get(run_id), pid)  # type: ignore[arg-type]
    # One of its files was accepted already.
    (settings.UPLOADS_DIR / "aaa" / "incoming-0000").rename(settings.UPLOADS_DIR / "aaa" / "0000.jpg")
    vetting.recover()
    until = time.monotonic() + PATIENCE
    while any(store.get(run_id).state == "checking" for run_id in ("aaa", "ccc")):  # type: ignore[union-attr]
        assert time.monotonic() < until
        time.sleep(0.05)
    for run_id in ("aaa", "ccc"):
        images = Record.load(settings.RESULTS_DIR / run_id).images
        assert [image.error is None for image in images] == [True, False]
    assert store.get("bbb").state == "checking"  # type: ignore[union-attr]


def test_the_words_for_files_that_are_all_refused() -> None:
    one = NoneGood([ImageRecord(0, "a.txt", error="It is text.", code="unsupported_type")])
    assert (one.message, one.code, one.file) == (
        "The file cannot be used. a.txt: It is text.", "unsupported_type", "a.txt",
    )  # fmt: skip
    both = NoneGood([*one.images, ImageRecord(1, "b.jpg", error="It is cut.", code="refused_image")])
    assert re.match("None of the 2 files can be used", both.message) and both.code == "refused_image"
