"""The owner map: which worker did which image or strip, as tints and as words."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from conftest import MakeRun
from flask.testing import FlaskClient

from imgproc.measure.results import Round, SpanRecord
from imgproc.report.owners import MOST_CUT, STRENGTHS, TONES, Owners, owners
from imgproc.runs.record import Record
from imgproc.settings import Settings

HTML = {"Accept": "text/html"}


def shown(record: Record, round: str = "", techniques: str = "") -> Owners:
    found = owners(record, round, techniques)
    assert found
    return found


def with_spans(record: Record, *spans: SpanRecord) -> None:
    """The run's technique did this, in one round."""
    t = record.techniques[0]
    t.spans, t.rounds, t.typical_round = list(spans), [Round(1.0)], 1


def test_each_image_has_its_worker_and_its_time(make_run: MakeRun) -> None:
    record = make_run(images=3)
    with_spans(
        record,
        SpanRecord(1, 0, "decode", 0.0, 0.1), SpanRecord(1, 0, "canny", 0.1, 0.5),
        SpanRecord(2, 1, "decode", 0.0, 0.3), SpanRecord(2, 2, "wait", 0.3, 0.9), SpanRecord(2, 2, "canny", 0.9, 0.95),
    )  # fmt: skip
    found = shown(record)
    texts = {number: one.tint.text.replace("\u00a0", " ") for number, one in found.images.items()}
    assert texts == {1: "worker 1, 0.500 s", 2: "worker 2, 0.300 s", 3: "worker 2, 50.0 ms"}
    assert [(one.tint.tone, one.tint.strength) for one in found.images.values()] == [(1, STRENGTHS), (2, 2), (2, 1)]
    legend = [one.text.replace("\u00a0", " ") for one in found.workers]
    assert legend == ["worker 1: 1 image, 0.500 s", "worker 2: 2 images, 0.350 s"]
    assert found.cut == [] and found.whose == "Threads, one round"


def test_one_image_in_strips_has_a_band_for_each(make_run: MakeRun) -> None:
    record = make_run(images=1)
    with_spans(
        record,
        SpanRecord(2, 0, "decode", 0.0, 0.1),
        *(SpanRecord(1 + k % 2, 0, "canny", 0.1 + k, 0.1 + k + 0.1 * (k + 1), part=k) for k in range(4)),
        SpanRecord(2, 0, "encode", 5.0, 5.3, part=0),
        SpanRecord(0, 0, "merge", 5.3, 9.0),  # the caller's own, which is nobody's share
    )
    found = shown(record)
    assert found.images == {} and found.left_out == 0
    [cut] = found.cut
    assert cut.before.replace("\u00a0", " ") == "Read and decoded by worker 2 in 0.100 s."
    assert [(s.number, s.top, s.height) for s in cut.strips] == [(k + 1, 25.0 * k, 25.0) for k in range(4)]
    assert [s.tint.tone for s in cut.strips] == [2, 2, 1, 2]  # of the first, worker 2 did more
    assert cut.strips[0].tint.text.replace("\u00a0", " ") == "worker 2, 0.300 s and worker 1, 0.100 s"
    assert [s.tint.strength for s in cut.strips] == [3, 2, 3, 3]
    assert found.workers[0].text.startswith("worker 1: 2 strips")


def test_with_one_worker_there_is_nothing_to_tell_apart(make_run: MakeRun) -> None:
    record = make_run(images=2)
    with_spans(record, SpanRecord(1, 0, "canny", 0.0, 0.1), SpanRecord(1, 1, "canny", 0.1, 0.2))
    assert owners(record) is None
    record.techniques.clear()
    assert owners(record) is None


def test_many_workers_and_many_cut_images(make_run: MakeRun) -> None:
    record = make_run(images=MOST_CUT + 3)
    with_spans(record, *(
        SpanRecord(1 + n, n, "canny", 0.0, 0.1, part=part) for n in range(MOST_CUT + 3) for part in (0, 1)
    ), SpanRecord(TONES + 1, 0, "canny", 0.0, 0.1))  # fmt: skip
    found = shown(record)
    assert len(found.cut) == MOST_CUT and found.left_out == 3
    assert found.workers[-1].tone == 1 and found.workers[-1].text.startswith(f"worker {TONES + 1}:")


def test_it_follows_what_the_timeline_shows(make_run: MakeRun) -> None:
    record = make_run(mode="compare", images=2)
    threads = record.techniques[0]
    threads.spans = [
        SpanRecord(1 + (image + number) % 2, image, "canny", 0.0, 0.1, round=number)
        for image in range(2)
        for number in (1, 2)
    ]
    threads.rounds = [Round(0.1), Round(0.1)]
    other = replace(threads, name="multiprocessing", label="Process pool", spans=[
        SpanRecord(1 + image, image, "canny", 0.0, 0.2) for image in range(2)
    ])  # fmt: skip
    record.techniques.insert(1, other)
    assert shown(record, "1").images[1].tint.tone != shown(record, "2").images[1].tint.tone
    assert shown(record, "2").whose == "Threads, round 2"
    assert shown(record, "", "process-pool").whose.startswith("Process pool")
    assert owners(record, "", "sequential") is None


def test_the_page_says_in_words_what_the_colours_say(client: FlaskClient, make_run: MakeRun) -> None:
    record = make_run(images=4)
    page = client.get(f"/runs/{record.id}", headers=HTML).text
    part = page[page.index('id="owners"') :]
    part = part[: part.index("</ol></details>")]
    assert len(re.findall(r"<li><a", part)) == 4 and "style=" not in part
    for one in shown(record).images.values():
        assert one.tint.text in part.replace("&nbsp;", "\u00a0")
    assert part.count('alt="photo') == 4 and len(re.findall(r'<svg[^>]*aria-hidden="true"', part)) == 4 + 2


@pytest.mark.parametrize("strips", [2, 5])
def test_the_page_of_one_large_image_has_its_strips(
    client: FlaskClient, make_run: MakeRun, settings: Settings, strips: int
) -> None:
    record = make_run(images=1)
    with_spans(record, *(SpanRecord(1 + k % 2, 0, "canny", 0.1 * k, 0.1 * k + 0.1, part=k) for k in range(strips)))
    record.save(settings.RESULTS_DIR / record.id)
    page = client.get(f"/runs/{record.id}", headers=HTML).text
    assert page.count('class="own-line"') == strips and f"cut into {strips} strips" in page
    assert "Who did which image" in page
