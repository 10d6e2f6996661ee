"""run.py on a tiny project with locks of its own, run for real; only the checks' programs are stand-ins."""

from __future__ import annotations

import ast
import base64
import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from imgproc import installation

PROJECT = Path(__file__).resolve().parent.parent
posix = pytest.mark.skipif(os.name == "nt", reason="signals and exec of POSIX")

SERVE = """
import os, sys, time
import tiny
print(tiny.VERSION, os.getpid(), *sys.argv[1:], "in", os.getcwd(), flush=True)
time.sleep(float(os.environ.get("SERVE_SECONDS", "0")))
sys.exit(7)
"""


def wheel(folder: Path, name: str, version: str) -> str:
    """Make a one-module wheel; returns its line in a lock file."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [f"{path},sha256={_urlsafe(text)},{len(text)}" for path, text in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,"]) + "\n"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in files.items():
            archive.writestr(inside, text)
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def _urlsafe(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


class Tiny:
    """A project of run.py, two locks and a stand-in for the app; packages come from the folder ``wheels``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.wheels = root.parent / "wheels"
        (root / "imgproc").mkdir(parents=True)
        self.wheels.mkdir(exist_ok=True)
        shutil.copy(PROJECT / "run.py", root)
        (root / "imgproc" / "__init__.py").touch()
        (root / "imgproc" / "__main__.py").write_text(SERVE)
        self.app = wheel(self.wheels, "tiny", "1.0")
        self.extra = wheel(self.wheels, "checker", "2.0")
        self.lock(self.app)

    def lock(self, app: str) -> None:
        (self.root / "requirements.lock").write_text(app)
        (self.root / "requirements-test.lock").write_text(app + self.extra)

    @property
    def stamp(self) -> Path:
        return self.root / ".venv" / "speedup-lab.json"

    @property
    def installed(self) -> set[str]:
        found = (self.root / ".venv").glob("**/site-packages/*.dist-info")
        return {path.name.removesuffix(".dist-info") for path in found} & {"tiny-1.0", "tiny-1.1", "checker-2.0"}

    def environment(self, **more: str) -> dict[str, str]:
        """Nothing of the caller's but what a process needs; pip's settings come from a file of the person's."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "SYSTEMROOT", "TEMP") if name in os.environ}
        return {**kept, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": self.wheels.as_uri(), **more}

    def popen(self, *arguments: str, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(self.root / "run.py"), *arguments],
            cwd=self.root.parent,
            env=self.environment(**more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, **more: str) -> tuple[int, str, str]:
        with self.popen(*arguments, **more) as process:
            out, err = process.communicate(timeout=120)
        assert "Traceback" not in err
        return process.returncode, out, err


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """Set up once; tests must leave it working."""
    project = Tiny(tmp_path_factory.mktemp("project with spaces") / "lab")
    code, _, err = project.run("setup")
    assert code == 0, err
    assert "Making .venv" in err and "Installing 1 package of requirements.lock" in err
    return project


@pytest.fixture
def script(tmp_path: Path) -> ModuleType:
    """run.py as a module, for what needs no process."""
    spec = importlib.util.spec_from_file_location("run_script", PROJECT / "run.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_old_python_is_told_so_in_a_sentence() -> None:
    code = (
        "import runpy, sys; sys.version_info = (3, 9, 2, 'final', 0); "
        f"runpy.run_path({str(PROJECT / 'run.py')!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "needs Python 3.11 or newer" in done.stderr and "Traceback" not in done.stderr


def test_an_old_python_can_read_the_file_to_say_so() -> None:
    ast.parse((PROJECT / "run.py").read_text(encoding="utf-8"), feature_version=(3, 7))


@pytest.mark.parametrize(("arguments", "command"), [
    ((), "serve"), (("--port", "5001"), "serve --port 5001"),
    (("--host", "0.0.0.0", "--port", "0"), "serve --host 0.0.0.0 --port 0"),
    (("serve", "--port", "5001"), "serve --port 5001"),
    (("process", "two words", "--out", "x"), "process two words --out x"),
    (("compare", "--help"), "compare --help"),
])  # fmt: skip
def test_commands_are_the_apps_and_touch_neither_network_nor_venv(
    tiny: Tiny, arguments: tuple[str, ...], command: str
) -> None:
    """They run where the person is, whatever lies there under a name of ours."""
    before = tiny.stamp.stat().st_mtime_ns
    (tiny.root.parent / "tiny.py").write_text("raise ImportError")
    # An index that does not exist: any call of pip would fail.
    code, out, err = tiny.run(*arguments, PIP_FIND_LINKS="/nowhere", PIP_INDEX_URL="http://127.0.0.1:9/")
    assert err == ""
    assert re.fullmatch(rf"1.0 \d+ {re.escape(command)} in {re.escape(str(tiny.root.parent))}\n", out)
    assert code == 7, "the app's exit status is run.py's"
    assert tiny.stamp.stat().st_mtime_ns == before


@posix
def test_the_app_is_told_what_the_person_typed(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, str] = {}
    monkeypatch.setattr(os, "execve", lambda program, command, environment: told.update(environment))
    monkeypatch.setattr(script, "call", lambda *_, **__: 0)
    script.become_app(["techniques"])
    assert told[installation.CALLED] == "python3 run.py"


@posix
def test_run_py_becomes_the_app_so_that_signals_reach_it(tiny: Tiny) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
        with tiny.popen("process", SERVE_SECONDS="60") as process:
            assert process.stdout is not None
            assert int(process.stdout.readline().split()[1]) == process.pid
            process.send_signal(number)
            assert process.wait(10) == -number


def test_help_is_there_before_anything_is_made_and_names_every_command(tmp_path: Path) -> None:
    project = Tiny(tmp_path / "lab")
    for option in ("-h", "--help"):
        code, out, err = project.run(option)
        assert (code, err, (project.root / ".venv").exists()) == (0, "", False)
    said = subprocess.run([sys.executable, "-m", "imgproc", "no"], cwd=PROJECT, capture_output=True, text=True)
    assert said.returncode == 2
    commands = re.findall(r"\w+", said.stderr.partition("Choose from")[2])
    assert "process" in commands and set(commands) <= set(re.findall(r"\w+", out)), commands


def test_a_changed_lock_is_installed_and_the_test_set_includes_the_apps(tiny: Tiny) -> None:
    code, _, err = tiny.run("test", "--version")
    assert code != 0, "the tiny project has no pytest"
    assert "requirements-test.lock" in err and "Making .venv" not in err
    assert tiny.installed == {"tiny-1.0", "checker-2.0"}
    assert tiny.run("setup", PIP_FIND_LINKS="/nowhere")[0] == 0, "the test set holds the app's"

    tiny.lock(wheel(tiny.wheels, "tiny", "1.1"))
    assert tiny.run("setup")[0] == 0
    assert tiny.installed == {"tiny-1.1", "checker-2.0"}
    assert set(json.loads(tiny.stamp.read_text())["locks"]) == {"requirements.lock"}, "the test lock changed too"
    tiny.lock(tiny.app)
    assert tiny.run("setup")[0] == 0
    assert tiny.installed == {"tiny-1.0", "checker-2.0"}


@pytest.mark.parametrize("status", [0, 1])
def test_the_encoder_is_compiled_after_an_installation_and_not_again(tmp_path: Path, status: int) -> None:
    """Whatever comes of it; a large run would do it, or say why it cannot."""
    project = Tiny(tmp_path / "lab")
    (project.root / "imgproc" / "pixels").mkdir()
    (project.root / "imgproc" / "pixels" / "png_encoders.py").write_text(
        f"import sys, tiny; open('compiled.txt', 'a').write(tiny.VERSION); sys.exit({status})"
    )
    for _ in range(2):
        code, _, err = project.run("setup")
        assert code == 0, err
    assert (project.root / "compiled.txt").read_text() == "1.0"


def test_missing_ensurepip_gets_the_command_that_mends_it(tmp_path: Path) -> None:
    project = Tiny(tmp_path / "lab")
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "ensurepip.py").write_text("raise ModuleNotFoundError(name='ensurepip')\n")
    code, _, err = project.run("setup", PYTHONPATH=str(bare))
    assert code == 1 and "    sudo apt install python3-venv\n" in err
    assert not (project.root / ".venv").exists()


@pytest.mark.slow
def test_what_pip_said_is_shown_and_the_next_start_repairs(tmp_path: Path) -> None:
    project = Tiny(tmp_path / "lab")
    project.lock("tiny==1.0 --hash=sha256:" + "0" * 64 + "\n")
    code, _, err = project.run("setup")
    assert code == 1
    assert "DO NOT MATCH THE HASHES" in err and "run the same again" in err
    assert (project.root / ".venv" / "speedup-lab-install.log").stat().st_size > 0
    assert "tiny-1.0" not in project.installed

    project.lock(project.app)
    code, _, err = project.run("setup")
    assert code == 0 and "Making .venv" in err, "nobody knows what a failed install left behind"
    assert project.installed == {"tiny-1.0"}


@pytest.mark.slow
@posix
def test_ctrl_c_and_two_set_ups_at_once(tmp_path: Path) -> None:
    """An index that never answers holds pip, while Ctrl-C comes and while a second set-up starts."""
    project = Tiny(tmp_path / "lab")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        index = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        slow = {"PIP_NO_INDEX": "0", "PIP_INDEX_URL": index, "PIP_RETRIES": "0", "PIP_FIND_LINKS": ""}
        with project.popen("setup", **slow) as process:
            silent.settimeout(60)
            with silent.accept()[0]:
                os.killpg(process.pid, signal.SIGINT)
                _, err = process.communicate(timeout=30)
            assert process.returncode == 130
            assert err.rstrip().endswith("Stopped.") and "Traceback" not in err
        assert not project.stamp.exists()

        with project.popen("setup", **slow) as first, silent.accept()[0], project.popen("setup") as second:
            assert second.stderr is not None
            assert "Another set-up is under way" in second.stderr.readline()
            first.terminate()
            _, err = first.communicate(timeout=30)
            assert first.returncode == 143, err
            assert "Traceback" not in err
            second.communicate(timeout=120)
            assert second.returncode == 0
    assert project.installed == {"tiny-1.0"}


def test_a_moved_or_foreign_venv_is_made_anew(tmp_path: Path, tiny: Tiny) -> None:
    """Last of those that use the shared project: it is moved away."""
    assert tiny.run("setup")[0] == 0
    moved = Tiny(tmp_path / "lab")
    shutil.move(tiny.root / ".venv", moved.root / ".venv")
    code, _, err = moved.run("setup")
    assert code == 0 and "Making .venv" in err
    assert json.loads(moved.stamp.read_text())["place"] == str(moved.root / ".venv")
    assert moved.run("setup")[2].startswith("Ready"), "and only once"


@posix
@pytest.mark.parametrize(
    ("variables", "place", "said"),
    [
        ({"SOABI": "cpython-311-x86_64-linux-musl"}, "linux-x86_64", "not ready-made for musl"),
        ({}, "win-arm64", "not ready-made for Windows on ARM"),
        ({"Py_GIL_DISABLED": 1}, "linux-x86_64", "not ready-made for a free-threaded Python"),
        ({"SOABI": "cpython-311-x86_64-linux-gnu", "Py_GIL_DISABLED": 0}, "linux-x86_64", ""),
    ],
)
def test_a_python_that_lacks_wheels_is_named(
    variables: dict[str, object], place: str, said: str, script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script.sysconfig, "get_config_var", variables.get)
    monkeypatch.setattr(script.sysconfig, "get_platform", lambda: place)
    found = script.without_wheels()
    assert said in found and bool(found) is bool(said)


def test_what_makes_a_venv_unusable(tmp_path: Path, script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    venv = tmp_path / ".venv"
    places = {"ROOT": tmp_path, "VENV": venv}
    places |= {"STAMP": venv / "speedup-lab.json", "UNFINISHED": venv / "speedup-lab-unfinished"}
    for name, path in places.items():
        monkeypatch.setattr(script, name, path)
    answer = [str(venv), True, script.this_python()]

    def make(answer: list[Any] | None) -> bool:
        shutil.rmtree(venv, ignore_errors=True)
        (venv / "bin").mkdir(parents=True)
        python = venv / "bin" / "python"
        python.write_text(f"#!/bin/sh\necho '{json.dumps(answer)}'\n" if answer else "not a program")
        python.chmod(0o755)
        return bool(script.venv_is_usable())

    assert make(answer)
    (venv / "speedup-lab.json").write_text("{half")
    assert script.venv_is_usable() and script.read_stamp() == {}, "a damaged stamp: installed again, not made anew"
    (venv / "speedup-lab-unfinished").touch()
    assert not script.venv_is_usable()
    assert not make(None)
    assert not make([str(tmp_path / "elsewhere"), True, script.this_python()])
    assert not make([str(venv), False, script.this_python()])
    assert not make([str(venv), True, "cpython 3.10 linux x86_64"])
    (venv / "bin" / "python").unlink()
    (venv / "bin" / "python").symlink_to(tmp_path / "removed-python")
    assert not script.venv_is_usable()


@pytest.fixture
def driver(tmp_path: Path) -> Callable[[int], dict[str, str]]:
    """Environment in which NVIDIA's driver is a library that knows CUDA up to this version."""

    def make(version: int) -> dict[str, str]:
        source = tmp_path / "driver.cpp"
        source.write_text(f'extern "C" int cuDriverGetVersion(int *version) {{ *version = {version}; return 0; }}')
        subprocess.run(["g++", "-shared", "-fPIC", str(source), "-o", str(tmp_path / "libcuda.so.1")], check=True)
        return {"LD_LIBRARY_PATH": str(tmp_path)}

    return make


