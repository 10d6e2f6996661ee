"""The figures of scale mode and the waterfall: what they say, and where their marks are."""

from __future__ import annotations

import re
from copy import deepcopy
from itertools import pairwise

import pytest
from figure_records import BARS, CASES, SCALES, SEVEN, fabricated, measured

from imgproc.measure.breakdown import PARTS
from imgproc.measure.derive import derive
from imgproc.report.charts import CHARTS, drawing, figures
from imgproc.report.charts.grid import contrast, readable
from imgproc.report.charts.waterfall import change

TWO, EIGHT, MANY = (SCALES[name] for name in ("two cores", "eight cores", "many cores"))
NB = "\u00a0"


def of(record, name):
    return next((f for f in figures(record) if f.name == name), None)


def drawn(record, name, narrow=False, theme="light"):
    chart = CHARTS[name](record)
    return chart, drawing.Sheet(chart, theme, narrow)


def said(sheet):
    return [text.get_text() for text in sheet.axes.texts]


@pytest.fixture(params=SCALES)
def record(request):
    return SCALES[request.param]


# ---------------------------------------------------------------- scaling


def points(sheet, marker):
    """Where the points of a series are, with its interval bars left out, and whether each is hollow."""
    found = [line for line in sheet.axes.lines if line.get_marker() == marker]
    paper = sheet.colour("paper")
    return [(line.get_xdata()[0], line.get_ydata()[0], line.get_markerfacecolor() == paper) for line in found]


@pytest.mark.parametrize("narrow", [False, True])
def test_every_measured_point_is_where_its_speedup_is(record, narrow):
    chart, sheet = drawn(record, "scaling", narrow)
    plot, data = chart.plot(narrow), record.scaling
    for marker, series in (("o", data.strong), ("D", [p for p in data.weak if p not in data.strong])):
        there = points(sheet, marker)
        for point in series:
            near = [p for p in there if p[1] == pytest.approx(plot.y(point.speedup))]
            assert any(
                abs(x - plot.x(point.workers)) < 5.01 and hollow == point.oversubscribed for x, _, hollow in near
            )


@pytest.mark.parametrize("narrow", [False, True])
def test_every_interval_is_a_bar_from_end_to_end(record, narrow):
    chart, sheet = drawn(record, "scaling", narrow)
    plot = chart.plot(narrow)
    bars = [tuple(line.get_ydata()) for line in sheet.axes.lines if len(set(line.get_xdata())) == 1]
    for point in record.scaling.strong:
        if point.speedup_ci95:
            assert any(bar == pytest.approx([plot.y(end) for end in point.speedup_ci95]) for bar in bars)


def test_oversubscribed_points_are_hollow_and_no_others():
    _, sheet = drawn(EIGHT, "scaling")
    for marker in "oD":
        x, _, hollow = zip(*sorted(points(sheet, marker)[: -1 if marker == "o" else None]), strict=True)
        assert sum(hollow) >= 1 and hollow.index(True) > 0
        assert list(x) == sorted(x)


def dashed_lines(sheet, dash):
    style = drawing.Line2D([], [], linestyle=drawing.DASHES[dash])._unscaled_dash_pattern
    return [line for line in sheet.axes.lines if line._unscaled_dash_pattern == style]


@pytest.mark.parametrize("narrow", [False, True])
def test_the_ideal_bends_flat_at_the_cores_which_are_marked(narrow):
    chart, sheet = drawn(EIGHT, "scaling", narrow)
    plot = chart.plot(narrow)
    (ideal, *_) = (line for line in sheet.axes.lines if len(line.get_xdata()) == 3 and line.is_dashed())
    assert list(ideal.get_xdata()) == [pytest.approx(plot.x(p)) for p in (1, 8, 12)]
    assert list(ideal.get_ydata()) == [pytest.approx(plot.y(s)) for s in (1, 8, 8)]
    marks = [line for line in sheet.axes.lines if list(line.get_xdata()) == [plot.x(8)] * 2]
    assert any(max(line.get_ydata()) == plot.bottom and min(line.get_ydata()) < plot.top for line in marks)
    assert any(text.startswith("8 cores") for text in said(sheet))


def test_without_oversubscription_the_ideal_is_straight_and_nothing_hollow():
    _, sheet = drawn(SCALES["two counts"], "scaling")
    assert not any(hollow for _, _, hollow in points(sheet, "o"))
    assert not any("cores" in text for text in said(sheet))
    assert [line for line in sheet.axes.lines if len(line.get_xdata()) == 3 and line.is_dashed()] == []


