"""Rows of ``benchmarks/holds`` in short: what is exact in them; times and memory are for a quiet machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.holds import weeks
from benchmarks.holds.__main__ import ROWS
from benchmarks.holds.files import made_to_harm, mutants
from benchmarks.holds.watching import app_of
from tests.live_app import gone

SHORT = 0.001


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read as on Linux")
@pytest.mark.parametrize("row", [2, 4, 9, 10, 11, 12])
@pytest.mark.timeout(400)
def test_a_row_in_short(row: int) -> None:
    found = list(ROWS[row][1](SHORT, 1))
    assert found
    for promise in found:
        assert promise.kept or promise.wanted.startswith(("under ", "within ")), promise


def test_a_row_that_is_broken_off_leaves_no_process(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), app_of(tmp_path) as live:
        live.start()
        live.runner()
        family = live.family()
        raise ZeroDivisionError
    assert len(family) >= 2 and not gone(family, 5)


def test_mutants_are_those_of_their_seed_and_differ() -> None:
    first = list(mutants(60, 1))
    assert first == list(mutants(60, 1)) != list(mutants(60, 2))
    assert len({data for _, data in first}) > 50


def test_files_that_harm_are_small() -> None:
    assert max(len(data) for _, data in made_to_harm()) < 1_000_000


def test_the_slope_is_that_of_most_samples() -> None:
    samples = [{"hours": 0.1 * n, "MB": 50 + 3 * 0.1 * n} for n in range(20)]
    samples[12]["MB"] = 500.0
    assert weeks._slope(samples, "MB") == pytest.approx(3.0)
