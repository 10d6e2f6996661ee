"""Who takes part in which run."""

import pytest

from imgproc.backends import TECHNIQUES
from imgproc.errors import UserError
from imgproc.operations import DEFAULT_OPERATIONS, parse_parameters
from imgproc.runs import contenders as module
from imgproc.runs.contenders import find_contenders
from imgproc.runs.record import Record, RunSettings
from tests.backend_kinds import AVAILABLE, DEFAULT


def of(mode, **asked):
    settings = RunSettings(list(DEFAULT_OPERATIONS), parse_parameters({}), **{"workers": 2, **asked})
    return find_contenders(Record("0" * 12, mode, settings), deadline=5)


def labels(contenders):
    return [c.measurement.label for c in contenders]


def test_sequential_alone_and_one_technique_with_its_baseline():
    assert labels(of("sequential").same_work) == ["Sequential"]
    assert labels(of("parallel").same_work) == ["Threads", "Sequential"]
    assert labels(of("parallel", technique="joblib").same_work) == ["joblib", "Sequential"]
    assert labels(of("parallel", budget=0).same_work) == ["Threads"]


def test_a_comparison_has_everybody_the_likely_fastest_first():
    found = of("compare")
    assert labels(found.same_work)[0] == "Threads"
    assert {c.technique.name for c in found.same_work} == set(DEFAULT) and not found.weak
    assert labels(of("compare", techniques=["joblib", "opencv"]).same_work) == [
        "joblib", "OpenCV’s own threads", "Sequential"
    ]  # fmt: skip


def test_who_cannot_run_is_listed_with_the_reason():
    found = of("compare", workers=1)
    missing = {m.name: m.reason for m in found.missing}
    assert set(missing) == set(TECHNIQUES) - set(AVAILABLE) | {"joblib"}
    assert "at least 2 workers" in missing["joblib"]
    with pytest.raises(UserError, match=r"joblib cannot run here.*at least 2 workers"):
        of("parallel", technique="joblib", workers=1)


def test_transfers_take_part_once_each_with_their_own_workers():
    found = of("compare", techniques=["multiprocessing", "threading"], transfers=["paths", "arrays", "shared"])
    assert [(c.technique.name, c.transfer) for c in found.same_work] == [
        ("multiprocessing", "paths"), ("multiprocessing", "arrays"), ("multiprocessing", "shared"),
        ("threading", "paths"), ("sequential", "paths"),
    ]  # fmt: skip
    assert len(set(labels(found.same_work))) == 5
    assert len({id(c.backend) for c in found.same_work}) == 5


def test_joblib_shares_its_only_workers_among_transfers():
    found = of("compare", techniques=["joblib"], transfers=["paths", "arrays"])
    assert found.same_work[0].backend is found.same_work[1].backend
    assert not any(c.restart_each_pass for c in found.same_work)


def test_scale_mode_goes_through_workers_and_inner_threads(monkeypatch):
    monkeypatch.setattr(module, "usable_cores", lambda: 2)
    found = of("scale", technique="threading", worker_counts=[1, 2, 4], cv2_threads=[1, 2])
    assert [(c.technique.name, c.measurement.workers, c.measurement.cv2_threads) for c in found.same_work] == [
        ("threading", 2, 1), ("threading", 1, 1), ("threading", 4, 1),
        ("threading", 2, 2), ("threading", 1, 2), ("threading", 4, 2), ("sequential", 1, 1),
    ]  # fmt: skip
    assert labels(found.same_work)[:2] == ["Threads, 2 workers", "Threads, 1 worker"]
    assert [(c.copies, c.measurement.workers) for c in found.weak] == [(2, 2), (4, 4)]
    assert all(
        c.shares_backend_with in found.same_work and c.backend is c.shares_backend_with.backend for c in found.weak
    )
    assert len({*labels(found.same_work), *labels(found.weak)}) == 9


def test_opencvs_threads_scale_without_a_grid():
    found = of("scale", technique="opencv", worker_counts=[1, 2], cv2_threads=[1, 2])
    opencv = "OpenCV’s own threads"
    assert sorted(labels(found.same_work)) == [f"{opencv}, 1 thread", f"{opencv}, 2 threads", "Sequential"]
    assert [(c.copies, c.measurement.threads) for c in found.weak] == [(2, 2)]


def test_joblib_takes_turns_with_itself():
    found = of("scale", technique="joblib", worker_counts=[1, 2, 3], cv2_threads=[1])
    assert all(c.restart_each_pass for c in [*found.same_work, *found.weak] if c.technique.name == "joblib")
    assert [m.label for m in found.missing] == ["joblib, 1 worker"]