@pytest.mark.parametrize("narrow", [False, True])
def test_fitted_lines_pass_through_the_fitted_values_and_end_with_them(record, narrow):
    chart, sheet = drawn(record, "scaling", narrow)
    plot, data = chart.plot(narrow), record.scaling
    curves = [line.get_xydata() for line in sheet.axes.lines if len(line.get_xdata()) > 8]
    fits = [fit for fit in (data.amdahl, data.gustafson, data.usl) if fit]
    assert len(curves) == len(fits)
    for fit in fits:
        ends = [(plot.x(p), plot.y(s)) for p, s in (fit.curve[0], fit.curve[-1])]
        assert any(tuple(c[0]) == pytest.approx(ends[0]) and tuple(c[-1]) == pytest.approx(ends[1]) for c in curves)
        for p, s in fit.curve:
            place = plot.x(p), plot.y(s)
            assert any(any(tuple(at) == pytest.approx(place) for at in c) for c in curves)
    assert all(plot.left <= x <= plot.right for c in curves for x, _ in c)


def test_the_two_kinds_of_scaling_differ_in_colour_marker_and_dash():
    _, sheet = drawn(EIGHT, "scaling")
    strong, weak = (next(line for line in sheet.axes.lines if line.get_marker() == marker) for marker in "oD")
    assert strong.get_markeredgecolor() != weak.get_markeredgecolor()
    laws = [line for line in sheet.axes.lines if len(line.get_xdata()) > 8]
    assert len({(line.get_color(), line._unscaled_dash_pattern[1] is None) for line in laws}) == 3
    for colours in drawing.COLOURS.values():
        assert contrast(colours["accent"], colours["solid"]) > 4.5 < contrast(colours["other"], colours["solid"])


@pytest.mark.parametrize("narrow", [False, True])
def test_lines_are_named_with_what_was_fitted(narrow):
    _, sheet = drawn(EIGHT, "scaling", narrow)
    serial = f"{EIGHT.scaling.amdahl.serial * 100:.1f}{NB}% serial"
    assert {"ideal", "same images", "images grow with workers", f"Amdahl, {serial}"} <= set(said(sheet))
    assert any(text.startswith("Gustafson, ") for text in said(sheet))
    assert any(text.startswith("USL") for text in said(sheet))


def test_a_fit_that_took_missing_cores_for_serial_work_shows_no_share():
    assert TWO.scaling.amdahl.oversubscribed
    _, sheet = drawn(TWO, "scaling")
    assert "Amdahl, knows no cores" in said(sheet) and not any("serial" in text for text in said(sheet))
    assert of(TWO, "scaling").sentence.endswith("which the laws that were fitted take for serial work.")


def test_a_share_that_explains_nothing_is_not_shown():
    record = deepcopy(EIGHT)
    record.scaling.amdahl.serial_ci95 = None
    _, sheet = drawn(record, "scaling")
    assert "Amdahl" in said(sheet)


def test_threads_are_called_so():
    record = SCALES["one worker only"]
    chart, sheet = drawn(record, "scaling")
    assert "Threads" in said(sheet) and not any("worker" in text for text in said(sheet))
    assert [label for label, _ in of(record, "scaling").cells] == [
        "1 thread",
        "2 threads",
        "4 threads, more than cores",
    ]
    assert "worker" not in chart.sentence + chart.alt


def test_many_counts_have_logarithmic_axes_that_hold_everything():
    plot = CHARTS["scaling"](MANY).plot(narrow=False)
    assert plot.x(16) - plot.x(8) == pytest.approx(plot.x(8) - plot.x(4))
    assert plot.y(8) - plot.y(16) == pytest.approx(plot.y(4) - plot.y(8))
    linear = CHARTS["scaling"](EIGHT).plot(narrow=False)
    assert linear.y(0) == linear.bottom and linear.x(8) - linear.x(4) == pytest.approx(2 * (linear.x(4) - linear.x(2)))
    for chart in (plot, linear):
        values = [end for one in chart.series for p in one.points for end in (p.speedup, *(p.speedup_ci95 or ()))]
        assert all(chart.top - 4 <= chart.y(value) <= chart.bottom for value in values)


def test_words_and_table_of_scaling_hold_its_numbers(record):
    made, data = of(record, "scaling"), record.scaling
    for point in data.strong:
        assert f"{point.speedup:.2f}×" in made.alt
    best = max(data.strong, key=lambda p: p.speedup)
    assert f": at most {best.speedup:.2f}×" in made.sentence
    rows = {label: dict(zip(made.columns, values, strict=True)) for label, values in made.cells}
    assert len(rows) == len(data.strong)
    for (_, row), point in zip(rows.items(), data.strong, strict=True):
        assert row["Speedup"] == f"{point.speedup:.2f}×"
        assert row["Ideal"] == f"{min(point.workers, data.cores)}×"
    assert ("Amdahl" in made.columns) == (data.amdahl is not None)
    assert ("Scaled speedup" in made.columns) == bool(data.weak)
    assert ("more than cores" in " ".join(rows)) == any(p.oversubscribed for p in data.strong)


