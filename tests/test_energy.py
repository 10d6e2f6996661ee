"""Energy of the whole machine: which counters there are, what they say of a pass, and what a run tells of it."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from conftest import MakeRun, jpeg
from flask.testing import FlaskClient
from scale_runs import measured

from imgproc.measure import energy
from imgproc.measure.derive import derive
from imgproc.measure.energy import HIDDEN, NO_COUNTERS, NO_NVML, NO_PERMISSION, UNREADABLE, Counter, EnergyMeter, find
from imgproc.operations import parse_parameters
from imgproc.report import conditions
from imgproc.report.energy import counted
from imgproc.report.energy import energy as said
from imgproc.report.text import comparison
from imgproc.runs.execute import process
from imgproc.runs.headers import look_at
from imgproc.runs.passes import RunFolders
from imgproc.runs.record import ImageRecord, Record, RunSettings
from imgproc.runs.verify import verify
from imgproc.settings import Settings

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the counters are Linux's")
MOST = 262_143_328_850


class Powercap:
    """The folder of counters as Linux has it: zones inside of each other, and beside each other as links."""

    def __init__(self, folder: Path) -> None:
        self.real, self.root = folder / "devices", folder / "class"
        self.root.mkdir(parents=True)
        self.zones: dict[str, Path] = {}

    def zone(self, zone: str, name: str, microjoules: int = 1_000_000, most: int = MOST) -> Path:
        parts = zone.split(":")
        place = self.real / parts[0]
        for depth in range(2, len(parts) + 1):
            place /= ":".join(parts[:depth])
        place.mkdir(parents=True, exist_ok=True)
        (place / "name").write_text(f"{name}\n")
        (place / "max_energy_range_uj").write_text(f"{most}\n")
        (place / "energy_uj").write_text(f"{microjoules}\n")
        (self.root / zone).symlink_to(place)
        self.zones[zone] = place
        return place

    def two_sockets(self) -> None:
        for socket in "01":
            self.zone(f"intel-rapl:{socket}", f"package-{socket}")
            self.zone(f"intel-rapl:{socket}:0", "core")
            self.zone(f"intel-rapl:{socket}:1", "dram")
        self.zone("intel-rapl:2", "psys")
        self.zone("intel-rapl-mmio:0", "package-0")

    def add(self, zone: str, joules: float) -> None:
        file = self.zones[zone] / "energy_uj"
        new = file.with_name("next")  # whole at any moment, as the system's
        new.write_text(f"{(int(file.read_text()) + round(joules * 1e6)) % MOST}\n")
        new.replace(file)


@pytest.fixture
def powercap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Powercap:
    made = Powercap(tmp_path / "sys")
    monkeypatch.setattr(energy, "POWERCAP", made.root)
    monkeypatch.setattr(energy, "NVIDIA", tmp_path / "none")
    monkeypatch.setitem(sys.modules, "pynvml", None)  # as if it were not installed
    energy._nvml.cache_clear()
    return made


# ---------------------------------------------------------------- which counters there are


def test_packages_and_the_memory_beside_them_are_counted_once(powercap: Powercap) -> None:
    """What is inside of a package, the platform that has it inside, and its second counter are not added."""
    powercap.two_sockets()
    found = find()
    names = [(one.of, one.name) for one in found.counters]
    assert sorted(names) == [("memory", "0"), ("memory", "1"), ("processor", "0"), ("processor", "1")]
    assert found.missing == () and {one.most for one in found.counters} == {MOST / 1e6}
    for zone in powercap.zones:
        powercap.add(zone, 100.0)
    assert sum(one.read() for one in found.counters) == pytest.approx(4 * 101.0)


def test_dies_of_a_package_are_told_apart(powercap: Powercap) -> None:
    for number, die in enumerate("01"):
        powercap.zone(f"intel-rapl:{number}", f"package-0-die-{die}")
    assert [one.name for one in find().counters] == ["0-die-0", "0-die-1"]


def test_a_system_without_counters_says_so(powercap: Powercap) -> None:
    assert find().counters == () and find().missing == (NO_COUNTERS,)
    powercap.root.rmdir()
    assert find().missing == (NO_COUNTERS,)
    powercap.root.mkdir()
    powercap.zone("intel-rapl:0", "core")
    assert find().missing == (NO_COUNTERS,)


def test_a_container_from_which_they_are_hidden_says_so(powercap: Powercap) -> None:
    (powercap.root / "intel-rapl:0").symlink_to(powercap.real / "gone")
    assert find().counters == () and find().missing == (HIDDEN,)


@pytest.mark.parametrize("zone", ["intel-rapl:1", "intel-rapl:1:1"])
def test_counters_for_root_alone_say_how_to_let_others_read_them(
    powercap: Powercap, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    """One that cannot be read leaves all out: the others alone would be less than the machine takes."""
    powercap.two_sockets()
    _refuse(monkeypatch, powercap.zones[zone] / "energy_uj", PermissionError)
    assert find().counters == () and find().missing == (NO_PERMISSION,)
    assert "sudo chmod a+r" in NO_PERMISSION


def _refuse(monkeypatch: pytest.MonkeyPatch, file: Path, how: type[OSError]) -> None:
    """Reading it fails, for root too, who may read all files."""
    real = Path.read_text

    def read(path: Path, *rest: str) -> str:
        if path.resolve() == file.resolve():
            raise how(13, "no")
        return real(path, *rest)

    monkeypatch.setattr(Path, "read_text", read)


def test_a_counter_that_is_broken_leaves_all_out(powercap: Powercap) -> None:
    powercap.two_sockets()
    (powercap.zones["intel-rapl:1"] / "energy_uj").write_text("what?\n")
    assert find().counters == () and find().missing == (UNREADABLE,)


def _nvml(joules: list[float]) -> ModuleType:
    """NVIDIA's package, of a machine whose GPUs have taken so much."""
    module = ModuleType("pynvml")
    module.nvmlInit = lambda: None
    module.nvmlDeviceGetCount = lambda: len(joules)
    module.nvmlDeviceGetHandleByIndex = lambda index: index
    module.nvmlDeviceGetTotalEnergyConsumption = lambda index: int(1000 * joules[index])
    return module


