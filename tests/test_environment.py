"""What machine this is: from files of the system that are made up, and from the real one."""

import math
import multiprocessing
import time

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


V2 = "0::/app.slice/lab.service\n"
V1 = "12:memory:/docker/ab12\n9:cpu,cpuacct:/docker/ab12\n1:name=systemd:/docker/ab12\n0::/docker/ab12\n"


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        # The service itself has none, but what it lies in has.
        (
            {
                "proc/self/cgroup": V2,
                "sys/fs/cgroup/app.slice/cpu.max": "400000 100000\n",
                "sys/fs/cgroup/app.slice/lab.service/cpu.max": "max 100000\n",
            },
            4.0,
        ),
        # The tightest holds.
        (
            {
                "proc/self/cgroup": V2,
                "sys/fs/cgroup/app.slice/cpu.max": "50000 100000\n",
                "sys/fs/cgroup/app.slice/lab.service/cpu.max": "25000 50000\n",
                "sys/fs/cgroup/cpu.max": "300000 100000\n",
            },
            0.5,
        ),
        # Another service's is not ours.
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/other.slice/cpu.max": "50000 100000\n"}, None),
        # Version 1, in a container that sees its own group at the top.
        (
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "250000\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            2.5,
        ),
        (
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/cpu/docker/ab12/cpu.cfs_quota_us": "200000\n",
                "sys/fs/cgroup/cpu/docker/ab12/cpu.cfs_period_us": "50000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            4.0,
        ),
        # Version 2 beside version 1.
        ({"proc/self/cgroup": V1, "sys/fs/cgroup/unified/docker/ab12/cpu.max": "100000 100000\n"}, 1.0),
        # Nothing leads out of the place for control groups.
        ({"proc/self/cgroup": "0::/../../..\n", "cpu.max": "1000 100000\n"}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": ""}, None),
        ({"proc/self/cgroup": "nonsense\n\n0::/", "sys/fs/cgroup/cpu.max": "1 0\n"}, None),
    ],
)
def test_cpu_quota(system, files, cores):
    assert cpu_quota(system(files)) == cores


@pytest.mark.parametrize(
    ("files", "size"),
    [
        ({}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "2147483648\n"}, 2**31),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, None),
        (
            {
                "proc/self/cgroup": V2,
                "sys/fs/cgroup/app.slice/memory.max": "5000\n",
                "sys/fs/cgroup/app.slice/lab.service/memory.max": "7000\n",
            },
            5000,
        ),
        ({"proc/self/cgroup": V1, "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, None),
        ({"proc/self/cgroup": V1, "sys/fs/cgroup/memory/memory.limit_in_bytes": "123456\n"}, 123456),
    ],
)
def test_memory_limit(system, files, size):
    assert memory_limit(system(files)) == size


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


def test_it_is_cheap_but_for_the_first_time():
    environment()
    start = time.perf_counter()
    for _ in range(100):
        environment()
    assert time.perf_counter() - start < 0.1


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
    assert facts["python"]
    assert facts["os"]
    assert "could not be found out" in caplog.text


def test_files_that_cannot_be_read_are_as_if_they_were_not_there(tmp_path):
    for folder in ("proc/self/cgroup", "proc/cpuinfo"):
        (tmp_path / folder).mkdir(parents=True)
    assert cpu_quota(tmp_path) is None
    assert virtual_machine(tmp_path) is None
    assert container(tmp_path) is False
