"""Runs side by side: what is told of them, records from elsewhere, the command and the page."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeRun, browsing
from figure_records import SCALES, SEVEN, fabricated
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st

from imgproc.cli import main
from imgproc.errors import UserError
from imgproc.measure.between import between
from imgproc.measure.derive import derive
from imgproc.report.differences import Side, compared, short_names, text
from imgproc.runs.elsewhere import read_foreign
from imgproc.runs.record import OutputRecord, Record, TaskRecord
from imgproc.web import comparing

HTML = {"Accept": "text/html"}


def concluded(record: Record) -> Record:
    derive(record.techniques, images=record.total, megapixels=record.megapixels)
    record.conclude()
    record.warn()
    return record


def run(base: float = 1.7, rows: Any = tuple(SEVEN), **changes: Any) -> Record:
    return concluded(fabricated(rows, base=base, **changes))


def sides(*records: Record) -> list[Side]:
    return [Side(name, record) for name, record in zip("ABCDEF", records, strict=False)]


def as_json(record: Record) -> bytes:
    return json.dumps(record.to_dict()).encode()


# ---------------------------------------------------------------- what is told


intervals = st.tuples(st.floats(0.001, 100), st.floats(0, 10)).map(lambda p: (p[0], p[0] + p[1]))


@settings(deadline=None)
@given(intervals, intervals)
def test_only_intervals_that_do_not_meet_tell_two_runs_apart(
    one: tuple[float, float], other: tuple[float, float]
) -> None:
    turned = {"faster": "slower", "slower": "faster"}
    said = between(one, other)
    assert said is not None and between(other, one) == turned.get(said, said)
    meet = max(one[0], other[0]) <= min(one[1], other[1])
    assert (said == "no measurable difference") == meet
    assert between(one, None) is None


def test_a_faster_machine_is_faster_with_every_technique() -> None:
    found = compared(sides(run(), run(base=0.9)))
    assert found.same_work and not found.slower
    assert {line.cells[1].verdict for line in found.lines} == {"faster"}
    assert "B: faster than A with all seven techniques" in found.headlines[0]
    assert compared(sides(run(base=0.9), run())).slower


def test_the_same_run_twice_differs_in_nothing() -> None:
    found = compared(sides(run(), run()))
    assert {line.cells[1].verdict for line in found.lines} == {"no measurable difference"}
    assert not any(row.differs for row in (*found.machine, *found.settings, *found.versions))
    assert "Machine, settings and versions are the same." in text(found)


def test_too_few_rounds_tell_nothing() -> None:
    found = compared(sides(run(rounds=3), run(base=0.2, rounds=3)))
    assert "too few rounds to tell with all seven" in found.headlines[0] and not found.slower


def test_what_differs_between_machines_is_marked_but_not_what_is_of_the_moment() -> None:
    one, other = run(), run()
    one.environment |= {"cpu": "Slow 1", "load_before": 0.1, "versions": {"numpy": "2.2"}}
    other.environment |= {"cpu": "Fast 9", "load_before": 3.9, "versions": {"numpy": "2.3"}}
    found = compared(sides(one, other))
    assert [row.label for row in found.machine if row.differs] == ["Processor"]
    assert [row.texts for row in found.versions if row.differs] == [["2.2", "2.3"]]


def other_images(record: Record) -> None:
    record.images[0].bytes, record.images[1].name = 77, "new.jpg"


def other_kernel(record: Record) -> None:
    record.settings.parameters["kernel"] = 9


def items(record: Record) -> None:
    record.images, record.task = [], TaskRecord("f", 12)


@pytest.mark.parametrize(("change", "said"), [
    (other_images, "The measured images differ, by name, size and bytes: 2 only in B and 2 only in A."),
    (other_kernel, "B does other work than A: Kernel differs."),
    (items, "B does other work than A: Function differs."),
])  # fmt: skip
def test_other_work_is_not_compared(change: Callable[[Record], None], said: str) -> None:
    one, other = run(), run(base=0.9)
    change(other)
    found = compared(sides(one, other))
    assert not found.same_work and not found.slower and said in found.warnings
    assert all(cell.verdict is None and cell.ratio is None for line in found.lines for cell in line.cells)
    assert "did not do the same work" in found.headlines[0]


def test_folders_are_not_what_makes_images_differ() -> None:
    one, other = run(), run()
    for image in other.images:
        image.name = f"C:\\pictures\\{image.name}"
    assert compared(sides(one, other)).same_work


def test_other_pixels_of_the_same_files_are_said() -> None:
    one, other = run(), run()
    for record, sign in ((one, "a"), (other, "b")):
        record.images[0].outputs = [OutputRecord("canny", "x.png", 5, sign * 64)]
    assert any("1 result of B and A have other pixels" in warning for warning in compared(sides(one, other)).warnings)


def test_other_workers_are_said_and_compared() -> None:
    one, other = run(), run(base=0.9)
    other.settings.workers = 8
    found = compared(sides(one, other))
    assert found.same_work and "Settings differ: Workers." in found.warnings


def test_several_and_of_other_kinds() -> None:
    found = compared(sides(run(), SCALES["two cores"], run(rows=SEVEN[:2], base=0.9)))
    assert not found.same_work and found.lines[0].cells[1].ratio is None  # which is no reason not to compare the third
    assert any(line.cells[2].verdict == "faster" for line in found.lines)
    assert len(found.headlines) == 2 and all(len(line.cells) == 3 for line in found.lines)
    assert text(found).count("not measured") > 3


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from(["a", "b", "run.json"]), min_size=1, max_size=3).map("/".join), min_size=1))
def test_short_names_are_as_many_and_all_different(names: list[str]) -> None:
    assert len(set(short_names(names))) == len(names)


# ---------------------------------------------------------------- from elsewhere


RECORDS = [run(), run(mode="parallel"), run(rounds=3)]


@pytest.mark.parametrize("record", RECORDS)
def test_our_own_records_are_read_and_verify(record: Record) -> None:
    foreign = read_foreign(json.dumps(record.to_dict()).encode(), "a.json")
    assert foreign.wrong == [] and foreign.record.techniques == record.techniques


def test_changed_figures_are_found() -> None:
    data = run().to_dict()
    data["techniques"][1]["speedup"] = 40.0
    foreign = read_foreign(json.dumps(data).encode(), "a.json")
    assert any("speedup is 40.0" in sentence for sentence in foreign.wrong)
    found = compared([Side("A", run()), Side("B", foreign.record, True, foreign.wrong)])
    assert "do not follow from its raw samples" in found.warnings[0] or "does not follow" in found.warnings[0]


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where there is a value that is no list or object, the first of each list only."""
    if isinstance(data, dict):
        return [place for key, value in data.items() for place in places(value, (*path, key))]
    if isinstance(data, list):
        return [place for value in data[:1] for place in places(value, (*path, 0))]
    return [path]


