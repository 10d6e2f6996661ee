"""The exhibits: their functions, their runs, and pages whose words follow the numbers."""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from conftest import MakeRun, owner_in
from flask.testing import FlaskClient
from test_browser import PHONE, browse, overflow  # noqa: F401  a fixture

from imgproc.errors import UserError
from imgproc.exhibits import EXHIBITS, borders
from imgproc.measure.derive import derive, derive_tasks
from imgproc.measure.results import Round, TechniqueMeasurement
from imgproc.operations.rows import Rows
from imgproc.report import exhibits
from imgproc.report.text import summary
from imgproc.runs.record import FailedItem, Record, TaskRecord
from imgproc.runs.runner import Runner
from imgproc.runs.store import Store
from imgproc.runs.tasks.exhibits import exhibit_run, exhibit_settings, measure_exhibit
from imgproc.settings import Settings
from tests.live_app import serving

GIL = EXHIBITS["gil"]
JSON, HTML = {"Accept": "application/json"}, {"Accept": "text/html"}
URL = "/exhibits/gil"


def technique(name: str, label: str, seconds: float, idle: float) -> TechniqueMeasurement:
    found = TechniqueMeasurement(name, label, workers=1 if name == "sequential" else 2, identical=True)
    # Within 4 % of the median, which is ``seconds``, in another order for each.
    shares = np.random.default_rng(len(name)).permutation(np.linspace(0.96, 1.04, 9))
    found.rounds = [Round(float(seconds * share)) for share in shares]
    found.idle_task_seconds = idle
    return found


def measured(threads: float, processes: float, idle: float = 0.0001) -> list[TechniqueMeasurement]:
    """A second of sequential work, and so many times as fast with the others; ``idle`` of a process."""
    found = [
        technique("threading", "Threads", 1 / threads, 0.00001),
        technique("multiprocessing", "Process pool", 1 / processes, idle),
        technique("sequential", "Sequential", 1.0, 0.00001),
    ]
    derive(found, images=24, megapixels=0.0)
    derive_tasks(found, 24, 2)
    return found


@pytest.fixture
def make_part(make_run: MakeRun) -> Callable[..., Record]:
    """A run of one of its functions, as the runner would leave it."""

    def make(function: str, threads: float = 1.0, processes: float = 1.9, idle: float = 0.0001, **more: Any) -> Record:
        done = more.get("state", "done") == "done"
        found = measured(threads, processes, idle) if done else []
        task = TaskRecord(function, 24, exhibit="gil")
        return make_run(
            mode="compare", images=0, task=task, techniques=found, best=None, **{"visible": "public", **more}
        )

    return make


@pytest.fixture
def all_parts(make_part: Callable[..., Record]) -> list[Record]:
    """On two cores that have nothing else to do."""
    return [
        make_part("pure_python", 0.99, 1.9),
        make_part("in_numpy", 1.5, 0.8, 0.03),
        make_part("by_numba", 1.9, 0.4, 0.06),
        make_part("by_opencv", 1.95, 0.3, 0.08),
    ]


def words(page: str) -> str:
    """The text of a page, in one line."""
    text = re.sub(r"<[^>]+>", " ", page[page.index("<main") :]).replace("\u00a0", " ").replace("&nbsp;", " ")
    return re.sub(r"\s+", " ", text)


# ---------------------------------------------------------------- the functions


