"""What machine this is: from files of the system that are made up, and from the real one."""

import math
import multiprocessing
import time
from types import SimpleNamespace

import joblib
import psutil
import pytest

from imgproc.measure import environment as module
from imgproc.measure.environment import (
    container,
    cpu_frequency,
    cpu_model,
    cpu_quota,
    environment,
    memory_available,
    memory_limit,
    usable_cores,
    virtual_machine,
)


@pytest.fixture
def system(tmp_path):
    """Makes files as the system has them."""

    def make(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return make


@pytest.fixture
def fresh():
    """The facts are found out anew, now and after."""
    module._fixed.cache_clear()
    yield
    module._fixed.cache_clear()


ROOT = "0::/\n"
V2 = "0::/app.slice/lab.service\n"
V1 = "12:memory:/docker/ab12\n9:cpu,cpuacct:/docker/ab12\n1:name=systemd:/docker/ab12\n0::/docker/ab12\n"
SLICE, SERVICE = "app.slice/", "app.slice/lab.service/"
QUOTA, PERIOD, LIMIT = "cpu.cfs_quota_us", "cpu.cfs_period_us", "memory.limit_in_bytes"


def control_groups(groups, files):
    """This process's groups, and what their folders hold."""
    return {"proc/self/cgroup": groups, **{f"sys/fs/cgroup/{name}": f"{text}\n" for name, text in files.items()}}


@pytest.mark.parametrize(
    ("groups", "files", "cores"),
    [
        ("", {}, None),
        (ROOT, {"cpu.max": "150000 100000"}, 1.5),
        (ROOT, {"cpu.max": "max 100000"}, None),
        # The service itself has none, but what it lies in has.
        (V2, {f"{SLICE}cpu.max": "400000 100000", f"{SERVICE}cpu.max": "max 100000"}, 4.0),
        # The tightest holds.
        (V2, {f"{SLICE}cpu.max": "50000 100000", f"{SERVICE}cpu.max": "25000 50000", "cpu.max": "300000 100000"}, 0.5),
        # Another service's is not ours.
        (V2, {"other.slice/cpu.max": "50000 100000"}, None),
        # Version 1, in a container that sees its own group at the top.
        (V1, {f"cpu,cpuacct/{QUOTA}": "250000", f"cpu,cpuacct/{PERIOD}": "100000"}, 2.5),
        (
            V1,
            {
                f"cpu/docker/ab12/{QUOTA}": "200000", f"cpu/docker/ab12/{PERIOD}": "50000",
                f"cpu/{QUOTA}": "-1", f"cpu/{PERIOD}": "100000",
            },
            4.0,
        ),
        # Version 2 beside version 1.
        (V1, {"unified/docker/ab12/cpu.max": "100000 100000"}, 1.0),
        # Nothing leads out of the place for control groups.
        ("0::/../../..\n", {"../../../cpu.max": "1000 100000"}, None),
        (ROOT, {"cpu.max": ""}, None),
        ("nonsense\n\n0::/", {"cpu.max": "1 0"}, None),
    ],
)  # fmt: skip
def test_cpu_quota(system, groups, files, cores):
    assert cpu_quota(system(control_groups(groups, files))) == cores


@pytest.mark.parametrize(
    ("groups", "files", "size"),
    [
        ("", {}, None),
        (ROOT, {"memory.max": "2147483648"}, 2**31),
        (ROOT, {"memory.max": "max"}, None),
        (V2, {f"{SLICE}memory.max": "5000", f"{SERVICE}memory.max": "7000"}, 5000),
        (V1, {f"memory/{LIMIT}": "9223372036854771712"}, None),
        (V1, {f"memory/{LIMIT}": "123456"}, 123456),
    ],
)
def test_memory_limit(system, groups, files, size):
    assert memory_limit(system(control_groups(groups, files))) == size


USED = "memory.usage_in_bytes"


@pytest.mark.parametrize(
    ("groups", "files", "left"),
    [
        ("", {}, 1000),
        (ROOT, {"memory.max": "max", "memory.current": "5"}, 1000),
        (V2, {f"{SERVICE}memory.max": "700", f"{SERVICE}memory.current": "600"}, 100),
        # What is kept of files is given up when it is needed.
        (V2, {f"{SLICE}memory.max": "700", f"{SLICE}memory.current": "600",
              f"{SLICE}memory.stat": "anon 1\ninactive_file 50\nactive_file 9"}, 150),
        (V2, {f"{SLICE}memory.max": "700", f"{SLICE}memory.current": "900"}, 0),
        (V1, {f"memory/{LIMIT}": "123", f"memory/{USED}": "23"}, 100),
        (V1, {f"memory/{LIMIT}": "9223372036854771712", f"memory/{USED}": "23"}, 1000),
    ],
)  # fmt: skip
def test_memory_that_is_left(system, groups, files, left, monkeypatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    assert memory_available(system(control_groups(groups, files))) == left


def test_usable_cores_are_never_more_than_the_quota(monkeypatch):
    for quota, cores in ((None, joblib.cpu_count()), (0.25, 1), (1.0, 1), (1.5, min(2, joblib.cpu_count()))):
        monkeypatch.setattr(module, "cpu_quota", lambda quota=quota: quota)
        assert usable_cores() == cores


CORE = "sys/devices/system/cpu/cpu0/cpufreq/"


def test_cpu_frequency(system, tmp_path):
    assert cpu_frequency(tmp_path) is None
    files = {"scaling_min_freq": "800000\n", "scaling_max_freq": "4200000\n", "scaling_governor": "powersave\n"}
    root = system({CORE + name: text for name, text in files.items()})
    assert cpu_frequency(root) == {"changes": True, "min_mhz": 800, "max_mhz": 4200, "governor": "powersave"}
    system({CORE + "scaling_min_freq": "4200000\n", CORE + "scaling_governor": ""})
    assert cpu_frequency(root) == {"changes": False, "min_mhz": 4200, "max_mhz": 4200, "governor": None}


def test_processor(system, tmp_path):
    assert virtual_machine(tmp_path) is None
    info = "processor : 0\nmodel name\t: Some Chip 9000 @ 3.1GHz\nflags\t\t: fpu sse2 avx2\n"
    root = system({"proc/cpuinfo": info})
    assert cpu_model(root) == "Some Chip 9000 @ 3.1GHz"
    assert virtual_machine(root) is False
    system({"proc/cpuinfo": info.replace("avx2", "avx2 hypervisor")})
    assert virtual_machine(root) is True


@pytest.mark.parametrize(
    ("files", "answer"),
    [
        ({}, False),
        ({"proc/self/cgroup": V2}, False),
        ({"proc/self/cgroup": V1}, True),
        ({"proc/self/cgroup": "0::/kubepods.slice/pod7\n"}, True),
        ({".dockerenv": ""}, True),
        ({"run/.containerenv": ""}, True),
    ],
)
def test_container(system, files, answer):
    assert container(system(files)) is answer


def test_the_facts_about_this_machine(fresh):
    facts = environment()
    assert facts["cores_logical"] >= facts["cores_usable"] >= 1
    assert facts["memory_bytes"] == psutil.virtual_memory().total
    assert facts["cpu"]
    assert facts["start_method"] in multiprocessing.get_all_start_methods()
    assert facts["start_method"] != "fork"
    assert set(facts["opencv"]) >= {"Parallel framework"}
    assert facts["versions"]["numpy"]
    assert "cpu_quota" in facts
    assert facts["cpu_quota"] is None or facts["cores_usable"] <= math.ceil(facts["cpu_quota"])


@pytest.mark.parametrize("built", [None, 0, 1])
def test_the_interpreters_lock_is_looked_at_each_time(built, monkeypatch):
    # An import may switch it on again: what was found out before does not count.
    monkeypatch.setattr(module.sysconfig, "get_config_var", {"Py_GIL_DISABLED": built}.get)
    for enabled in (False, True):
        monkeypatch.setattr(module.sys, "_is_gil_enabled", lambda enabled=enabled: enabled, raising=False)
        assert environment()["gil"] == {"optional": built == 1, "enabled": enabled}
    monkeypatch.delattr(module.sys, "_is_gil_enabled")  # as before Python 3.13
    assert environment()["gil"]["enabled"] is True


def test_it_is_cheap_but_for_the_first_time():
    environment()
    start = time.perf_counter()
    for _ in range(100):
        environment()
    assert time.perf_counter() - start < 1


def test_what_cannot_be_found_out_is_none_and_nothing_else_is_lost(fresh, monkeypatch, caplog):
    def fails(*args, **options):
        raise RuntimeError("no idea")

    for place, name in (
        (psutil, "cpu_count"),
        (psutil, "virtual_memory"),
        (module.cv2, "getBuildInformation"),
        (module.shutil, "which"),
        (module, "_load"),
    ):
        monkeypatch.setattr(place, name, fails)
    facts = environment()
    for name in ("cores_physical", "memory_bytes", "opencv", "gpu", "load_before"):
        assert facts[name] is None
    assert facts["python"] and facts["os"]
    assert "could not be found out" in caplog.text


def test_files_that_cannot_be_read_are_as_if_they_were_not_there(tmp_path):
    for folder in ("proc/self/cgroup", "proc/cpuinfo"):
        (tmp_path / folder).mkdir(parents=True)
    assert cpu_quota(tmp_path) is None
    assert virtual_machine(tmp_path) is None
    assert container(tmp_path) is False
