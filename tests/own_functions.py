"""Functions as people write them, in a module that workers can import."""

import functools
import os
import time

import cv2
import numpy as np

calls = 0


def square(x):
    return x * x


def counted(function):
    """A decorator as people write it."""

    @functools.wraps(function)
    def inner(*arguments):
        return function(*arguments)

    return inner


@counted
def decorated(x):
    return x + 1


def pure_python(x):
    total = 0
    for number in range(2000 + x):
        total += number * number
    return total


def recursive(x):
    return x if x < 2 else recursive(x - 1) + recursive(x - 2)


def normalized(image):
    with np.errstate(all="ignore"):
        return (image - image.mean()) / image.std()  # NaN where it is flat


def blurred(image):
    cv2.setNumThreads(4)
    return cv2.GaussianBlur(image, (5, 5), 1.0)


def facts(image):
    return [{"mean": float(image.mean()), "shape": image.shape}, {"corner": image[:2, :2]}]


def sleeps(x):
    time.sleep(0.002)
    return -x


def raises_sometimes(x):
    if x % 3 == 0:
        raise ValueError(f"{x} is a multiple of three")
    return x


def prints(x):
    print("working on", x)
    return str(x)


def writes(pair):
    folder, x = pair
    file = os.path.join(folder, f"{x}.txt")  # noqa: PTH118
    with open(file, "w") as out:
        out.write(str(x))
    return file


def random_without_seed(x):
    return float(np.random.default_rng().random()) + x


def random_with_seed(x):
    return float(np.random.default_rng(x).random())


def remembers(x):
    global calls
    calls += 1
    return calls


def changes_its_input(values):
    values.append(len(values))
    return sum(values)


def ends_its_process(x):
    if x == 3:
        os._exit(7)
    return x


def hangs(x):
    if x == 2:
        time.sleep(60)
    return x


def exits(x):
    if x == 1:
        raise SystemExit("no more")
    return x


class Scaler:
    """A class with state."""

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x):
        return self.factor * x

    def scaled(self, x):
        return self.factor * x + 1