def test_the_functions_are_the_same_blur() -> None:
    pytest.importorskip("numba")
    image = np.random.default_rng(1).integers(0, 256, (40, 37), np.uint8)
    first, *others, rounded = [part.function()(image) for part in GIL.parts]
    total = sum(image[y : y + 38, x : x + 35].astype(int) for y in range(3) for x in range(3))
    assert np.array_equal(first, total // 9)
    assert all(np.array_equal(first, other) for other in others)
    assert np.array_equal(rounded, (2 * total + 9) // 18)


def test_their_images_are_the_same_each_time() -> None:
    part = GIL.parts[0]
    one, other = GIL.images(part), GIL.images(part)
    assert len(one) == GIL.items and one[0].shape == (part.side, part.side)
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert not np.array_equal(one[0], one[1])


# ---------------------------------------------------------------- the page


def test_a_new_page_asks_the_question_and_has_one_button(client: FlaskClient) -> None:
    page = client.get(URL, headers=HTML).text
    assert "Does that make threads useless?" in page
    assert re.findall(r'<form action="([^"]*)" method="post">', page) == [URL]
    assert "not measured yet" in page and "What they say" not in page
    assert f'href="{URL}"' in client.get("/techniques").text
    assert "<script>" not in page and "style=" not in page


def test_its_words_follow_the_numbers(client: FlaskClient, all_parts: list[Record]) -> None:
    said = words(client.get(URL).text)
    assert "The fastest here: threads for NumPy, Numba and OpenCV; a process pool for Pure Python." in said
    assert "no measurable difference with threads (0.99×), 1.90 times as fast with a process pool." in said
    assert "Handing one image to a process pool takes 60.0 ms, the call itself 41.7 ms." in said
    assert "1.95×" in said and "0.30×" in said


def test_other_numbers_give_other_words(client: FlaskClient, make_part: Callable[..., Record]) -> None:
    for part in GIL.parts:
        make_part(part.name, 1.0, 1.0)
    said = words(client.get(URL).text)
    assert "neither threads nor a process pool is measurably the fastest for any of these functions" in said
    assert "fastest here" not in said and "Handing" not in said
    make_part("by_opencv", 1.9, 0.5)  # the newest run of a function counts
    said = words(client.get(URL).text)
    assert "The fastest here: threads for OpenCV; none measurably for Pure Python, NumPy and Numba." in said


def test_its_figure_has_every_speedup(client: FlaskClient, all_parts: list[Record]) -> None:
    page = client.get(URL).text
    alt = re.search(r'alt="(Bars[^"]*)"', page)
    assert alt and "Pure Python: threads 0.99×" in alt[1] and "OpenCV: process pool 0.30×" in alt[1]
    for address in set(re.findall(rf'(?:src|srcset|href)="({URL}/figures/[^"]*)"', page)):
        answer = client.get(address.replace("&amp;", "&"))
        assert answer.status_code == 200 and answer.mimetype in ("image/svg+xml", "image/png")
        assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert client.get(f"{URL}/figures/speedup.gif").status_code == 404
    assert client.get(f"{URL}/figures/speedup.svg?theme=blue").status_code == 404
    assert client.get(f"{URL}/figures/speedup.svg?narrow=2").status_code == 400


def test_one_that_failed_says_why_and_the_others_are_shown(
    client: FlaskClient, make_part: Callable[..., Record]
) -> None:
    make_part("pure_python", 1.0, 1.9)
    make_part("by_numba", state="failed", error="Numba cannot run here: the Python package numba is not installed.")
    said = words(client.get(URL).text)
    assert "Numba cannot run here" in said and "1.90×" in said and "not measured yet" in said
    assert client.get(f"{URL}/figures/speedup.svg").status_code == 200


def test_a_function_without_its_package_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, "imgproc.exhibits.blur_numba", raising=False)
    with pytest.raises(UserError, match=r"^Numba cannot run here: the Python package numba is not installed\.$"):
        EXHIBITS["gil"].part("by_numba").function()


# ---------------------------------------------------------------- starting it


def test_posting_queues_a_run_for_each_function_once(client: FlaskClient, store: Store, settings: Settings) -> None:
    answer = client.post(URL, data={"budget": "3", "workers": "2"}, headers=JSON)
    runs = answer.get_json()["runs"]
    assert (answer.status_code, answer.headers["Location"]) == (202, URL)
    records = [Record.load(settings.RESULTS_DIR / run_id) for run_id in runs]
    assert [record.task and record.task.name for record in records] == [f"gil/{part.name}" for part in GIL.parts]
    assert {(r.mode, r.settings.budget, r.settings.workers) for r in records} == {("compare", 3.0, 2)}
    assert client.post(URL, headers=JSON).get_json()["runs"] == runs  # they wait already
    assert client.post(URL, headers=HTML).status_code == 303
    assert store.queued() == len(GIL.parts)
    page = client.get(URL).text
    assert '<noscript><meta http-equiv="refresh"' in page and "Next: Pure Python" in page
    client.post(f"{URL}/cancel", headers=HTML)
    assert store.queued() == 0 and "cancelled" in words(client.get(URL).text)


@pytest.mark.parametrize(("address", "fields", "status", "said"), [
    ("/exhibits/nothing", {}, 404, "There is no exhibit"),
    (URL, {"function": "os:system"}, 400, "There is no field"),
    (URL, {"budget": "soon"}, 400, "soon"),
])  # fmt: skip
def test_what_is_not_declared_is_refused(
    client: FlaskClient, store: Store, address: str, fields: dict[str, str], status: int, said: str
) -> None:
    answer = client.post(address, data=fields, headers=JSON)
    assert answer.status_code == status and said in answer.get_json()["error"]["message"]
    assert store.queued() == 0


def test_a_full_queue_takes_none_of_them(client: FlaskClient, store: Store, make_run: MakeRun) -> None:
    for _ in range(Settings().MAX_QUEUED - 2):
        make_run(state="queued")
    assert client.post(URL, headers=JSON).status_code == 429
    assert store.queued() == Settings().MAX_QUEUED - 2


def test_only_whoever_started_them_can_cancel(client: FlaskClient, make_part: Callable[..., Record]) -> None:
    make_part("pure_python", state="queued", owner="somebody else")
    assert client.post(f"{URL}/cancel", headers=JSON).status_code == 403


# ---------------------------------------------------------------- runs over items


def test_a_run_over_items_is_a_page_like_others(client: FlaskClient, make_part: Callable[..., Record]) -> None:
    run = make_part("pure_python", 1.0, 1.9)
    page = client.get(f"/runs/{run.id}").text
    said = words(page)
    assert "A process pool is 1.90 times as fast as sequential" in said and "the same results from all three" in said
    assert f'href="{URL}"' in page and "holds the GIL all the time" in said
    assert "Items/s" in said and "Same results" in said and "Function gil/pure_python" in said
    assert "A call takes 41.7 ms." in said
    assert not re.search(r"\bimages?\b", said)
    assert client.get(f"/runs/{run.id}/figures/speedup.svg").status_code == 200
    text = client.get(f"/runs/{run.id}.txt").text
    assert "Number of Items: 24\n" in text and "Advice: Use multiprocessing" in text
    with client.get(f"/runs/{run.id}.json") as answer:
        assert answer.get_json()["task"]["exhibit"] == "gil"


def test_a_function_of_a_users_own_is_shown_but_cannot_be_run_again(client: FlaskClient, make_run: MakeRun) -> None:
    task = TaskRecord("roughness", 25, failed=[FailedItem(7, "It ended its worker.")])
    run = make_run(mode="compare", images=0, task=task, techniques=measured(1.0, 1.9), owner=owner_in(client))
    page = client.get(f"/runs/{run.id}").text
    assert "24 calls of <code>roughness</code>" in page and "item 7: It ended its worker." in page
    assert "Run again" not in page and "Delete this run" in page
    assert client.post(f"/runs/{run.id}/again", headers=JSON).status_code == 409


def test_a_run_of_an_exhibit_can_be_run_again(client: FlaskClient, store: Store, settings: Settings) -> None:
    first = client.post(URL, data={"budget": "3"}, headers=JSON).get_json()["runs"][1]
    client.post(f"{URL}/cancel")
    again = client.post(f"/runs/{first}/again", headers=JSON).get_json()["id"]
    record = Record.load(settings.RESULTS_DIR / again)
    assert record.task and record.task.name == "gil/in_numpy" and record.settings.budget == 3
    newest = store.newest("gil/in_numpy")
    assert newest and newest.id == again


def test_history_tells_items_from_images_and_techniques_go_by_images(
    client: FlaskClient, store: Store, all_parts: list[Record], make_run: MakeRun
) -> None:
    make_run(mode="compare")
    said = words(client.get("/runs").text)
    assert "24 of gil/pure_python" in said
    assert store.history(q="pure_PYTHON")[1] == 1
    times = {t.technique: t.runs for t in store.by_technique()}
    assert times == {"sequential": 1, "threading": 1}


def test_a_runner_that_died_leaves_the_next_one_what_to_measure(
    make_part: Callable[..., Record], store: Store, settings: Settings
) -> None:
    run = make_part("pure_python", state="running")
    record = Record.load(settings.RESULTS_DIR / run.id)
    assert record.task
    record.task.raised = [FailedItem(1, "ValueError")]
    record.save(settings.RESULTS_DIR / run.id)
    Runner(settings, store, lambda *_, **__: None).recover()
    task = Record.load(settings.RESULTS_DIR / run.id).task
    assert task == TaskRecord("pure_python", 24, exhibit="gil") and store.queued() == 1


# ---------------------------------------------------------------- the real thing


# ---------------------------------------------------------------- fast and wrong


def test_strips_by_themselves_differ_near_their_cuts_and_nowhere_else() -> None:
    picture = np.random.default_rng(2).integers(0, 256, (400, 80), np.uint8)
    whole, out = borders.blur(picture, {}), np.empty_like(picture)
    for rows in (Rows(0, 200), Rows(200, 400)):
        borders.blur_alone(picture, out[rows.start : rows.stop], rows, {}, None)
    wrong = np.flatnonzero((out != whole).any(axis=1))
    assert wrong.min() >= 200 - borders.BORDER and wrong.max() < 200 + borders.BORDER and len(wrong) > borders.BORDER


@pytest.mark.timeout(300)
def test_fast_and_wrong_shows_the_seam_and_withholds_the_speedup(tmp_path: Any) -> None:
    url = "/exhibits/borders"
    with serving(tmp_path) as live:
        runs = live.http.post(url, data={"budget": "1", "workers": "2"}, headers=JSON).json()["runs"]
        without, right = (live.finished(run_id, 120) for run_id in runs)
        wrong, good = (next(t for t in r["techniques"] if t["name"] == "threading") for r in (without, right))
        assert (without["state"], right["state"]) == ("done", "done"), (without["error"], right["error"])
        assert wrong["identical"] is False and wrong["speedup"] is None and wrong["rounds"]
        assert good["identical"] is True and good["speedup"] and not right["other_pixels"]
        (other,) = without["other_pixels"]
        assert other["of"] == pytest.approx(6e6, rel=0.01) and 0 < other["pixels"] < 0.1 * other["of"]
        assert len(other["bands"]) == 3  # two workers, four strips
        assert all(last - first < 2 * borders.BORDER for first, last in other["bands"])
        answer = live.http.get(url)
        said = words(answer.text)
        assert f"{other['pixels']:,} of {other['of']:,} pixels" in said and "no speedup shown" in said
        assert "fast and wrong. Only strips that borrow rows have a speedup." in said
        pictures = re.findall(r'src="(/runs/[^"]*/previews/[^"]*)"', answer.text)
        seen = [live.http.get(picture) for picture in pictures]
        shown = [cv2.imdecode(np.frombuffer(one.content, np.uint8), cv2.IMREAD_COLOR) for one in seen]
        red = (shown[0][:, :, 2] > 200) & (shown[0][:, :, 1] < 100)
        assert 0.001 < red.mean() < 0.2  # along the cuts
        assert shown[1].shape[0] == 324
        # The result that stays is the right one, and the run's own page and its repetition know where it is from.
        assert {i["outputs"][0]["pixels_sha256"] for i in without["images"]} == {
            i["outputs"][0]["pixels_sha256"] for i in right["images"]
        }
        page = live.http.get(f"/runs/{runs[0]}")
        assert page.status_code == 200 and "It is part of the exhibit" in page.text
        assert f"{other['pixels']:,} of {other['of']:,} pixels differ" in words(page.text)
        history = words(live.http.get("/runs").text)
        assert "of borders/without" in history and "Strips" not in history
        again = live.http.post(f"/runs/{runs[0]}/again", headers=JSON).json()["id"]
        assert live.finished(again, 120)["exhibit"] == "borders/without"


def test_fast_and_wrong_with_one_worker_has_no_seam(make_run: MakeRun) -> None:
    found = measured(1.0, 1.0)[0::2]
    run = make_run(mode="compare", techniques=found, exhibit="borders/without")
    shown = EXHIBITS["borders"]
    conclusion, said = exhibits.lesson(shown, [exhibits.Measured(shown.part("without"), run)])
    assert conclusion == "All have the pixels of the whole picture here." and "was not cut" in said


# ---------------------------------------------------------------- a baseline with a handicap


@pytest.mark.parametrize(("old", "conclusion"), [
    (1.2, "Nobody is 114 % efficient: that baseline has a handicap."),
    (1.0, "Here the handicap does not show as more than 100 %, so nobody would have noticed."),
])  # fmt: skip
def test_an_efficiency_of_more_than_all_is_the_baselines(
    client: FlaskClient, make_run: MakeRun, old: float, conclusion: str
) -> None:
    for name, slower in (("with_copy", old), ("without_copy", 1.0)):
        found = [technique("threading", "Threads", slower / 1.9, 0.0), technique("sequential", "Sequential", slower, 0)]
        derive(found, images=24, megapixels=0.0)
        task = TaskRecord(name, 24, exhibit="baseline")
        make_run(mode="compare", images=0, task=task, techniques=found, best=None, visible="public")
    said = words(client.get("/exhibits/baseline").text)
    assert conclusion in said
    assert f"so {1.9 * old:.2f} times as fast, an efficiency of {95 * old:.0f} %" in said
    assert "Compared with the best serial program: 1.90 times as fast with threads: surely" in said
    assert "an efficiency of 95 %" in said


def test_both_programs_blur_alike() -> None:
    image = np.random.default_rng(1).integers(0, 256, (40, 37), np.uint8)
    old, new = (part.function()(image) for part in EXHIBITS["baseline"].parts)
    assert np.array_equal(old, new)


# ---------------------------------------------------------------- who gets which image


def shared_out(make_run: MakeRun, schedule: str, speedup: float, imbalance: float, workers: int = 2) -> Record:
    """A run of one of its schedules, as the runner would leave it."""
    found = [technique("threading", "Threads", 1 / speedup, 0.0), technique("sequential", "Sequential", 1.0, 0.0)]
    derive(found, images=24, megapixels=0.0)
    found[0].workers, found[0].imbalance, found[0].schedule = workers, imbalance, schedule
    task = TaskRecord(schedule, 24, exhibit="schedules")
    return make_run(mode="compare", images=0, task=task, techniques=found, best=None, visible="public")


def test_the_schedules_are_told_apart_by_their_numbers(client: FlaskClient, make_run: MakeRun) -> None:
    for schedule, speedup, imbalance in (
        ("static", 1.2, 1.66), ("cyclic", 1.7, 1.1), ("guided", 1.5, 1.3), ("dynamic", 1.9, 1.04),
        ("longest-first", 1.93, 1.01),
    ):  # fmt: skip
        shared_out(make_run, schedule, speedup, imbalance)
    said = words(client.get("/exhibits/schedules").text)
    assert "It does here. The fastest is Longest first (1.93×); surely slower: Static (1.20×)," in said
    assert "Not to be told from it: Dynamic." in said
    assert "Static gives each thread a block of them, in order, beforehand: 1.20 times as fast with threads." in said
    assert "was at work 1.66 times as long as the mean of all (load imbalance), which alone leaves about 1.20×" in said
    assert "load imbalance 1.66" in said and "An image, one core" in said


def test_schedules_that_are_alike_and_one_thread_are_not_made_a_difference(make_run: MakeRun) -> None:
    shown = EXHIBITS["schedules"]
    names = ("static", "dynamic")
    alike = [exhibits.Measured(shown.part(name), shared_out(make_run, name, 1.9, 1.02)) for name in names]
    assert exhibits.lesson(shown, alike)[0] == "Here none can be told from the fastest, Static (1.90×)."
    alike[1].record.techniques[0].speedup_ci95 = None
    assert exhibits.lesson(shown, alike)[0].startswith("Too few rounds to tell which is faster")
    alone = [exhibits.Measured(shown.part(name), shared_out(make_run, name, 1.0, 1.0, 1)) for name in names]
    assert exhibits.lesson(shown, alone)[0].startswith("With one thread there is nobody to share anything with")


def test_its_images_come_small_ones_first_and_its_runs_have_their_schedule(settings: Settings) -> None:
    shown = EXHIBITS["schedules"]
    sizes = [image.nbytes for image in shown.images(shown.parts[0])]
    assert sizes == sorted(sizes) and len(sizes) == shown.items and sizes[-1] > 20 * sizes[0]
    image = shown.images(shown.parts[0])[0]
    assert shown.parts[0].function()(image).shape == image.shape
    asked = {part.name: exhibit_settings(shown, part, {}, settings).schedule for part in shown.parts}
    assert asked == {name: name for name in asked} and len(asked) == 5
    assert exhibit_settings(GIL, GIL.parts[0], {}, settings).schedule == "dynamic"


def quickly(name: str, part: str, settings: Settings) -> Record:
    """A run of a function of an exhibit, measured for a second."""
    shown = EXHIBITS[name]
    asked = exhibit_settings(shown, shown.part(part), {"budget": ["1"], "rounds": ["1"], "workers": ["2"]}, settings)
    record = exhibit_run(shown, shown.part(part), asked)
    measure_exhibit(record, settings, lambda _: None, lambda: False)
    return record


def test_a_share_fixed_beforehand_is_what_is_measured(settings: Settings) -> None:
    record = quickly("schedules", "static", settings)
    t = next(t for t in record.techniques if t.name == "threading")
    assert (record.state, t.schedule, t.identical) == ("done", "static", True) and t.imbalance
    shares: dict[int, list[int]] = {}
    for span in sorted(t.spans, key=lambda span: span.image):
        if span.round == 1:
            shares.setdefault(span.worker, []).append(span.image)
    measured = record.sample or list(range(24))
    half = -(-len(measured) // 2)
    assert sorted(shares.values()) == [measured[:half], measured[half:]]
    sizes = [image.nbytes for image in EXHIBITS["schedules"].images(EXHIBITS["schedules"].parts[0])]
    assert sum(sizes[12:]) > 5 * sum(sizes[:12])  # so it can be no more than 1.2 times as fast
    assert "Schedule static: a block in order for each worker" in summary(record)


# ---------------------------------------------------------------- threads inside of workers


def pools(make_run: MakeRun, part: str, unpinned: float, pinned: float, threads: int = 2) -> Record:
    """A run of one of its parts: how many times as fast as sequential the pools are."""
    found = [
        technique("textbook", "Textbook pool (antipattern)", 1 / unpinned, 0.0),
        technique("multiprocessing", "Process pool, Pickled arrays", 1 / pinned, 0.0),
        technique("sequential", "Sequential", 1.0, 0.0),
    ]
    found[0].cv2_threads, found[0].antipattern = threads, True
    for t, cpu in zip(found, (2.5, 1.5, 1.0), strict=True):
        t.transfer = None if t.name == "sequential" else "arrays"
        for one in t.rounds:
            one.cpu_seconds = cpu
    derive(found, images=6, megapixels=6.0)
    return make_run(mode="compare", techniques=found, exhibit=f"unpinned/{part}", best=None, visible="public")


def test_what_pinning_brings_is_said_from_the_numbers(client: FlaskClient, make_run: MakeRun) -> None:
    pools(make_run, "large", 1.3, 1.31)
    pools(make_run, "small", 0.8, 1.2)
    said = words(client.get("/exhibits/unpinned").text)
    assert "Pinning pays here: large pictures show no measurable difference (1.01×); small pictures are" in said
    assert "small pictures are done 1.50 times as fast pinned." in said
    assert "Small pictures: 2 workers with 2 threads of OpenCV each are 4 threads on 2 cores." in said
    assert "0.80 times as fast, which is slower, with a textbook pool" in said
    assert "A round took 2.50 s of the cores’ time as it is, and 1.50 s pinned." in said


def test_pinning_that_brings_nothing_or_cannot_is_not_praised(make_run: MakeRun) -> None:
    shown = EXHIBITS["unpinned"]

    def conclusion(unpinned: float, pinned: float, threads: int) -> str:
        run = pools(make_run, "large", unpinned, pinned, threads)
        return exhibits.lesson(shown, [exhibits.Measured(shown.part("large"), run)])[0].replace("\u00a0", " ")

    assert "large pictures are done 1.50 times as fast pinned" in conclusion(0.6, 0.9, 2)  # sequential is faster
    assert conclusion(1.3, 1.3, 2).startswith("Here pinning is not seen to pay: large pictures show no")
    assert conclusion(1.5, 1.2, 2).endswith("not seen to pay: large pictures are done 0.80 times as fast pinned.")
    assert "nothing is left to pin" in conclusion(1.3, 1.3, 1)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["schedules", "unpinned"])
def test_they_are_measured_and_answered_by_the_app(tmp_path: Any, name: str) -> None:
    with serving(tmp_path) as live:
        url = f"/exhibits/{name}"
        runs = live.http.post(url, data={"budget": "1", "workers": "2"}, headers=JSON).json()["runs"]
        records = [live.finished(run_id, 120) for run_id in runs]
        assert {record["state"] for record in records} == {"done"}, [record["error"] for record in records]
        for record in records:
            timed = {t["name"]: t for t in record["techniques"]}
            assert set(timed) == {"sequential", *EXHIBITS[name].techniques}
            assert all(t["identical"] and t["rounds"] for t in timed.values())
        said = words(live.http.get(url).text)
        answers = {
            "schedules": "The fastest is|none can be told|Too few rounds to tell",  # in a second
            "unpinned": "Pinning pays|not seen to pay",
        }
        assert re.search(answers[name], said)
        if name == "schedules":
            page = words(live.http.get(f"/runs/{runs[0]}").text)
            assert "Who got which item, and where" in page and "Schedule static:" in page


def test_every_exhibit_opens_from_a_link_asks_and_takes_less_than_a_minute(client: FlaskClient) -> None:
    page = client.get("/exhibits").text
    for shown in EXHIBITS.values():
        assert f'href="/exhibits/{shown.name}"' in page and shown.asks.endswith("?")
        answer = client.get(f"/exhibits/{shown.name}")
        assert answer.status_code == 200 and "?" in shown.question and "What they say" not in answer.text
        assert len(shown.parts) * (shown.budget + 4) < 60


@pytest.mark.timeout(300)
def test_the_app_measures_it_in_its_runner(tmp_path: Any) -> None:
    pytest.importorskip("numba")
    with serving(tmp_path) as live:
        runs = live.http.post(URL, data={"budget": "1", "workers": "2"}, headers=JSON).json()["runs"]
        assert live.http.get(URL).status_code == 200  # while it is measured
        records = [live.finished(run_id, 120) for run_id in runs]
        for record in records:
            assert record["state"] == "done", record["error"]
            timed = {t["name"]: t for t in record["techniques"]}
            assert set(timed) == {"sequential", *GIL.techniques}
            assert all(t["identical"] and t["rounds"] for t in timed.values())
            assert live.http.get(f"/runs/{record['id']}").status_code == 200
        said = words(live.http.get(URL).text)
        assert "The fastest here:" in said or "Here neither" in said
        assert f"{speedup(records[0], 'threading'):.2f}×" in said
        plain = httpx.get(f"{live.url}/runs/{runs[0]}.txt", timeout=60).text
        assert "Number of Items: 24" in plain


def speedup(record: dict[str, Any], name: str) -> float:
    return next(float(t["speedup"]) for t in record["techniques"] if t["name"] == name)


def test_a_client_without_accept_waits_for_the_numbers(client: FlaskClient, runner: threading.Event) -> None:
    text = client.post(URL).text
    assert text.splitlines()[1].startswith("Pure Python") and "1.93x (1.89 to 1.97)" in text


@pytest.mark.browser
@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_the_page_waits_and_then_shows_the_numbers(
    browse: Callable[..., Any],  # noqa: F811
    runner: threading.Event,
    scripts: bool,
) -> None:
    runner.clear()
    page = browse("/techniques", java_script_enabled=scripts, viewport=PHONE)
    page.get_by_role("link", name="Measure both on this machine").click()
    page.get_by_role("button", name="Measure on this machine").click()
    page.locator("h2", has_text=re.compile("Pure Python")).first.wait_for()
    page.locator("[data-now]", has_text="Round 2 of 6, Threads").wait_for()
    assert not scripts or overflow(page) <= 0
    runner.set()
    until = time.monotonic() + 30
    while not page.get_by_role("heading", name="What they say").is_visible():
        assert time.monotonic() < until
        page.wait_for_timeout(200)
    assert page.locator("table.exhibit tbody tr").count() == len(GIL.parts)
    assert page.locator("figure img:visible").count() == 1
    assert not scripts or overflow(page) <= 0
