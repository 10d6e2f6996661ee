"""Settings by link, runs whose images are used again, commands and requests to copy."""

from __future__ import annotations

import re
import shlex
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from conftest import MakeRun, browsing, jpeg, owner_in
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.datastructures import MultiDict

from imgproc.cli import COMMANDS
from imgproc.cli.measuring import new_record
from imgproc.cli.parser import Parser
from imgproc.errors import UserError
from imgproc.operations import OPERATIONS
from imgproc.report import commands
from imgproc.runs.options import MODES, Mode, RunSettings
from imgproc.runs.parsing import parse_settings
from imgproc.runs.record import Record, TaskRecord
from imgproc.runs.store import Store
from imgproc.settings import Settings
from imgproc.web.form import parse_run

HTML = {"Accept": "text/html"}
LIMITS = Settings()


class Form(HTMLParser):
    """The fields of the form as a browser without scripts would send them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sent: list[tuple[str, str]] = []
        self.select, self.inside = "", False
        self.feed(text)

    def handle_starttag(self, tag: str, given: list[tuple[str, str | None]]) -> None:
        has = dict(given)
        name, value = has.get("name") or "", has.get("value", "on" if has.get("type") == "checkbox" else "") or ""
        if tag == "form":
            self.inside = "data-run-form" in has
        if tag == "select":
            self.select = name
        if not self.inside or "disabled" in has:
            return
        kind = has.get("type")
        if tag == "option" and self.select and "selected" in has:
            self.sent.append((self.select, value))
        if tag == "input" and name and kind != "file" and (kind not in ("checkbox", "radio") or "checked" in has):
            self.sent.append((name, value))


# Values that are no defaults, of every row that means something; of a text each, as typed.
GIVEN = st.fixed_dictionaries({}, optional={
    "operations": st.sampled_from(["canny", "gaussian,median", "equalize,gaussian+canny", "resize,canny"]),
    "technique": st.sampled_from(["threading", "multiprocessing", "futures-threads", "auto"]),
    "workers": st.sampled_from(["1", "2", "3"]),
    "rounds": st.integers(1, 20).map(str),
    "starts": st.sampled_from(["1", "4"]),
    "smallest_difference": st.sampled_from(["0", "2.5"]),
    "guess": st.sampled_from(["0", "1.9"]),
    "budget": st.sampled_from(["1", "12.5", "90"]),
    "format": st.sampled_from(["png", "jpeg", "webp"]),
    "color": st.sampled_from(["on", "off"]),
    "split": st.sampled_from(["auto", "never", "always"]),
    "depth": st.sampled_from(["high byte", "stretch"]),
    "canny_low": st.sampled_from(["5", "70.5"]),
    "canny_high": st.sampled_from(["150", "190.25"]),
    "l2gradient": st.sampled_from(["on", "off"]),
    "kernel": st.sampled_from(["3", "9", "0"]),
    "sigma": st.sampled_from(["0.75", "2"]),
    "cv2_threads": st.sampled_from(["1", "1,2"]),
})  # fmt: skip


def asked(mode: Mode, given: dict[str, str]) -> Record | None:
    """A record with these settings; None where they are not allowed together."""
    try:
        found = parse_settings(mode, {name: [text] for name, text in given.items()}, LIMITS)
    except UserError:
        return None
    return Record("ab12", mode, found)


def same(one: RunSettings, other: RunSettings, but: tuple[str, ...] = ()) -> bool:
    return all(getattr(one, name) == getattr(other, name) for name in vars(one) if name not in but)


@pytest.fixture(scope="module")
def form_of(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from app import create_app

    folder = tmp_path_factory.mktemp("links")
    app = create_app(
        Settings(UPLOADS_DIR=folder / "u", RESULTS_DIR=folder / "r", SECRET_KEY="for tests: abcdefghijklmnopqrstuvwxyz")
    )
    yield lambda query: Form(app.test_client().get(f"/?{query}", headers=HTML).text).sent
    app.config["PREVIEWS"].close()
    app.config["STORE"].close()


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(MODES), GIVEN)
def test_a_link_fills_every_setting_of_the_form(form_of: Any, mode: Mode, given: dict[str, str]) -> None:
    record = asked(mode, given)
    if record is None:
        return
    record.settings.seed = 4711  # drawn anew
    sent = form_of(commands.query(commands.fields(record)))
    again_mode, again = parse_run(MultiDict(sent), LIMITS)
    unmeant = {"sequential": ("technique", "workers"), "compare": ("technique",)}.get(mode, ())
    assert again_mode == mode and again.seed == 0
    # Parameters of operations that the run did without are not in its link.
    own = {p.name for name in record.settings.operations for p in OPERATIONS[name].parameters}
    assert all(again.parameters[name] == record.settings.parameters[name] for name in own)
    assert same(record.settings, again, ("seed", "parameters", "samples", "sample_megapixels", *unmeant))


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(MODES), GIVEN)
def test_the_command_asks_for_the_same(mode: Mode, given: dict[str, str]) -> None:
    record = asked(mode, given)
    if record is None:
        return
    record.settings.seed = 4711
    words = shlex.split(commands.command(record, ["a.jpg"]).partition("imgproc ")[2])
    parser = Parser(prog="x", description="x")
    __import__(f"imgproc.cli.{words[0]}")
    getattr(__import__("imgproc.cli", fromlist=[words[0]]), words[0]).add_arguments(parser)
    assert words[0] in COMMANDS
    again = new_record(mode, parser.parse_args(words[1:]), LIMITS).settings
    own = {p.name for name in record.settings.operations for p in OPERATIONS[name].parameters}
    assert all(again.parameters[name] == record.settings.parameters[name] for name in own)
    assert same(record.settings, again, ("parameters", *(("technique", "workers") if mode == "sequential" else ())))


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(MODES), GIVEN)
def test_the_request_of_curl_asks_for_the_same(mode: Mode, given: dict[str, str]) -> None:
    record = asked(mode, given)
    if record is None:
        return
    words = shlex.split(commands.curl(commands.fields(record, seed=True), "http://x/process", token=True))
    assert words[:5] == ["curl", "-H", "Authorization: Bearer $TOKEN", "-F", "images=@PHOTO.jpg"]
    assert words[-1] == "http://x/process" and set(words[5:-1:2]) <= {"-F"}
    again_mode, again = parse_run(MultiDict(one.split("=", 1) for one in words[6:-1:2]), LIMITS)
    own = {p.name for name in record.settings.operations for p in OPERATIONS[name].parameters}
    assert again_mode == mode
    assert all(again.parameters[name] == record.settings.parameters[name] for name in own)
    unmeant = {"sequential": ("technique", "workers"), "compare": ("technique",)}.get(mode, ())
    assert same(record.settings, again, ("parameters", "samples", "sample_megapixels", *unmeant))


def test_what_curl_takes_for_files_is_sent_as_text() -> None:
    line = commands.curl([("shown_as", "@etc"), ("class", "a;type=b"), ("mode", "scale")], "http://x/process")
    assert shlex.split(line)[3:] == [
        "--form-string", "shown_as=@etc", "--form-string", "class=a;type=b", "-F", "mode=scale", "http://x/process",
    ]  # fmt: skip


def test_the_form_has_its_settings_to_copy(client: FlaskClient) -> None:
    """As it is loaded, without scripts; what follows its changes gives the same."""
    preset = "mode=compare&techniques=threading,mpi&kernel=9&seed=7&class=pc-lab-7"
    page = client.get(f"/?{preset}", headers=HTML).text
    said = client.get(f"/typed.json?{preset}").get_json()
    assert said["link"].startswith("http://localhost/?mode=compare&") and said["link"].endswith(
        "&seed=7&kernel=9&class=pc-lab-7"
    )
    assert "compare PATHS " in said["command"] and "--kernel 9" in said["command"] and "--seed 7" in said["command"]
    assert "-F kernel=9" in said["curl"] and said["curl"].endswith("-F class=pc-lab-7 http://localhost/process")
    shown = re.sub(r"<[^>]+>", "", unescape(page))
    assert all(said[name] in shown for name in ("link", "command", "curl")) and not said["token"]
    assert 'id="typed-curl"' in client.get("/", headers=HTML).text
    wrong = client.get("/typed.json?kernel=4")
    assert wrong.status_code == 400 and wrong.get_json()["error"]["field"] == "kernel"
    assert client.get("/?kernel=4", headers=HTML).status_code == 200


@pytest.mark.browser
def test_in_a_browser_what_is_copied_follows_the_form(browser: Any, server: str) -> None:
    with browsing(browser, server) as open_page:
        page = open_page("/?mode=parallel&technique=threading")
        page.get_by_text("Copy these settings").click()
        curl = page.locator("#typed-curl")
        page.get_by_role("radio", name="Compare").check()
        page.locator("#typed-curl", has_text="mode=compare").wait_for()
        assert "technique" not in curl.inner_text()  # that a comparison has no use for
        page.get_by_label("Kernel").fill("9")
        page.locator("#typed-curl", has_text="kernel=9").wait_for()
        assert page.locator("#typed-command", has_text="--kernel 9").is_visible()
        page.get_by_label("Kernel").fill("4")
        page.locator("[data-typed-wrong]", has_text="Kernel").wait_for()
        assert not curl.is_visible()
        page.get_by_label("Kernel").fill("11")
        page.locator("#typed-link", has_text="kernel=11").wait_for()
        assert curl.is_visible() and not page.locator("[data-typed-wrong]").is_visible()
        page.goto(page.locator("#typed-link").inner_text())
        assert page.get_by_label("Kernel").input_value() == "11"
        assert page.get_by_role("radio", name="Compare").is_checked()


def test_several_techniques_are_ticked_and_compared(form_of: Any) -> None:
    sent = form_of("mode=compare&techniques=threading,futures-threads")
    assert parse_run(MultiDict(sent), LIMITS)[1].techniques == ["threading", "futures-threads"]
    assert parse_run(MultiDict(form_of("mode=compare")), LIMITS)[1].techniques == []
    assert ("worker_list", "1, 2") in form_of("mode=scale&workers=1,2")  # as the command line spells it


def test_a_function_of_ones_own_has_no_command() -> None:
    record = asked("compare", {})
    assert record is not None and commands.command(record)
    record.settings.operations = ["mine"]
    assert commands.command(record) == ""
    record.settings.operations, record.task = ["canny"], TaskRecord("f", 3)
    assert commands.command(record) == ""


# ---------------------------------------------------------------- the images of a run before


def mine(client: FlaskClient, make_run: MakeRun, **changes: Any) -> Record:
    """A run of this browser."""
    return make_run(owner=owner_in(client), **changes)


def test_edit_settings_keeps_the_images(client: FlaskClient, make_run: MakeRun, store: Store, app: Flask) -> None:
    run = mine(client, make_run)
    page = client.get(f"/runs/{run.id}", headers=HTML).text
    link = next(part for part in page.split('"') if part.startswith("/?mode=") and "images_of=" in part)
    form = client.get(link.replace("&amp;", "&"), headers=HTML).text
    assert "With the 3 images of" in form and f'name="images_of" value="{run.id}"' in form
    fields = dict(Form(form).sent) | {"rounds": "9", "mode": "parallel", "operations": "canny"}
    answer = client.post("/process", data=fields, headers={"Accept": "application/json"})
    assert answer.status_code == 202
    again = Record.load(app.config["SETTINGS"].RESULTS_DIR / answer.json["id"])
    assert again.settings.rounds == 9 and [i.name for i in again.images] == [i.name for i in run.images]
    uploads = app.config["SETTINGS"].UPLOADS_DIR
    assert all(
        (uploads / again.id / i.stored).read_bytes() == (uploads / run.id / i.stored).read_bytes() for i in again.images
    )


def test_compare_all_on_these_is_one_click(client: FlaskClient, make_run: MakeRun, app: Flask) -> None:
    run = mine(client, make_run)
    run.settings.parameters["kernel"] = 9
    run.save(app.config["SETTINGS"].RESULTS_DIR / run.id)
    page = client.get(f"/runs/{run.id}", headers=HTML).text
    assert "Compare all on these" in page
    inputs = page.partition('<form action="/process" method="post">')[2].partition("</form>")[0]
    sent = Form(f"<form data-run-form>{inputs}").sent
    answer = client.post("/process", data=MultiDict(sent), headers={"Accept": "application/json"})
    assert answer.status_code == 202
    again = Record.load(app.config["SETTINGS"].RESULTS_DIR / answer.json["id"])
    assert (again.mode, again.total, again.settings.parameters["kernel"]) == ("compare", 3, 9)
    assert (
        "Compare all on these"
        not in client.get(f"/runs/{mine(client, make_run, mode='compare').id}", headers=HTML).text
    )


@pytest.mark.parametrize("whose", ["other", ""])
def test_nobody_elses_images_are_used(whose: str, client: FlaskClient, make_run: MakeRun) -> None:
    mine(client, make_run)
    run = make_run(owner=whose)
    page = client.get(f"/runs/{run.id}", headers=HTML).text
    assert "images_of" not in page and "Use these settings" in page and "Compare all on these" not in page
    assert "images_of" not in client.get(f"/?images_of={run.id}", headers=HTML).text
    for run_id in (run.id, "nothing", "../../etc"):
        answer = client.post("/process", data={"images_of": run_id}, headers={"Accept": "application/json"})
        assert answer.status_code == 404 and "cannot be used here" in answer.json["error"]["message"]


def test_files_that_are_sent_come_before_those_of_a_run(client: FlaskClient, make_run: MakeRun, app: Flask) -> None:
    import io

    run = mine(client, make_run)
    data = {"images": (io.BytesIO(jpeg()), "new.jpg"), "images_of": run.id}
    answer = client.post("/process", data=data, headers={"Accept": "application/json"})
    again = Record.load(app.config["SETTINGS"].RESULTS_DIR / answer.json["id"])
    assert [image.name for image in again.images] == ["new.jpg"]


def test_images_that_are_gone_are_not_offered(client: FlaskClient, make_run: MakeRun, app: Flask) -> None:
    run = mine(client, make_run)
    for file in (app.config["SETTINGS"].UPLOADS_DIR / run.id).iterdir():
        file.unlink()
    assert "Use these settings" in client.get(f"/runs/{run.id}", headers=HTML).text
    answer = client.post("/process", data={"images_of": run.id}, headers={"Accept": "application/json"})
    assert answer.status_code == 409


def test_the_page_has_link_command_and_request(client: FlaskClient, make_run: MakeRun) -> None:
    run = make_run()
    page = client.get(f"/runs/{run.id}", headers=HTML).text
    assert 'id="again-link"' in page and 'id="again-command"' in page and "images=@PHOTO.jpg" in page
    query = commands.query(commands.fields(run))
    assert f"http://localhost/?{query}".replace("&", "&amp;") in page
    assert dict(parse_qsl(urlsplit(f"/?{query}").query))["operations"] == ",".join(run.settings.operations)


@pytest.mark.browser
def test_in_a_browser_settings_are_edited_on_the_same_images(
    browser: Any, server: str, runner: Any, photos: list[Path], store: Store
) -> None:
    with browsing(browser, server) as open_page:
        page = open_page("/?mode=compare&techniques=threading&rounds=7")
        assert page.get_by_label("Threads", exact=True).is_checked()
        assert not page.locator(".f-technique").is_visible()
        page.set_input_files("#images", photos)
        page.locator("[data-run]").click()
        page.locator(".verdict-line").wait_for()
        page.get_by_role("link", name="Edit settings").click()
        page.get_by_text("on the 3 images of that run").wait_for()
        page.get_by_role("radio", name="Parallel").check()
        page.locator("[data-run]").click()
        page.locator(".verdict-line").wait_for()
        page.get_by_role("button", name="Compare all on these").click()
        page.wait_for_url("**/runs/*")
        page.locator(".verdict-line").wait_for()
    rows, total = store.history()
    assert total == 3 and [row.mode for row in rows] == ["compare", "parallel", "compare"]
    assert all(row.images == 3 for row in rows)
