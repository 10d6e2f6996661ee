"""The roofline of a run: what is counted of operations, the measured roofs, where operations lie, and what is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import MakeRun
from figure_records import fabricated
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.comparisons import compare
from imgproc.measure.bounds import MemoryUse, copy_bandwidth
from imgproc.measure.roofline import NARROW, Roof, Spot, peak_arithmetic, roofs, spots
from imgproc.operations import OPERATIONS, parse_parameters
from imgproc.operations.chain import chain
from imgproc.operations.contract import Operation
from imgproc.report import roofline as told
from imgproc.report.charts import figures, style
from imgproc.report.charts import roofline as figure
from imgproc.runs.record import Record
from imgproc.runs.verify import verify

ROOFS = {
    "cores_usable": 2, "copy_bytes_per_second": 2e10, "copy_bytes_per_second_of_one": 1e10,
    "arithmetic_per_second": 1e11, "arithmetic_per_second_of_one": 5e10,
}  # fmt: skip
GRAY, COLOUR = (40, 30), (40, 30, 3)

# ---------------------------------------------------------------- what is counted


def per_pixel(name: str, shape: tuple[int, ...] = GRAY, **parameters: str) -> float:
    return OPERATIONS[name].counted(shape, parse_parameters(parameters)) / (shape[0] * shape[1])


def test_the_blur_is_counted_as_it_is_done_by_hand() -> None:
    """A kernel of n taps takes n products and n - 1 sums across, and as many down."""

    class Counting:
        done = 0

        def __init__(self, value: float) -> None:
            self.value = value

        def __mul__(self, other: Counting) -> Counting:
            Counting.done += 1
            return Counting(self.value * other.value)

        def __add__(self, other: Counting) -> Counting:
            Counting.done += 1
            return Counting(self.value + other.value)

    for kernel in (3, 5, 9):
        taps = [Counting(1 / kernel) for _ in range(kernel)]
        for _direction in range(2):
            total = taps[0] * Counting(7.0)
            for tap in taps[1:]:
                total = total + tap * Counting(7.0)
        assert per_pixel("gaussian", kernel=str(kernel)) == Counting.done
        Counting.done = 0


def test_what_grows_with_parameters_and_channels_is_counted_so() -> None:
    assert per_pixel("gaussian", COLOUR, kernel="5") == 3 * per_pixel("gaussian", kernel="5")
    assert per_pixel("canny", aperture="5") > per_pixel("canny", aperture="3")
    assert per_pixel("equalize") == 2 and per_pixel("equalize", COLOUR) == 32
    # The circle of diameter 3 has five pixels: 2 to differ, a look-up and a weight, 2 for the sum, 1 for the weights'.
    assert per_pixel("bilateral", diameter="3") == 5 * 7 + 1
    assert per_pixel("bilateral", diameter="9") > 5 * per_pixel("bilateral", diameter="3")


def test_a_chain_counts_its_parts_and_nothing_where_one_is_not_counted() -> None:
    p = parse_parameters({})
    both = chain([OPERATIONS["gaussian"], OPERATIONS["sobel"]])
    assert both.counted(GRAY, p) == OPERATIONS["gaussian"].counted(GRAY, p) + OPERATIONS["sobel"].counted(GRAY, p)
    assert OPERATIONS["median"].counted(GRAY, p) == 0
    assert chain([OPERATIONS["gaussian"], OPERATIONS["median"]]).counted(GRAY, p) == 0
    # Edges of a colour image are gray, and what follows is done on one channel.
    after = chain([OPERATIONS["canny"], OPERATIONS["gaussian"]])
    assert after.counted(COLOUR, p) == OPERATIONS["canny"].counted(COLOUR, p) + OPERATIONS["gaussian"].counted(GRAY, p)


@pytest.mark.parametrize("operation", [one for one in OPERATIONS.values() if one.arithmetic], ids=lambda one: one.name)
def test_more_pixels_take_as_many_times_the_operations(operation: Operation) -> None:
    p = parse_parameters({})
    assert operation.counted((80, 30), p) == 2 * operation.counted(GRAY, p) > 0
    assert operation.counted(COLOUR, p) > operation.counted(GRAY, p)


# ---------------------------------------------------------------- roofs and points


def test_the_roofs_are_measured() -> None:
    peak, copied = peak_arithmetic(1), copy_bandwidth(1)
    # Whatever the core, it does more than a hundred million and less than ten thousand billion a second.
    assert 1e8 < peak < 1e13 and 1e8 < copied < 1e13
    # A loop in Python is far from the peak that NumPy reaches.
    side = np.ones((8, 8), np.float32)
    assert np.array_equal(side @ side, np.full((8, 8), 8, np.float32))


@given(st.floats(1e8, 1e12), st.floats(1e8, 1e13), st.floats(1e-3, 1e4))
def test_a_roof_is_the_lower_of_both_and_bends_at_its_ridge(copied: float, peak: float, intensity: float) -> None:
    roof = Roof(1, copied, peak)
    assert roof.at(intensity) <= peak and roof.at(intensity) <= intensity * copied
    assert roof.at(roof.ridge) == pytest.approx(peak)
    spot = Spot("canny", "sequential", intensity, roof.at(intensity) / 2, roof)
    assert spot.reached == pytest.approx(0.5)
    assert (spot.bound == "memory") == (intensity < roof.ridge)
    assert (spot.bound == "arithmetic") == (intensity >= roof.ridge and intensity >= NARROW * roof.ridge)


def test_points_are_operations_over_bytes_and_over_seconds() -> None:
    one, every = Roof(1, 1e10, 5e10), Roof(2, 2e10, 1e11)
    memory = [MemoryUse("canny", 1_000_000, 0.001, 9.0, 16e6), MemoryUse("median", 1_000_000, 0.01, 9.0)]
    (alone,) = spots(memory, one, every)
    assert (alone.operation, alone.intensity, alone.roof) == ("canny", 16.0, one)
    assert alone.rate == pytest.approx(16e9) and alone.bound == "either"
    threads = next(t for t in fabricated().techniques if t.name == "threading")
    threads.stages = {"canny": 0.0012, "encode": 1.0}
    _, shared = spots(memory, one, every, threads)
    assert shared.roof is every and shared.rate == pytest.approx(16e6 * threads.workers / 0.0012)


def test_a_run_of_an_earlier_version_has_none() -> None:
    assert roofs({"copy_bytes_per_second": 1e10}, 2) is None
    record = fabricated()
    record.memory = [MemoryUse("canny", 1000, 1.0, 2.0)]
    assert not list(told.sentences(record)) and figure.chart(record) is None


# ---------------------------------------------------------------- told


def with_roofs(record: Record, **counted: float) -> Record:
    record.environment |= ROOFS
    record.memory = [MemoryUse(name, 2_000_000, 0.002, 9.0, count * 1e6) for name, count in counted.items()]
    return record


def test_the_words_say_which_roof_and_how_near() -> None:
    record = with_roofs(fabricated(), canny=4.0, gaussian=18.0, equalize=2.0, median=0.0)
    said = " ".join(told.sentences(record)).replace("\u00a0", " ")
    assert "one core copies 10 GB/s and does 50 billion operations a second" in said
    assert "Below 5 operations for each byte memory is the lower roof" in said
    assert "equalize does 1 for each byte (memory is its lower roof) and reaches 10 % of its roof" in said
    # 9 for each byte lie between the ridge and four times the ridge.
    assert "gaussian does 9 for each byte (either may be its lower roof)" in said
    assert "None reaches half of its roof" in said and "Operations are counted by the definition" in said
    assert said.endswith("Not counted: median.")
    near = with_roofs(fabricated(), equalize=12.0)
    assert "At half of their roof or nearer to it: equalize." not in " ".join(told.sentences(near))
    near.memory[0].seconds = 0.0003
    assert "At half of their roof or nearer to it: equalize." in " ".join(told.sentences(near))


@pytest.mark.parametrize("narrow", [False, True])
def test_the_figure_has_each_point_below_its_roof(narrow: bool) -> None:
    record = with_roofs(fabricated(), canny=32.0, gaussian=18.0, equalize=2.0)
    made = next(chart for chart in figures(record) if chart.name == "roofline")
    axes = style.drawn(made, style.Style(narrow=narrow)).axes[0]
    points = {line.get_marker(): line.get_data() for line in axes.lines if line.get_marker() in "oD"}
    assert list(points["o"][0]) == [16.0, 9.0, 1.0]
    assert list(points["o"][1]) == pytest.approx([16.0, 9.0, 1.0])  # 2 ms for so many millions
    assert made.section == "bounds" and len(made.cells) == len(told.found(record)[0])  # type: ignore[index]
    lines = [line.get_data() for line in axes.lines if line.get_linestyle() == "-" and len(line.get_xdata()) == 3]
    assert any(list(y)[1:] == pytest.approx([50.0, 50.0]) for _, y in lines)


def test_a_measured_run_has_it_and_verifies(photos: list[Path]) -> None:
    record = compare(photos, techniques=["threading"], workers=2, rounds=2, budget=1)
    assert verify(record) == []
    area = sum(image.width * image.height for image in record.images)
    p = record.settings.parameters
    assert {one.operation: one.counted for one in record.memory} == {
        name: OPERATIONS[name].counted((1, area), p) for name in record.settings.operations
    }
    assert Record.from_dict(record.to_dict()).memory == record.memory
    known = told.found(record)
    assert known and {spot.operation for spot in known[0]} == set(record.settings.operations)
    assert all(spot.rate > 0 and spot.reached > 0 for spot in known[0])


def test_the_page_draws_it(client: FlaskClient, make_run: MakeRun) -> None:
    record = make_run(mode="compare")
    with_roofs(record, canny=32.0, equalize=2.0)
    record.save(Path(client.application.config["SETTINGS"].RESULTS_DIR) / record.id)
    page = client.get(f"/runs/{record.id}", headers={"Accept": "text/html"}).text
    assert f"/runs/{record.id}/figures/roofline.svg" in page and "Operations for each byte" in page
    assert client.get(f"/runs/{record.id}/figures/roofline.svg").data.startswith(b"<?xml")
