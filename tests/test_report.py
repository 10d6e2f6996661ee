"""The report of a run: one file that needs nothing else, from the site and from the command line."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeRun, browsing
from figure_records import SCALES, SEVEN, fabricated
from flask.testing import FlaskClient
from granularity_runs import granularity_run

from imgproc.cli import main
from imgproc.measure.alarms import Alarm
from imgproc.report import exercise
from imgproc.report.commands import command
from imgproc.report.document import document
from imgproc.runs.record import OutputRecord, Record, RunSettings, TaskRecord

NBSP = "\u00a0"


class Reader(HTMLParser):
    """What a document would fetch, its text, and the headings of its parts."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.headings: list[str] = []
        self.text = ""
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.tags[-1:] == ["h2"] and data.strip():
            self.headings.append(data.strip())


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    return reader


def items() -> Record:
    record = fabricated(SEVEN[:4])
    record.images, record.task = [], TaskRecord("collatz <b>", 12)
    return record


RECORDS: dict[str, Callable[[], Record]] = {
    "compare": lambda: fabricated(SEVEN),
    "process": lambda: fabricated(SEVEN[:1] + SEVEN[3:4], mode="parallel"),
    "sequential": lambda: fabricated(SEVEN[:1], mode="sequential"),
    "scale": lambda: SCALES["two cores"],
    "granularity": granularity_run,
    "items": items,
    "too few rounds": lambda: fabricated(rounds=3),
}


