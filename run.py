"""Speedup Lab from one command. The first time sets up .venv beside this file.

python3 run.py [--host HOST] [--port PORT]   start the app
python3 run.py COMMAND ...                   process, compare, scale, advise, calibrate, communication, repeat, verify,
                                             diff, report, trace, sample, techniques, operations, completion or serve;
                                             “run.py COMMAND --help” says more
python3 run.py test [ARGUMENTS]              all checks; arguments go to pytest, which then runs alone
python3 run.py setup                         only set up, or once more the GPU packages that failed
"""

# .venv holds what the lock file lists. Nothing is downloaded or installed again until the lock changes. Only the
# standard library is used here, and only syntax that an old Python can read, so that it can say that it is too old.

import ctypes
import hashlib
import importlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

OLDEST = (3, 11)
if sys.version_info < OLDEST:
    sys.exit(
        "Speedup Lab needs Python {}.{} or newer; this is Python {}. "
        "Install a newer one from https://www.python.org/downloads/ and start run.py with it.".format(
            *OLDEST, platform.python_version()
        )
    )

WINDOWS = os.name == "nt"
ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
#: What .venv holds: {"place", "python", "locks": {name: sha256}}; "failed" like "locks" for what is not needed.
STAMP = VENV / "speedup-lab.json"
#: There while .venv is being changed: after a power cut or kill -9 nobody knows what is missing from it.
UNFINISHED = VENV / "speedup-lab-unfinished"
INSTALL_LOG = VENV / "speedup-lab-install.log"

APP_LOCK, TEST_LOCK, GPU_LOCK = "requirements.lock", "requirements-test.lock", "requirements-cuda.lock"
#: What else each lock file brings along: the test set holds everything of the app's.
INCLUDES = {APP_LOCK: [APP_LOCK], TEST_LOCK: [APP_LOCK, TEST_LOCK]}
#: NVIDIA's driver, and the oldest CUDA that the GPU set is for, as the driver numbers it.
DRIVER, OLDEST_CUDA = ("nvcuda.dll" if WINDOWS else "libcuda.so.1"), 12000
#: Where the packages of the GPU set are made for.
GPU_MACHINES = {"linux": {"x86_64", "aarch64"}, "win32": {"AMD64"}}

#: For pytest: two files of tests at a time, as half of the time is waiting for processes.
AT_A_TIME = ("-n", "2", "--dist", "loadfile")

# Run by both Pythons; different answers mean that .venv was made by or for another one.
PROBE = (
    "import importlib.util, json, platform, sys; print(json.dumps([sys.prefix, bool(importlib.util.find_spec('pip')), "
    "' '.join([sys.implementation.name, '%d.%d' % sys.version_info[:2], sys.platform, platform.machine()])]))"
)


class Problem(Exception):
    """What stops the command: a sentence for the person, with the way out."""


def main(arguments: Sequence[str]) -> int:
    """Do one command; returns its exit status (a command of the app's does not return on POSIX)."""
    word = arguments[0] if arguments else ""
    if word in ("-h", "--help"):
        print(__doc__)
        return 0
    set_up(TEST_LOCK if word == "test" else APP_LOCK, again=word == "setup")
    if word == "test":
        return run_checks(arguments[1:])
    if word == "setup":
        say("Ready. Start it with: " + command_line())
        return 0
    return become_app(["serve", *arguments] if word.startswith("-") or not word else arguments)


def command_line(arguments: str = "") -> str:
    """The command as the person types it on this system."""
    return f"{'python' if WINDOWS else 'python3'} run.py {arguments}".strip()


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# Running


def become_app(arguments: Sequence[str]) -> int:
    """Become ``python -m imgproc`` in the person's folder; so signals and the exit status are its own."""
    # The package lies here, not where the person is; and nothing there is taken for a module of ours (-P).
    found = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    command = [str(venv_python()), "-P", "-m", "imgproc", *arguments]
    environment = {"PYTHONPATH": found, "SPEEDUP_LAB_CALLED": command_line()}
    if not WINDOWS:
        sys.stdout.flush()
        os.execve(command[0], command, {**os.environ, **environment})  # noqa: S606  no shell is wanted
    return call(command, folder=None, environment=environment)


def run_checks(pytest_arguments: Sequence[str]) -> int:
    """All checks, tests last; with arguments for pytest only the tests. Returns 0 if everything passed, 1 if only tests
    failed."""
    python = str(venv_python())
    pytest = [python, "-m", "pytest"]
    if pytest_arguments:
        return call([*pytest, *pytest_arguments])
    checks = {
        "ruff check": [python, "-m", "ruff", "check"],
        "ruff format --check": [python, "-m", "ruff", "format", "--check"],
        "mypy": [python, "-m", "mypy"],
        "lint-imports": [str(venv_python().parent / "lint-imports")],
    }
    failed = []
    for name, command in checks.items():
        say(f"--- {name}")
        if call(command):
            failed.append(name)
    say("--- pytest")
    if failed:
        # Said before the tests: pytest's closing line stays the last one.
        say(f"FAILED, whatever the tests say: {', '.join(failed)}")
    tests = call([*pytest, *AT_A_TIME])
    return 2 if failed else tests


