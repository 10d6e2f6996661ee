"""One image in strips has the pixels of the whole image, whatever is cut and however."""

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strip_pictures import BLURS, IN_STRIPS, PICTURES, Case, case, noise, parameters, picture, snake, soft, some_strips

from benchmarks.one_image import apply_in_strips
from imgproc.intake.samples import draw
from imgproc.operations import OPERATIONS, histogram, parse_parameters
from imgproc.operations.canny import cpu as edges
from imgproc.operations.canny import undecided
from imgproc.operations.equalize import cpu as levels
from imgproc.operations.gaussian import cpu as blur
from imgproc.operations.rows import Rows, cut

DEFAULTS = parse_parameters({})


@pytest.fixture(autouse=True)
def one_thread():
    cv2.setNumThreads(1)


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(3) as pool:
        yield pool


@pytest.fixture
def small_steps(monkeypatch):
    """Blocks and searches so small that small pictures need many."""
    monkeypatch.setattr(edges, "_BLOCK", 300)
    monkeypatch.setattr(blur, "_BLOCK", 200)
    monkeypatch.setattr(blur, "_BORDERS", 0)
    monkeypatch.setattr(levels, "_BLOCK", 200)
    monkeypatch.setattr(histogram, "_MANY", 600)
    monkeypatch.setattr(histogram, "_PAIRS", 400)
    monkeypatch.setattr(undecided, "_NEAR", 2)
    monkeypatch.setattr(undecided, "_LOOK", 0)


def wrong_pixels(case: Case, run=map) -> int:
    whole = OPERATIONS[case.name].apply(case.image, case.parameters)
    split = apply_in_strips(OPERATIONS[case.name], case.image, case.parameters, case.strips, run)
    assert (split.shape, split.dtype) == (whole.shape, whole.dtype)
    return int(np.count_nonzero(split != whole))


def check(seed: int, count: int, pool: ThreadPoolExecutor, largest: int = 56) -> None:
    for number in range(count):
        tried = case(np.random.default_rng([seed, number]), largest)
        wrong = wrong_pixels(tried, pool.map if number % 4 == 0 else map)
        assert wrong == 0, f"{wrong} wrong pixels: seed {seed}, case {number}: {tried}"


@pytest.mark.parametrize("seed", range(6))
def test_every_pixel_of_3000_cases(seed, pool, small_steps):
    check(seed, 500, pool)


@pytest.mark.parametrize("seed", range(10, 14))
def test_every_pixel_of_1200_more_cases_at_usual_steps(seed, pool):
    check(seed, 300, pool)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(100, 110))
def test_every_pixel_of_100000_cases(seed, pool, request):
    if seed % 2:
        request.getfixturevalue("small_steps")
    check(seed, 10_000, pool, largest=32)


SIDES = st.integers(1, 40)


