"""Valid files of every kind: read to the pixels that were written, or refused for a reason that is named; nothing else.

The table of files is ``tests/valid_files``. Here it goes through the decoder itself, the command line, whole and in
strips, and the real app with its vetting.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("imagecodecs", reason="imagecodecs has no wheel for this machine")

from conftest import SUMMARY
from valid_files import FAMILIES, all_files
from valid_files.truth import DEPTHS, FULL_RANGE, HIGH_BYTE, USED_BITS, ValidFile

from imgproc.errors import UserError
from imgproc.operations import OPERATIONS
from imgproc.pixels.codecs import decode
from tests.live_app import PROJECT, serving

#: At least so many of the files are read, and at most so many are refused for a named reason.
LEAST_READ, MOST_REFUSED = 1_487, 131
#: Families whose files go through the app in strips too: of each way in which a file is cut, or is not.
SAMPLE = ("jpegpillow", "tiffcounts", "tifflab", "tifflerc", "tiffshape", "tiffsparse", "tiffycbcr")
#: What is said of files that are broken; no valid one is.
UNTRUE = ("damaged", "ends in the middle", "stops the decoder", "too much memory", "not an image", "longer than")


@dataclass(frozen=True)
class Way:
    """One way through the product: what the record says of each file, where the results lie, and what was asked for.
    A blur with a ``kernel`` of size 1 leaves the picture as it was decoded."""

    images: dict[str, dict[str, Any]]
    folders: dict[str, Path]
    color: bool = False
    kernel: int = 1
    depth: str = HIGH_BYTE


def expected(image: np.ndarray, operation: str, kernel: int) -> np.ndarray:
    """The plain call of OpenCV on one thread; parameters as our defaults."""
    cv2.setNumThreads(1)
    cv2.ipp.setUseIPP(False)
    try:
        if operation == "canny":
            return cv2.Canny(image, 100, 200)
        if operation == "gaussian":
            return cv2.GaussianBlur(image, (kernel, kernel), 0)
        return OPERATIONS[operation].apply(image, {}) if image.ndim == 3 else cv2.equalizeHist(image)
    finally:
        cv2.ipp.setUseIPP(True)


def differs(found: np.ndarray, right: np.ndarray, tolerance: int) -> str:
    """How a picture is wrong; empty where it is right."""
    if found.shape != right.shape:
        return f"it has the shape {found.shape}, not {right.shape}"
    by = np.abs(found.astype(int) - right)
    if by.max() <= tolerance:
        return ""
    return f"{np.mean(by > tolerance):.2%} of its samples are wrong, by up to {by.max()}"


def untrue(file: ValidFile, reason: str, depth: str = HIGH_BYTE) -> str:
    """What is wrong with a refusal; empty where it is due and names its reason."""
    word = file.refusal(depth)
    if not word:
        return f"it is refused: {reason}"
    named = word.lower() in reason.lower() and not any(phrase in reason for phrase in UNTRUE)
    return "" if named else f"the reason is not named ({word}): {reason}"


def decoded_wrongly(file: ValidFile, color: bool, depth: str = HIGH_BYTE) -> str:
    try:
        found = decode(file.data, color=color, depth=depth)
    except UserError as problem:
        return untrue(file, problem.message, depth)
    if file.refusal(depth):
        return f"it is read, and is to be refused ({file.refused})"
    return differs(found, file.truth(color, depth), file.tolerance)


def of_family(family: str) -> list[ValidFile]:
    return [file for file in all_files() if file.family == family]


def check(family: str, wrong: dict[str, str]) -> None:
    found = {name: what for name, what in wrong.items() if what}
    lines = "\n".join(f"  {name}: {what}" for name, what in found.items())
    assert not found, f"{len(found)} of {len(of_family(family))} files of {family} come out wrongly:\n{lines}"


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("color", [False, True], ids=["gray", "colour"])
@pytest.mark.parametrize("family", FAMILIES)
def test_decoding_gives_the_pixels_that_were_written(family: str, color: bool, depth: str) -> None:
    check(family, {file.name: decoded_wrongly(file, color, depth) for file in of_family(family)})


def test_files_that_end_too_early_are_said_to_do_so() -> None:
    """The first that is read of each family, without the last third of its bytes."""
    first = {file.family: file for file in reversed(all_files()) if not file.refused}
    del first["tiffpages"]  # of several pages the first is still whole
    wrong = {}
    for family, file in first.items():
        try:
            decode(file.data[: len(file.data) * 2 // 3])
            wrong[family] = "it is read"
        except UserError as problem:
            if not any(phrase in problem.message for phrase in UNTRUE):
                wrong[family] = problem.message
    assert not wrong


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All files in a folder."""
    made = tmp_path_factory.mktemp("valid")
    for file in all_files():
        (made / file.name).write_bytes(file.data)
    return made


