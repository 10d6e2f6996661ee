"""MPI and Dask over hosts that share no file: the files travel, cables come loose, hosts end, and no image is lost."""

import time
from collections import Counter
from pathlib import Path

import pytest

from imgproc.backends import TECHNIQUES
from imgproc.intake.samples import draw_many
from imgproc.operations import DEFAULT_OPERATIONS, parse_parameters
from imgproc.pixels.job import ImageJob, process_image
from imgproc.pixels.stopwatch import Stopwatch
from tests.cluster.engines import (
    await_results,
    finished,
    left_behind,
    listed,
    pixels,
    pixels_of,
    started,
)
from tests.cluster.hosts import Hosts, why_not

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus" / "valid"
ENGINES = ("mpi", "dask")
WHY = why_not() or "; ".join(a.reason for name in ENGINES if not (a := TECHNIQUES[name].availability()).ok)
pytestmark = pytest.mark.skipif(bool(WHY), reason=WHY or "-")


@pytest.fixture
def hosts(tmp_path):
    with Hosts(3, tmp_path) as hosts:
        yield hosts


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    list(draw_many(folder, 6, 0.5, 3, 1))
    return folder


def right(pictures, folder):
    """``pixels_of`` the results, made without a network."""
    for picture in pictures.iterdir():
        outputs = tuple((name, str(folder / f"{picture.stem}_{name}.png")) for name in DEFAULT_OPERATIONS)
        process_image(ImageJob(str(picture), outputs, parse_parameters({})), Stopwatch())
    return pixels_of(folder)


@pytest.fixture(scope="module")
def expected(pictures, tmp_path_factory):
    return right(pictures, tmp_path_factory.mktemp("expected"))


def assert_all_there(record, hosts, expected, copies):
    """Every copy of every picture, once, and nothing else, with the right pixels."""
    assert [image.error for image in record.images if image.error] == []
    names = [output.file for image in record.images for output in image.outputs]
    assert len(set(names)) == len(names) == copies * len(expected)
    assert sorted(names) == sorted(listed(hosts, "h1", "out"))
    assert Counter(pixels(hosts).values()) == {
        digest: copies * count for digest, count in Counter(expected.values()).items()
    }


@pytest.mark.parametrize("technique", ENGINES)
def test_files_travel_to_three_hosts_and_back(technique, hosts, pictures, expected, tmp_path):
    with started(technique, hosts, pictures, tmp_path, "--budget", "5") as running:
        record = finished(running)
    found = record.techniques[0]
    assert (found.workers, found.transfer, found.identical, found.split) == (3, "bytes", True, [])
    assert any("do not see this machine’s files" in one for one in record.warnings)
    assert {span.worker for span in found.spans} == {0, 1, 2, 3}
    assert {span.host for span in found.spans if span.worker} == {None, "h2", "h3"}
    walls = {number: r.wall_seconds for number, r in enumerate(found.rounds, 1)}
    assert all(-0.005 <= span.start <= span.end <= walls[span.round] + 0.005 for span in found.spans)
    assert_all_there(record, hosts, expected, 1)
    assert not left_behind(hosts)


@pytest.mark.parametrize("technique", ENGINES)
def test_a_cable_that_comes_loose_for_a_while_costs_no_image(technique, hosts, pictures, expected, tmp_path):
    with started(technique, hosts, pictures, tmp_path, "--budget", "0", copies=20) as running:
        await_results(hosts, running, 20)
        hosts.cut("h3")
        time.sleep(3)
        assert technique == "dask" or running.poll() is None  # MPI waits for what h3 has
        hosts.mend("h3")
        record = finished(running)
    assert_all_there(record, hosts, expected, 20)


@pytest.mark.slow
@pytest.mark.parametrize("technique", ENGINES)
@pytest.mark.parametrize("end", ["cut", "off"])
def test_a_host_that_is_gone_for_good_is_done_without(technique, end, hosts, pictures, expected, tmp_path):
    with started(technique, hosts, pictures, tmp_path, "--budget", "0", copies=20) as running:
        await_results(hosts, running, 20)
        getattr(hosts, end)("h3")
        record = finished(running)
    assert_all_there(record, hosts, expected, 20)
    if technique == "mpi":
        assert any("h3 did not answer any more" in one for one in record.techniques[0].warnings)


@pytest.mark.slow
@pytest.mark.timeout(420)
@pytest.mark.skipif(not Path("/dev/net/tun").exists(), reason="there is no /dev/net/tun to make a slow cable of")
@pytest.mark.parametrize("technique", ENGINES)
def test_a_hundred_photographs_through_trouble(technique, tmp_path):
    """One cable is slow, another comes loose in the middle and is mended, and a third host is powered off."""
    photographs, copies = tmp_path / "photographs", 1
    photographs.mkdir()
    real = sorted(CORPUS.glob("photo_*.jpg")) if CORPUS.is_dir() else []
    if real:
        copies = -(-100 // len(real))
        for file in real:
            (photographs / file.name).write_bytes(file.read_bytes())
    else:
        list(draw_many(photographs, 100, 1.0, 5, 2))
    (tmp_path / "expected").mkdir()
    wanted = right(photographs, tmp_path / "expected")
    with Hosts(4, tmp_path) as hosts:
        hosts.delay("h2", 0.05)
        hosts.limit("h2", "100mbit")
        with started(technique, hosts, photographs, tmp_path, "--budget", "0", copies=copies) as running:
            await_results(hosts, running, 60)
            hosts.cut("h3")
            time.sleep(4)
            hosts.mend("h3")
            time.sleep(4)
            hosts.off("h4")
            record = finished(running, 300)
        assert len(record.images) >= 100
        assert_all_there(record, hosts, wanted, copies)


def test_a_host_that_never_answered_is_named_at_once(hosts, pictures, tmp_path):
    hosts.off("h2")
    with started("mpi", hosts, pictures, tmp_path, "--budget", "0") as running:
        _, err = running.communicate(timeout=60)
    assert running.returncode == 1
    assert "h2" in err and "Traceback" not in err