SAMPLE = run(rows=SEVEN[:3], images=2, rounds=6).to_dict()
NONSENSE = st.one_of(
    st.none(), st.booleans(), st.text(max_size=5), st.just("<script>"), st.lists(st.integers(), max_size=2),
    st.floats(), st.integers(-(10**30), 10**30), st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(places(SAMPLE)), NONSENSE), min_size=1, max_size=3))
def test_senseless_values_are_refused_or_told_never_raised(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    data = copy.deepcopy(SAMPLE)
    for (*path, last), value in changes:
        inner: Any = data
        try:
            for key in path:
                inner = inner[key]
            inner[last] = value
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change has taken the place away
    try:
        foreign = read_foreign(json.dumps(data).encode(), "a.json")
    except UserError as problem:
        assert problem.message.startswith("a.json")
        return
    other = Record.from_dict(copy.deepcopy(SAMPLE))
    assert text(compared([Side("A", other), Side("B", foreign.record, True, foreign.wrong)]))


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"schema": 1}', b"\xff", b"[" * 100_000, b'{"schema": NaN}'])
def test_what_is_no_record_is_refused(data: bytes) -> None:
    with pytest.raises(UserError, match=r"a\.json"):
        read_foreign(data, "a.json")


# ---------------------------------------------------------------- the command