def test_gpus_are_counted_with_the_processors(powercap: Powercap, monkeypatch: pytest.MonkeyPatch) -> None:
    powercap.zone("intel-rapl:0", "package-0")
    taken = [5.0, 7.0]
    monkeypatch.setitem(sys.modules, "pynvml", _nvml(taken))
    found = find()
    assert [(one.of, one.name) for one in found.counters] == [("processor", "0"), ("gpu", "0"), ("gpu", "1")]
    with EnergyMeter(found.counters) as meter:
        taken[0] += 90.0
        taken[1] += 10.0
        powercap.add("intel-rapl:0", 50.0)
    assert meter.joules(2.0) == {"processor": 50.0, "gpu": 100.0}
    assert meter.joules(0.5) == {}  # too short for a GPU's counter
    energy._nvml.cache_clear()


def test_gpus_whose_counters_cannot_be_read_are_said(powercap: Powercap, monkeypatch: pytest.MonkeyPatch) -> None:
    powercap.zone("intel-rapl:0", "package-0")
    assert find().missing == ()
    monkeypatch.setattr(energy, "NVIDIA", powercap.root)
    assert find().missing == (NO_NVML,) and len(find().counters) == 1
    module = _nvml([1.0])

    def fail(_: int) -> int:
        raise RuntimeError("Not Supported")

    module.nvmlDeviceGetTotalEnergyConsumption = fail
    monkeypatch.setitem(sys.modules, "pynvml", module)
    assert find().missing == ("NVIDIA’s driver does not tell that of GPUs here",)


