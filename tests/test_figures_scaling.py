"""The figures of scale mode and the waterfall: what they say, and where their marks are."""

from __future__ import annotations

import re
from copy import deepcopy

import pytest
from figure_records import BARS, CASES, SCALES, SEVEN, drawn, fabricated, marks, measured, of, texts
from matplotlib.colors import to_hex, to_rgb, to_rgba

from imgproc.measure.breakdown import PARTS
from imgproc.measure.derive import derive
from imgproc.report.charts.grid import luminance
from imgproc.report.charts.style import COLOURS
from imgproc.report.charts.waterfall import change

TWO, EIGHT, MANY = (SCALES[name] for name in ("two cores", "eight cores", "many cores"))
NB = "\u00a0"


@pytest.fixture(params=SCALES)
def record(request):
    return SCALES[request.param]


def contrast(one, other):
    """By WCAG, 1 to 21."""
    low, high = sorted((luminance(to_rgb(one)), luminance(to_rgb(other))))
    return (high + 0.05) / (low + 0.05)


# ---------------------------------------------------------------- scaling


def points(axes, marker):
    """Those drawn with the marker: workers, speedup, the interval (None for none), and whether each is hollow."""
    found = [(x, y, [y for _, y in ends] or None, hollow) for m, x, y, ends, hollow in marks(axes) if m == marker]
    return sorted(found, key=lambda point: point[0])


@pytest.mark.parametrize("narrow", [False, True])
def test_every_measured_point_and_interval_is_where_its_speedup_is(record, narrow):
    _, axes = drawn(record, "scaling", narrow)
    data = record.scaling
    for marker, series in (("o", data.strong), ("D", [p for p in data.weak if p not in data.strong])):
        assert points(axes, marker) == [
            (p.workers, p.speedup, p.speedup_ci95 and pytest.approx(p.speedup_ci95), p.oversubscribed) for p in series
        ]


def test_points_of_both_kinds_stand_beside_each_other():
    _, axes = drawn(EIGHT, "scaling")
    asides = {
        line.get_marker(): line.get_transform().transform((8, 4))[0] - axes.transData.transform((8, 4))[0]
        for line, *_ in (made.lines for made in axes.containers)
    }
    assert asides == {"o": pytest.approx(-4), "D": pytest.approx(4)}


def lines(axes):
    """Those without markers, as their points."""
    return [[tuple(point) for point in line.get_xydata()] for line in axes.lines if line.get_marker() == "None"]


@pytest.mark.parametrize("narrow", [False, True])
def test_the_ideal_bends_flat_at_the_cores_which_are_marked(narrow):
    _, axes = drawn(EIGHT, "scaling", narrow)
    assert [(1, 1), (8, 8), (12, 8)] in lines(axes)
    assert [(8, 0), (8, 1)] in lines(axes)  # from the bottom to the top of the axes
    assert "8 cores" in texts(EIGHT, "scaling", narrow)


def test_without_oversubscription_the_ideal_is_straight_and_nothing_hollow():
    record = SCALES["two counts"]
    _, axes = drawn(record, "scaling")
    assert [(1, 1), (2, 2)] in lines(axes)
    assert not any(hollow for *_, hollow in points(axes, "o"))
    assert not any("cores" in text for text in texts(record, "scaling"))


def test_fitted_lines_pass_through_the_fitted_values_and_end_with_them(record):
    _, axes = drawn(record, "scaling")
    curves = [line for line in lines(axes) if len(line) > 8]
    fits = [fit for fit in (record.scaling.amdahl, record.scaling.gustafson, record.scaling.usl) if fit]
    assert len(curves) == len(fits)
    for fit, curve in zip(fits, curves, strict=True):
        expected = [pytest.approx(point) for point in fit.curve]
        assert [curve[0], curve[-1]] == [expected[0], expected[-1]]
        assert all(any(point == value for point in curve) for value in expected)


def test_the_two_kinds_of_scaling_differ_in_colour_marker_and_dash():
    _, axes = drawn(EIGHT, "scaling")
    looks = {made.lines[0].get_marker(): made.lines[0].get_markeredgecolor() for made in axes.containers}
    assert looks.keys() == {"o", "D"} and looks["o"] != looks["D"]
    laws = [line for line in axes.lines if len(line.get_xdata()) > 8]
    assert len({line.get_linestyle() for line in laws}) == 3
    for colours in COLOURS.values():
        assert contrast(colours["accent"], colours["solid"]) > 4.5 < contrast(colours["other"], colours["solid"])


@pytest.mark.parametrize("narrow", [False, True])
def test_lines_are_named_with_what_was_fitted(narrow):
    said = texts(EIGHT, "scaling", narrow)
    serial = f"{EIGHT.scaling.amdahl.serial * 100:.1f}{NB}% serial"
    names = {"ideal", "same images", "images grow with workers", f"Amdahl, {serial}", "more workers than cores"}
    assert names <= set(said)
    assert all(any(text.startswith(law) for text in said) for law in ("Gustafson, ", "USL"))