@pytest.mark.parametrize("kind", RECORDS)
def test_a_report_of_any_run_needs_nothing_else(kind: str, tmp_path: Path) -> None:
    record = RECORDS[kind]()
    record.write(tmp_path / "run.json")
    assert main(["report", str(tmp_path / "run.json"), "-o", str(tmp_path / "report.html")]) == 0
    found = read((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert all(source.startswith("data:image/") for source in found.fetched)
    assert [heading[2:] for heading in found.headings[1:4]] == ["Machine", "Method", "Results"]
    assert found.headings[-1] == "Appendix"
    assert str(record.settings.seed) in found.text
    assert bool(found.fetched) == (kind != "sequential")
    assert "script" not in found.tags


def test_all_that_a_report_tells_is_the_records(tmp_path: Path) -> None:
    record = fabricated(SEVEN)
    record.images[0].name = "<script>alert(1)</script>.jpg"
    record.images[0].outputs = [OutputRecord("canny", "a.png", 9, "ab" * 32)]
    record.environment |= {"cpu": "A <i>processor</i>", "python": "3.12.1", "versions": {"numpy": "2.9.9"}}
    text = document(record)
    found = read(text)
    assert "<script" not in text and "<i>" not in text
    for said in ("<script>alert(1)</script>.jpg", "ab" * 32, "A <i>processor</i>", "3.12.1", "2.9.9", command(record)):
        assert said in found.text
    assert "--seed 7" in command(record)
    for label in (label for _, label, _, _ in SEVEN):
        assert label in found.text


def test_the_figures_stand_in_the_file(tmp_path: Path) -> None:
    pictures = [base64.b64decode(s.partition(",")[2]) for s in read(document(SCALES["two cores"])).fetched]
    assert len(pictures) >= 4 and all(b"<svg" in picture for picture in pictures)


# ---------------------------------------------------------------- question and discussion


@pytest.mark.parametrize(("kind", "asked"), [
    ("compare", "Which technique is fastest for 12 images"),
    ("process", "Are 12 images done sooner with threads with 2 workers"),
    ("sequential", "How long do 12 images take"),
    ("scale", "from 1 to 4 workers"),
    ("granularity", "From how many of 32 images on"),
    ("items", "12 calls of collatz <b>"),
])  # fmt: skip
def test_the_question_is_the_runs(kind: str, asked: str) -> None:
    assert asked in exercise.question(RECORDS[kind]())


def test_discussion_has_the_numbers_of_the_run() -> None:
    record = fabricated(SEVEN)
    record.alarms = [Alarm("busy", "Others were at work.", "Try again.")]
    main_, said = record.technique, " ".join(exercise.discussion(record))
    assert main_ is not None and main_.speedup is not None
    assert f"{main_.speedup:.2f}{NBSP}times" in said and "one alarm" in said
    assert "no measurable difference between" in said
    assert "Amdahl" not in said and "Amdahl" in " ".join(exercise.discussion(SCALES["eight cores"]))
    unmeasured = Record("x", "compare", RunSettings(["canny"], {}))
    assert exercise.discussion(unmeasured) == []


def test_without_intervals_nobody_is_asked_what_they_say() -> None:
    said = " ".join(exercise.discussion(fabricated(rounds=3)))
    assert "without an interval" in said and f"95{NBSP}%" not in said


# ---------------------------------------------------------------- the site


def test_the_site_shows_it_and_hands_it_out(client: FlaskClient, make_run: MakeRun) -> None:
    run = make_run()
    assert f'href="/runs/{run.id}/report"' in client.get(f"/runs/{run.id}").text
    shown, taken = client.get(f"/runs/{run.id}/report"), client.get(f"/runs/{run.id}/report?download=1")
    assert "data-print" in shown.text and "data-print" not in taken.text
    assert taken.headers["Content-Disposition"] == f'attachment; filename="speedup-lab-{run.id}.html"'
    found = read(taken.text)
    assert all(source.startswith("data:image/") for source in found.fetched)
    assert sum(source.startswith("data:image/jpeg") for source in found.fetched) == 4  # a picture and its results
    policy = shown.headers["Content-Security-Policy"]
    assert "'unsafe-inline'" not in policy and re.search(r"style-src 'self' 'sha256-[\w+/=]+'", policy)
    assert client.get("/runs/nothing/report").status_code == 404


@pytest.mark.parametrize("state", ["failed", "cancelled", "running", "queued"])
def test_a_run_without_a_verdict_has_a_report_too(state: str, client: FlaskClient, make_run: MakeRun) -> None:
    answer = client.get(f"/runs/{make_run(state=state).id}/report")
    assert answer.status_code == 200 and "Appendix" in answer.text


@pytest.mark.parametrize(("words", "said"), [
    ("report none.json -o r.html", "cannot be read"),
    ("report none.json", "required"),
    ("report run.json -o .", "is a folder"),
    ("report run.json -o none/r.html", "none/r.html"),
])  # fmt: skip
def test_a_report_that_cannot_be_made_says_why(
    words: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    fabricated(SEVEN[:2]).write(tmp_path / "run.json")
    assert main(words.split()) in (1, 2)
    assert said in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.html"))


@pytest.mark.browser
def test_it_opens_offline_and_prints(browser: Any, server: str, make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(mode="compare")
    with browsing(browser, server) as open_page:  # complains of what the site's policy stops
        page = open_page(f"/runs/{run.id}")
        page.evaluate("window.print = () => { document.title = 'printed' }")
        page.get_by_role("link", name="Report", exact=True).click()
        page.get_by_role("button", name="Print").wait_for()
        assert page.evaluate("getComputedStyle(document.querySelector('.answer')).borderTopWidth") == "1px"
        assert page.evaluate("[...document.images].every((i) => i.complete && i.naturalWidth > 0)")
        page.evaluate("window.print = () => { document.title = 'printed' }")
        page.get_by_role("button", name="Print").click()
        assert page.title() == "printed"
        answer = page.get_by_role("textbox").last
        answer.fill("More cores, less each.")
        page.emulate_media(media="print")
        assert answer.inner_text() == "More cores, less each." and not page.get_by_role("button").is_visible()
        for paper in ("A4", "Letter"):
            assert page.pdf(format=paper).startswith(b"%PDF")
        page.emulate_media(media="screen")
        with page.expect_download() as download:
            page.get_by_role("link", name="Download").click()
        download.value.save_as(tmp_path / "report.html")
        page.set_viewport_size({"width": 320, "height": 700})
        page.reload()
        wide = "[...document.querySelectorAll('table')].filter((table) => table.scrollWidth > table.clientWidth)"
        assert page.evaluate(f"{wide}.length") and page.evaluate(f"{wide}.every((table) => table.tabIndex == 0)")
    context = browser.new_context(offline=True, viewport={"width": 320, "height": 700})
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((tmp_path / "report.html").as_uri())
    assert page.evaluate("[...document.images].every((i) => i.complete && i.naturalWidth > 0)")
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    assert all(url.startswith(("file:", "data:")) for url in asked)
    context.close()
