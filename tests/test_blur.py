"""What kernel and sigma of the blur mean, and what is said where they do not go together."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strip_pictures import BLURS, noise

from benchmarks.one_image import apply_in_strips
from imgproc.cli import main
from imgproc.errors import UserError
from imgproc.operations import OPERATIONS, parse_parameters, remarks
from imgproc.operations.gaussian.kernel import gaussian_taps, kernel_size
from imgproc.operations.rows import cut

GAUSSIAN = OPERATIONS["gaussian"]


@pytest.fixture(autouse=True)
def one_thread():
    cv2.setNumThreads(1)


def spread(kernel, sigma):
    """The standard deviation of what a blur makes of one white column, far from the borders."""
    line = np.zeros((1, 3 * kernel), np.uint8)
    line[0, 3 * kernel // 2] = 255
    made = cv2.GaussianBlur(line, (kernel, 1), sigma).ravel().astype(float)
    at = np.arange(made.size)
    return math.sqrt((made * (at - (made * at).sum() / made.sum()) ** 2).sum() / made.sum())


@settings(max_examples=150, deadline=None)
@given(st.floats(0, 50, exclude_min=True), st.booleans(), st.integers(1, 9))
def test_kernel_0_is_opencvs_size_for_sigma(sigma, color, strips):
    rng = np.random.default_rng(int(sigma * 1000))
    image = rng.integers(0, 256, (*rng.integers(1, 60, 2), 3)[: 3 if color else 2], np.uint8)
    chosen = parse_parameters({"kernel": 0, "sigma": sigma})
    wanted = cv2.GaussianBlur(image, (0, 0), sigma)
    assert np.array_equal(GAUSSIAN.apply(image, chosen), wanted)
    assert np.array_equal(apply_in_strips(GAUSSIAN, image, chosen, cut(len(image), strips)), wanted)


@settings(max_examples=300, deadline=None)
@given(BLURS)
def test_every_kernel_that_can_come_about_is_in_range(blur):
    size = kernel_size(parse_parameters(blur))
    assert size % 2 == 1 and 1 <= size <= 301


def test_kernel_0_without_sigma_is_refused_with_the_way_out():
    with pytest.raises(UserError, match=r"must be above 0\. Choose a sigma, or an odd kernel from 1 to 301") as told:
        parse_parameters({"kernel": "0"})
    assert told.value.field == "sigma" and told.value.limit == "above 0"
    with pytest.raises(UserError, match="must be an odd whole number from 1 to 301, or 0, not “4”") as told:
        parse_parameters({"kernel": "4"})
    assert told.value.limit == "odd, 1 to 301, or 0"


def test_what_the_help_says_of_sigma_0():
    said = {3: 0.71, 5: 1.0, 7: 1.37, 9: 1.66}
    for kernel, sigma in said.items():
        taps = gaussian_taps(kernel, 0.0)
        squares = (np.arange(kernel) - kernel // 2) ** 2
        assert math.sqrt((taps * squares).sum() / 256) == pytest.approx(sigma, abs=0.005)
        assert f"{sigma:g}" in GAUSSIAN.parameters[1].help
    for kernel in (11, 31, 99, 301):
        image = noise(np.random.default_rng(kernel), 40, 50)
        same = parse_parameters({"kernel": kernel, "sigma": 0.15 * kernel + 0.35})
        assert np.array_equal(GAUSSIAN.apply(image, same), GAUSSIAN.apply(image, parse_parameters({"kernel": kernel})))


def test_a_kernel_too_small_for_its_sigma_is_remarked_upon():
    def said(**chosen):
        return remarks(["gaussian"], parse_parameters(chosen))

    [one] = said(kernel=5, sigma=10)
    assert one.startswith("Gaussian blur: sigma 10 with kernel 5 blurs as 1.41, as") and one.endswith(
        "that this sigma needs, 61."
    )
    assert spread(5, 10) == pytest.approx(1.41, abs=0.02)
    [one] = said(kernel=1, sigma=2)
    assert "blurs as 0.00" in one
    for chosen in ({}, {"kernel": 5, "sigma": 1}, {"kernel": 0, "sigma": 50}, {"kernel": 99}, {"kernel": 1}):
        assert said(**chosen) == []
    assert remarks(["canny", "an operation of another version"], parse_parameters({"sigma": 9})) == []


def test_a_run_tells_its_remarks(tmp_path, capsys):
    main(["sample", str(tmp_path / "in"), "--count", "1", "--megapixels", "0.1"])
    capsys.readouterr()
    words = ["process", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--budget", "0"]
    assert main([*words, "--kernel", "5", "--sigma", "10"]) == 0
    assert "Warning: Gaussian blur: sigma 10 with kernel 5 blurs as 1.41" in capsys.readouterr().out
    assert main([*words, "--kernel", "0", "--sigma", "10"]) == 0
    assert "cuts it short" not in capsys.readouterr().out
    assert main([*words, "--operations", "equalize", "--kernel", "5", "--sigma", "10"]) == 0
    assert "cuts it short" not in capsys.readouterr().out