# ---------------------------------------------------------------- over a pass


def test_a_counter_that_begins_again_is_counted_on(powercap: Powercap) -> None:
    powercap.zone("intel-rapl:0", "package-0", microjoules=MOST - 3_000_000)
    meter = EnergyMeter(find().counters)
    for joules in (10.0, 4.0):  # only the first goes beyond its end
        with meter:
            powercap.add("intel-rapl:0", joules)
        assert meter.joules(1.0) == {"processor": pytest.approx(joules, abs=1e-5)}
    assert int((powercap.zones["intel-rapl:0"] / "energy_uj").read_text()) == 11_000_000


def test_a_counter_that_begins_again_several_times_in_a_pass_is_read_in_between() -> None:
    taken, lock = [0.0], threading.Lock()

    def read() -> float:
        with lock:
            return taken[0] % 40.0

    before = threading.active_count()
    with EnergyMeter([Counter("0", "processor", read, 40.0)]) as meter:
        assert meter.pause == pytest.approx(0.02)
        meter.pause = 0.005
        for _ in range(60):
            with lock:
                taken[0] += 2.5
            time.sleep(0.02)
    assert meter.joules(1.0) == {"processor": pytest.approx(150.0)}
    assert threading.active_count() == before


def test_nothing_is_told_where_a_counter_fails_or_the_pass_is_short() -> None:
    values = iter([1.0, math.nan])

    def gone() -> float:
        value = next(values)
        if math.isnan(value):
            raise OSError
        return value

    steady = Counter("0", "memory", lambda: 5.0, 100.0)
    with EnergyMeter([Counter("0", "processor", gone), steady]) as meter:
        pass
    assert meter.joules(9.0) == {}
    with EnergyMeter([steady]) as meter:
        pass
    assert meter.joules(9.0) == {"memory": 0.0} and meter.joules(0.01) == {}
    with EnergyMeter([]) as meter:
        pass
    assert meter.joules(9.0) == {}


# ---------------------------------------------------------------- what a run tells


ENERGY = {"counters": ["processor 0", "processor 1", "memory 0", "memory 1"], "missing": []}


def _counted_run(joules: Callable[[str, int], float | None], known: object = ENERGY) -> Record:
    """A comparison over ten images, with so many joules in each round of a technique."""
    asked = RunSettings(["canny"], parse_parameters({}), workers=2, seed=7)
    record = Record("0" * 32, "compare", asked, state="done", environment={"energy": known, "cores_usable": 2})
    record.techniques = [measured("threading", "Threads", 0.6, 2), measured("sequential", "Sequential", 1.2)]
    record.images = [ImageRecord(k, f"{k}.jpg", 1000, 1000, "JPEG", 9) for k in range(10)]
    for t in record.techniques:
        for number, one in enumerate(t.rounds):
            value = joules(t.name, number)
            one.joules = {} if value is None else {"processor": 0.9 * value, "memory": 0.1 * value}
    derive(record.techniques, images=10, megapixels=10.0)
    record.conclude()
    return record


def test_a_run_tells_the_joules_of_an_image_with_their_interval() -> None:
    record = _counted_run(lambda name, number: (20.0 if name == "threading" else 30.0) + number)
    threads, baseline = record.techniques
    assert threads.joules_per_image == pytest.approx(2.3) and baseline.joules_per_image == pytest.approx(3.3)
    assert threads.joules_per_image_ci95 == [pytest.approx(2.0), pytest.approx(2.6)]
    text = said(record).replace("\u00a0", " ")
    assert text.startswith(
        "Energy for one image: 2.30 J with threads (95 % interval 2.00 to 2.60) and 3.30 J with sequential (95 % "
        "interval 3.00 to 3.60). That is what the whole machine took, by the counters of processors 0 and 1 and memory;"
    )
    assert text.replace("\u00a0", " ") in comparison(record).replace("\u00a0", " ")
    assert ("Energy", "of the whole machine, by the counters of processors 0 and 1 and memory") in conditions.facts(
        record
    )["Machine"]
    again = Record.from_dict(record.to_dict())
    assert again.techniques[0].rounds[0].joules == {"processor": 18.0, "memory": 2.0} and verify(again) == []
    again.techniques[0].joules_per_image = 1.0
    assert any("joules_per_image is 1.0" in line for line in verify(again))


