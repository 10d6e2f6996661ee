"""The figures of a record: what they say, how they are drawn, and how the web serves them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from itertools import combinations, pairwise
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from conftest import browsing, owner_in
from figure_records import BARS, CASES, GONE, SEVEN, SHARES, TWO, drawn, fabricated, marks, of, scaled, texts, words_of
from matplotlib.colors import to_rgb

from imgproc.errors import UserError
from imgproc.measure.results import TechniqueMeasurement
from imgproc.operations import DEFAULT_OPERATIONS, OPERATIONS
from imgproc.report.charts import figure, figures, kept, rounds, style
from imgproc.report.charts.chart import measured as shown_of
from imgproc.report.page import table
from imgproc.runs.record import Record

NAMES = ["speedup", "rounds", "stages"]
#: Every figure of every record that has it.
EVERY = [(case, f.name) for case, record in CASES.items() for f in figures(record)]


@pytest.fixture(params=BARS)
def record(request):
    return BARS[request.param]


# ---------------------------------------------------------------- drawn


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize(("case", "name"), EVERY)
def test_svg_is_well_formed_with_text_as_text_and_the_size_that_was_said(case, name, narrow):
    said = of(CASES[case], name)
    svg = figure(CASES[case], name, "svg", "light", narrow)
    root = ElementTree.fromstring(svg)
    width, height = said.narrow if narrow else said.wide
    assert width == (344 if narrow else 864)
    assert [float(root.get(side).removesuffix("pt")) / 0.75 for side in ("width", "height")] == [width, height]
    shown = [e.text for e in root.iter("{http://www.w3.org/2000/svg}text")]
    assert shown == [text for text, *_ in words_of(case, name, narrow)[0]]
    outside = [e.get(k) for e in root.iter() for k in e.attrib if k.endswith("href") and not e.get(k).startswith("#")]
    assert outside == []
    assert not re.search(rb"<script|<image|dc:date|dc:creator|matplotlib v", svg, re.IGNORECASE)


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_the_picture_names_every_technique_and_its_value(record, name, narrow):
    shown, alt = " ".join(texts(record, name, narrow)), of(record, name).alt
    for t in shown_of(record):
        value = re.search(re.escape(t.label) + r" ([^,]+?(?:, [^,]* waiting)?)(?:[,;.]\Z|, |; )", alt).group(1)
        assert t.label.split()[0] in shown
        assert (value.split(", ")[-1] if narrow else value) in shown


@pytest.mark.parametrize(("name", "case"), {name: case for case, name in EVERY}.items())
def test_png_has_twice_the_pixels_and_is_drawn_on_the_ground_of_its_theme(name, case):
    said = of(CASES[case], name)
    for theme, narrow, ground in (("light", False, 255), ("dark", True, 0x14)):
        png = figure(CASES[case], name, "png", theme, narrow)
        image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
        width, height = said.narrow if narrow else said.wide
        assert image.shape[:2] == (2 * height, 2 * width)
        assert image[-1, -1, 2] == ground and (image.shape[2] == 3 or image[..., 3].min() == 255)
        assert len(np.unique(image[..., :3].astype(np.uint32) @ np.array([1, 256, 65536], np.uint32))) > 10


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize(("case", "name"), EVERY)
def test_no_text_meets_another_or_leaves_the_figure(case, name, narrow):
    boxes, width, height = words_of(case, name, narrow)
    for text, left, top, right, bottom in boxes:
        assert left >= -1 and right <= width + 1, text
        assert top >= -1 and bottom <= height + 1, text
    for (one, left, top, right, bottom), (other, x0, y0, x1, y1) in combinations(boxes, 2):
        assert right <= x0 or x1 <= left or bottom <= y0 + 2 or y1 <= top + 2, (one, other)


def test_a_bar_a_mark_and_an_interval_for_every_speedup_and_lines_at_one_and_the_ideal():
    record = CASES["seven"]
    _, axes = drawn(record, "speedup")
    shown = shown_of(record)
    bars = {round(bar.get_y() + bar.get_height() / 2): bar for bar in axes.patches}
    assert [bars[k].get_x() + bars[k].get_width() for k in range(len(shown))] == [t.speedup for t in shown]
    found = {k: (hollow, x, [end for end, _ in ends]) for _, x, k, ends, hollow in marks(axes)}
    assert found == {
        k: (t.verdict == "no measurable difference", t.speedup, pytest.approx(t.speedup_ci95))
        for k, t in enumerate(shown)
        if t.name != "sequential"
    }
    assert any(hollow for hollow, *_ in found.values())
    lines = {made.get_segments()[0][0][0]: made.get_linestyle() for made in axes.collections[-2:]}
    assert lines.keys() == {1.0, 2.0} and lines[1.0] != lines[2.0]
    assert {"sequential", "ideal 2×", "no measurable difference"} <= set(texts(record, "speedup"))
    without = marks(drawn(CASES["no intervals"], "speedup")[1])
    assert all(hollow and not ends for *_, ends, hollow in without) and len(without) == 6


def test_every_round_is_a_dot_on_a_scale_that_holds_them_all(record):
    _, axes = drawn(record, "rounds")
    dots = [list(line.get_xdata()) for line in axes.lines]
    assert dots == [[r.wall_seconds for r in t.rounds] for t in shown_of(record)]
    walls = [wall for line in dots for wall in line]
    assert axes.get_xlim()[0] <= min(walls) and max(walls) <= axes.get_xlim()[1]
    assert (axes.get_xscale() == "log") == (max(walls) / min(walls) > rounds.LOGARITHMIC)


@pytest.mark.parametrize(
    ("low", "high", "unit", "said"),
    [
        (0, 0.614, "s", ["0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6"]),
        (0.84, 0.911, "s", ["0.84", "0.86", "0.88", "0.90"]),
        (0, 0.0421, "ms", ["0", "10", "20", "30", "40"]),
        (0, 1, "s", ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
    ],
)
def test_ticks_are_round_and_not_too_many(low, high, unit, said):
    values, written = style.ticks(low, high, 7)
    assert (written, style.time_unit(high)[0]) == (said, unit) and all(low <= value <= high for value in values)


def test_stages_are_stacked_in_the_order_of_the_work_and_make_up_the_workers_time(record):
    _, axes = drawn(record, "stages")
    assert of(record, "stages").columns == (*map(str.capitalize, SHARES), "Waiting")
    for k, t in enumerate(shown_of(record)):
        own = [bar for bar in axes.patches if round(bar.get_y() + bar.get_height() / 2) == k and bar.get_width()]
        widths = [bar.get_width() for bar in own]
        assert widths == [pytest.approx(t.stages[stage]) for stage in (*SHARES, "wait") if t.stages.get(stage)]
        assert [bar.get_x() for bar in own] == [pytest.approx(x) for x in (0, *np.cumsum(widths)[:-1])]
        assert sum(widths) == pytest.approx(t.workers * t.rounds[t.typical_round - 1].wall_seconds, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("narrow", [False, True])
def test_stages_that_look_alike_share_an_entry_of_the_legend(narrow):
    record = fabricated(TWO)
    record.settings.operations.append("emboss")
    for t in record.techniques:
        t.stages |= {"write": 0.1, "transfer": 0.05, "emboss": 0.2}
    expected = ["read, write", "decode", "canny", "gaussian", "equalize", "emboss", "encode", "transfer", "waiting"]
    (legend,) = drawn(record, "stages", narrow)[0].legends
    assert [text.get_text() for text in legend.get_texts()] == expected


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_stage_colours_differ_in_lightness_from_their_neighbours_and_an_operations_is_its_own(theme):
    stack = ["read", "decode", *DEFAULT_OPERATIONS, "encode", "write"]
    colours = np.array([[to_rgb(style.Style(theme).stage(name)[0]) for name in stack]], np.float32)
    levels = cv2.cvtColor(colours, cv2.COLOR_RGB2LAB)[0, :, 0]
    assert all(abs(a - b) >= 8 for a, b in pairwise(levels)), levels
    for name, operation in OPERATIONS.items():
        assert style.Style(theme).stage(name) == (getattr(operation.look, theme), "")


def test_other_pixels_are_hatched_have_no_speedup_and_it_is_said():
    record = fabricated()
    joblib = next(t for t in record.techniques if t.name == "joblib")
    joblib.identical, joblib.speedup, joblib.speedup_ci95, joblib.verdict = False, None, None, None
    assert "joblib" not in texts(record, "speedup")
    assert "Other pixels, so no speedup (hatched): joblib." in of(record, "rounds").sentence
    hatched = [bar for bar in drawn(record, "rounds")[1].patches if bar.get_hatch()]
    assert [bar.get_x() for bar in hatched] == [joblib.ci95[0]]


AGAIN = """
import hashlib, json, sys
from imgproc.report.charts import figure, figures
from imgproc.runs.record import Record
r = Record.from_dict(json.load(sys.stdin))
assert "matplotlib" not in sys.modules
made = {f.name + "." + t: figure(r, f.name, t) for f in figures(r) for t in ("svg", "png")}
print(json.dumps({name: hashlib.sha256(data).hexdigest() for name, data in made.items()}))
"""


@pytest.mark.parametrize("case", ["two", "scale, two cores"])
def test_the_same_bytes_in_another_process_whatever_its_matplotlibrc_and_no_matplotlib_before(case, tmp_path):
    ugly = "font.size: 30\nsvg.fonttype: path\naxes.facecolor: red\ntext.usetex: True\n"
    (tmp_path / "matplotlibrc").write_text(ugly)
    record = CASES[case]
    again = subprocess.run(
        [sys.executable, "-W", "error", "-c", AGAIN],
        input=json.dumps(record.to_dict()).encode(),
        capture_output=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])},
    )
    assert again.stderr == b""
    found = json.loads(again.stdout)
    assert len(found) == 2 * len(figures(record))
    for name, digest in found.items():
        assert hashlib.sha256(figure(record, *name.split("."))).hexdigest() == digest, name


def test_threads_draw_at_once_and_get_the_same():
    record, found = CASES["two"], []
    expected = [figure(record, name) for name in NAMES]
    threads = [threading.Thread(target=lambda n=n: found.append((n, figure(record, n)))) for n in NAMES * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(zip(NAMES * 3, expected * 3, strict=True))


# ---------------------------------------------------------------- what there is and what it says


def test_a_record_has_the_figures_that_its_data_allow_each_in_its_section():
    bars, why = [("rounds", "figures"), ("stages", "figures")], [("speedup", "summary"), ("waterfall", "why")]
    assert [(f.name, f.section) for f in figures(CASES["seven"])] == [*why, *bars]
    scale = [("scaling", "scaling"), ("grid", "scaling")]
    assert [(f.name, f.section) for f in figures(CASES["scale, two cores"])] == [*why, *scale, *bars]
    once = fabricated(TWO, rounds=1)
    assert [f.name for f in figures(once)] == ["speedup", "waterfall", "stages"]
    alone = fabricated([SEVEN[0]], mode="sequential")
    assert [f.name for f in figures(alone)] == ["rounds", "stages"]
    unstaged = fabricated(TWO)
    for t in unstaged.techniques:
        t.stages = t.breakdown = {}
    assert [f.name for f in figures(unstaged)] == ["speedup", "rounds"]
    assert figures(Record("0" * 12, "compare", alone.settings)) == []


@pytest.mark.parametrize("case", ["transfers", "scale, two cores"])
def test_several_measurements_of_one_technique_are_told_apart(case):
    record = CASES[case]
    labels = [t.label for t in shown_of(record)]
    assert len({t.name for t in record.techniques}) == 2 < len(set(labels)) == len(labels)
    for name in ("rounds", "stages"):
        bold = [text.get_text() for text in drawn(record, name)[1].texts if text.get_weight() == "bold"]
        assert bold[0].replace("\n", " ") == record.technique.label and len(bold) == 2
        assert [label for label, _ in of(record, name).cells] == labels


def test_scale_mode_is_listed_by_its_workers_with_the_baseline_last():
    labels = [label for label, _ in of(CASES["scale, two cores"], "rounds").cells]
    assert labels[:2] == ["Threads, 1 worker", "Threads, 2 workers"] and labels[-1] == "Sequential"
    assert labels[4] == "Threads, 1 worker with 2 OpenCV threads each"
    # Its bars differ in the number of workers only.
    record = scaled(2, [1, 2, 4], 0.05, inner=(1, 2))
    assert re.findall(r"(\w+ workers?) \d", of(record, "speedup").alt) == ["1 worker", "2 workers", "4 workers"]
    record.scaling = None  # it could not be put together
    assert "Threads, 1 worker with 2 OpenCV threads each 1." in of(record, "speedup").alt


def test_what_could_not_run_is_left_out():
    record = fabricated(TWO)
    record.techniques.append(GONE)
    record.techniques.append(TechniqueMeasurement("joblib", "joblib", reason="Its workers could not be started."))
    for made in figures(record):
        assert not {"CuPy", "joblib"} & set(texts(record, made.name))
        assert "CuPy" not in made.alt + made.sentence


def test_sentences_and_alternatives_give_the_values():
    record = CASES["seven"]
    speedup, rounds, stages = (of(record, name) for name in NAMES)
    best = record.technique
    low, high = best.speedup_ci95
    assert speedup.sentence.startswith(f"{best.label}: {best.speedup:.2f}× (95\u00a0% interval {low:.2f}–{high:.2f}), ")
    share = f"{round(best.speedup / 2 * 100)}\u00a0%"
    assert f"{share} of the ideal 2×; five techniques faster than sequential" in speedup.sentence
    assert speedup.sentence.endswith("one technique without a measurable difference.")
    for t in record.techniques:
        assert f"{t.label} {t.speedup:.2f}×" in speedup.alt
    within = r"the rounds lie within (\d|under 1)\u00a0% \(.+\) to \d\u00a0% \(.+\) of their median\.$"
    assert re.search(within, rounds.sentence)
    assert "The stage encode takes most of the work, 44\u00a0% with Sequential" in stages.sentence


@pytest.mark.parametrize(
    ("factor", "said"), [(1.01, "; faster than"), (2.0, "; no measurable difference to"), (3.0, "; slower than")]
)
def test_a_single_technique_against_sequential(factor, said):
    two = [SEVEN[0], ("threading", "Threads", 2, factor)]
    assert said in of(fabricated(two, mode="parallel", noise=0.03), "speedup").sentence
    assert of(fabricated(two, mode="parallel", rounds=3), "speedup").sentence.endswith("; too few rounds to be sure.")


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("twelve", ", more than the ideal 2×; "),  # not a share of it
        # Three measurements of one technique are not called techniques.
        ("transfers", "; two measurements faster than sequential, one measurement slower."),
    ],
)
def test_sentences_of_speedup_say(case, said):
    assert said in of(CASES[case], "speedup").sentence


def test_axes_say_what_they_measure_of_how_many_images_and_that_one_does_not_begin_at_zero():
    for case, said in {
        "seven": "Seconds for 12 images, axis not from zero",
        "twelve": "Seconds for 12 images, logarithmic axis",
        "instant": "Milliseconds for 12 images, axis not from zero",
    }.items():
        assert drawn(CASES[case], "rounds")[1].get_xlabel() == said
    for name, said in {
        "speedup": "Times as fast as sequential, with 95\u00a0% interval",
        "stages": "Seconds of all workers together, in the round nearest the median",
    }.items():
        _, axes = drawn(CASES["seven"], name)
        assert (axes.get_xlabel(), axes.get_xlim()[0]) == (said, 0)
    sampled = fabricated(TWO)
    sampled.sample = [0, 3, 5]
    assert drawn(sampled, "rounds")[1].get_xlabel().startswith("Seconds for 3 images")


def test_tables_hold_every_value():
    record = CASES["seven"]
    speedup, rounds, stages = (of(record, name) for name in NAMES)
    assert speedup.columns == ()
    assert rounds.columns == tuple(f"Round {k}" for k in range(1, 10))
    for made in (rounds, stages):
        assert [label for label, _ in made.cells] == [t.label for t in shown_of(record)]
        assert all(len(values) == len(made.columns) for _, values in made.cells)
    best = shown_of(record)[0]
    assert rounds.cells[0][1][0] == f"{best.rounds[0].wall_seconds:.3f}\u00a0s"


@pytest.mark.parametrize(
    ("name", "more", "message", "code"),
    [
        ("scaling", {}, "no such figure", "not_found"),
        *((name, {}, "no such figure", "not_found") for name in ("../run", "speedup/../../x", "", "Speedup")),
        ("speedup", {"format": "pdf"}, "format of a figure is svg or png, not “pdf”", None),
        ("speedup", {"theme": "blue"}, "theme of a figure is light or dark, not “blue”", None),
    ],
)
def test_unknown_figures_formats_and_themes_are_refused_and_nothing_is_written(tmp_path, name, more, message, code):
    with pytest.raises(UserError, match=message) as refused:
        kept(CASES["two"], tmp_path, name, **more)
    assert code in (None, refused.value.code)
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- kept


def test_a_figure_is_drawn_once_and_kept(tmp_path, monkeypatch):
    record, folder = CASES["two"], tmp_path / "run"
    folder.mkdir()
    first = kept(record, folder, "speedup", "svg", "dark", True)
    assert first == figure(record, "speedup", "svg", "dark", True)
    (file,) = (folder / "figures").iterdir()
    assert file.read_bytes() == first and file.name.startswith("speedup-narrow-dark")
    monkeypatch.setattr(style, "save", lambda *_: pytest.fail("it was drawn again"))
    assert kept(record, folder, "speedup", "svg", "dark", True) == first


def test_nothing_is_kept_before_the_end_or_where_nothing_can_be_written(tmp_path):
    record = fabricated(TWO)
    assert kept(record, tmp_path / "deleted", "speedup") == figure(record, "speedup")
    record.state = "running"
    kept(record, tmp_path, "speedup")
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- over the web


@pytest.fixture
def run(make_run):
    return make_run(mode="compare", techniques=CASES["seven"].techniques, best=CASES["seven"].best)


def test_the_route_serves_both_formats_themes_and_widths(client, run, settings):
    for format, kind in (("svg", "image/svg+xml"), ("png", "image/png")):
        answer = client.get(f"/runs/{run.id}/figures/speedup.{format}")
        assert (answer.status_code, answer.mimetype) == (200, kind)
        assert answer.data == figure(Record.load(settings.RESULTS_DIR / run.id), "speedup", format)
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; style-src 'unsafe-inline'; sandbox"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.cache_control.max_age == 3600
        assert "Content-Disposition" not in answer.headers
    answer = client.get(f"/runs/{run.id}/figures/speedup.png?download=1")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="speedup-lab-{run.id}-speedup.png"'
    queries = ["", "?theme=dark", "?narrow=1", "?theme=dark&narrow=1"]
    answers = [client.get(f"/runs/{run.id}/figures/rounds.svg{query}") for query in queries]
    assert [a.status_code for a in answers] == [200] * 4 and len({a.data for a in answers}) == 4


@pytest.mark.parametrize(
    "path",
    ["scaling.svg", "speedup.pdf", "speedup", "..%2frun.json", "speedup.svg?theme=blue", "speedup.svg?narrow=yes"],
)
def test_the_route_refuses_what_there_is_not(client, run, path):
    answer = client.get(f"/runs/{run.id}/figures/{path}", headers={"Accept": "application/json"})
    assert answer.status_code == (400 if "?" in path else 404)
    assert answer.json["error"]["message"].endswith(".")


def test_a_run_without_figures_has_none(client, make_run):
    queued = make_run(state="queued", mode="compare")
    for run_id in (queued.id, "f" * 12):
        assert client.get(f"/runs/{run_id}/figures/speedup.svg").status_code == 404
    assert 'id="figures"' not in client.get(f"/runs/{make_run(mode='sequential').id}").text


def test_the_page_shows_them_in_both_themes_and_widths(client, run):
    page = client.get(f"/runs/{run.id}").text
    assert page.index('id="numbers"') < page.index('id="figures"') < page.index('id="conditions"')
    for made in figures(run):
        # Both themes and widths and once more to take away; the small one of the summary has one width.
        assert page.count(f"/runs/{run.id}/figures/{made.name}.svg") == (3 if made.section == "summary" else 5)
        assert f"/runs/{run.id}/figures/{made.name}.png?download=1" in page
    found = re.findall(r'(?:src|srcset|href)="(/runs/\w+/figures/[^"]+)"', page)
    for address in set(found):
        assert client.get(address.replace("&amp;", "&")).status_code == 200, address


def test_a_deleted_run_takes_its_figures_along(client, make_run, settings):
    run = make_run(mode="compare", techniques=CASES["two"].techniques, owner=owner_in(client))
    assert client.get(f"/runs/{run.id}/figures/speedup.svg").status_code == 200
    assert (settings.RESULTS_DIR / run.id / "figures").is_dir()
    assert client.post(f"/runs/{run.id}/delete").status_code in (200, 303)
    assert not (settings.RESULTS_DIR / run.id).exists()


SEEN = """() => [...document.querySelectorAll('.fig picture img')].filter(i => i.offsetParent)
    .map(i => [i.currentSrc, i.complete && i.naturalWidth > 0, i.clientWidth, i.clientHeight])"""


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_a_browser_shows_the_figures_of_its_theme_and_width(browser, server, run, theme, width):
    with browsing(browser, server) as open_page:
        page = open_page(f"/runs/{run.id}", viewport={"width": width, "height": 900}, color_scheme=theme)
        for made in figures(run):
            page.locator(f"#figure-{made.name}").scroll_into_view_if_needed()
            page.wait_for_timeout(100)
        page.evaluate(
            "Promise.all([...document.querySelectorAll('.fig picture img')]"
            ".filter(i => i.offsetParent).map(i => i.decode()))"
        )
        seen = page.evaluate(SEEN)
        for (address, loaded, wide, high), made in zip(seen, figures(run), strict=True):
            assert loaded and f"/{made.name}.svg?theme={theme}" in address
            narrow = width == 360 or made.section == "summary"
            assert ("narrow=1" in address) == narrow
            ratio = made.narrow if narrow else made.wide
            assert wide / high == pytest.approx(ratio[0] / ratio[1], rel=0.02)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.browser
def test_an_svg_opened_by_itself_keeps_its_styles(browser, server, run):
    with browsing(browser, server) as open_page:
        page = open_page(f"/runs/{run.id}/figures/speedup.svg")
        styles = page.evaluate("() => [...document.querySelectorAll('text')].map(t => getComputedStyle(t).fontFamily)")
        assert styles and all("Segoe UI" in family for family in styles)


def test_figures_list_the_techniques_as_the_table_does_with_the_run_s_own_in_bold(record):
    order = [row.t.label for row in table(record) if row.t.median_seconds is not None]
    for name in NAMES:
        root = ElementTree.fromstring(figure(record, name))
        shown = list(root.iter("{http://www.w3.org/2000/svg}text"))
        labels = [e.text for e in shown if e.text in order]
        assert labels == [label for label in order if label in labels] and len(labels) > 1, name
        bold = {e.text for e in shown if re.search(r"font(-weight)?: ?(bold|700)", e.get("style", ""))}
        own = set() if record.found.outcome == "undecided" else {record.found.technique}
        assert bold & set(order) == own & set(labels), name