def test_without_two_counts_there_is_no_curve():
    record = deepcopy(TWO)
    record.scaling.strong, record.scaling.weak = record.scaling.strong[:1], []
    assert of(record, "scaling") is None
    record.scaling = None
    assert of(record, "scaling") is None is of(record, "grid")
    assert all(of(other, "scaling") is None for other in BARS.values())


def test_points_without_a_speedup_are_left_out():
    record = deepcopy(EIGHT)
    record.scaling.strong[2].speedup = record.scaling.strong[2].speedup_ci95 = None
    _, sheet = drawn(record, "scaling")
    whole = drawn(EIGHT, "scaling")[1]
    assert len(points(sheet, "o")) == len(points(whole, "o")) - 1
    assert of(record, "scaling").cells[2][1][1] == "–"


# ---------------------------------------------------------------- grid


def test_the_grid_prints_every_speedup_and_outlines_the_best():
    for narrow in (False, True):
        chart, sheet = drawn(EIGHT, "grid", narrow)
        cells = EIGHT.scaling.grid
        assert len(cells) == 18
        shown = " ".join(said(sheet))
        assert all(f"{cell.speedup:.2f}" in shown for cell in cells)
        outline = [p for p in sheet.axes.patches if p.get_linewidth() > 1]
        best = next(t for t in sheet.axes.texts if t.get_weight() == "bold")
        assert len(outline) == 1 and best.get_text().startswith(f"{chart.best.speedup:.2f}")
        (x, y), (wide, high) = outline[0].get_xy(), (outline[0].get_width(), outline[0].get_height())
        assert x < best.get_position()[0] < x + wide and y < best.get_position()[1] < y + high


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_text_of_a_cell_is_readable_and_more_speedup_is_more_ink(theme):
    chart, sheet = drawn(EIGHT, "grid", theme=theme)
    fills = {}
    for cell, patch in zip(chart.cells, (p for p in sheet.axes.patches if p.get_linewidth() < 1), strict=True):
        fill = drawing.matplotlib.colors.to_hex(patch.get_facecolor())
        fills[cell.speedup] = contrast(fill, sheet.colour("solid"))
        x, y = patch.get_xy()
        inside = [
            t
            for t in sheet.axes.texts
            if x < t.get_position()[0] < x + patch.get_width() and y < t.get_position()[1] < y + patch.get_height()
        ]
        assert len(inside) == 2
        assert all(contrast(t.get_color(), fill) >= 4.5 for t in inside)
    ordered = [fills[speedup] for speedup in sorted(fills)]
    assert ordered == sorted(ordered)


def test_black_or_white_is_readable_on_every_gray():
    assert min(contrast(readable(f"#{k:02x}{k:02x}{k:02x}"), f"#{k:02x}{k:02x}{k:02x}") for k in range(256)) > 4.5


def test_oversubscribed_cells_have_a_ring():
    _, sheet = drawn(EIGHT, "grid")
    rings = [line for line in sheet.axes.lines if line.get_marker() == "o"]
    assert len(rings) == sum(cell.oversubscribed for cell in EIGHT.scaling.grid) + 1
    assert "more threads than the 8 cores" in said(sheet)


def test_a_cell_that_was_not_measured_or_has_other_pixels_has_no_colour():
    record = deepcopy(EIGHT)
    record.scaling.grid.pop(1)
    record.scaling.grid[0].speedup = record.scaling.grid[0].speedup_ci95 = None
    made = of(record, "grid")
    assert made.cells[0][1][:2] == ("–", "–")
    _, sheet = drawn(record, "grid")
    assert sheet.axes.patches[0].get_facecolor()[3] == 0


def test_words_and_table_of_the_grid():
    made, cells = of(TWO, "grid"), TWO.scaling.grid
    assert made.columns == ("1 thread each", "2 threads each")
    assert [label for label, _ in made.cells] == ["1 worker", "2 workers", "3 workers", "4 workers"]
    best = max(cells, key=lambda cell: cell.speedup)
    low, high = best.speedup_ci95
    reached = f"{best.speedup:.2f}× ({low:.2f}–{high:.2f})"
    assert made.sentence.startswith(f"Fastest is {best.workers} workers with 1 thread each, {reached}; slowest ")
    assert reached in made.alt and reached in made.cells[best.workers - 1][1]


def test_one_number_of_threads_makes_no_grid():
    assert of(SCALES["two counts"], "grid") is None
    assert all(of(other, "grid") is None for other in BARS.values())


# ---------------------------------------------------------------- waterfall


