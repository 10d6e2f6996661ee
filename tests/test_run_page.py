"""What the page of a run says about why, about doubts and about conditions, and the rounds of one still going."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from io import BytesIO
from zipfile import ZipFile

import pytest
from conftest import MakeRun
from flask.testing import FlaskClient

from imgproc.measure.alarms import Alarm
from imgproc.measure.breakdown import PARTS
from imgproc.measure.results import Progress, Round, TechniqueMeasurement
from imgproc.numbers import size
from imgproc.report import conditions, costs, live
from imgproc.runs.record import Record
from imgproc.runs.store import Store
from imgproc.settings import Settings

HTML = {"Accept": "text/html"}
NBSP = "\u00a0"


# ---------------------------------------------------------------- why


def split(t: TechniqueMeasurement, **parts: float) -> None:
    t.breakdown = {**dict.fromkeys(PARTS, 0.0), **parts}
    t.rounds = [Round(sum(parts.values()))]


def test_a_part_that_nobody_has_is_left_out(make_run: MakeRun) -> None:
    record = make_run()
    split(record.techniques[0], ideal=0.264, waiting=0.02, remainder=-0.003)
    found = costs.losses(record)
    assert list(costs.parts(found)) == ["ideal", "waiting", "remainder"]
    assert [found[0].shown(found[0].t.breakdown.get(part)) for part in ("ideal", "waiting", "remainder", "caller")] == [
        f"264{NBSP}ms", f"20{NBSP}ms", f"−3{NBSP}ms", f"0{NBSP}ms",
    ]  # fmt: skip
    assert found[0].shown(None) == f"0{NBSP}ms"  # a record of an earlier version has not all parts


def test_short_rounds_have_tenths(make_run: MakeRun) -> None:
    record = make_run()
    split(record.techniques[0], ideal=0.02, waiting=0.00034, remainder=-0.00001)
    found = costs.losses(record)[0]
    assert [found.shown(seconds) for seconds in (0.00034, -0.00001)] == [f"0.3{NBSP}ms", f"0.0{NBSP}ms"]


def test_the_headline_names_the_run_s_technique_and_who_lost_most(make_run: MakeRun) -> None:
    record = make_run(mode="compare")
    threads = record.techniques[0]
    split(threads, ideal=0.264, waiting=0.017)
    assert costs.headline(costs.losses(record))[0] == f"Threads took 17.0{NBSP}ms more than the ideal"
    record.techniques.append(replace(threads, name="opencv", label="OpenCV’s own threads"))
    split(record.techniques[-1], ideal=0.264, waiting=0.833)
    title, text = costs.headline(costs.losses(record))
    assert title == f"Threads took 17.0{NBSP}ms more than the ideal, OpenCV’s own threads 0.833{NBSP}s"
    assert text.count(PARTS["waiting"]) == 1  # said once


def test_beside_other_programs_contention_is_not_said_to_be_the_workers(make_run: MakeRun) -> None:
    record = make_run(mode="compare")
    split(record.techniques[0], ideal=0.264, contention=0.5)
    assert PARTS["contention"] in costs.costs(record)["lost"][1]
    record.alarms = [Alarm("busy-machine", "Other programs used 1.63 cores.", "Close them.")]
    found = costs.costs(record)
    assert "because workers share" not in found["lost"][1] + found["parts"]["contention"]
    assert "probably because other programs were at work" in found["lost"][1]


def with_transfers(record: Record, **seconds: float) -> None:
    """A process pool that moved its pixels in each of these ways, in rounds that took so long."""
    baseline = record.techniques[-1]
    for number, (way, median) in enumerate(seconds.items()):
        t = replace(
            record.techniques[0], name="multiprocessing", label=f"Process pool, {way}", transfer=way,
            rounds=[Round(median * (1 + 0.001 * k), bytes_moved=10**7 * number) for k in range(6)],
            stages={"transfer": 0.1 * number, "wait": 0.1}, median_seconds=median, speedup=0.528 / median,
            speedup_ci95=[0.52 / median, 0.53 / median], verdict="slower" if median > 0.53 else "faster",
        )  # fmt: skip
        record.techniques.append(t)
    baseline.rounds = [Round(0.528)] * 6


@pytest.mark.parametrize(
    ("arrays", "loses", "said"),
    [
        (0.9, True, f"costs more than two workers save: a round takes 3.00{NBSP}times as long"),
        (0.45, True, f"has its price: a round takes 1.50{NBSP}times as long"),
        (0.3, False, "makes no difference that matters here"),
        (0.2, False, f"does no harm here: a round takes 0.67{NBSP}times as long"),
    ],
)
def test_what_moving_pixels_costs(make_run: MakeRun, arrays: float, loses: bool, said: str) -> None:
    record = make_run(mode="compare")
    with_transfers(record, arrays=arrays, paths=0.3, shared=0.4)
    [found] = costs.transfers(record)
    assert [row.t.transfer for row in found.rows] == ["paths", "shared", "arrays"]
    assert [(t.typical.bytes_moved, t.stages["transfer"]) for t in (row.t for row in found.rows) if t.typical] == [
        (10**7, 0.1),
        (2 * 10**7, 0.2),
        (0, 0.0),
    ]
    assert found.loses is loses and said in found.sentence and found.title == "Process pool, two workers"


def test_too_few_rounds_are_said(make_run: MakeRun) -> None:
    record = make_run(mode="compare")
    with_transfers(record, paths=0.3, arrays=0.9)
    for t in record.techniques[-2:]:
        t.rounds = t.rounds[:3]
    assert costs.transfers(record)[0].sentence.endswith("too few rounds were timed to be sure.")
    record.techniques[-1].rounds = record.techniques[-1].rounds[:2]  # the last round was not finished
    assert costs.transfers(record)[0].sentence.endswith("too few rounds were timed to be sure.")


def test_one_way_of_moving_is_no_comparison(make_run: MakeRun) -> None:
    record = make_run(mode="compare")
    with_transfers(record, paths=0.3)
    assert costs.transfers(record) == []


def test_the_page_shows_the_transfers(client: FlaskClient, make_run: MakeRun, settings: Settings) -> None:
    record = make_run(mode="compare")
    with_transfers(record, paths=0.3, arrays=0.9)
    record.save(settings.RESULTS_DIR / record.id)
    page = client.get(f"/runs/{record.id}", headers=HTML).text
    assert "Why the textbook pool loses" in page and "Pickled arrays, caller writes" in page
    assert f"moves 10.0{NBSP}MB in 0.100{NBSP}s" in page


# ---------------------------------------------------------------- doubts


def test_alarms_are_grouped_and_what_else_happened_stands_with_them(make_run: MakeRun) -> None:
    record = make_run(mode="compare")
    threads, sequential = record.techniques
    quota = Alarm("quota", "A CPU quota allows this program 1.5 cores, less than 2.", "Raise it (--cpus=2).")
    spread = Alarm("spread", "The rounds scatter. They do: 28 % of their mean.", "Close others. Then wait.", "Threads")
    busy = Alarm("busy-machine", "Other programs used 0.50 of this machine’s 2 cores.", "Close them.")
    record.alarms = [busy, replace(quota, who="Threads"), spread, replace(quota, who="Sequential")]
    record.warnings = [busy.text, "Threads, round 3: a worker died."]
    threads.warnings = [alarm.text for alarm in record.alarms[1:3]]
    sequential.warnings = [record.alarms[3].text]
    record.weak = [replace(threads, label="Threads, twice the images", warnings=["It said something. Twice."])]
    found = conditions.alarms(record)
    assert [(who, [alarm.name for alarm in raised]) for who, raised in found.items()] == [
        ("", ["busy-machine", "note"]), ("Threads and Sequential", ["quota"]), ("Threads", ["spread"]),
        ("Threads, twice the images", ["note"]),
    ]  # fmt: skip
    said = [(alarm.message, alarm.advice) for raised in found.values() for alarm in raised]
    assert said == [
        (busy.message, busy.advice), ("Threads, round 3: a worker died.", ""), (quota.message, quota.advice),
        (spread.message.replace(" %", f"{NBSP}%"), spread.advice), ("It said something. Twice.", ""),
    ]  # fmt: skip


def test_without_alarms_the_page_says_what_was_checked(
    client: FlaskClient, make_run: MakeRun, settings: Settings
) -> None:
    record = make_run()
    page = client.get(f"/runs/{record.id}", headers=HTML).text
    assert "No alarm. Checked: at least 6 rounds, their spread," in page
    assert "other programs at work" not in page  # nobody looked
    record.environment["cores_used_by_others"] = 0.03
    assert "other programs at work" in conditions.checked(record)
    record.alarms = [Alarm("odd", "Something is odd.", "Mend it.", "Threads")]
    record.techniques[0].warnings = [record.alarms[0].text]
    record.conclude()
    record.save(settings.RESULTS_DIR / record.id)
    page = client.get(f"/runs/{record.id}", headers=HTML).text
    assert "<b>Something is odd.</b> Mend it." in page and "No alarm." not in page and "One alarm" in page
    assert 'class="count is-alarm">1 alarm<' in page


def test_nothing_measured_was_not_checked(make_run: MakeRun) -> None:
    assert conditions.checked(make_run(state="failed")) == ""


# ---------------------------------------------------------------- conditions


def test_conditions_say_all_that_is_known(make_run: MakeRun) -> None:
    record = make_run()
    record.environment = {
        "cpu": "A Processor", "cores_physical": 4, "cores_usable": 2, "cpu_quota": 1.5, "memory_bytes": 8 * 10**9,
        "memory_limit_bytes": 2 * 10**9, "virtual_machine": True, "container": True, "os": "Linux 6.1",
        "cpu_frequency": {"changes": True, "min_mhz": 800, "max_mhz": 3600, "governor": "powersave"},
        "python": "3.11.7", "versions": {"opencv-python-headless": "5.0.0.93", "numpy": "2.4.6"}, "gpu": None,
        "opencv": {"Parallel framework": "pthreads", "Intel IPP": "2026.0.0 [2026.0.0]"}, "png_encoder": "isal",
        "load_before": 0.04, "cores_used_by_others": 0.031,
    }  # fmt: skip
    record.settings = replace(record.settings, transfers=["paths", "arrays"], chunk_size=4)
    record.techniques[0].start_method = "spawn"
    facts = conditions.facts(record)
    machine, settings = dict(facts["Machine"]), dict(facts["Settings"])
    assert machine["Processor"] == "A Processor, 4 physical cores, 2 usable"
    assert machine["Clock"] == f"0.8 to 3.6{NBSP}GHz, powersave governor"
    assert (machine["CPU quota"], machine["Used by others"]) == (f"1.5{NBSP}cores", f"0.03{NBSP}cores")
    assert (machine["Memory"], machine["Memory limit"]) == (f"8.0{NBSP}GB", f"2.0{NBSP}GB")
    assert machine["System"] == "Linux 6.1, virtual machine, container"
    assert machine["OpenCV"] == "5.0.0.93, threads by pthreads, Intel IPP 2026.0.0"
    assert settings["Processes started"] == "by spawn" and settings["Pixels moved"] == "as paths and arrays"
    assert settings["Chunk size"] == "4 images"
    assert dict(facts["Versions"]) == {"Python": "3.11.7", "opencv-python-headless": "5.0.0.93", "numpy": "2.4.6"}


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        (None, "3.14.1"),
        ({"optional": False, "enabled": True}, "3.14.1"),
        ({"optional": True, "enabled": False}, "3.14.1, free-threaded, without the GIL"),
        ({"optional": True, "enabled": True}, "3.14.1, free-threaded, but the GIL is on"),
    ],
)
def test_conditions_tell_of_the_gil_where_it_may_be_off(make_run: MakeRun, state: object, shown: str) -> None:
    record = make_run()
    record.environment = {"python": "3.14.1", "gil": state}
    assert dict(conditions.facts(record)["Machine"])["Python"] == shown


def test_conditions_leave_out_what_is_not_known(make_run: MakeRun) -> None:
    record = make_run()
    record.environment = {"cpu": None, "cpu_quota": None, "cpu_frequency": None, "opencv": None, "versions": None}
    facts = conditions.facts(record)
    assert dict(facts["Machine"]) == {"CPU quota": "none", "GPU": "none"}
    assert "Versions" not in facts and not {"Pixels moved", "Chunk size"} & dict(facts["Settings"]).keys()
    record.environment = {}
    assert "Machine" not in conditions.facts(record)


# ---------------------------------------------------------------- rounds of a run that is still going


def progress(**walls: list[float]) -> Progress:
    return Progress("rounds", "threading", "Threads", 2, 3, 1, 4, walls=walls)


@pytest.mark.parametrize("state", ["done", "running"])
def test_a_technique_s_dashboard_is_linked(
    state: str, client: FlaskClient, make_run: MakeRun, settings: Settings
) -> None:
    record = make_run(state=state)
    record.techniques = record.techniques or [TechniqueMeasurement("threading", "Threads")]
    assert "Dashboard of" not in client.get(f"/runs/{record.id}", headers=HTML).text
    record.techniques[0].dashboard = "http://127.0.0.1:8787/status"
    record.save(settings.RESULTS_DIR / record.id)
    page = client.get(f"/runs/{record.id}", headers=HTML).text
    assert '<a href="http://127.0.0.1:8787/status">Dashboard of Threads</a>' in page


def test_the_grid_of_rounds() -> None:
    found = live.rounds(progress(Sequential=[0.9, 0.6], Threads=[0.3], joblib=[]), "compare")
    assert found and found.rounds == [1, 2, 3]
    assert [row.label for row in found.rows] == ["Threads", "joblib", "Sequential"]
    threads, joblib, sequential = found.rows
    assert [(cell.kind, cell.text) for cell in threads.cells] == [("done", "0.30"), ("now", ""), ("todo", "")]
    assert threads.cells[1].share == 0.25
    assert (threads.so_far, joblib.so_far, sequential.so_far) == ("3.00×", "", "baseline")
    assert threads.micro and threads.micro.kind == "is-none is-provisional" and joblib.micro is None


def test_no_grid_before_the_first_round() -> None:
    assert live.rounds(Progress("warm-up", walls={"Threads": []}), "compare") is None
    assert live.rounds(Progress("rounds", round=1), "compare") is None


def test_a_scale_run_claims_no_speedup_so_far() -> None:
    found = live.rounds(progress(Sequential=[0.9], Threads=[0.3]), "scale")
    assert found and not found.speedups and all(not row.so_far for row in found.rows)


def test_the_live_page_and_its_answer_have_the_grid(client: FlaskClient, make_run: MakeRun, store: Store) -> None:
    run = make_run(state="running", mode="compare")
    url = f"/runs/{run.id}"
    assert client.get(f"{url}.json?view=progress").get_json()["grid"].strip() == ""
    assert re.search(r'id="rounds"[^>]* hidden', client.get(url, headers=HTML).text)
    store.set_progress(run.id, progress(Sequential=[0.9, 0.6], Threads=[0.3]))
    said = client.get(f"{url}.json?view=progress").get_json()["grid"]
    assert said.count("is-done") == 3 and "3.00×" in said
    page = client.get(url, headers=HTML).text
    assert said.strip() in page and not re.search(r'id="rounds"[^>]* hidden', page)


# ---------------------------------------------------------------- results of a run that is still going


def results_made(run: Record, settings: Settings) -> None:
    """What the runner saves once the results are there to stay: those of a run that is done, while it goes on."""
    run.state, run.techniques, run.findings, run.best = "running", [], None, None
    run.save(settings.RESULTS_DIR / run.id)


def test_results_are_there_while_measuring_goes_on(
    client: FlaskClient, make_run: MakeRun, settings: Settings, store: Store
) -> None:
    run = make_run(state="running", mode="compare")
    url = f"/runs/{run.id}"
    before = client.get(url, headers=HTML).text
    assert "done-grid" in before and "data-viewer" not in before and 'data-ready="images"' in before
    refused = client.get(f"{url}/results.zip")
    assert refused.status_code == 404 and "no results to download yet" in refused.text
    run.images = make_run().images
    for folder in ("images", "previews"):
        (settings.RESULTS_DIR / f"{2:012x}" / folder).replace(settings.RESULTS_DIR / run.id / f"{folder}-new")
        shutil.rmtree(settings.RESULTS_DIR / run.id / folder, ignore_errors=True)
        (settings.RESULTS_DIR / run.id / f"{folder}-new").rename(settings.RESULTS_DIR / run.id / folder)
    results_made(run, settings)
    store.set_progress(run.id, replace(progress(Sequential=[0.9]), ready="results"))
    assert client.get(f"{url}.json?view=progress").get_json()["ready"] == "results"
    page = client.get(f"{url}?image=2&operation=gaussian", headers=HTML).text
    assert "data-viewer" in page and "done-grid" not in page and 'data-ready="results"' in page
    assert "2 of 3" in page and "photo%202_gaussian.png" in page and "data-zoom-dialog" in page
    assert re.search(rf'href="{url}/results.zip">Download all results', page) and 'id="rounds"' in page
    for asked in ("", "?about=1"):  # of numbers that are not yet there nothing goes along
        with ZipFile(BytesIO(client.get(f"{url}/results.zip{asked}").data)) as archive:
            assert sorted(archive.namelist()) == sorted(o.file for image in run.images for o in image.outputs)
    with client.get(f"{url}/images/photo%202_gaussian.png") as picture:
        assert picture.status_code == 200 and picture.mimetype == "image/png"


def test_a_run_cancelled_before_anything_was_timed_has_no_numbers(
    client: FlaskClient, make_run: MakeRun, settings: Settings
) -> None:
    run = make_run(mode="compare")
    run.state, run.sample, run.findings = "cancelled", [0], None
    run.settings.seed = 0
    for t in run.techniques:
        t.median_seconds, t.rounds, t.identical = None, [], None
    run.save(settings.RESULTS_DIR / run.id)
    page = client.get(f"/runs/{run.id}", headers=HTML).text
    assert "Not measured" not in page and 'id="numbers"' not in page and "The times are of" not in page
    assert "Three images are done and can be downloaded. Their pixels were not compared with sequential’s yet." in page
    assert "no seed was drawn yet" in page and "data-viewer" in page
    for end in ("report", "report.ipynb"):
        said = client.get(f"/runs/{run.id}/{end}", headers=HTML).text
        assert "No seed was drawn yet" in said and "order of the rounds: 0" not in said


# ---------------------------------------------------------------- runs of many images


def test_the_images_are_shown_a_hundred_at_a_time(client: FlaskClient, make_run: MakeRun) -> None:
    run = make_run(images=250)
    url = f"/runs/{run.id}"

    def links(page: str) -> dict[str, str]:
        found = re.findall(r'<a href="([^"]*)" aria-label="(\w+) page of images"', page)
        return {text: href.replace("&amp;", "&") for href, text in found}

    first = client.get(url, headers=HTML).text
    assert first.count("data-pick") == 100 and len(first) < 500_000
    assert "Images 1 to 100 of 250" in first and "1 of 250" in first
    assert {text: href.partition("?")[2] for text, href in links(first).items()} == {
        "Next": "image=101&operation=canny#images",
        "Last": "image=201&operation=canny#images",
    }
    middle = client.get(f"{url}?image=142&operation=gaussian", headers=HTML).text
    assert "Images 101 to 200 of 250" in middle and "142 of 250" in middle and 'data-start="100"' in middle
    assert {text: href.partition("?")[2] for text, href in links(middle).items()} == {
        "First": "image=1&operation=gaussian#images",
        "Previous": "image=1&operation=gaussian#images",
        "Next": "image=201&operation=gaussian#images",
        "Last": "image=201&operation=gaussian#images",
    }
    last = client.get(links(middle)["Last"].partition("#")[0], headers=HTML).text
    assert last.count("data-pick") == 50 and "Images 201 to 250 of 250" in last
    assert list(links(last)) == ["First", "Previous"]


def test_strip_and_history_show_thumbnails_and_earlier_runs_their_previews(
    client: FlaskClient, make_run: MakeRun, settings: Settings
) -> None:
    run, before = make_run(images=2, visible="public"), make_run(images=2, visible="public")
    (settings.RESULTS_DIR / run.id / "previews" / "thumbnail-0001.jpg").write_bytes(b"small")
    page = client.get(f"/runs/{run.id}", headers=HTML).text
    shown = re.findall(r'data-pick.*?<img src="([^"]*)"', page)
    assert shown == [f"/runs/{run.id}/previews/0000.jpg", f"/runs/{run.id}/previews/thumbnail-0001.jpg"]
    listed = client.get("/runs", headers=HTML).text
    assert f'src="/runs/{run.id}/previews/thumbnail-0001.jpg"' in listed and f"/runs/{before.id}/previews" not in listed
    both = sum(image.bytes + sum(o.bytes for o in image.outputs) for one in (run, before) for image in one.images)
    assert f"The images and results of all take {size(both)}." in listed
    assert "of all take" not in client.get("/runs?q=photo", headers=HTML).text


def test_images_without_results_are_on_no_page(client: FlaskClient, make_run: MakeRun, settings: Settings) -> None:
    run = make_run(images=102)
    for image in run.images[:2]:
        for output in image.outputs:
            (settings.RESULTS_DIR / run.id / "images" / output.file).unlink()
    page = client.get(f"/runs/{run.id}?image=102", headers=HTML).text
    assert "100 of 100" in page and "page of images" not in page


def test_of_many_failed_images_the_page_names_some_and_the_text_all(client: FlaskClient, make_run: MakeRun) -> None:
    run = make_run(images=1, bad=60)
    page = client.get(f"/runs/{run.id}", headers=HTML).text
    assert page.count("<h3>broken") == 50 and f'And 10 more; <a href="/runs/{run.id}.txt">' in page
    assert page.count("Failed: broken") == 3 and "Failed: 57 more images" in page
    first, _, folded = page.partition("<summary>45 more</summary>")
    assert first.count("<h3>broken") == 5 and folded.count("<h3>broken") == 45
    assert client.get(f"/runs/{run.id}.txt").text.count("Failed: broken") == 60