def test_a_run_of_which_a_round_was_not_counted_tells_none() -> None:
    record = _counted_run(lambda name, number: 20.0 if number else None)
    assert [t.joules_per_image for t in record.techniques] == [None, None] and said(record) == ""
    assert counted(record).replace("\u00a0", " ").startswith("not counted: rounds below 0.05 s are too short")


@pytest.mark.parametrize("why", [NO_COUNTERS, NO_PERMISSION, HIDDEN])
def test_a_run_without_counters_says_why_in_one_line(why: str) -> None:
    record = _counted_run(lambda name, number: None, {"counters": [], "missing": [why]})
    assert said(record) == "" and "Energy for" not in comparison(record)
    assert ("Energy", f"not counted: {why}") in conditions.facts(record)["Machine"]
    assert record.techniques[0].joules_per_image is None
    old = _counted_run(lambda name, number: None, None)  # of a version that knew nothing of it
    assert "Energy" not in dict(conditions.facts(old)["Machine"]) if "Machine" in conditions.facts(old) else True


def test_the_page_tells_it(client: FlaskClient, make_run: MakeRun) -> None:
    record = _counted_run(lambda name, number: 20.0 + number)
    run = make_run(mode="compare", techniques=record.techniques, environment=record.environment)
    page = client.get(f"/runs/{run.id}", headers={"Accept": "text/html"}).text
    assert "Energy for one image: " in page and "<dt>Energy</dt><dd>of the whole machine" in page
    report = client.get(f"/runs/{run.id}/report").text
    assert "Energy for one image: " in report


@pytest.fixture
def ticking(powercap: Powercap) -> Iterator[Powercap]:
    """Two processors that take 20 W each, and their memory with 2 W each."""
    powercap.two_sockets()
    over = threading.Event()

    def tick() -> None:
        last = time.perf_counter()
        while not over.wait(0.002):
            now = time.perf_counter()
            for zone in powercap.zones:
                powercap.add(zone, (now - last) * (2.0 if zone.endswith(":1") and zone.count(":") == 2 else 20.0))
            last = now

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    yield powercap
    over.set()
    thread.join()


def test_a_real_run_counts_every_round(ticking: Powercap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "LEAST_SECONDS", {"processor": 0.0, "memory": 0.0, "gpu": 0.0})
    files = []
    for index in range(4):
        files.append(tmp_path / f"{index}.jpg")
        files[-1].write_bytes(jpeg(1600, 1200, index))
    asked = RunSettings(["canny", "gaussian"], parse_parameters({}), "threading", workers=2, budget=30, rounds=2)
    record = Record("0" * 32, "parallel", asked, look_at(files, Settings()))
    folders = RunFolders(dict(enumerate(files)), tmp_path / "out", None, tmp_path / "work")
    process(record, folders, Settings(CACHE_DIR=str(tmp_path / "cache")))
    record.state = "done"
    assert record.environment["energy"]["counters"] == ["processor 0", "memory 0", "processor 1", "memory 1"]
    rounds = [one for t in record.techniques for one in t.rounds]
    assert len(rounds) >= 4 and all(set(one.joules) == {"processor", "memory"} for one in rounds)
    watts = sum(sum(one.joules.values()) for one in rounds) / sum(one.wall_seconds for one in rounds)
    assert 22 < watts < 88  # 44 W, counted by a thread beside the work
    assert all(t.joules_per_image for t in record.techniques) and verify(record) == []
