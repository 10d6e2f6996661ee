"""What it takes to hand data to a worker: the fit of latency and bandwidth, its words, a real measurement, command and
page."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from communications import TRUE, communication, line, sizes
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st

from imgproc.backends import technique
from imgproc.backends.sharing.echo import SharedEcho, echo
from imgproc.backends.task import Task
from imgproc.cli import main
from imgproc.measure.communication import Size, fit
from imgproc.report import communication as told
from imgproc.report.charts import communication as figure
from imgproc.report.charts import style
from imgproc.runs.communication import SIZES, WAYS, Communication, measure
from imgproc.settings import Settings

HTML = {"Accept": "text/html"}

# ---------------------------------------------------------------- the fit


@tries(deadline=None, max_examples=40)
@given(latency=st.floats(1e-6, 1e-2), bandwidth=st.floats(1e7, 1e11))
def test_a_line_without_noise_is_found_exactly(latency: float, bandwidth: float) -> None:
    found = fit(sizes(line(latency, bandwidth), noise=0.0))
    assert found is not None and not found.pieces and not found.misses
    assert found.line.largest_error < 1e-6
    for count in SIZES:
        assert found.line.seconds(2 * count) == pytest.approx(line(latency, bandwidth)(count), rel=1e-6)


@tries(deadline=None, max_examples=25)
@given(
    latency=st.floats(1e-5, 1e-3), bandwidth=st.floats(1e8, 1e10), seed=st.integers(0, 10**6), noise=st.floats(0, 0.1)
)
def test_noise_and_disturbed_rounds_move_it_little(latency: float, bandwidth: float, seed: int, noise: float) -> None:
    found = fit(sizes(line(latency, bandwidth), noise=noise, seed=seed))
    assert found is not None
    low, high = found.line.latency_ci95
    assert 0 <= low <= found.line.latency <= high
    least, most = found.line.per_byte_ci95
    assert 0 <= least <= found.line.per_byte <= most
    # Medians of 15 rounds, of which some took up to three times as long.
    assert found.line.seconds(0) == pytest.approx(latency, rel=0.25)
    assert found.line.seconds(2 * SIZES[-1]) == pytest.approx(line(latency, bandwidth)(SIZES[-1]), rel=0.4)


def test_where_bytes_cost_nothing_there_is_no_bandwidth() -> None:
    found = fit(sizes(line(4e-5, 0.0)))
    assert found is not None and found.line.bandwidth is None and found.line.half is None
    assert found.line.latency == pytest.approx(4e-5, rel=0.05)


def test_intervals_cover_the_truth_in_most_tries() -> None:
    held = 0
    for seed in range(60):
        found = fit(sizes(line(3e-4, 1e9), noise=0.05, seed=seed, rounds=21))
        assert found is not None
        # Disturbed rounds make the typical round a little slower; the truth is that of medians.
        disturbed = median(s / line(3e-4, 1e9)(1024) for s in sizes(line(3e-4, 1e9), rounds=4000, seed=1)[0].seconds)
        low, high = found.line.latency_ci95
        held += low <= 3e-4 * disturbed <= high
    assert held >= 51  # of 60: 95 % by a bootstrap of few rounds is 90 % or so


def test_two_regimes_are_told_as_two_lines() -> None:
    def seconds(count: int) -> float:
        return 2e-5 + 2 * count / 5e9 if count <= 65536 else 6e-4 + 2 * count / 8e8

    found = fit(sizes(seconds))
    assert found is not None and [piece.high for piece in found.pieces] == [65536, SIZES[-1]]
    assert found.pieces[0].latency == pytest.approx(2e-5, rel=0.2)
    assert found.pieces[1].latency == pytest.approx(6e-4, rel=0.2)
    assert not found.misses


def test_a_size_that_no_line_describes_is_named() -> None:
    measured = sizes(line(3e-4, 1e9), noise=0.01)
    odd = measured[3] = Size(measured[3].bytes, [2 * s for s in measured[3].seconds])
    found = fit(measured)
    assert found is not None and found.misses == [odd.bytes]
    whole = Communication("", None, [replace(communication().transports[1], sizes=measured, fitted=found)])
    assert "does not hold for 66\u00a0kB" in " ".join(told.sentences(whole))


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(ValueError, match="rise"):
        fit([Size(2, [1.0]), Size(1, [1.0])])
    with pytest.raises(ValueError, match="same number of rounds"):
        fit([Size(1, [1.0]), Size(2, [1.0, 1.0])])
    with pytest.raises(ValueError, match="positive"):
        fit([Size(1, [1.0]), Size(2, [0.0])])
    assert fit([Size(1, [1.0]), Size(2, [1.0])]) is None


# ---------------------------------------------------------------- measured


def test_more_bytes_take_longer_between_processes_and_no_longer_between_threads() -> None:
    counts = (1 << 10, 1 << 17, 1 << 24)
    found = measure(Settings.from_environment(), ["memory", "pickled", "shared"], counts, rounds=7, seconds=20)
    assert [one.reason for one in found.transports] == ["", "", ""]
    memory, pickled, shared = found.transports
    for one in (pickled, shared):
        # 16 MB against 1 kB: four orders of magnitude, which no disturbance of this machine turns round.
        assert min(one.sizes[2].seconds) > min(one.sizes[0].seconds)
        assert one.fitted and one.fitted.line.latency > 0 and one.fitted.line.per_byte > 0
        # Whatever the machine, a copy is slower than 1 TB/s and a task takes more than a tenth of a microsecond.
        assert min(one.sizes[0].seconds) > 1e-7 and one.fitted.line.per_byte > 1e-12
    assert min(memory.sizes[2].seconds) < min(pickled.sizes[2].seconds)
    assert found.measured and [one.name for one in found.there] == ["memory", "pickled", "shared"]


def test_what_is_carried_comes_back_as_it_went() -> None:
    data = np.arange(70_000, dtype=np.uint32).view(np.uint8)
    backend = technique("multiprocessing").load()(1)
    try:
        backend.start()
        for carrier in (None, SharedEcho):
            (result,) = backend.run([Task(0, echo, data, carrier)], deadline=60)
            assert result.error is None and np.array_equal(result.value, data)
            assert (result.bytes_moved or 0) >= 2 * data.nbytes
    finally:
        backend.close()


def test_a_transport_that_cannot_run_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WAYS, "dask", replace(WAYS["dask"], technique="cupy"))
    found = measure(Settings.from_environment(), ["dask"], (1024, 2048, 4096), rounds=1)
    assert not found.there
    (said, *_) = told.sentences(found)
    assert said.startswith("Dask was not measured: ") and len(said) > 30


# ---------------------------------------------------------------- told


def test_it_is_kept_for_this_machine(tmp_path: Path) -> None:
    found = communication()
    assert not Communication.load(tmp_path).transports
    found.save(tmp_path)
    assert Communication.load(tmp_path) == found
    (file,) = tmp_path.iterdir()
    file.write_text("{")
    assert Communication.load(tmp_path) == Communication()


def test_the_words_tell_the_costs_of_each() -> None:
    said = list(told.sentences(communication()))
    assert said[0].startswith("Threads: ") and "µs, however much it is. No size is off by more than" in said[0]
    assert "GB/s, half of it latency at" in said[1] and "No size is off by more than" in said[1]
    assert said[3].startswith("MPI: no one line describes it. Up to 66\u00a0kB it is ")
    assert said[4] == "Dask was not measured: The Python package dask is not installed."
    assert len(told.rows(communication())) == len(TRUE) + 1
    busy = replace(communication(), busy=0.7)
    assert list(told.sentences(busy))[-1].startswith("Other programs used 0.7 cores meanwhile")


@pytest.mark.parametrize("narrow", [False, True])
def test_the_figure_has_all_sizes_and_a_line_for_each_fit(narrow: bool) -> None:
    found = communication()
    made = figure.chart(found)
    assert made is not None and set(figure._LOOKS) == set(WAYS)
    axes = style.drawn(made, style.Style(narrow=narrow)).axes[0]
    points = [list(bars.lines[0].get_xdata()) for bars in axes.containers]
    assert points == [list(SIZES)] * len(TRUE)
    assert sum(line.get_linestyle() == "-" for line in axes.lines) == len(TRUE) + 1
    assert figure.chart(Communication()) is None


# ---------------------------------------------------------------- command and page


def test_the_command_prints_it_and_keeps_what_is_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("imgproc.runs.communication.SIZES", (1024, 8192, 65536))
    monkeypatch.setattr("imgproc.runs.communication.measure.__defaults__", (tuple(WAYS), (1024, 8192, 65536)))
    assert main(["communication", "--transports", "memory", "--no-wait", "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)["transports"]
    assert one["name"] == "memory" and [size["bytes"] for size in one["sizes"]] == [1024, 8192, 65536]
    assert not list(tmp_path.iterdir())  # one of several is not what the page shows
    assert main(["communication", "--transports", "memory", "--no-wait"]) == 0
    assert capsys.readouterr().out.startswith("transport")


def test_the_command_refuses_what_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["communication", "--transports", "memory,pigeons"]) == 2
    said = capsys.readouterr().err
    assert "Transports (--transports) are memory, pickled, shared, mpi, dask, not “pigeons”." in said


def test_the_page_says_how_to_measure_it_and_then_shows_it(client: FlaskClient) -> None:
    page = client.get("/techniques", headers=HTML).text
    assert " communication</code>" in page and "/techniques/figures/" not in page
    assert client.get("/techniques/figures/communication.svg").status_code == 404
    found = communication()
    found.save(Settings.from_environment().cache_dir)
    page = client.get("/techniques", headers=HTML).text
    assert "no one line describes it" in page and 'src="/techniques/figures/communication.svg' in page
    drawn = client.get("/techniques/figures/communication.svg?theme=dark")
    assert drawn.mimetype == "image/svg+xml" and drawn.data.startswith(b"<?xml")
    assert client.get("/techniques/figures/communication.gif").status_code == 404