def test_a_share_of_serial_work_that_explains_nothing_or_missing_cores_is_not_shown():
    record = deepcopy(EIGHT)
    record.scaling.amdahl.serial_ci95 = None
    assert "Amdahl" in texts(record, "scaling")
    assert TWO.scaling.amdahl.oversubscribed
    said = texts(TWO, "scaling")
    assert "Amdahl, knows no cores" in said and not any("serial" in text for text in said)
    assert of(TWO, "scaling").sentence.endswith("which the laws that were fitted take for serial work.")


def test_threads_are_called_so():
    record = SCALES["one worker only"]
    said, made = texts(record, "scaling"), of(record, "scaling")
    assert "Threads" in said and not any("worker" in text for text in said)
    assert [label for label, _ in made.cells] == ["1 thread", "2 threads", "4 threads, more than cores"]
    assert "worker" not in made.sentence + made.alt


@pytest.mark.parametrize(("record", "scale"), [(MANY, "log"), (EIGHT, "linear")])
def test_many_counts_have_logarithmic_axes_and_all_hold_everything(record, scale):
    record = deepcopy(record)
    _, axes = drawn(record, "scaling")
    assert (axes.get_xscale(), axes.get_yscale()) == (scale, scale)
    assert scale == "log" or axes.get_ylim()[0] == 0
    data = record.scaling
    data.strong[-1].speedup, data.strong[-1].speedup_ci95 = 80.0, [70.0, 90.0]  # far above every line
    _, axes = drawn(record, "scaling")
    shown = [end for p in (*data.strong, *data.weak) for end in (p.speedup, *(p.speedup_ci95 or ()))]
    assert axes.get_ylim()[0] <= min(shown) and max(shown) <= axes.get_ylim()[1]
    assert axes.get_xlim()[0] < data.strong[0].workers and data.strong[-1].workers < axes.get_xlim()[1]


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


def test_without_two_counts_there_is_no_curve_and_without_two_numbers_of_threads_no_grid():
    record = deepcopy(TWO)
    record.scaling.strong, record.scaling.weak = record.scaling.strong[:1], []
    assert of(record, "scaling") is None
    record.scaling = None
    assert of(record, "scaling") is None is of(record, "grid")
    assert of(SCALES["two counts"], "grid") is None
    assert all(of(other, "scaling") is None is of(other, "grid") for other in BARS.values())


def test_points_without_a_speedup_are_left_out():
    record = deepcopy(EIGHT)
    record.scaling.strong[2].speedup = record.scaling.strong[2].speedup_ci95 = None
    missing, whole = (points(drawn(one, "scaling")[1], "o") for one in (record, EIGHT))
    assert missing == whole[:2] + whole[3:]
    assert of(record, "scaling").cells[2][1][1] == "–"


# ---------------------------------------------------------------- grid


@pytest.mark.parametrize("narrow", [False, True])
def test_the_grid_prints_every_speedup_and_outlines_the_best(narrow):
    _, axes = drawn(EIGHT, "grid", narrow)
    cells = EIGHT.scaling.grid
    shown = " ".join(texts(EIGHT, "grid", narrow))
    assert len(cells) == 18 and all(f"{cell.speedup:.2f}" in shown for cell in cells)
    (outline,) = axes.patches
    (best,) = (text for text in axes.texts if text.get_weight() == "bold")
    assert best.get_text().startswith(f"{max(cell.speedup for cell in cells):.2f}")
    assert tuple(map(int, best.get_position())) == outline.get_xy()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_text_of_a_cell_is_readable_and_more_speedup_is_more_ink(theme):
    figure, axes = drawn(EIGHT, "grid", theme=theme)
    figure.draw_without_rendering()
    mesh = axes.collections[0]
    speedups, fills = mesh.get_array().ravel(), [to_hex(colour) for colour in mesh.get_facecolors()]
    for text in axes.texts:
        x, y = text.get_position()
        assert contrast(text.get_color(), fills[int(y) * 3 + int(x)]) >= 4.5
    ordered = [contrast(fill, COLOURS[theme]["solid"]) for _, fill in sorted(zip(speedups, fills, strict=True))]
    assert len(ordered) == 18 and ordered == sorted(ordered)


def test_oversubscribed_cells_have_a_ring():
    _, axes = drawn(EIGHT, "grid")
    rings = sorted(tuple(map(int, place)) for place in axes.collections[1].get_offsets())
    cells = [cell for cell in EIGHT.scaling.grid if cell.oversubscribed]
    places = [1, 2, 4, 6, 8, 12], [1, 2, 4]
    assert rings == sorted((places[1].index(c.cv2_threads), places[0].index(c.workers)) for c in cells)
    assert "more threads than the 8 cores" in texts(EIGHT, "grid")


def test_a_cell_that_was_not_measured_or_has_other_pixels_has_no_colour():
    record = deepcopy(EIGHT)
    record.scaling.grid.pop(1)
    record.scaling.grid[0].speedup = record.scaling.grid[0].speedup_ci95 = None
    assert of(record, "grid").cells[0][1][:2] == ("–", "–")
    colours = drawn(record, "grid")[1].collections[0].get_array().ravel()
    assert list(colours.mask[:3]) == [True, True, False]