@pytest.fixture
def gpu_lock(tiny: Tiny) -> Iterator[Path]:
    """Where the lock of the GPU set goes; the shared project has none afterwards."""
    lock = tiny.root / "requirements-cuda.lock"
    yield lock
    lock.unlink()


Driver = Callable[[int], dict[str, str]]
fakes_driver = pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("g++"), reason="a driver is faked on Linux, by g++"
)


@fakes_driver
def test_the_gpu_set_is_added_where_a_driver_is_new_enough_and_only_there(
    tiny: Tiny, gpu_lock: Path, driver: Driver
) -> None:
    gpu_lock.write_text(tiny.app + wheel(tiny.wheels, "cupy", "14.0"))
    found = tiny.root / ".venv"
    for environment in ({}, driver(11080)):
        code, _, err = tiny.run("setup", **environment)
        assert code == 0 and "GPU" not in err and not list(found.glob("**/cupy-14.0.dist-info"))
    here = driver(12020)
    code, _, err = tiny.run("setup", **here)
    assert code == 0 and "the GPU techniques are added" in err and list(found.glob("**/cupy-14.0.dist-info"))
    code, _, err = tiny.run("setup", PIP_FIND_LINKS="/nowhere", **here)
    assert code == 0 and "GPU" not in err  # it is there


