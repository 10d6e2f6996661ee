"""What is known of how images were read: grouped for texts and the page, and there in the record of a run."""

from __future__ import annotations

import pytest
from conftest import MakeRun
from flask.testing import FlaskClient

from imgproc.report.image_warnings import MOST_SENTENCES, image_warnings
from imgproc.report.text import summary
from imgproc.runs.record import ImageRecord, Record, RunSettings
from imgproc.settings import Settings

HTML = {"Accept": "text/html"}
BITS = "It uses only 12 of 16 bits; 6 gray levels are left."
PAGES = "It has 3 pages; the first was used."


def record(*warnings: list[str]) -> Record:
    images = [ImageRecord(k, f"{k}.tif", 4, 3, warnings=list(some)) for k, some in enumerate(warnings)]
    return Record("0123456789ab", "sequential", RunSettings(["canny"], {}), images)


def said(found: Record) -> list[str]:
    return [line for line in summary(found).splitlines() if line.startswith("Warning: ")]


@pytest.mark.parametrize(
    ("warnings", "lines"),
    [
        ([[], []], []),
        ([[], [BITS]], [f"Warning: 1.tif: {BITS}"]),
        ([[PAGES], [BITS], [BITS]], [f"Warning: 2 images: {BITS} (1.tif and 2.tif)", f"Warning: 0.tif: {PAGES}"]),
        ([[BITS, BITS]], [f"Warning: 0.tif: {BITS}"]),
        ([[BITS]] * 1000, [f"Warning: 1,000 images: {BITS} (0.tif, 1.tif, 2.tif and 997 more)"]),
    ],
)
def test_the_summary_says_each_sentence_once(warnings: list[list[str]], lines: list[str]) -> None:
    assert said(record(*warnings)) == lines


def test_thousands_of_different_sentences_are_counted() -> None:
    found = record(*([f"{k} gray levels are left.", PAGES] for k in range(1000)))
    lines = said(found)
    assert len(lines) == MOST_SENTENCES + 1
    assert lines[0].startswith(f"Warning: 1,000 images: {PAGES}")
    assert lines[-1] == "Warning: further warnings of 991 images are in the record (images[].warnings)."
    assert image_warnings(found).others == 991


def test_a_record_has_them_and_a_second_try_begins_without() -> None:
    found = record([BITS])
    data = found.to_dict()
    assert data["images"][0]["warnings"] == [BITS]
    assert Record.from_dict(data).images == found.images
    del data["images"][0]["warnings"]
    assert Record.from_dict(data).images[0].warnings == []
    found.forget_results()
    assert found.images[0].warnings == []


def test_the_page_says_them_at_the_top_at_the_images_and_counts_them(
    client: FlaskClient, make_run: MakeRun, settings: Settings
) -> None:
    found = make_run(images=8)
    assert "How images were read" not in client.get(f"/runs/{found.id}", headers=HTML).text
    images = found.images
    for image in images[1:]:
        image.warnings = [BITS]
    images[2].warnings = [BITS, "<b>Cut</b>"]
    found.save(settings.RESULTS_DIR / found.id)
    page = client.get(f"/runs/{found.id}", headers=HTML).text
    assert '<span class="count is-alarm">2 warnings</span>' in page
    assert "<dt>7 images</dt>" in page and ">photo 6.jpg</a> and 2 more" in page
    assert f'data-warnings="{BITS} &lt;b&gt;Cut&lt;/b&gt;"' in page and "<b>Cut" not in page
    assert page.count(f'data-warnings="{BITS}') == 7
    assert f"Warning: 7 images: {BITS}" in page  # the summary