def call(
    command: Sequence[str],
    folder: Path | None = ROOT,
    environment: dict[str, str] | None = None,
    output: IO[bytes] | None = None,
    held: Sequence[int] = (),
) -> int:
    """Run a program to its end; it is ended with us. Returns its exit status.

    With a file for its ``output`` it is asked nothing, and a terminal shows the seconds. ``held`` are descriptors
    that it shares.
    """
    child = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdin=output and subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=() if WINDOWS else tuple(held),
    )
    try:
        return wait_showing_seconds(child) if output and sys.stderr.isatty() else child.wait()
    except BaseException as reason:
        if not isinstance(reason, KeyboardInterrupt):  # the terminal has sent Ctrl-C to the child too
            child.terminate()
        try:
            child.wait(10)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            child.kill()
            child.wait()
        raise


def wait_showing_seconds(child: subprocess.Popen[Any]) -> int:
    start = time.monotonic()
    while True:
        with suppress(subprocess.TimeoutExpired):
            status = child.wait(1)
            print("\r         \r", end="", file=sys.stderr, flush=True)
            return status
        print(f"\r  {time.monotonic() - start:.0f} s ", end="", file=sys.stderr, flush=True)


def call_quietly(
    command: Sequence[str], held: Sequence[int], environment: dict[str, str] | None = None
) -> tuple[int, str]:
    """Run a program that takes long. Returns exit status and output."""
    with tempfile.TemporaryFile() as output:
        status = call(command, environment=environment, output=output, held=held)
        output.seek(0)
        return status, output.read().decode(errors="replace").strip()


# Setting up


def set_up(lock: str, again: bool = False) -> None:
    """Make .venv hold what the lock file lists; does nothing, and needs no network, when it does already.

    Args:
        again: try the packages of the GPU techniques also if they failed before.

    Raises:
        Problem: it could not be made.
    """
    wanted = {name: sha256(ROOT / name) for name in INCLUDES[lock]}
    with only_one_at_a_time() as held:
        usable = venv_is_usable()
        locks = read_stamp().get("locks", {}) if usable else {}
        if any(locks.get(name) != digest for name, digest in wanted.items()):
            if not usable:
                make_venv(held)
            UNFINISHED.touch()
            STAMP.unlink(missing_ok=True)
            install(ROOT / lock, held)
            STAMP.write_text(json.dumps({"place": str(VENV), "python": this_python(), "locks": wanted}, indent=1))
            UNFINISHED.unlink()
            compile_encoder(held)
        if (ROOT / GPU_LOCK).exists() and has_gpu_driver():
            add_gpu_set(held, again)


def compile_encoder(held: Sequence[int]) -> None:
    """Compile what the first large run would wait for. Where that cannot be, such a run does without and says why."""
    say("Compiling the PNG encoder for photographs, and the operations for Numba …")
    for module in ("imgproc.pixels.png_encoders", "imgproc.backends.pools.numba_parallel"):
        call_quietly([str(venv_python()), "-P", "-m", module], held, {"PYTHONPATH": str(ROOT)})


def add_gpu_set(held: Sequence[int], again: bool) -> None:
    """Add the packages of the GPU techniques. All else works without them, so where they cannot be installed that is
    said, and they are left out until the lock changes or ``again`` is asked for."""
    stamp, digest = read_stamp(), sha256(ROOT / GPU_LOCK)
    locks, failed = stamp.get("locks", {}), stamp.get("failed", {})
    if locks.get(GPU_LOCK) == digest or (failed.get(GPU_LOCK) == digest and not again):
        return
    say("NVIDIA’s driver is here, so the GPU techniques are added; that is half a gigabyte.")
    try:
        install(ROOT / GPU_LOCK, held)
        locks[GPU_LOCK], failed = digest, {}
    except Problem as problem:
        say(f"{problem}\nSpeedup Lab goes on without the GPU techniques. To try once more: {command_line('setup')}")
        failed = {GPU_LOCK: digest}
    STAMP.write_text(json.dumps({**stamp, "locks": locks, "failed": failed}, indent=1))


def has_gpu_driver() -> bool:
    """Whether NVIDIA's driver is installed, is new enough, and is on a machine that the GPU set is made for."""
    if platform.machine() not in GPU_MACHINES.get(sys.platform, ()):
        return False
    version = ctypes.c_int(0)
    try:
        answer = ctypes.CDLL(DRIVER).cuDriverGetVersion(ctypes.byref(version))
    except (OSError, AttributeError):
        return False
    return answer == 0 and version.value >= OLDEST_CUDA


def sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        raise Problem(f"{path.name} is missing beside run.py. Get the project again, whole.") from None


