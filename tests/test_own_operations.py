"""A function of an image as an operation: its name, its parameters by types and defaults, and its way to workers."""

from __future__ import annotations

import functools
import pickle
from typing import Literal

import cv2
import numpy as np
import pytest

from imgproc import Operation, Parameter, UserError, process
from imgproc.functions.operations import operation_of, own_of, registered, values_of
from imgproc.operations import OPERATIONS, PARAMETERS
from imgproc.runs.options import names


def sharpened(image, amount: float = 1, rounds: int = 2, mode: Literal["soft", "hard"] = "soft", dark: bool = False):
    """Sharper.

    More about it.
    """
    return np.full((2, 3), [amount, rounds, mode == "hard", dark, image[0, 0]][rounds], np.uint8)


def made(function, **more):
    return operation_of(function, **more)


def test_parameters_are_those_of_the_signature():
    operation = made(sharpened)
    kinds = {p.name: (p.kind, p.default) for p in operation.parameters}
    assert kinds == {
        "amount": ("number", 1.0), "rounds": ("integer", 2), "mode": ("choice", "soft"), "dark": ("flag", False),
    }  # fmt: skip
    assert operation.help == "Sharper." and operation.name == operation.label == "sharpened"
    assert operation.parameters[2].choices == ("soft", "hard")
    with pytest.raises(UserError, match="soft or hard"):
        operation.parameters[2].parse("softer")
    with pytest.raises(UserError, match="a whole number"):
        operation.parameters[1].parse("2.5")


def test_values_reach_the_function_by_its_own_names():
    image = np.full((4, 4), 9, np.uint8)
    operation = made(sharpened, taken=lambda name: name in ("amount", "mode"))
    assert [p.name for p in operation.parameters] == ["sharpened_amount", "rounds", "sharpened_mode", "dark"]
    values = {"sharpened_amount": 7.0, "rounds": 0, "sharpened_mode": "hard", "dark": True}
    assert (operation.apply(image, values) == 7).all()
    assert values_of(operation, {"amount": 7.0, "dark": True}) == {"sharpened_amount": 7.0, "dark": True}
    with pytest.raises(UserError, match=r"has no parameter “size”. It has: amount, rounds, mode, dark"):
        values_of(operation, {"size": 3})


def test_a_name_that_means_something_else_is_made_another():
    def blurred(image, sigma: float = 1.0, workers: int = 1):
        return image

    assert [p.name for p in made(blurred, taken=lambda name: name in names()).parameters] == [
        "blurred_sigma", "blurred_workers",
    ]  # fmt: skip

    def canny(image):
        return image

    assert made(canny).name == "own_canny"


class Eroder:
    """Darkest of some."""

    def __call__(self, image, size: int = 3):
        return cv2.erode(image, np.ones((size, size), np.uint8))


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (functools.partial(sharpened, rounds=4), "sharpened"),
        (Eroder(), "eroder"),
        (Eroder().__call__, "__call__".strip("_")),
        (lambda image: image, "lambda"),
        (cv2.bitwise_not, "bitwise_not"),
    ],
)
def test_whatever_can_be_called_has_a_name(function, name):
    operation = made(function)
    assert operation.name == name
    image = np.full((4, 4), 9, np.uint8)
    assert operation.apply(image, {p.name: p.default for p in operation.parameters}).dtype == np.uint8


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda: 1, "takes no image"),
        (lambda image, radius: 1, "“radius” without a default"),
        (lambda *, image: 1, "takes no image"),
    ],
)
def test_what_cannot_be_called_with_an_image_is_said(function, said):
    with pytest.raises(UserError, match=said):
        made(function)


def test_an_image_cannot_be_changed_for_the_other_operations():
    def spoils(image):
        image[:] = 0
        return image

    image = np.full((4, 4), 9, np.uint8)
    assert not made(spoils).apply(image, {}).any() and (image == 9).all()


def test_where_it_arrives_the_table_has_it_and_its_chains():
    operation = made(lambda image: 255 - image, name="negative")
    with registered(operation):
        sent = pickle.dumps(own_of(["negative+canny"]))
        with pytest.raises(UserError, match="There is an operation “negative” already"), registered(operation):
            pass
    assert "negative" not in OPERATIONS
    try:
        pickle.loads(sent)
        image = np.arange(64, dtype=np.uint8).reshape(8, 8)
        assert (OPERATIONS["negative"].apply(image, {}) == 255 - image).all()
        assert "negative+canny" in OPERATIONS
        first = OPERATIONS["negative"]
        pickle.loads(sent)
        assert OPERATIONS["negative"] is first  # unpickled once
    finally:
        del OPERATIONS["negative"]


def flipped(image, p):
    return np.ascontiguousarray(np.flip(image, int(p["flip_axis"])))


FLIP = Operation(
    "flip", "Flip", "flipped", "Mirrors.", (Parameter("flip_axis", "Axis", "integer", 0, "Which.", 0, 1),), flipped
)


@pytest.mark.parametrize("technique", ["threading", "multiprocessing"])
def test_a_declared_operation_takes_part_as_those_of_the_house_do(tmp_path, technique):
    image = np.random.default_rng(0).integers(0, 256, (20, 30), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    done = process(
        FLIP, tmp_path / "a.png", tmp_path / "out", technique=technique, workers=2, progress=False, flip_axis=1
    )
    assert (cv2.imread(str(done.files[0]["flip"]), 0) == image[:, ::-1]).all()
    assert "flip" not in OPERATIONS and "flip_axis" not in PARAMETERS