@st.composite
def cases(draw):
    """Cases that hypothesis can shrink: size, strips and parameters one by one."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    height, width = draw(SIDES), draw(SIDES)
    paint = draw(st.sampled_from(PICTURES))
    image = paint(rng, height, width)
    if draw(st.booleans()):
        image = np.stack([image, paint(rng, height, width), image[::-1]], axis=2)
    inner = draw(st.sets(st.integers(1, height - 1), max_size=8)) if height > 1 else set()
    at = [0, *sorted(inner), height]
    values = DEFAULTS | {name: draw(strategy) for name, strategy in VALUES.items()} | draw(BLURS)
    values["canny_low"] = min(values["canny_low"], values["canny_high"])
    name = draw(st.sampled_from(sorted(IN_STRIPS)))
    return Case(paint.__name__, name, image, values, tuple(map(Rows, at[:-1], at[1:])))


VALUES = {
    "canny_low": st.integers(0, 600) | st.integers(0, 240_000),
    "canny_high": st.integers(0, 240_000) | st.integers(0, 10_000) | st.integers(0, 600),
    "thresholds": st.sampled_from(["raw", "scaled", "auto"]),
    "aperture": st.sampled_from([3, 5, 7]),
    "l2gradient": st.booleans(),
}


@settings(max_examples=1000, deadline=None)
@given(cases())
def test_no_pixel_differs(case):
    assert wrong_pixels(case) == 0


@pytest.mark.parametrize("l2", [False, True])
@pytest.mark.parametrize("aperture", [3, 5, 7])
def test_a_snake_through_every_cut_is_kept_to_its_tail(aperture, l2, pool):
    gain = {3: 4, 5: 48, 7: 640}[aperture]
    values = DEFAULTS | {"canny_low": 4 * gain, "canny_high": 15 * gain, "aperture": aperture, "l2gradient": l2}
    merged = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        image = snake(rng, 60 + seed, 90 - seed)
        for parts in (cut(len(image), 2), cut(len(image), 7), cut(len(image), len(image))):
            assert wrong_pixels(Case("snake", "canny", image, values, parts), pool.map) == 0
        merged += alone_is_wrong(image, values, cut(len(image), 7))
    assert merged >= 15  # without merging, half of them at least were lost


def alone_is_wrong(image, values, parts) -> bool:
    out = np.empty(image.shape[:2], np.uint8)
    for rows in parts:
        OPERATIONS["canny"].strips.phases[0].work(image, out, rows, values, None)
    return not np.array_equal(out, OPERATIONS["canny"].apply(image, values))


@pytest.mark.parametrize("name", IN_STRIPS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (3, 1), (1, 1, 3), (5, 1, 3), (1, 5, 3)])
def test_the_smallest_images(name, shape):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        image = rng.integers(0, 256, shape, np.uint8)
        for parts in (cut(shape[0], 1), cut(shape[0], shape[0])):
            assert wrong_pixels(Case("tiny", name, image, parameters(rng), parts)) == 0


@pytest.mark.parametrize("kernel", [3, 31, 99, 301])
@pytest.mark.parametrize("height", [1, 2, 3, 20, 49, 50, 51, 120])
def test_kernels_larger_than_strip_and_image(kernel, height):
    image = noise(np.random.default_rng(height), height, 23)
    for count in (2, 5, height):
        values = {"kernel": kernel, "sigma": 0.0}
        assert wrong_pixels(Case("noise", "gaussian", image, values, cut(height, count))) == 0


@pytest.mark.parametrize("thresholds", [(0, 0), (0, 255), (255, 255), (100, 100), (0, 240_000), (240_000, 240_000)])
@pytest.mark.parametrize("paint", sorted(set(PICTURES), key=lambda paint: paint.__name__))
def test_thresholds_at_their_ends(thresholds, paint):
    low, high = thresholds
    for seed in range(5):
        rng = np.random.default_rng(seed)
        image = picture(rng, paint, 60)
        values = parameters(rng) | {"canny_low": low, "canny_high": high}
        assert wrong_pixels(Case(paint.__name__, "canny", image, values, some_strips(rng, len(image)))) == 0


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("name", IN_STRIPS)
def test_photographs_in_strips_on_threads(name, color, pool):
    for index in range(4):
        image = draw(index, 0.6)
        image = image if color else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        for aperture in (3, 5, 7):
            values = DEFAULTS | {"aperture": aperture, "kernel": 2 * aperture + 1, "l2gradient": index % 2 == 1}
            assert wrong_pixels(Case("photograph", name, image, values, cut(len(image), 3 + index)), pool.map) == 0


@pytest.mark.parametrize("shape", [(3, 70_000), (70_000, 3), (40, 66_000)])
def test_sides_above_65535(shape, pool):
    image = soft(np.random.default_rng(1), *shape)
    for name in IN_STRIPS:
        assert wrong_pixels(Case("long", name, image, DEFAULTS, cut(shape[0], 4)), pool.map) == 0


def test_a_count_above_what_float32_holds_is_exact():
    """2^24 + 1 black pixels: one more or less changes the table of the others."""
    counts = np.zeros(256, np.int64)
    counts[[0, 100, 101, 255]] = 5, 2**24 + 1, 2**24 + 3, 7
    table = levels.table(np.empty(0, np.uint8), [], [counts, counts * 0])
    total = np.float32(int(counts.sum()) - 5)
    sums = [0, *(int(s) for s in np.cumsum(counts[1:]))]
    assert table.tolist() == [int(np.rint(np.float32(s) * (np.float32(255) / total))) for s in sums]


@pytest.mark.parametrize("shape", [(4097, 4097), (1, 2**25 + 3)])
def test_pixels_are_counted_exactly_however_many(shape):
    image = np.zeros(shape, np.uint8)
    image[:, -5:] = 9, 9, 9, 200, 201
    image[0, 1] = 9
    counts = levels.histogram(image, image, Rows(0, shape[0]), DEFAULTS, None)
    wanted = {0: image.size - 5 * shape[0] - 1, 9: 3 * shape[0] + 1, 200: shape[0], 201: shape[0]}
    assert {gray: int(counts[gray]) for gray in np.flatnonzero(counts)} == wanted


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("name", IN_STRIPS)
def test_a_strip_writes_its_own_rows_and_only_these(name, color, small_steps):
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (40, 30, 3) if color else (40, 30), np.uint8)
    before = image.copy()
    image.setflags(write=False)  # as workers may map it
    values, parts = OPERATIONS[name].adapted(image, parameters(rng)), (Rows(0, 11), Rows(11, 12), Rows(12, 40))
    given = None
    for phase in OPERATIONS[name].strips.phases:
        out, partials = np.full(OPERATIONS[name].result_shape(image.shape, values), 77, np.uint8), []
        for rows in parts:
            outside = np.delete(out, range(*rows), axis=0)
            partials.append(phase.work(image, rows.of(out), rows, values, given))
            assert np.array_equal(np.delete(out, range(*rows), axis=0), outside)
        given = phase.merge(out, parts, partials)
    assert np.array_equal(out, OPERATIONS[name].apply(before, values))
    assert np.array_equal(image, before)


@pytest.mark.parametrize("name", IN_STRIPS)
def test_a_strip_done_again_changes_nothing(name):
    """A worker may die within a strip, and its strip is given to another."""
    rng = np.random.default_rng(5)
    image = snake(rng, 50, 60)
    values, parts, given = OPERATIONS[name].adapted(image, parameters(rng)), cut(50, 4), None
    out = rng.integers(0, 256, OPERATIONS[name].result_shape(image.shape, values), np.uint8)
    for phase in OPERATIONS[name].strips.phases:
        phase.work(image, parts[1].of(out), parts[1], values, given)
        out[parts[1].start : parts[1].stop - 3] = 9
        given = phase.merge(out, parts, [phase.work(image, rows.of(out), rows, values, given) for rows in parts])
    assert np.array_equal(out, OPERATIONS[name].apply(image, values))


@pytest.mark.parametrize("name", IN_STRIPS)
def test_what_crosses_a_process_border_is_small(name):
    image = cv2.cvtColor(draw(1, 2), cv2.COLOR_BGR2GRAY)
    out, parts, given = np.empty(image.shape, np.uint8), cut(len(image), 4), None
    for phase in OPERATIONS[name].strips.phases:
        phase = pickle.loads(pickle.dumps(phase))
        sent = pickle.dumps([phase.work(image, rows.of(out), rows, DEFAULTS, given) for rows in parts])
        assert len(sent) < image.size // 20
        given = pickle.loads(pickle.dumps(phase.merge(out, parts, pickle.loads(sent))))
    assert np.array_equal(out, OPERATIONS[name].apply(image, DEFAULTS))


def test_ipp_stays_as_it_was_in_other_threads():
    """Strips of aperture 5 switch IPP off for themselves only."""
    inside, go_on = threading.Event(), threading.Event()
    seen = []

    def other():
        inside.wait(10)
        seen.append(cv2.ipp.useIPP())
        go_on.set()

    thread = threading.Thread(target=other)
    thread.start()
    before = cv2.ipp.useIPP()
    image = noise(np.random.default_rng(0), 20, 20)
    out = np.empty_like(image)
    inside.set()
    OPERATIONS["canny"].strips.phases[0].work(image, out, Rows(0, 20), parse_parameters({"aperture": 5}), None)
    assert go_on.wait(10)
    thread.join()
    assert seen == [before] and cv2.ipp.useIPP() == before


@pytest.mark.parametrize(("height", "count"), [(1, 1), (1, 8), (7, 3), (100, 4), (5, 5), (3, 0)])
def test_a_cut_covers_every_row_once_in_nearly_equal_strips(height, count):
    parts = cut(height, count)
    assert [row for rows in parts for row in range(*rows)] == list(range(height))
    heights = [rows.stop - rows.start for rows in parts]
    assert max(heights) - min(heights) <= 1
    assert len(parts) == max(1, min(count, height))
