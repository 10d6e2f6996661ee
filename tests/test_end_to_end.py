"""The real app, as ``python -m imgproc serve`` starts it: real uploads, real runner, real kills."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import time
import zipfile
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from conftest import browsing, jpeg

from imgproc.backends import TECHNIQUES, default_techniques
from imgproc.operations import DEFAULT_OPERATIONS, OPERATIONS, parse_parameters
from imgproc.pixels.codecs import decode
from tests import postgresql
from tests.backend_kinds import DEFAULT, each
from tests.live_app import Live, gone, serving
from tests.page_states import to_paper

PROJECT = Path(__file__).resolve().parent.parent
CORPUS = PROJECT.parent / "shared" / "corpus"


def pictures(count, width, height):
    return [(f"{n}.jpg", jpeg(width, height, n)) for n in range(count)]


def saved(files, folder):
    """The paths of files in a folder, for a browser to upload."""
    for name, data in files:
        (folder / name).write_bytes(data)
    return [folder / name for name, _ in files]


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("live")) as live:
        yield live


@pytest.fixture(scope="module")
def photos():
    """Names and bytes of a dozen photographs: real ones where the corpus is there."""
    if CORPUS.is_dir():
        files = [*sorted(CORPUS.glob("valid/photo_*.jpg")), *sorted(CORPUS.glob("valid/orient_*.jpg"))]
        return [(file.name, file.read_bytes()) for file in files]
    return pictures(12, 1200, 800)


def check_pixels(archive, photos):
    """Every output in a zip equals plain OpenCV on what was sent."""
    defaults = parse_parameters({})
    with zipfile.ZipFile(io.BytesIO(archive)) as zipped:
        assert zipped.testzip() is None
        results = [name for name in zipped.namelist() if not name.startswith("about/")]
        assert len(results) == len(photos) * len(DEFAULT_OPERATIONS)
        for name, data in photos:
            gray = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
            for operation in map(OPERATIONS.get, DEFAULT_OPERATIONS):
                made = decode(zipped.read(f"{Path(name).stem}_{operation.name}.png"))
                assert np.array_equal(made, operation.apply(gray, defaults)), (name, operation.name)


@pytest.mark.parametrize(
    ("mode", "head"), [("parallel", r"Parallel \(threading, \d+ workers?\)"), ("sequential", "Sequential")]
)
def test_curl_waits_and_prints_the_summary(mode, head, live, tmp_path):
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    saved(pictures(2, 800, 600), tmp_path)
    command = ["curl", "-sS", "-F", "images=@0.jpg", "-F", "images=@1.jpg", "-F", f"mode={mode}", f"{live.url}/process"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert re.fullmatch(f"Processing Mode: {head}", lines[0])
    assert lines[1] == "Number of Images: 2"
    assert re.fullmatch(r"Time Taken: [\d.]+ seconds", lines[2])
    wanted = r"\(95% CI [\d.]+ to [\d.]+\)(: no .*difference.*)?" if mode == "parallel" else r"\(this is the baseline\)"
    assert re.fullmatch(rf"Speedup: \d+\.\dx over Sequential {wanted}", lines[3])


def test_what_the_form_says_for_curl_works_with_and_without_a_token(live, tmp_path, tmp_path_factory):
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    (tmp_path / "PHOTO.jpg").write_bytes(jpeg(800, 600, 1))
    preset = {"mode": "parallel", "technique": "threading", "operations": "canny,gaussian+canny", "seed": "7"}
    token = "a token for this test: 0123456789 abcdefghij"
    with serving(tmp_path_factory.mktemp("locked"), ACCESS_TOKEN=token) as locked:
        for app, given in ((live, ""), (locked, token)):
            app.http.headers.update({"Authorization": f"Bearer {given}"} if given else {})
            line = app.http.get("/typed.json", params=preset).json()["curl"]
            assert ("$TOKEN" in line) == bool(given) and token not in line
            done = subprocess.run(
                ["sh", "-c", f"{line} -sS"], cwd=tmp_path, env={**os.environ, "TOKEN": given}, capture_output=True,
                text=True, timeout=90,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            assert done.stdout.startswith("Processing Mode: Parallel (threading, "), done.stdout
            made = max((app.folder / "results").glob("*/run.json"), key=lambda file: file.stat().st_mtime)
            asked = json.loads(made.read_text())["settings"]
            assert (asked["operations"], asked["seed"]) == (["canny", "gaussian+canny"], 7)
        refused = subprocess.run(
            ["sh", "-c", f"{line} -sS"], cwd=tmp_path, env={**os.environ, "TOKEN": "wrong"}, capture_output=True,
            text=True, timeout=90,
        )  # fmt: skip
        assert "access token" in refused.stdout


def test_a_run_of_photographs_from_post_to_zip(live, photos):
    answer = live.post(photos, mode="parallel", technique="multiprocessing", workers="2")
    assert answer.status_code == 202
    run = answer.json()
    assert answer.headers["Location"] == run["url"] == f"/runs/{run['id']}"
    record = live.finished(run["id"])
    assert record["state"] == "done", record["error"]
    measured = {t["name"]: t for t in record["techniques"]}
    assert set(measured) == {"multiprocessing", "sequential"}
    assert measured["multiprocessing"]["identical"] and len(measured["multiprocessing"]["rounds"]) == 6
    check_pixels(live.http.get(f"/runs/{run['id']}/results.zip").content, photos)
    assert record["id"] in live.http.get("/runs").text
    folder = live.folder / "results" / run["id"]
    assert not (folder / "work").exists() and not list(folder.rglob("*.part"))
    for image in record["images"]:
        for output in image["outputs"]:
            assert live.http.get(f"/runs/{run['id']}/images/{output['file']}").status_code == 200
            assert live.http.get(f"/runs/{run['id']}/previews/{output['preview']}").status_code == 200


@pytest.mark.browser
def test_a_person_uploads_photographs_in_a_browser_and_takes_the_results_home(browser, live, photos, tmp_path):
    with browsing(browser, live.url) as open_page:
        page = open_page("/")
        page.set_input_files("#images", saved(photos, tmp_path))
        page.get_by_role("button", name="Run", exact=True).click()
        page.wait_for_url("**/runs/*", timeout=60_000)
        page.wait_for_selector("[data-viewer]", timeout=120_000)
        with page.expect_download() as download:
            page.get_by_role("link", name="Download all results").click()
        check_pixels(download.value.path().read_bytes(), photos)
        summary = page.locator("#summary").inner_text()
        assert f"Number of Images: {len(photos)}" in summary and "x over Sequential (95% CI" in summary
        record = live.record(page.url.rpartition("/")[2])
        fast = next(t for t in record["techniques"] if t["name"] == "threading")
        numbers = page.locator("#numbers").inner_text()
        assert f"{fast['speedup']:.2f}×" in numbers
        for operation in ("Blur", "Equalized", "Edges"):
            page.get_by_role("link", name=operation, exact=True).first.click()
            # Not wait_for_function: it needs eval, which the page's policy forbids.
            page.evaluate("Promise.all([...document.querySelectorAll('[data-compare] img')].map(i => i.decode()))")


@pytest.mark.browser
def test_sample_images_with_one_click_and_without_scripts(browser, live):
    with browsing(browser, live.url) as open_page:
        page = open_page("/", java_script_enabled=False)
        page.get_by_role("spinbutton", name="Images").fill("2")
        page.get_by_label("Megapixels").fill("0.3")
        page.get_by_role("button", name="Run with sample images").click()
        run_id = page.url.rpartition("/")[2]
        assert live.finished(run_id)["state"] == "done"
        page.goto(f"/runs/{run_id}")
        assert "Number of Images: 2" in page.locator("#summary").inner_text()


@pytest.mark.slow  # in short: tests/test_browser_keyboard.py, without measuring
@pytest.mark.browser
def test_a_verdict_and_a_printed_report_take_three_clicks_and_less_than_a_minute(browser, live):
    with browsing(browser, live.url) as open_page:
        page, began = open_page("/"), time.monotonic()
        to_paper(page)
        assert time.monotonic() - began < 60


@pytest.mark.parametrize("technique", each(TECHNIQUES, images=True))
def test_every_technique_runs_behind_the_app(technique, live):
    answer = live.post(
        pictures(4, 640, 480), accept="*/*", mode="parallel", technique=technique, workers="2", rounds="6"
    )
    assert answer.status_code == 200, answer.text
    assert f"({technique}, " in answer.text
    assert "Speedup: " in answer.text and "not shown" not in answer.text


def test_sample_images_need_no_file(live):
    answer = live.post([], mode="parallel", samples="3", sample_megapixels="0.3", rounds="6")
    record = live.finished(answer.json()["id"])
    assert record["state"] == "done", record["error"]
    assert len(record["images"]) == 3 and all(len(i["outputs"]) == 3 for i in record["images"])


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of hostile files is not beside this checkout")
def test_hostile_files_are_refused_with_a_reason_and_good_ones_beside_them_processed(live):
    entries = [e for e in json.loads((CORPUS / "MANIFEST.json").read_text()) if e["file"].startswith("hostile/")]
    good = [
        ("good.jpg", jpeg(320, 200)),
        ("as well.png", cv2.imencode(".png", np.eye(90, dtype=np.uint8) * 255)[1].tobytes()),
    ]
    hostile = [(Path(e["file"]).name, (CORPUS / e["file"]).read_bytes()) for e in entries]
    answer = live.post([*good, *hostile], mode="sequential")
    assert answer.status_code == 202, answer.text
    record = live.finished(answer.json()["id"])
    assert record["state"] == "done"
    images = {image["name"]: image for image in record["images"]}
    assert all(images[name]["error"] is None and len(images[name]["outputs"]) == 3 for name, _ in good)
    rejects = [Path(e["file"]).name for e in entries if e["expected"] == "reject"]
    assert len(rejects) == 33
    for name in rejects:
        assert images[name]["error"], name
        assert str(PROJECT) not in images[name]["error"] and str(live.folder) not in images[name]["error"]


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of hostile files is not beside this checkout")
def test_only_hostile_files_make_no_run(live):
    names = ["hostile/elf.png", "hostile/trunc_pillow.png"]
    # Who waits for a summary hears of it for sure; others only where checking takes no longer than a moment.
    answer = live.post([(Path(n).name, (CORPUS / n).read_bytes()) for n in names], accept="*/*")
    assert answer.status_code == 422
    assert set(re.findall(r"^Failed: (\S+): ", answer.text, re.MULTILINE)) == {"elf.png", "trunc_pillow.png"}
    only_type = live.post([("elf.png", (CORPUS / names[0]).read_bytes())], accept="*/*")
    assert only_type.status_code == 415


@pytest.mark.slow
def test_a_thousand_files_in_one_post(live):
    data = [jpeg(64, 48, n) for n in range(10)]
    answer = live.post([(f"same name {n % 7}.jpg", data[n % 10]) for n in range(1000)], mode="parallel", rounds="1")
    assert answer.status_code == 202, answer.text
    record = live.finished(answer.json()["id"])
    assert record["state"] == "done", record["error"]
    files = {o["file"].lower() for i in record["images"] for o in i["outputs"]}
    assert len(record["images"]) == 1000 and len(files) == 3000
    assert live.post([(f"{n}.jpg", data[0]) for n in range(1001)]).status_code == 413


def test_two_runs_sent_at_once_are_measured_one_after_the_other(live):
    ids = [live.post(pictures(6, 1000, 800), mode="parallel", rounds="6").json()["id"] for _ in range(2)]
    first, second = (live.finished(run_id) for run_id in ids)
    assert first["state"] == second["state"] == "done"
    assert first["finished"] <= second["started"]


def test_cancel_again_and_delete_by_the_owner_only(live):
    run_id = live.post(pictures(8, 1500, 1000), mode="parallel", rounds="100", budget="600").json()["id"]
    live.wait(lambda: live.record(run_id)["state"] == "running", "the run to begin")
    stranger = httpx.post(f"{live.url}/runs/{run_id}/cancel", headers={"Accept": "application/json"})
    assert stranger.status_code == 403
    assert live.ask(run_id, "cancel").status_code == 200
    assert live.finished(run_id, 20)["state"] == "cancelled"
    again = live.ask(run_id, "again").json()["id"]
    live.ask(again, "cancel")
    assert live.finished(again, 20)["state"] == "cancelled"
    assert live.ask(run_id, "delete").status_code == 200
    assert live.http.get(f"/runs/{run_id}.json").status_code == 404
    assert not (live.folder / "results" / run_id).exists() and not (live.folder / "uploads" / run_id).exists()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kill -9 is a Unix thing")
@pytest.mark.parametrize("victim", ["worker", "runner", "app"])
def test_kill_9_in_the_middle_of_fifty_images_loses_nothing(victim, tmp_path):
    files = pictures(50, 1200, 900)
    with serving(tmp_path) as live:
        run_id = live.post(files, mode="parallel", technique="multiprocessing", workers="2", rounds="6").json()["id"]
        outputs = tmp_path / "results" / run_id / "images"
        live.wait(lambda: outputs.is_dir() and len(list(outputs.glob("*.png"))) > 20, "the middle of the run")
        runner = live.runner()
        workers = [p for p in runner.children(recursive=True) if p.memory_info().rss > 50e6]
        family = live.family()
        if victim == "app":
            live.kill()
            assert not gone(family)
            live.start()
        else:
            target = workers[0] if victim == "worker" else runner
            target.kill()
        record = live.finished(run_id, 120)
        assert record["state"] in ("done", "interrupted"), record["error"]
        if victim == "worker":
            assert record["state"] == "done"
        if record["state"] == "done":
            check_pixels(live.http.get(f"/runs/{run_id}/results.zip").content, files)
        assert not list(tmp_path.rglob("*.part"))
        assert not (tmp_path / "results" / run_id / "work").exists()
        # The next run starts.
        assert live.post(files[:2], accept="*/*", mode="sequential", rounds="1").status_code == 200
        family = [p for p in family if p.is_running() and p.pid not in {f.pid for f in live.family()}]
        assert not gone(family)


@pytest.mark.browser
def test_a_comparison_from_upload_to_numbers_that_equal_the_record(browser, live, tmp_path):
    with browsing(browser, live.url) as open_page:
        page = open_page("/")
        page.set_input_files("#images", saved(pictures(6, 900, 600), tmp_path))
        page.get_by_text("Every technique in shuffled rounds").click()
        page.get_by_role("button", name="Run", exact=True).click()
        page.wait_for_url("**/runs/*", timeout=60_000)
        page.wait_for_selector("[data-viewer]", timeout=150_000)  # there before the numbers are
        page.wait_for_selector("#numbers", timeout=150_000)
        record = live.record(page.url.rpartition("/")[2])
        assert record["state"] == "done" and record["mode"] == "compare"
        measured = [t for t in record["techniques"] if t["available"]]
        assert {t["name"] for t in record["techniques"]} == {t.name for t in default_techniques()}
        assert {t["name"] for t in measured} == set(DEFAULT)
        rows = page.locator("#numbers tbody tr")
        assert rows.count() == len(measured)
        assert all(t["reason"] in page.content() for t in record["techniques"] if not t["available"])
        shown = rows.all_inner_texts()
        for t in measured:
            row = next(text for text in shown if f"{t['name']}, {t['workers']}\u00a0worker" in text)
            assert t["identical"] and f"{t['speedup']:.2f}×" in row
            if t["name"] != "sequential":
                low, high = t["speedup_ci95"]
                assert f"{low:.2f}–{high:.2f}" in row and t["verdict"] in row
        best = max(measured, key=lambda t: t["speedup"] or 1.0)
        assert record["best"] == best["name"]
        csv = live.http.get(f"/runs/{record['id']}/rounds.csv").text.splitlines()
        rounds = len(record["techniques"][0]["rounds"])
        assert rounds >= 6 and len(csv) == 1 + len(DEFAULT) * (rounds + 1)


def test_curl_compares_the_techniques_it_names(live):
    files = [("images", file) for file in pictures(4, 600, 400)]
    fields = [("technique", (None, name)) for name in ("opencv", "threading")]
    answer = live.http.post("/process", files=[*files, *fields, ("mode", (None, "compare"))], headers={"Accept": "*/*"})
    assert answer.status_code == 200
    assert answer.text.startswith("Processing Mode: Compare (")
    assert "Speedup: " in answer.text and "x over Sequential" in answer.text


@pytest.mark.skipif(bool(postgresql.WHY_NOT), reason=postgresql.WHY_NOT)
def test_two_apps_share_the_folders_and_an_index_on_postgresql(tmp_path):
    with postgresql.databases() as new:
        address = new()
        apps = [Live(tmp_path, DATABASE_URL=address, HISTORY="shared") for _ in range(2)]
        try:
            for app in apps:
                app.start()
            posted = [app.post(pictures(2, 64, 48), mode="sequential").json()["id"] for app in apps for _ in range(3)]
            assert len(set(posted)) == 6
            for other, run_id in zip([*apps[::-1]] * 3, posted, strict=True):
                record = other.finished(run_id)
                assert (record["state"], [image["error"] for image in record["images"]]) == ("done", [None, None])
            for app in apps:
                assert all(run_id in app.http.get("/runs").text for run_id in posted)
        finally:
            for app in apps:
                app.stop()
