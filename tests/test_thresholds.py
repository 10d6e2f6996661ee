"""What the thresholds of Canny mean: as they are, scaled to the aperture, or taken from the picture."""

import time

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strip_pictures import GAIN, MOST, carried_out, job, noise, picture, soft

from benchmarks.one_image import apply_in_strips
from imgproc.backends.phases import flat, together
from imgproc.backends.strips.plan import split_image
from imgproc.errors import UserError
from imgproc.operations import OPERATIONS, histogram, parse_parameters, remarks
from imgproc.operations.canny.thresholds import of_picture, thresholds
from imgproc.operations.rows import cut

CANNY = OPERATIONS["canny"]
#: How many times as large as at aperture 3 the gradient of a straight edge is: 4, 48 and 640 times its step.
SCALE = {aperture: gain // GAIN[3] for aperture, gain in GAIN.items()}
LARGEST = {3: 1_530, 5: 17_850, 7: 235_620}


@pytest.fixture(autouse=True)
def one_thread():
    cv2.setNumThreads(1)


def opencv(image, low, high, aperture, l2=False):
    """OpenCV's own code, on the whole image."""
    cv2.ipp.setUseIPP(False)
    try:
        return cv2.Canny(image, low, high, apertureSize=aperture, L2gradient=l2)
    finally:
        cv2.ipp.setUseIPP(True)


def edges(image, **chosen):
    return CANNY.apply(image, parse_parameters(chosen))


def published(image, sigma=0.33):
    """The rule as its author wrote it."""
    v = np.median(image)
    return int(max(0, (1.0 - sigma) * v)), int(min(255, (1.0 + sigma) * v))


def test_the_same_edge_has_the_same_threshold_at_every_aperture_when_scaled():
    step = np.zeros((20, 30), np.uint8)
    step[:, 15:] = 50
    for aperture, gain in GAIN.items():
        for name, factor in (("raw", gain), ("scaled", GAIN[3])):
            for less in (0, 1):  # an edge of exactly the threshold is none
                limit = 50 * factor - less * (16 if aperture == 7 and name == "raw" else 1)
                found = edges(step, aperture=aperture, thresholds=name, canny_low=limit, canny_high=limit)
                assert bool(found.any()) == bool(less), (aperture, name, limit)


def strongest(aperture):
    """A picture with the largest gradient there is, in its middle."""
    slope, smooth = cv2.getDerivKernels(1, 0, aperture)
    across = np.outer(smooth, slope)
    both = across + across.T  # what |dx| + |dy| sums where both are positive
    assert 255 * both[both > 0].sum() == LARGEST[aperture]
    image = np.zeros((3 * aperture, 3 * aperture), np.uint8)
    image[aperture : 2 * aperture, aperture : 2 * aperture] = np.where(both > 0, 255, 0)
    return image


@pytest.mark.parametrize("aperture", [3, 5, 7])
def test_every_gradient_there_is_can_be_asked_for(aperture):
    image, largest = strongest(aperture), LARGEST[aperture]
    assert largest <= MOST
    for limit, kept in ((largest - 16, True), (largest, False), (MOST, False)):
        found = edges(image, aperture=aperture, canny_low=limit, canny_high=limit)
        assert bool(found.any()) == kept
        assert np.array_equal(found, opencv(image, limit, limit, aperture))


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([3, 5, 7]),
    st.booleans(),
    st.tuples(st.integers(0, MOST), st.integers(0, MOST)).map(sorted),
    st.booleans(),
)
def test_any_thresholds_are_opencvs(seed, aperture, l2, limits, scaled):
    image = picture(np.random.default_rng(seed), soft, 40)
    low, high = (limit // GAIN[7] if scaled else limit for limit in limits)
    factor = SCALE[aperture] if scaled else 1
    chosen = {"canny_low": low, "canny_high": high, "aperture": aperture, "l2gradient": l2}
    found = edges(image, thresholds="scaled" if scaled else "raw", **chosen)
    assert np.array_equal(found, opencv(image, factor * low, factor * high, aperture, l2))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([3, 5, 7]), st.booleans(), st.integers(1, 9))