def test_words_and_table_of_the_grid():
    made, cells = of(TWO, "grid"), TWO.scaling.grid
    assert made.columns == ("1 thread each", "2 threads each")
    assert [label for label, _ in made.cells] == ["1 worker", "2 workers", "3 workers", "4 workers"]
    best = max(cells, key=lambda cell: cell.speedup)
    low, high = best.speedup_ci95
    reached = f"{best.speedup:.2f}× ({low:.2f}–{high:.2f})"
    assert made.sentence.startswith(f"Fastest is {best.workers} workers with 1 thread each, {reached}; slowest ")
    assert reached in made.alt and reached in made.cells[best.workers - 1][1]


# ---------------------------------------------------------------- waterfall


@pytest.mark.parametrize("case", CASES)
def test_parts_of_a_waterfall_add_up_to_the_measured_time(case):
    made, by_label = of(CASES[case], "waterfall"), {t.label: t for t in CASES[case].techniques}
    bars = drawn(CASES[case], "waterfall")[1].patches
    *names, last = map(str.lower, made.columns)
    assert (names[0], last) == ("ideal", "measured") and names == [name for name in PARTS if name in names]
    techniques = [by_label[label] for label, _ in made.cells]
    walls = [t.rounds[t.typical_round - 1].wall_seconds for t in techniques]
    for k, wall in enumerate(walls):
        *parts, whole = bars[k * len(made.columns) : (k + 1) * len(made.columns)]
        assert whole.get_x() == parts[0].get_x() and whole.get_width() == wall
        ends = [bar.get_x() + bar.get_width() for bar in parts]
        assert ends[-1] == pytest.approx(whole.get_x() + wall, rel=0.005, abs=1e-5)
        starts = [bar.get_x() for bar in parts[1:]]
        assert ends[:-1] == [pytest.approx(start, abs=max(walls) / 1000) for start in starts]


def labels(record):
    return [label for label, _ in of(record, "waterfall").cells]


def test_the_runs_technique_the_one_that_lost_most_and_one_that_moves_data_are_shown():
    record = fabricated()
    assert labels(record)[::2] == [record.technique.label, "joblib"]
    pool = next(t for t in record.techniques if t.label == "Process pool")
    pool.breakdown["transfer"] = 0.01
    assert labels(record) == [record.technique.label, "Process pool", "joblib"]
    # One worker of a scale run lost nothing.
    assert labels(TWO)[0] == TWO.technique.label and "Threads, 1 worker" not in labels(TWO)


def test_negative_parts_go_back_and_unknown_ones_are_drawn_too():
    record = fabricated([SEVEN[0], SEVEN[3]], mode="parallel")
    t = record.technique
    ideal = t.breakdown["ideal"]
    wall = t.rounds[t.typical_round - 1].wall_seconds
    t.breakdown = {"ideal": ideal, "contention": -0.2, "gossip": wall - ideal + 0.2, "caller": 0.0}
    made, (_, axes) = of(record, "waterfall"), drawn(record, "waterfall")
    assert made.columns == ("Ideal", "Contention", "Gossip", "Measured")
    assert made.cells[0][1][1] == f"−200{NB}ms"
    assert {f"−200{NB}ms", "gossip"} <= set(texts(record, "waterfall"))
    back = axes.patches[1]
    assert (back.get_x(), back.get_width()) == (ideal, pytest.approx(-0.2))
    assert back.get_edgecolor() == to_rgba(COLOURS["light"]["accent"]) != back.get_facecolor()


def test_words_and_table_of_a_waterfall():
    record = CASES["seven"]
    made = of(record, "waterfall")
    assert made.section == "why" and made.of == "Technique"
    assert made.columns[0] == "Ideal" and made.columns[-1] == "Measured"
    for t in record.techniques:
        if t.label in labels(record):
            wall = t.rounds[t.typical_round - 1].wall_seconds
            assert f"measured {wall:.{2 if wall >= 1 else 3}f}{NB}s" in made.alt
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


def test_a_single_technique_has_the_whole_width_and_without_a_breakdown_there_is_no_waterfall():
    record = fabricated([SEVEN[0]], mode="sequential")
    assert of(record, "waterfall") is None
    record = fabricated([SEVEN[0], SEVEN[3]], mode="parallel")
    (alone,), axes = labels(record), drawn(record, "waterfall")[1]
    assert alone == "Threads" and len(axes.patches) == len(axes.get_yticks())
    longest = axes.patches[-1].get_window_extent().width
    record.techniques.append(measured("joblib", "joblib", 2, 1.2))
    derive(record.techniques, images=12, megapixels=1.0)
    axes = drawn(record, "waterfall")[1]
    assert len(axes.patches) == 2 * len(axes.get_yticks())
    assert axes.patches[-1].get_window_extent().width < longest / 2
    for t in record.techniques:
        t.breakdown = {}
    assert of(record, "waterfall") is None