@pytest.mark.parametrize(("base", "status"), [(1.7, 0), (0.9, 0), (2.9, 1)])
def test_diff_says_by_its_status_whether_anything_is_slower(
    base: float, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, record in (("a.json", run()), ("b.json", run(base=base))):
        record.write(tmp_path / name)
    assert main(["diff", str(tmp_path / "a.json"), str(tmp_path / "b.json")]) == status
    said = capsys.readouterr().out
    assert "Threads" in said and "b.json" in said


def test_diff_of_other_work_has_a_status_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = run(), run()
    other_images(other)
    for name, record in (("a.json", one), ("b.json", other)):
        record.write(tmp_path / name)
    assert main(["diff", str(tmp_path / "a.json"), str(tmp_path / "b.json")]) == 3
    assert "images differ" in capsys.readouterr().out


def test_diff_of_one_or_of_none_is_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run().write(tmp_path / "a.json")
    assert main(["diff", str(tmp_path / "a.json")]) == 2
    assert main(["diff", str(tmp_path / "a.json"), str(tmp_path / "none.json")]) == 2
    assert "two records or more" in capsys.readouterr().err


def test_a_terminal_is_told_to_do_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = run(), run()
    other.environment |= {"cpu": "\x1b[2J\x1b]0;owned\x07 fast\nFake: line", "versions": {"numpy\x1b[31m": "2"}}
    for name, record in (("a.json", one), ("b.json", other)):
        record.write(tmp_path / name)
    assert main(["diff", str(tmp_path / "a.json"), str(tmp_path / "b.json")]) == 0
    said = capsys.readouterr().out
    assert "fast" in said and all(line.isprintable() for line in said.split("\n"))
    assert not any(line.startswith("Fake") for line in said.splitlines())
    data = one.to_dict() | {"schema": "\x1b[2J" * 999}
    with pytest.raises(UserError) as refused:
        read_foreign(json.dumps(data).encode(), "a.json")
    assert refused.value.message.isprintable() and len(refused.value.message) < 300


# ---------------------------------------------------------------- the page


def post(client: FlaskClient, data: bytes, name: str = "laptop.json", accept: str = "text/html", **fields: str) -> Any:
    """A file and fields, in bytes of our own: the client's helper leaves files open."""
    parts = [f'--x\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items()]
    head = f'--x\r\nContent-Disposition: form-data; name="records"; filename="{name}"\r\n\r\n'
    body = "".join(parts).encode() + head.encode() + data + b"\r\n--x--\r\n"
    kind = "multipart/form-data; boundary=x"
    return client.post("/compare", data=body, content_type=kind, headers={"Accept": accept})


def test_runs_of_the_history_stand_side_by_side(client: FlaskClient, make_run: MakeRun) -> None:
    one, other = make_run(mode="compare", visible="public"), make_run(visible="public")
    listed = client.get("/runs", headers=HTML).text
    assert f'name="run" value="{one.id}"' in listed and 'action="/compare"' in listed
    page = client.get(f"/compare?run={one.id}&run={other.id}", headers=HTML)
    assert page.status_code == 200 and f'href="/runs/{other.id}"' in page.text
    assert "did not" not in page.text and "no measurable difference" in page.text
    assert client.get(f"/compare?run={one.id}&run={other.id}").mimetype == "text/plain"
    assert client.get(f"/compare?run={one.id}&run=nothing", headers=HTML).status_code == 404
    assert "Bring a record" in client.get("/compare", headers=HTML).text


def test_a_record_from_elsewhere_is_verified_marked_and_not_kept(client: FlaskClient, make_run: MakeRun) -> None:
    mine, theirs = make_run(mode="compare"), run()
    answer = post(client, as_json(theirs), run=mine.id)
    assert answer.status_code == 200
    assert "laptop.json<small>from elsewhere, verified</small>" in answer.text
    spoiled = copy.deepcopy(theirs)
    spoiled.techniques[0].median_seconds = 0.001
    answer = post(client, as_json(spoiled), run=mine.id)
    assert "from elsewhere, figures do not verify" in answer.text and "raw samples" in answer.text
    assert theirs.id not in client.get("/runs", headers=HTML).text


def test_a_record_of_the_command_line_opens_by_itself(client: FlaskClient) -> None:
    page = post(client, as_json(run())).text
    assert "<h1>laptop.json</h1>" in page and "from elsewhere, verified" in page and "Conditions</h2>" in page
    assert re.search(r"speedup \d\.\d\d×", page) and "no difference" not in page and "side by side</h1>" not in page


def test_text_of_a_record_from_elsewhere_is_text(client: FlaskClient, make_run: MakeRun) -> None:
    bad, theirs = "<img src=x onerror=alert(1)>", run()
    theirs.environment |= {"cpu": bad, "os": bad, "versions": {bad: bad}}
    theirs.images[0].name = bad
    theirs.techniques[0].label = bad
    theirs.findings = None
    theirs.conclude()
    answer = post(client, as_json(theirs), f"{bad}.json", run=make_run().id)
    assert answer.status_code == 200 and bad not in answer.text
    assert "&lt;img src=x onerror=alert(1)&gt;" in answer.text


@pytest.mark.parametrize(("data", "status", "said"), [
    (b"no", 400, "no run.json that can be read"),
    (b"x" * 3_000_000, 413, "may have up to 2 MB"),
    (b"x" * 20_000_000, 413, "may have up to 2 MB"),
])  # fmt: skip
def test_what_cannot_be_compared_is_refused_in_words(
    data: bytes, status: int, said: str, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "MOST_MEGABYTES", 2)
    answer = post(client, data, "a.json")
    assert answer.status_code == status and said in answer.text
    as_data = post(client, data, "a.json", "application/json")
    assert said in as_data.json["error"]["message"]


def test_too_many_runs_are_refused(client: FlaskClient, make_run: MakeRun) -> None:
    runs = "&".join(f"run={make_run().id}" for _ in range(comparing.MOST + 1))
    answer = client.get(f"/compare?{runs}", headers=HTML)
    assert answer.status_code == 400 and "Up to 6 runs stand side by side" in answer.text


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_a_browser_runs_are_ticked_and_a_record_is_brought(
    browser: Any, server: str, make_run: MakeRun, tmp_path: Path, scheme: str
) -> None:
    make_run(mode="compare", visible="public"), make_run(visible="public")
    run().write(tmp_path / "laptop.json")
    with browsing(browser, server) as open_page:
        page = open_page("/runs", color_scheme=scheme, viewport={"width": 320, "height": 800})
        for box in page.get_by_role("checkbox").all():
            box.check()
        page.get_by_role("button", name="Compare chosen").click()
        page.get_by_role("heading", name="Runs side by side").wait_for()
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(wide) <= 0
        page.get_by_label("Records").set_input_files(tmp_path / "laptop.json")
        page.get_by_role("button", name="Compare with 2 runs chosen").click()
        page.get_by_text("from elsewhere, verified").wait_for()
        assert page.evaluate(wide) <= 0
