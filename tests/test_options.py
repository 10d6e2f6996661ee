"""What a run can be told beyond its technique, and who is refused what."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgproc.backends import TECHNIQUES
from imgproc.backends.sharing.transport import TRANSFERS
from imgproc.errors import UserError
from imgproc.operations import OPERATIONS, parse_parameters
from imgproc.runs import options
from imgproc.runs.options import (
    check_options,
    parse_counts,
    parse_start_method,
    parse_transfers,
    scale_counts,
    scale_threads,
    start_methods,
)
from imgproc.runs.record import RunSettings


def asked(**more):
    return RunSettings(list(OPERATIONS), parse_parameters({}), **more)


@given(st.lists(st.integers(1, 64), min_size=1, max_size=16), st.sampled_from([",", ", ", " ", ";", " , "]))
def test_counts_come_in_order_and_once(counts, comma):
    assert parse_counts(comma.join(map(str, counts)), "workers", 64) == sorted(set(counts))


@pytest.mark.parametrize("value", ["", ",", "0", "65", "1,two", "1.5", "-2", "²", "1 000", "9" * 30])
def test_other_counts_are_refused_with_their_field_and_limit(value):
    with pytest.raises(UserError) as problem:
        parse_counts(value, "worker_list", 64)
    assert problem.value.field == "worker_list" and "1 to 64" in problem.value.message


def test_there_may_not_be_too_many_counts():
    with pytest.raises(UserError, match="up to 16"):
        parse_counts(",".join(map(str, range(1, 20))), "workers", 64)


@pytest.mark.parametrize(("cores", "counts", "threads"), [
    (1, "1, 2, 3, 4", "1"), (2, "1, 2, 3, 4", "1, 2"), (4, "1, 2, 3, 4, 6, 8", "1, 4"),
    (20, "1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 32, 40", "1, 20"),
])  # fmt: skip
def test_the_usual_counts_go_beyond_the_cores(cores, counts, threads, monkeypatch):
    monkeypatch.setattr(options, "usable_cores", lambda: cores)
    assert (scale_counts(64), scale_threads()) == (counts, threads)
    assert len(parse_counts(scale_counts(64), "workers", 64)) <= options.MOST_COUNTS
    assert max(parse_counts(scale_counts(3), "workers", 3)) == 3


def test_transfers():
    assert parse_transfers([]) == ["paths"]
    assert parse_transfers(["arrays, shared", "arrays"]) == ["arrays", "shared"]
    with pytest.raises(UserError, match="no transfer “pickle”"):
        parse_transfers(["paths,pickle"])


def test_start_methods():
    assert parse_start_method("") is None and parse_start_method("default") is None
    assert "spawn" in start_methods() and "loky" not in start_methods()
    assert parse_start_method("spawn") == "spawn"
    with pytest.raises(UserError, match="“thread”"):
        parse_start_method("thread")


@pytest.mark.parametrize(("field", "value"), [
    ("transfers", ["arrays"]), ("chunk_size", 4), ("start_method", "spawn"),
])  # fmt: skip
def test_an_option_is_refused_where_nobody_can_follow_it(field, value):
    with pytest.raises(UserError, match="Threads cannot") as problem:
        check_options("parallel", asked(technique="auto", **{field: value}))
    assert problem.value.field == field.replace("transfers", "transfer")
    assert "multiprocessing" in problem.value.limit and "threading" not in problem.value.limit
    check_options("parallel", asked(technique="multiprocessing", **{field: value}))
    check_options("compare", asked(**{field: value}))  # those that can, do
    check_options("compare", asked(techniques=["threading", "multiprocessing"], **{field: value}))
    with pytest.raises(UserError):
        check_options("compare", asked(techniques=["threading", "opencv"], **{field: value}))


def test_several_transfers_are_for_comparisons():
    check_options("compare", asked(transfers=list(TRANSFERS)))
    with pytest.raises(UserError, match="mode compare"):
        check_options("scale", asked(technique="multiprocessing", transfers=list(TRANSFERS)))


def test_every_process_technique_takes_every_option():
    for name in ("multiprocessing", "futures-processes", "joblib"):
        able = TECHNIQUES[name].load().capabilities
        assert able.carries and able.chunks and able.inner_threads and able.start_methods
