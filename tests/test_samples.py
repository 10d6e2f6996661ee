"""Sample pictures: what they look like to a program, and how many are drawn at once."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from imgproc.errors import UserError
from imgproc.intake.samples import (
    KINDS,
    MAX_MEGAPIXELS,
    MIN_MEGAPIXELS,
    draw,
    draw_many,
    kept,
    sample_megapixels,
    sample_name,
    write_sample,
)

PROJECT = Path(__file__).resolve().parent.parent
EVERY_KIND = pytest.mark.parametrize("index", range(len(KINDS)), ids=[kind.name for kind in KINDS])


@EVERY_KIND
def test_equal_arguments_give_equal_pictures_and_other_seeds_others(index: int) -> None:
    again = index + len(KINDS)
    for number in (index, again):
        picture = draw(number, 0.03, seed=5)
        assert np.array_equal(picture, draw(number, 0.03, seed=5))
        assert not np.array_equal(picture, draw(number, 0.03, seed=6))


@EVERY_KIND
@pytest.mark.parametrize("megapixels", [MIN_MEGAPIXELS, 0.137, 1.0])
def test_sizes_and_type(index: int, megapixels: float) -> None:
    picture = draw(index, megapixels)
    height, width, channels = picture.shape
    assert (channels, picture.dtype, picture.flags.c_contiguous) == (3, np.uint8, True)
    assert 0.96 * megapixels <= height * width / 1e6 <= megapixels
    assert width / height == pytest.approx(KINDS[index].aspect, abs=1.5 / height * KINDS[index].aspect)


@EVERY_KIND
def test_pictures_are_rich_in_edges_without_being_noise(index: int) -> None:
    for number in (index, index + len(KINDS), index + 4 * len(KINDS)):
        picture = draw(number, 0.6)
        edges = np.mean(cv2.Canny(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), 100, 200) > 0)
        assert 0.015 < edges < 0.18, sample_name(number)


def test_a_hundred_pictures_are_a_hundred_different_ones() -> None:
    names = [sample_name(index) for index in range(100)]
    assert len({name.lower() for name in names}) == 100
    assert names[0] == "ridge.jpg" and names[len(KINDS) + 1] == "julia-2.jpg"
    small = [cv2.resize(draw(index, 0.02), (24, 24), interpolation=cv2.INTER_AREA).astype(int) for index in range(100)]
    for (name, one), (other_name, other) in combinations(zip(names, small, strict=True), 2):
        assert np.abs(one - other).mean() > 3, f"{name} and {other_name} look alike"


def test_the_largest_size_works_and_stays_within_the_limit() -> None:
    relief = next(index for index, kind in enumerate(KINDS) if kind.name == "relief")
    height, width, _ = draw(relief, MAX_MEGAPIXELS).shape
    assert 49.9e6 < height * width <= 50e6


@pytest.mark.parametrize("megapixels", [0, -1, 0.009, 50.1, float("nan"), float("inf")])
def test_sizes_out_of_range_are_refused(megapixels: float) -> None:
    with pytest.raises(UserError, match=r"0\.01 to 50 megapixels") as caught:
        draw(0, megapixels)
    assert (caught.value.field, caught.value.limit) == ("megapixels", 50)


@pytest.mark.parametrize("count", [1, 2, 5, 14, 100, 1000])
def test_sizes_are_mixed_around_the_mean(count: int) -> None:
    sizes = [sample_megapixels(index, count, 6.0) for index in range(count)]
    assert np.mean(sizes) == pytest.approx(6.0)
    assert sizes == [sample_megapixels(index, count, 6.0) for index in range(count)]
    assert len(set(sizes)) == count
    if count >= 5:
        assert max(sizes) > 2.5 * min(sizes)
    assert max(sample_megapixels(index, count, 45) for index in range(count)) <= MAX_MEGAPIXELS


def test_written_samples_are_jpeg_files(tmp_path: Path) -> None:
    write_sample(tmp_path / "a.jpg", 2, 0.1, seed=1)
    data = (tmp_path / "a.jpg").read_bytes()
    assert data.startswith(b"\xff\xd8\xff")
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == draw(2, 0.1, seed=1).shape
    assert np.abs(picture.astype(int) - draw(2, 0.1, seed=1)).mean() < 8
    assert [path.name for path in tmp_path.iterdir()] == ["a.jpg"]


def test_many_are_drawn_at_once_each_once(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    paths = list(draw_many(folder, 14, 0.02, 3, 2))
    assert {path.name for path in paths} == {sample_name(index) for index in range(14)} and len(paths) == 14
    assert {path.name for path in folder.iterdir()} == {path.name for path in paths}
    # Not one whose blur is IPP's: another test may have switched that off in this process.
    write_sample(tmp_path / "again.jpg", 5, sample_megapixels(5, 14, 0.02), seed=3)
    assert (folder / sample_name(5)).read_bytes() == (tmp_path / "again.jpg").read_bytes()
    assert list(draw_many(folder, 0, 1.0, 0, 2)) == []


def test_an_early_end_ends_the_pool(tmp_path: Path) -> None:
    drawing = draw_many(tmp_path, 500, 0.02, 0, 2)
    assert next(iter(drawing)).exists()
    drawing.close()  # type: ignore[attr-defined]
    assert len(list(tmp_path.iterdir())) <= 4
    assert multiprocessing.active_children() == []


def test_errors_come_from_the_workers_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"0\.01 to 50 megapixels") as caught:
        draw_many(tmp_path / "none", 2, float("nan"), 0, 2)
    assert caught.value.field == "megapixels"
    (tmp_path / sample_name(0)).mkdir()
    with pytest.raises(OSError, match="ridge"):
        list(draw_many(tmp_path, 1, 0.02, 0, 1))
    assert [path.name for path in tmp_path.iterdir()] == [sample_name(0)]


def test_a_killed_worker_is_said_in_a_sentence(tmp_path: Path) -> None:
    drawing = draw_many(tmp_path, 60, 0.3, 0, 2)
    next(drawing)
    for worker in multiprocessing.active_children():
        worker.kill()
    with pytest.raises(UserError, match="ended from outside"):
        list(drawing)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_no_worker_outlives_a_killed_parent(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from imgproc.intake.samples import draw_many\n"
        "for path in draw_many(Path('out'), 40, 6.0, 0, 2): print(path, flush=True)"
    )
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, env=environment
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline()
        family = psutil.Process(parent.pid).children(recursive=True)
        assert len(family) >= 3, "the fork server and two workers"
        parent.kill()
    deadline = time.monotonic() + 15
    while any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in family):
        assert time.monotonic() < deadline, "a worker was left behind"
        time.sleep(0.1)


# ---------------------------------------------------------------- drawn once


def test_the_same_samples_are_drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def drawing(folder: Path, count: int, *more: object) -> Iterator[Path]:
        for index in range(count):
            drawn.append(index)
            write_sample(folder / sample_name(index), index, 0.02)
            yield folder / sample_name(index)

    monkeypatch.setattr(kept, "draw_many", drawing)

    def once(name: str, count: int = 2, megapixels: float = 0.02) -> dict[str, bytes]:
        folder = tmp_path / name
        files = [*kept.draw_once(folder, count, megapixels, 0, 1, tmp_path / "cache")]
        assert sorted(files) == sorted(folder.iterdir())
        return {path.name: path.read_bytes() for path in files}

    first = once("a")
    assert once("b") == first and drawn == [0, 1]
    once("c", count=3)
    assert drawn == [0, 1, 0, 1, 2]
    [cached] = [path for path in (tmp_path / "cache" / "samples").iterdir() if len(list(path.iterdir())) == 2]
    (cached / "ridge.jpg").unlink()
    (cached / "ridge.jpg").write_bytes(bytes(500))  # as a loss of power leaves it
    assert once("d") == first and len(drawn) == 7
    assert once("e") == first and len(drawn) == 7  # whole again
    for number in range(kept.MOST_SETS + 1):
        once(f"size {number}", megapixels=0.03 + number / 100)
    assert len(list((tmp_path / "cache" / "samples").iterdir())) == kept.MOST_SETS


def test_samples_are_drawn_where_nothing_can_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    assert len([*kept.draw_once(tmp_path / "a", 1, 0.02, 0, 1, tmp_path / "file")]) == 1
    monkeypatch.setattr(kept, "MOST_BYTES", 10)
    assert len([*kept.draw_once(tmp_path / "b", 1, 0.02, 0, 1, tmp_path / "cache")]) == 1
    assert not (tmp_path / "cache").exists()


def test_drawing_that_is_given_up_keeps_nothing(tmp_path: Path) -> None:
    drawing = kept.draw_once(tmp_path / "a", 3, 0.02, 0, 1, tmp_path / "cache")
    next(drawing)
    drawing.close()
    assert not (tmp_path / "cache").exists()
