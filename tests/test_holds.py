"""Rows of ``benchmarks/holds`` in short: what is exact in them; times and memory are for a quiet machine."""

from __future__ import annotations

import sys

import pytest

from benchmarks.holds import weeks
from benchmarks.holds.__main__ import ROWS
from benchmarks.holds.files import made_to_harm, mutants

SHORT = 0.001


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read as on Linux")
@pytest.mark.parametrize("row", [2, 12])
def test_a_row_in_short(row: int) -> None:
    found = list(ROWS[row][1](SHORT, 1))
    assert found
    for promise in found:
        assert promise.kept or promise.wanted.startswith(("under ", "within ")), promise


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