def by_command(folder: Path, out: Path, split: str, kernel: int, *, color: bool = False, depth: str = HIGH_BYTE) -> Way:
    """All files in one call of the command line."""
    record = out.with_suffix(".json")
    arguments = ["process", str(folder), "--out", str(out), f"--json={record}", "--split", split, "--budget", "0"]
    arguments += ["--technique", "threading", "--workers", "2", "--kernel", str(kernel), *["--color"] * color]
    arguments += ["--depth", depth.replace(" ", "-")]
    # A process of its own: its folder for temporary files is where the machine's lock lies, so it waits for nobody.
    environment = {**os.environ, "TMPDIR": str(out.parent), "OPENCV_LOG_LEVEL": "OFF"}
    done = subprocess.run(
        [sys.executable, "-m", "imgproc", *arguments], cwd=PROJECT, env=environment, capture_output=True
    )
    assert record.is_file(), done.stderr.decode(errors="replace")
    images = {Path(image["name"]).name: image for image in json.loads(record.read_text())["images"]}
    return Way(images, dict.fromkeys(images, out), color, kernel, depth)


@pytest.fixture(scope="module")
def whole(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Way:
    return by_command(folder, tmp_path_factory.mktemp("whole") / "out", "never", 1, depth=USED_BITS)


@pytest.fixture(scope="module")
def cut(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Way:
    return by_command(folder, tmp_path_factory.mktemp("cut") / "out", "always", 5)


@pytest.fixture(scope="module")
def cut_in_colour(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Way:
    return by_command(folder, tmp_path_factory.mktemp("colour") / "out", "always", 1, color=True, depth=FULL_RANGE)


def by_browser(folder: Path, files: Sequence[ValidFile], **fields: str) -> Way:
    """Files posted to the real app, a hundred at a time, which is what a person may do in a browser."""
    images, folders = {}, {}
    with serving(folder, OPENCV_LOG_LEVEL="OFF") as live:
        runs = []
        for at in range(0, len(files), 100):
            batch = [(file.name, file.data) for file in files[at : at + 100]]
            answer = live.post(batch, kernel="1", budget="0", rounds="1", **fields)
            runs.append(answer.json()["id"])
        for run in runs:
            record = live.finished(run)
            assert record["state"] == "done", record["error"]
            for image in record["images"]:
                images[image["name"]] = image
                folders[image["name"]] = live.folder / "results" / run / "images"
    return Way(images, folders)


@pytest.fixture(scope="module")
def uploaded(tmp_path_factory: pytest.TempPathFactory) -> Way:
    return by_browser(tmp_path_factory.mktemp("app"), all_files(), mode="sequential")


@pytest.fixture(scope="module")
def uploaded_cut(tmp_path_factory: pytest.TempPathFactory) -> Way:
    files = [file for family in SAMPLE for file in of_family(family)]
    how = {"mode": "parallel", "technique": "threading", "workers": "2", "split": "always"}
    return by_browser(tmp_path_factory.mktemp("app"), files, **how)


@pytest.mark.timeout(600)  # the first of a way processes all files
@pytest.mark.parametrize("way", ["whole", "cut", "cut_in_colour", "uploaded"])
@pytest.mark.parametrize("family", FAMILIES)
def test_results_are_those_of_the_pixels_that_were_written(
    family: str, way: str, request: pytest.FixtureRequest
) -> None:
    through: Way = request.getfixturevalue(way)
    check(family, {file.name: processed_wrongly(file, through) for file in of_family(family)})


@pytest.mark.parametrize("family", SAMPLE)
def test_strips_of_uploads_give_the_pixels_that_were_written(family: str, uploaded_cut: Way) -> None:
    check(family, {file.name: processed_wrongly(file, uploaded_cut) for file in of_family(family)})


def processed_wrongly(file: ValidFile, way: Way) -> str:
    image = way.images[file.name]
    if image["error"]:
        return untrue(file, image["error"], way.depth)
    if file.refusal(way.depth):
        return f"it is read, and is to be refused ({file.refused})"
    right = file.truth(way.color, way.depth)
    if (image["height"], image["width"]) != right.shape[:2]:
        return f"its size is told as {image['width']}x{image['height']}"
    for output in image["outputs"]:
        operation = output["operation"]
        if file.tolerance and operation != "gaussian":
            continue  # of a picture that is a little different they are quite different
        made = cv2.imread(str(way.folders[file.name] / output["file"]), cv2.IMREAD_UNCHANGED)
        rounding = int(file.tolerance > 0 and way.kernel > 1)
        if wrong := differs(made, expected(right, operation, way.kernel), file.tolerance + rounding):
            return f"{operation}: {wrong}"
    return ""


def test_most_are_read_and_the_others_are_refused_by_name(record_property: Callable[[str, object], None]) -> None:
    outcomes: Counter[str] = Counter()
    families: dict[str, Counter[str]] = defaultdict(Counter)
    for file in all_files():
        wrong = decoded_wrongly(file, False)
        outcome = "wrong" if wrong else "refused" if file.refusal() else "read"
        outcomes[outcome] += 1
        families[file.family][outcome] += 1
    for family, counts in sorted(families.items()):
        print(f"{family:15} " + ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())))
    print(f"all {len(all_files())}: {dict(outcomes)}")
    counts = ", ".join(f"{outcomes[outcome]:,} {outcome}" for outcome in ("read", "refused", "wrong"))
    record_property(SUMMARY, f"{len(all_files()):,} valid files: {counts}")
    assert outcomes["read"] >= LEAST_READ, outcomes
    assert outcomes["refused"] <= MOST_REFUSED, outcomes
    assert not outcomes["wrong"], outcomes
