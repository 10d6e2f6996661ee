"""Laws of scaling against published examples, closed forms, limits and each other."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgproc.measure.laws import amdahl, fit_amdahl, fit_gustafson, fit_usl, gustafson, karp_flatt, usl

SERIAL = st.floats(0, 1)
WORKERS = st.integers(2, 1024)
COUNTS = (1, 2, 4, 8)

# SPEC SDM91 on a SPARCcenter 2000: the worked example of Gunther, Guerrilla Capacity Planning (2007), and of the
# R package usl, whose documentation prints these coefficients for its own fit.
SDM91 = (1, 18, 36, 72, 108, 144, 216), (64.9, 995.9, 1652.4, 1853.2, 1828.9, 1775.0, 1702.2)
# The ray tracer benchmark, likewise.
RAY_TRACER = (1, 4, 8, 12, 16, 20, 24, 28, 32, 48, 64), (20, 78, 130, 170, 190, 200, 210, 230, 260, 280, 310)


# Quinn, Parallel Programming in C with MPI and OpenMP (2003), section 7.5, examples 1 and 2: the serial fraction
# stays, so the work itself is serial; it grows, so overhead does. The speedups are printed to two decimals.
@pytest.mark.parametrize(
    ("speedups", "fractions"),
    [
        ((1.82, 2.50, 3.08, 3.57, 4.00, 4.38, 4.71), (0.1,) * 7),
        ((1.87, 2.61, 3.23, 3.73, 4.14, 4.46, 4.71), (0.070, 0.075, 0.080, 0.085, 0.090, 0.095, 0.100)),
    ],
)
def test_karp_flatt_in_a_published_example(speedups, fractions):
    for workers, (measured, fraction) in enumerate(zip(speedups, fractions, strict=True), start=2):
        assert karp_flatt(measured, workers) == pytest.approx(fraction, abs=0.0015)


@given(WORKERS, SERIAL)
def test_karp_flatt_gives_back_amdahls_serial_fraction(workers, serial):
    assert karp_flatt(amdahl(workers, serial), workers) == pytest.approx(serial, abs=1e-9)


def test_karp_flatt_at_its_ends():
    assert karp_flatt(1.0, 1) is None
    assert karp_flatt(4.0, 4) == 0
    assert karp_flatt(1.0, 4) == 1
    assert karp_flatt(5.0, 4) < 0  # more than one per worker


# Hennessy and Patterson, Computer Architecture, chapter 5: 80 times on 100 processors leaves 0.25 % serial.
def test_amdahl_in_a_published_example():
    assert amdahl(100, 0.0025) == pytest.approx(80, abs=0.2)
    assert karp_flatt(80, 100) == pytest.approx(0.0025, abs=0.00005)


@given(WORKERS, SERIAL)
def test_amdahl_lies_between_one_and_its_limits(workers, serial):
    value = amdahl(workers, serial)
    assert 1 - 1e-9 <= value <= workers * (1 + 1e-9)
    assert serial == 0 or value <= 1 / serial * (1 + 1e-9)
    assert amdahl(1, serial) == pytest.approx(1)


def test_amdahls_limit():
    assert amdahl(1e12, 0.05) == pytest.approx(20)
    assert amdahl(8, 0) == 8
    assert amdahl(8, 1) == 1


# Gustafson, CACM 31(5), 1988: 1,024 processors, and three applications with their scaled speedups.
@pytest.mark.parametrize(("serial", "scaled"), [(0.01, 1014), (0.02, 1004), (0.03, 993), (0.04, 983)])
def test_gustafson_in_the_published_figure(serial, scaled):
    assert round(gustafson(1024, serial)) == scaled


@pytest.mark.parametrize(("scaled", "percent"), [(1021, 0.3), (1020, 0.4), (1016, 0.8)])
def test_gustafsons_applications(scaled, percent):
    assert gustafson(1024, percent / 100) == pytest.approx(scaled, abs=0.5)


@given(WORKERS, SERIAL)
def test_gustafson_is_never_below_amdahl(workers, serial):
    assert gustafson(workers, serial) >= amdahl(workers, serial) - 1e-9


@given(WORKERS, SERIAL)
def test_usl_without_coherency_is_amdahls_law(workers, sigma):
    assert usl(workers, sigma, 0) == pytest.approx(amdahl(workers, sigma))


@pytest.mark.parametrize(("law", "fit"), [(amdahl, fit_amdahl), (gustafson, fit_gustafson)])
class TestSerialFits:
    @settings(deadline=None)  # a busy machine is no failure
    @given(serial=SERIAL)
    def test_exact_points_give_the_fraction_back(self, law, fit, serial):
        found = fit(COUNTS, [law(p, serial) for p in COUNTS])
        assert found.serial == pytest.approx(serial, abs=1e-6)
        assert found.serial_ci95 == [pytest.approx(serial, abs=1e-5)] * 2
        assert found.scale == pytest.approx(1, abs=1e-5)
        assert found.largest_error < 1e-5

    @settings(deadline=None)  # a busy machine is no failure
    @given(serial=st.floats(0.01, 0.99), height=st.floats(0.5, 2))
    def test_an_error_of_the_one_worker_time_moves_the_height_only(self, law, fit, serial, height):
        found = fit(COUNTS, [height * law(p, serial) for p in COUNTS])
        assert found.serial == pytest.approx(serial, abs=1e-6)
        assert found.scale == pytest.approx(height, rel=1e-5)

    @settings(deadline=None)  # a busy machine is no failure
    @given(noise=st.lists(st.floats(0.8, 1.25), min_size=4, max_size=4), serial=SERIAL)
    def test_the_interval_holds_the_fraction_and_the_curve_follows(self, law, fit, noise, serial):
        speedups = [n * law(p, serial) for n, p in zip(noise, COUNTS, strict=True)]
        found = fit(COUNTS, speedups)
        assert 0 <= found.serial <= 1
        if found.serial_ci95:
            assert 0 <= found.serial_ci95[0] <= found.serial <= found.serial_ci95[1] <= 1
        assert [p for p, _ in found.curve] == found.workers == list(COUNTS)
        errors = [measured / at - 1 for measured, (_, at) in zip(speedups, found.curve, strict=True)]
        assert found.largest_error == pytest.approx(max(map(abs, errors)))

    def test_worse_points_make_a_wider_interval(self, law, fit):
        def width(error):
            errors = (1, 1 + error, 1 - error, 1)
            low, high = fit(COUNTS, [e * law(p, 0.2) for e, p in zip(errors, COUNTS, strict=True)]).serial_ci95
            return high - low

        assert 0 < width(0.01) < width(0.03)

    def test_no_fit_below_three_worker_counts(self, law, fit):
        assert fit((1, 2), (1, 1.9)) is None
        assert fit((1, 2, 2, 2), (1, 1.9, 1.8, 1.9)) is None
        assert fit((), ()) is None

    @pytest.mark.parametrize(
        ("workers", "speedups"),
        [((1, 2, 4), (1, 2)), ((0, 1, 2), (1, 1, 1)), ((1, 2, 4), (1, 0, 2)), ((1, 2, 4), (1, 2, math.nan))],
    )
    def test_nonsense_is_refused(self, law, fit, workers, speedups):
        with pytest.raises(ValueError):
            fit(workers, speedups)


def test_what_no_serial_fraction_explains_has_no_interval():
    more_than_one_each = [p**1.2 for p in (1, 2, 3, 4, 5, 6, 7, 8)]
    found = fit_amdahl(range(1, 9), more_than_one_each)
    assert found.serial == 0
    assert found.serial_ci95 is None


def test_a_speedup_that_falls_is_all_serial():
    found = fit_amdahl(COUNTS, (1, 0.99, 0.97, 0.96))
    assert found.serial == 1
    assert found.serial_ci95[1] == 1


def test_the_limit_lies_beyond_the_data():
    found = fit_amdahl(COUNTS, [amdahl(p, 0.05) for p in COUNTS])
    assert found.limit == pytest.approx(20, rel=1e-5) and found.limit_ci95 == pytest.approx([20, 20], rel=1e-4)
    sure = fit_amdahl(COUNTS, [error * amdahl(p, 0.05) for p, error in zip(COUNTS, (1, 1.01, 0.99, 1), strict=True)])
    assert sure.limit_ci95 == pytest.approx([sure.scale / end for end in reversed(sure.serial_ci95)])
    wide = fit_amdahl(COUNTS, [error * amdahl(p, 0.05) for p, error in zip(COUNTS, (1, 1.1, 0.9, 1), strict=True)])
    assert wide.serial_ci95[0] == 0 and wide.limit_ci95[1] == math.inf
    assert (nothing := fit_amdahl(COUNTS, COUNTS)).limit is None and nothing.limit_ci95 is None


def test_usl_fit_of_the_published_example():
    found = fit_usl(*SDM91)
    assert found.curve[0][1] == pytest.approx(89.99523, abs=0.001)
    assert found.sigma == pytest.approx(0.0277285, abs=1e-6)
    assert found.kappa == pytest.approx(0.0001044, abs=1e-7)
    assert found.peak == pytest.approx(96.5, abs=0.1)
    assert not found.peak_beyond


def test_usl_fit_of_the_ray_tracer_has_no_peak():
    found = fit_usl(*RAY_TRACER)
    assert found.curve[0][1] == pytest.approx(21.848843, abs=1e-4)
    assert found.sigma == pytest.approx(0.057771, abs=1e-6)
    assert found.kappa == pytest.approx(0, abs=1e-12)
    assert found.peak is None


@settings(deadline=None)
@given(st.floats(0.1, 1000), st.floats(0, 0.9), st.floats(1e-4, 0.1))
def test_usl_fit_gives_exact_points_back(gamma, sigma, kappa):
    counts = (1, 2, 3, 4, 6, 8)
    found = fit_usl(counts, [gamma * usl(n, sigma, kappa) for n in counts])
    assert found.curve[0][1] == pytest.approx(gamma, rel=1e-4)
    assert found.sigma == pytest.approx(sigma, abs=1e-4)
    assert found.kappa == pytest.approx(kappa, abs=1e-5)
    assert found.largest_error < 1e-5
    assert [at for _, at in found.curve] == pytest.approx([gamma * usl(n, sigma, kappa) for n in counts], rel=1e-4)


def test_usl_peaks_where_the_closed_form_says():
    counts = range(1, 9)
    near = fit_usl(counts, [5 * usl(n, 0.1, 0.04) for n in counts])
    assert near.peak == pytest.approx(math.sqrt(0.9 / 0.04)) and not near.peak_beyond
    far = fit_usl(counts, [5 * usl(n, 0.1, 0.001) for n in counts])
    assert far.peak == pytest.approx(30) and far.peak_beyond
    top = usl(near.peak, near.sigma, near.kappa)
    assert top > max(usl(near.peak + step, near.sigma, near.kappa) for step in (-0.5, 0.5))


def test_no_usl_below_six_worker_counts():
    assert fit_usl(range(1, 6), [1.0, 1.9, 2.7, 3.4, 4.0]) is None
    assert fit_usl((1, 2, 3, 4, 5, 5), [1.0, 1.9, 2.7, 3.4, 4.0, 4.0]) is None
    with pytest.raises(ValueError):
        fit_usl(range(1, 7), [1.0] * 5)