@contextmanager
def only_one_at_a_time() -> Iterator[tuple[int, ...]]:
    """Two set-ups at once would spoil .venv. Yields the descriptors to hand to programs that change it, so
    that one left behind by a killed run.py still keeps the next set-up waiting."""
    if sys.platform == "win32":
        yield ()
        return
    import fcntl

    with open(__file__, "rb") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another set-up is under way here; waiting for it to end.")
            fcntl.flock(held, fcntl.LOCK_EX)
        except OSError:
            pass  # a file system without locks
        yield (held.fileno(),)


def venv_python() -> Path:
    return VENV / ("Scripts/python.exe" if WINDOWS else "bin/python")


def venv_is_usable() -> bool:
    """Whether .venv is whole, in the place it was made for, and of this very Python."""
    if UNFINISHED.exists() or not venv_python().exists():
        return False
    try:
        answer = subprocess.run([venv_python(), "-I", "-c", PROBE], capture_output=True, timeout=60, check=True)
        prefix, has_pip, python = json.loads(answer.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return False
    place = read_stamp().get("place", str(VENV))
    return bool(has_pip and python == this_python() and Path(prefix).resolve() == VENV.resolve() and place == str(VENV))


def this_python() -> str:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return " ".join([sys.implementation.name, version, sys.platform, platform.machine()])


def read_stamp() -> dict[str, Any]:
    """What is known of .venv; empty if that is nothing."""
    try:
        stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def make_venv(held: Sequence[int]) -> None:
    try:
        # Debian ships Python without these two.
        importlib.import_module("venv")
        importlib.import_module("ensurepip")
    except ImportError:
        raise Problem(
            "Python’s venv and ensurepip modules are missing here. On Debian and Ubuntu this command installs them:\n"
            "    sudo apt install python3-venv\n"
            f"Then run the same again: {command_line()}"
        ) from None
    remove_venv()
    say(f"Making .venv with Python {platform.python_version()} …")
    VENV.mkdir()
    UNFINISHED.touch()
    # The Python outside: run.py may itself have been started by one in a virtual environment.
    python = getattr(sys, "_base_executable", None) or sys.executable
    status, output = call_quietly([python, "-m", "venv", str(VENV)], held)
    if status:
        raise Problem(f"The virtual environment .venv could not be made. Python’s venv module said:\n{output}")


def remove_venv() -> None:
    try:
        STAMP.unlink(missing_ok=True)  # first: half a .venv must not look whole
        if VENV.is_symlink() or VENV.is_file():
            VENV.unlink()
        elif VENV.exists():
            shutil.rmtree(VENV)
    except OSError as problem:
        raise Problem(
            f"The old .venv cannot be removed ({problem.strerror}). Close the programs that use it, or remove "
            "the folder .venv beside run.py yourself; then run the same again."
        ) from None


NETWORK = "Check the network (and pip’s settings, if you use an index or proxy of your own) and the free disk space."


def without_wheels() -> str:
    """Which packages are not ready-made for this Python, and the way out; empty where all are."""
    if "musl" in (sysconfig.get_config_var("SOABI") or ""):
        return (
            "OpenCV and Numba are not ready-made for musl, which this Linux (Alpine, for one) is built on. Use a Linux "
            "with glibc, such as the container image python:3.11-slim."
        )
    if sysconfig.get_platform() == "win-arm64":
        return (
            "OpenCV, Numba and ISA-L are not ready-made for Windows on ARM. Use Python for x64 (“Windows installer "
            "(64-bit)”), which Windows runs there as well."
        )
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "OpenCV is not ready-made for a free-threaded Python. Use the usual Python."
    return ""


def install(lock: Path, held: Sequence[int]) -> None:
    packages = len(re.findall(r"^[\w.-]+==", lock.read_text(encoding="utf-8"), flags=re.MULTILINE))
    counted = "1 package" if packages == 1 else f"{packages} packages"
    say(f"Installing {counted} of {lock.name}; the first time takes a few minutes …")
    lack = without_wheels()
    if lack:
        say(lack)
    # pip reads the person's own settings (index, proxy, certificates); only its own questions are switched off.
    pip = [str(venv_python()), "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    status, output = call_quietly([*pip, "--require-hashes", "-r", str(lock)], held, {"PIP_USER": "0"})
    end = "\n".join("    " + line for line in output.splitlines()[-15:])
    with suppress(OSError):
        INSTALL_LOG.write_text(output + "\n", encoding="utf-8")
    if status:
        raise Problem(
            f"The packages could not be installed. The end of what pip said:\n{end}\n"
            f"{lack or NETWORK} Then run the same again. All that pip said is in {INSTALL_LOG.relative_to(ROOT)}."
        )


def guarded(command: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    """Run the command; what a person must read is one text without a traceback."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal without the typographic signs shows a question mark instead of failing.
        getattr(stream, "reconfigure", dict)(errors="replace")
    # SIGTERM must unwind, so that the programs started here are ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        return command(arguments)
    except Problem as problem:
        say(str(problem))
        return 1
    except KeyboardInterrupt:
        say("\nStopped.")
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(guarded(main, sys.argv[1:]))