@pytest.mark.parametrize("case", CASES)
def test_parts_of_a_waterfall_add_up_to_the_measured_time(case):
    chart = CHARTS["waterfall"](CASES[case])
    by_label = {t.label: t for t in CASES[case].techniques}
    for panel in chart.panels:
        t = by_label[panel.label]
        wall = t.rounds[t.typical_round - 1].wall_seconds
        steps = chart.steps(panel)
        assert [step.name for step in (steps[0], steps[-1])] == ["ideal", "measured"]
        assert steps[-2].end == pytest.approx(wall, rel=0.005, abs=1e-5) and steps[-1].end == wall
        assert all(one.end == other.start for one, other in pairwise(steps[:-1]))
        names = [step.name for step in steps[:-1]]
        assert names == [name for name in PARTS if name in names]


@pytest.mark.parametrize("narrow", [False, True])
def test_bars_of_a_waterfall_are_on_one_scale(narrow):
    chart, sheet = drawn(CASES["seven"], "waterfall", narrow)
    widths = [p.get_width() for p in sheet.axes.patches if p.get_facecolor() == to_rgba(sheet, "accent")]
    walls = [panel.wall for panel in chart.panels]
    assert [wide / widths[0] for wide in widths] == [pytest.approx(wall / walls[0]) for wall in walls]


def to_rgba(sheet, name):
    return drawing.matplotlib.colors.to_rgba(sheet.colour(name))


def test_the_runs_technique_the_one_that_lost_most_and_one_that_moves_data_are_shown():
    record = fabricated()
    assert [panel.label for panel in CHARTS["waterfall"](record).panels][::2] == [record.technique.label, "joblib"]
    pool = next(t for t in record.techniques if t.label == "Process pool")
    pool.breakdown["transfer"] = 0.01
    labels = [panel.label for panel in CHARTS["waterfall"](record).panels]
    assert labels == [record.technique.label, "Process pool", "joblib"]


def test_one_worker_of_a_scale_run_lost_nothing_and_is_not_shown():
    labels = [panel.label for panel in CHARTS["waterfall"](TWO).panels]
    assert labels[0] == TWO.technique.label and "Threads, 1 worker" not in labels


def test_negative_parts_go_back_and_unknown_ones_are_drawn_too():
    record = fabricated([SEVEN[0], SEVEN[3]], mode="parallel")
    t = record.technique
    ideal = t.breakdown["ideal"]
    wall = t.rounds[t.typical_round - 1].wall_seconds
    t.breakdown = {"ideal": ideal, "contention": -0.2, "gossip": wall - ideal + 0.2, "caller": 0.0}
    chart, sheet = drawn(record, "waterfall")
    steps = chart.steps(chart.panels[0])
    assert [step.name for step in steps] == ["ideal", "contention", "gossip", "measured"]
    assert steps[1].end < steps[1].start == ideal and steps[1].said == f"−200{NB}ms"
    assert f"−200{NB}ms" in said(sheet) and "gossip" in said(sheet)
    back = sheet.axes.patches[1]
    assert back.get_edgecolor() == to_rgba(sheet, "accent") != back.get_facecolor()


def test_words_and_table_of_a_waterfall():
    record = CASES["seven"]
    made, panels = of(record, "waterfall"), CHARTS["waterfall"](record).panels
    assert made.section == "why" and made.of == "Technique"
    assert made.columns[0] == "Ideal" and made.columns[-1] == "Measured"
    assert [label for label, _ in made.cells] == [panel.label for panel in panels]
    for panel in panels:
        wall = f"{panel.wall:.{2 if panel.wall >= 1 else 3}f}{NB}s"
        assert f"measured {wall}" in made.alt
    part = rf"\+\d+{NB}ms"
    assert re.search(rf"; joblib {part}, above all contention \({part}\)\.$", made.sentence)


@pytest.mark.parametrize(
    ("value", "longest", "shown"),
    [
        (0.0349, 1.7, "+35 ms"),
        (-0.0004, 0.15, "−0.4 ms"),
        (0.0004, 1.7, "0"),
        (-0.0004, 1.7, "0"),
        (1.35, 1.8, "+1,350 ms"),
        (1.35, 30.0, "+1.35 s"),
        (0.0000123, 0.0015, "+0.012 ms"),
    ],
)
def test_what_a_part_adds_is_as_exact_as_the_time_beside_it(value, longest, shown):
    assert change(value, longest) == shown.replace(" ", NB)


def test_no_breakdown_no_waterfall():
    record = fabricated([SEVEN[0]], mode="sequential")
    assert of(record, "waterfall") is None
    record = fabricated([SEVEN[0], SEVEN[3]], mode="parallel")
    record.technique.breakdown = {}
    assert of(record, "waterfall") is None


def test_a_single_technique_has_the_whole_width():
    record = fabricated([SEVEN[0], SEVEN[3]], mode="parallel")
    assert len(CHARTS["waterfall"](record).panels) == 1
    extra = measured("joblib", "joblib", 2, 1.2)
    record.techniques.append(extra)
    derive(record.techniques, images=12, megapixels=1.0)
    assert len(CHARTS["waterfall"](record).panels) == 2
