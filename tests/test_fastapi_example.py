"""The example of an app of FastAPI's, by its own client."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import jpeg

pytest.importorskip("fastapi", reason="FastAPI is not installed")
pytest.importorskip("python_multipart", reason="python-multipart is not installed")
pytest.importorskip("httpx2", reason="httpx2 is not installed")
from fastapi.testclient import TestClient

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(PROJECT / "examples"))
    import fastapi_app

    yield fastapi_app
    del sys.modules["fastapi_app"]


@pytest.fixture
def client(example: Any, tmp_path: Path) -> Iterator[TestClient]:
    with TestClient(example.create_app(tmp_path / "results")) as client:
        yield client


def sent(*files: tuple[str, bytes]) -> list[tuple[str, tuple[str, bytes]]]:
    return [("images", file) for file in files]


def test_images_go_in_and_results_and_record_come_out(client: TestClient, tmp_path: Path) -> None:
    photos = [("one.jpg", jpeg(seed=1)), ("two.jpg", jpeg(seed=2))]
    files = sent(photos[0], ("note.txt", b"no picture"), photos[1])
    answer = client.post("/process", files=files, data={"operation": "gaussian", "technique": "threading"})
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert tempfile.gettempdir() not in answer.text
    assert [image["name"] for image in told["record"]["images"]] == ["one.jpg", "two.jpg"]
    assert [(one["name"], one["code"]) for one in told["refused"]] == [("note.txt", "unsupported_type")]
    assert told["record"]["settings"]["operations"] == ["gaussian"]
    for (_, data), address in zip(photos, told["results"], strict=True):
        made = cv2.imdecode(np.frombuffer(client.get(address).content, np.uint8), cv2.IMREAD_GRAYSCALE)
        gray = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert np.array_equal(made, cv2.GaussianBlur(gray, (5, 5), 0))
    assert client.get(told["url"]).json() == told["record"]
    assert sorted(path.name for path in tmp_path.glob("results/*/*")) == ["images", "run.json"]


def test_techniques_are_compared(client: TestClient) -> None:
    told = client.post("/compare", files=sent(("one.jpg", jpeg())), data={"techniques": "threading", "budget": "1"})
    record = told.json()["record"]
    assert {t["name"] for t in record["techniques"]} == {"sequential", "threading"}
    assert all(t["rounds"] and t["identical"] for t in record["techniques"])
    assert "threading" in told.json()["table"]


@pytest.mark.parametrize(("file", "fields", "status", "said"), [
    (b"no picture", {}, 415, "note.jpg"),
    (b"\xff\xd8\xff\xe0 cut off", {}, 422, "note.jpg"),
    (jpeg(), {"operation": "os.system"}, 400, "There is no operation"),
    (jpeg(), {"technique": "magic"}, 400, "magic"),
])  # fmt: skip
def test_what_cannot_be_used_is_refused_in_words(
    client: TestClient, tmp_path: Path, file: bytes, fields: dict[str, str], status: int, said: str
) -> None:
    answer = client.post("/process", files=sent(("note.jpg", file)), data=fields)
    assert answer.status_code == status and said in answer.json()["error"]["message"]
    assert not list(tmp_path.glob("results/*/images/*"))


def test_too_many_files_are_refused(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_FILES", "1")
    answer = client.post("/process", files=sent(("a.jpg", jpeg()), ("b.jpg", jpeg())))
    assert answer.status_code == 413


@pytest.mark.parametrize("address", [
    "/runs/0123456789ab", "/runs/0123456789ab/images/x.png", "/runs/../images", "/runs/{id}/images/run.json",
    "/runs/{id}/images/..%2frun.json",
])  # fmt: skip
def test_only_results_are_handed_out(client: TestClient, address: str) -> None:
    run_id = client.post("/process", files=sent(("a.jpg", jpeg()))).json()["id"]
    assert client.get(address.format(id=run_id)).status_code in (404, 422)