def test_auto_is_the_published_rule_on_the_whole_image_and_in_strips(seed, aperture, l2, count):
    rng = np.random.default_rng(seed)
    image = picture(rng, noise if seed % 2 else soft, 40)
    image = (image // rng.integers(1, 9)).astype(np.uint8)  # dark ones too
    low, high = (SCALE[aperture] * limit for limit in published(image))
    chosen = parse_parameters({"thresholds": "auto", "aperture": aperture, "l2gradient": l2})
    wanted = opencv(image, low, high, aperture, l2)
    assert np.array_equal(CANNY.apply(image, chosen), wanted)
    assert np.array_equal(apply_in_strips(CANNY, image, chosen, cut(len(image), count)), wanted)


@pytest.mark.parametrize("many", [False, True])
def test_the_median_is_that_of_every_value(many, monkeypatch):
    if many:
        monkeypatch.setattr(histogram, "_MANY", 4)
        monkeypatch.setattr(histogram, "_PAIRS", 3)
    auto = parse_parameters({"thresholds": "auto"})
    pictures = [[[7]], [[7, 8]], [[7, 9]], [[0, 0, 255]], [[0, 1, 254, 255]], [[3, 3, 9, 200, 201]], [[255] * 6]]
    for values in pictures:
        image = np.array(values, np.uint8)
        made = of_picture(image, auto)
        assert (made["canny_low"], made["canny_high"]) == published(image), values
    color = np.random.default_rng(2).integers(0, 256, (7, 5, 3), np.uint8)
    assert thresholds(of_picture(color, auto)) == published(color)


def test_what_auto_needs_is_neither_asked_for_nor_refused():
    with pytest.raises(UserError, match="must not be above"):
        parse_parameters({"canny_low": 300, "thresholds": "scaled"})
    chosen = parse_parameters({"canny_low": 300, "thresholds": "auto"})
    with pytest.raises(ValueError, match="not been adapted"):
        thresholds(chosen)
    with pytest.raises(UserError, match="must be raw, scaled or auto, not “median”") as told:
        parse_parameters({"thresholds": "median"})
    assert told.value.field == "thresholds" and told.value.limit == "raw, scaled or auto"
    assert parse_parameters({"thresholds": " AUTO "})["thresholds"] == "auto"


@pytest.mark.parametrize(("sent", "name"), [(False, "auto"), (True, "auto"), (False, "raw"), (True, "scaled")])
def test_the_caller_looks_at_the_picture_once_and_only_for_auto(sent, name, tmp_path):
    image = soft(np.random.default_rng(1), 90, 70)
    work = job(tmp_path, image, parse_parameters({"thresholds": name}), operations=["canny"])
    plan = split_image(0, work, image.shape, 3, across_processes=sent, sent=sent)
    [result] = carried_out(flat(together([plan])))
    stages = [span.stage for span in result.caller_spans]
    assert stages.count("canny") == (name == "auto")
    found = cv2.imread(str(tmp_path / "canny.out"), cv2.IMREAD_UNCHANGED)
    low, high = published(image) if name == "auto" else (100, 200)
    assert np.array_equal(found, opencv(image, low, high, 3))


def test_thresholds_below_one_gray_level_are_remarked_upon():
    step = np.full((20, 30), 100, np.uint8)
    step[:, 15:] += 1
    for aperture, high, said in (
        (7, 200, True),
        (7, 639, True),
        (7, 640, False),
        (5, 47, True),
        (5, 200, False),
        (3, 3, False),
    ):
        chosen = {"aperture": aperture, "canny_low": 0, "canny_high": high}
        found = remarks(["canny"], parse_parameters(chosen))
        assert bool(found) == said
        if aperture != 3:  # what it says is true
            assert edges(step, **chosen).any() == said
        assert remarks(["canny"], parse_parameters(chosen | {"thresholds": "scaled"})) == []
        assert remarks(["canny"], parse_parameters(chosen | {"thresholds": "auto"})) == []
    [one] = remarks(["canny"], parse_parameters({"aperture": 7}))
    assert one.startswith("Canny edges: at aperture 7 a step of one gray level has a gradient of 640, which is above")


def test_thresholds_as_they_are_cost_nothing_more():
    image, chosen = np.zeros((4000, 4000), np.uint8), parse_parameters({})
    start = time.perf_counter()
    for _ in range(1000):
        assert CANNY.adapted(image, chosen) is chosen
    assert time.perf_counter() - start < 1