@fakes_driver
def test_the_app_starts_without_a_gpu_set_that_cannot_be_installed(tiny: Tiny, gpu_lock: Path, driver: Driver) -> None:
    here = driver(12080)
    gpu_lock.write_text(tiny.app + wheel(tiny.wheels, "later", "1.0").replace("1.0", "9.9"))
    code, out, err = tiny.run("techniques", **here)
    assert code == 7 and " techniques " in out and "goes on without the GPU techniques" in err
    assert tiny.run(**here)[2] == ""  # not tried at every start
    assert "goes on without" in tiny.run("setup", **here)[2]


@pytest.fixture
def calls(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Run the checks with programs that only say which they are; those named in ``failing`` fail."""

    def run(*arguments: str, failing: str = "") -> list[str]:
        seen: list[str] = []

        def call(command: list[str]) -> int:
            seen.append(" ".join(part for part in command[1:] if part != "-m") or Path(command[0]).name)
            return 3 if seen[-1] == failing else 0

        monkeypatch.setattr(script, "call", call)
        monkeypatch.setattr(script, "set_up", lambda lock, again: seen.append(lock))
        status = script.main(["test", *arguments])
        return [*seen, f"exit {int(status)}"]

    return run


def test_checks_run_in_order_and_pytest_last(calls: Callable[..., list[str]]) -> None:
    every = ["requirements-test.lock", "ruff check", "ruff format --check", "mypy", "lint-imports"]
    every.append("pytest -n 2 --dist loadfile")
    assert calls() == [*every, "exit 0"]
    assert calls(failing="mypy") == [*every, "exit 2"]  # not pytest's 1, which says that tests failed and nothing else
    assert calls(failing=every[-1]) == [*every, "exit 3"]


def test_arguments_go_to_pytest_alone(calls: Callable[..., list[str]]) -> None:
    assert calls("-k", "locks", "-x") == ["requirements-test.lock", "pytest -k locks -x", "exit 0"]


@posix
def test_sigterm_ends_the_program_under_way(tmp_path: Path) -> None:
    child = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    code = f"import sys; sys.path.insert(0, {str(PROJECT)!r}); import run\n" + (
        f"sys.exit(run.guarded(lambda _: run.call([sys.executable, '-c', {child!r}]), []))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        pid = int(process.stdout.readline())
        process.terminate()
        assert process.wait(15) == 143
        assert process.stderr.read() == b""
    with pytest.raises(ProcessLookupError):
        for _ in range(50):
            os.kill(pid, 0)
            time.sleep(0.1)


def pins(lock: str) -> dict[str, str]:
    """The packages of a lock file, each with its version, marker and hashes."""
    text = (PROJECT / lock).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.split("#")[0].split() for line in text.splitlines()]
    return {line[0].split("==")[0]: " ".join(line) for line in lines if line}


def test_the_locks_fit_each_other_and_what_they_are_made_from() -> None:
    app, test = pins("requirements.lock"), pins("requirements-test.lock")
    assert app.items() <= test.items(), "an app lock newer than the test lock: make both again"
    assert all("--hash=sha256:" in line for line in test.values())
    gpu = pins("requirements-cuda.lock")
    # What the app needs on some machines, the GPU's packages may need on all.
    for name, line in app.items():
        assert gpu[name] in (line, re.sub(" ; platform_machine in '[^']*'", "", line)), (
            f"{name}: an app lock newer than the GPU lock: make both again"
        )
    assert all("--hash=sha256:" in line for line in gpu.values())
    for source, lock in (
        ("requirements.txt", app), ("requirements-test.txt", test), ("requirements-cuda.txt", gpu)
    ):  # fmt: skip
        lines = (PROJECT / source).read_text(encoding="utf-8").splitlines()
        wanted = [found.group() for line in lines if (found := re.match(r"[\w.-]+", line)) and line[0].isalnum()]
        assert wanted and set(wanted) <= set(lock)


# ---------------------------------------------------------------- .ci/newest-python


@posix
def test_the_newest_python_that_works_is_found(tmp_path: Path) -> None:
    tools = ("bash", "sh", "env", "sort", "grep", "tail", "cut")
    for tool in tools:
        (tmp_path / tool).symlink_to(shutil.which(tool) or tool)
    (tmp_path / "python3").symlink_to(sys.executable)

    def newest() -> str:
        command = ["bash", str(PROJECT / ".ci/newest-python")]
        done = subprocess.run(command, env={"PATH": str(tmp_path)}, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def python(name: str, does: str) -> None:
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)

    assert newest() == ""
    (tmp_path / "python3.7").symlink_to(sys.executable)  # no newer than python3
    python("python3.99", "echo it was not chosen >&2; exit 127")  # as pyenv's
    assert newest() == ""
    python("python3.97", "echo 97002")
    python("python3.98", "echo 98001")
    python("python3-config", "echo 99001")
    assert newest() == str(tmp_path / "python3.98")


def test_ci_tries_up_to_three_failed_tests_once_more_and_nothing_else(tmp_path: Path) -> None:
    script = (PROJECT / ".ci/run").read_text()
    function = script[script.index("checked() {") :]
    function = function[: function.index("\n}\n") + 3]
    cases = "import os, pytest\n@pytest.mark.parametrize('n', '0123')\ndef test(n): assert n not in os.environ['BAD']\n"
    (tmp_path / "test_cases.py").write_text(cases)
    pytest_here = f"{sys.executable} -m pytest -q --rootdir ."

    def tried(bad: str, then: str) -> tuple[int, int]:
        """The exit status, and how many times pytest ran; ``then``: what is bad the second time."""
        command = f'run() {{ echo ran; {pytest_here} "$@"; local s=$?; BAD={then}; return $s; }}; export BAD={bad}'
        shell = ["bash", "-c", f"{function}\n{command}\nchecked run"]
        done = subprocess.run(shell, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        return done.returncode, done.stdout.count("ran\n")

    assert tried("x", "x") == (0, 1)
    assert tried("12", "x") == (0, 2)
    assert tried("12", "2") == (1, 2)
    assert tried("0123", "x") == (1, 1)
    (tmp_path / "test_cases.py").write_text("import nothing_of_that_name\n")
    assert tried("x", "x") == (2, 1)
