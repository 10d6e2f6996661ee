"""Who does which image, while a run goes on: what workers gave back so far, as colours and words."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, replace
from typing import Any

import pytest
from conftest import MakeRun, browsing
from flask.testing import FlaskClient
from test_execute import run  # noqa: F401  a fixture
from test_run_page import results_made

from imgproc.measure.breakdown import CALLER
from imgproc.measure.results import MOST_OWNED, Owned, Progress
from imgproc.report import live
from imgproc.report.owners import TONES
from imgproc.runs.store import Store
from imgproc.settings import Settings

SIZES = ((60, 80), (200, 300), (90, 90), (40, 40), (300, 200), (50, 60))
HTML = {"Accept": "text/html"}
OWNED = Owned("threading", "Threads", 3, {0: 1, 1: 2, 2: 0}, [4, 3])


def seen_of(run: Any, technique: str, **asked: Any) -> tuple[Any, dict[tuple[str, int], Owned]]:  # noqa: F811
    """The record, and of each pass what was told of it last."""
    seen: dict[tuple[str, int], Owned] = {}

    def progress(now: Progress) -> None:
        if now.owned:
            seen[now.owned.label, now.owned.round] = Owned(**asdict(now.owned))

    record, _ = run(technique, SIZES, "compare", budget=60.0, progress=progress, **asked)
    return record, seen


@pytest.mark.parametrize("technique", ["threading", "multiprocessing"])
def test_each_image_has_the_worker_that_the_record_names_in_the_end(
    technique: str,
    run: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("imgproc.runs.measuring.LOOKS", ())
    record, seen = seen_of(run, technique, techniques=[technique], rounds=2, split="never")
    measured = next(t for t in record.techniques if t.name == technique)
    for number in (1, 2):
        owned = seen[measured.label, number]
        spans = [span for span in measured.spans if span.round == number and span.worker != CALLER]
        assert owned.technique == technique
        same = {(owned.images[span.image], span.worker) for span in spans}  # in the order in which they gave back
        assert len(same) == len({one for one, _ in same}) == len({other for _, other in same}) == len(owned.done)
        images: dict[int, set[int]] = defaultdict(set)
        for span in spans:
            images[owned.images[span.image]].add(span.image)
        assert owned.done == [len(images[worker]) for worker in sorted(images)]
    assert {label for label, _ in seen} == {measured.label}  # one worker alone tells nothing


def test_images_in_strips_count_by_strips(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr("imgproc.runs.measuring.LOOKS", ())
    record, seen = seen_of(run, "threading", techniques=["threading"], rounds=1, split="always")
    owned = seen["Threads", 1]
    parts = {(span.image, span.part) for span in record.techniques[0].spans if span.worker != CALLER}
    assert sum(owned.done) >= len(parts) > len(SIZES) and set(owned.images.values()) <= {1, 2}


def test_a_run_of_many_images_tells_of_a_few(run: Any) -> None:  # noqa: F811
    seen: list[Owned] = []
    many = ((8, 8),) * (MOST_OWNED + 6)
    run("threading", many, "parallel", budget=0.0, progress=lambda now: now.owned and seen.append(now.owned))
    assert list(seen[-1].images) == list(range(MOST_OWNED)) and sum(seen[-1].done) >= MOST_OWNED + 6


def test_where_nobody_looks_nothing_is_told(run: Any) -> None:  # noqa: F811
    seen: list[Progress] = []
    run("threading", SIZES, "parallel", previews=False, budget=0.0, progress=seen.append)
    assert seen and all(now.owned is None for now in seen)


def test_words_and_colours() -> None:
    found = live.owners(Progress("rounds", owned=OWNED))
    assert found and found.whose == "Threads, round 3"
    assert found.workers == [("worker 1: 4 tasks", 1), ("worker 2: 3 tasks", 2)]
    assert found.images == {0: ("worker 1", 1), 1: ("worker 2", 2)}
    many = replace(OWNED, technique="mpi", round=0, images={5: TONES + 1}, done=[1] * (TONES + 1))
    found = live.owners(Progress("results", owned=many))
    assert found and found.images == {5: (f"{found.images[5][0].split()[0]} {TONES + 1}", 1)}
    assert found.whose == "Threads, before the rounds"
    assert live.owners(Progress("rounds")) is None
    assert live.owners(Progress("rounds", owned=replace(OWNED, done=[]))) is None


def test_the_page_and_what_it_asks_for_tell_the_same(
    client: FlaskClient, make_run: MakeRun, store: Store, settings: Settings
) -> None:
    run = make_run(state="running", mode="compare")  # noqa: F811
    url = f"/runs/{run.id}"
    said = client.get(f"{url}.json?view=progress").get_json()
    assert said["owned"] == {} and said["owners"].strip() == ""
    assert 'class="own-none"' in client.get(url, headers=HTML).text
    store.set_progress(run.id, Progress("rounds", "threading", "Threads", 3, 6, owned=OWNED))
    said = client.get(f"{url}.json?view=progress").get_json()
    assert said["owned"] == {"0": ["worker 1", 1], "1": ["worker 2", 2]}
    assert "worker 2: 3 tasks" in said["owners"]
    page = client.get(url, headers=HTML).text
    assert said["owners"].strip() in page
    assert page.count('class="own-1 own-strong-2"') == 1 and "<small data-who>worker 1</small>" in page
    assert store.get(run.id).progress["owned"]["label"] == "Threads"


def test_the_pictures_stay_while_the_rounds_go_on(
    client: FlaskClient, make_run: MakeRun, store: Store, settings: Settings
) -> None:
    run = make_run(mode="compare")  # noqa: F811
    store.delete(run.id)
    run.state = "queued"
    store.create(run)
    assert store.claim(1) == run.id
    results_made(run, settings)
    store.set_progress(run.id, Progress("rounds", "threading", "Threads", 3, 6, ready="results", owned=OWNED))
    page = client.get(f"/runs/{run.id}", headers=HTML).text
    assert "Who does which image" in page and "<small data-who>worker 2</small>" in page


@pytest.mark.browser
def test_pictures_are_tinted_as_workers_give_them_back(
    browser: Any, server: str, make_run: MakeRun, store: Store
) -> None:
    run = make_run(state="running", mode="compare")  # noqa: F811
    with browsing(browser, server) as open_page:
        page = open_page(f"/runs/{run.id}", viewport={"width": 390, "height": 844})
        size = page.locator("[data-owned='0'] [data-who]").text_content()
        assert "MP" in size and page.locator(".own-1").count() == 0
        told = Progress("rounds", "threading", "Threads", 3, 6, owned=OWNED)
        store.set_progress(run.id, told)
        page.locator("[data-owned='1'] small", has_text="worker 2").wait_for()
        assert page.locator("[data-owned='0'] rect").get_attribute("class") == "own-1 own-strong-2"
        assert page.locator("[data-owned='2'] rect").get_attribute("class") == "own-none"
        page.locator(".own-legend", has_text="worker 1: 4 tasks").wait_for()
        begun = replace(OWNED, round=4, images={0: 0, 1: 1, 2: 0}, done=[1])
        store.set_progress(run.id, replace(told, round=4, owned=begun))
        page.locator("[data-owned='0'] small", has_text=size).wait_for()  # the next round has not come to it
        assert page.locator("[data-owned='1'] rect").get_attribute("class") == "own-1 own-strong-2"
