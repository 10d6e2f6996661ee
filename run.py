"""The two commands: ``python3 run.py`` starts Speedup Lab, ``python3 run.py test`` checks it.

Both set up first what they need: ``.venv`` beside this file, holding what the lock file lists. Nothing is
downloaded or installed again until the lock changes. Only the standard library is used here, and only
syntax that an old Python can read, so that it can say that it is too old.
"""

import argparse
import ctypes
import errno
import hashlib
import importlib
import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
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
DRIVER, OLDEST_CUDA = ("nvcuda.dll" if os.name == "nt" else "libcuda.so.1"), 12000
#: Where the packages of the GPU set are made for.
GPU_MACHINES = {"linux": {"x86_64", "aarch64"}, "win32": {"AMD64"}}

#: For pytest: two files of tests at a time, as half of the time is waiting for processes.
AT_A_TIME = ("-n", "2", "--dist", "loadfile")

HOST, PORT = "127.0.0.1", 5000
WINDOWS = os.name == "nt"

# Run by both Pythons; different answers mean that .venv was made by or for another one.
PROBE = (
    "import importlib.util, json, platform, sys; print(json.dumps([sys.prefix, bool(importlib.util.find_spec('pip')), "
    "' '.join([sys.implementation.name, '%d.%d' % sys.version_info[:2], sys.platform, platform.machine()])]))"
)


class Problem(Exception):
    """What stops the command: a sentence for the person, with the way out."""


def main(arguments: Sequence[str]) -> int:
    """Do one command; returns its exit status (starting the app does not return on POSIX)."""
    if arguments and arguments[0] == "test":
        set_up(TEST_LOCK)
        add_gpu_set()
        return run_checks(arguments[1:])
    options = parse(arguments)
    if options.command == "setup":
        set_up(APP_LOCK)
        add_gpu_set(again=True)
        say("Ready. Start it with: " + command_line())
        return 0
    check_port(options.host, options.port)
    set_up(APP_LOCK)
    add_gpu_set()
    return start_app(options.host, options.port)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="run.py",
        description="Start Speedup Lab. The first time sets up .venv beside this file.",
        epilog="“run.py test” runs all checks; arguments after it go to pytest, which then runs alone.",
    )
    parser.add_argument("command", nargs="?", choices=["setup", "test"], help="only set up; or run all checks")
    parser.add_argument("--host", default=HOST, help=f"address to listen on (default {HOST}: only this machine)")
    parser.add_argument("--port", default=PORT, type=int, help=f"port to listen on (default {PORT})")
    options = parser.parse_args(arguments)
    if options.command == "test":
        parser.error("“test” comes first; what follows it goes to pytest.")
    if not 0 <= options.port <= 65535:
        parser.error(f"A port is a number from 0 to 65535, not {options.port}.")
    return options


def command_line(arguments: str = "") -> str:
    """The command as the person types it on this system."""
    return f"{'python' if WINDOWS else 'python3'} run.py {arguments}".strip()


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# Starting


def start_app(host: str, port: int) -> int:
    """Become the app, which prints its address; so signals and the exit status are its own."""
    command = [str(venv_python()), "-m", "imgproc", "serve", "--host", host, "--port", str(port)]
    if WINDOWS:
        return call(command)
    os.chdir(ROOT)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.stdout.flush()
    return os.execv(command[0], command)  # noqa: S606


def check_port(host: str, port: int) -> None:
    """Say before anything else that the app could not listen there.

    Raises:
        Problem: the port is taken or not allowed, or the address is not one of this machine's.
    """
    nowhere = f"“{host}” is no address of this machine. Leave --host out, or use 0.0.0.0 for all."
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        raise Problem(nowhere) from None
    family, _, _, _, address = found[0]
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        if not WINDOWS:  # as the server does: a port whose last connections are still closing is free
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen()
        except OSError as problem:
            raise Problem(port_problem(host, port, problem.errno) or nowhere) from None


def port_problem(host: str, port: int, reason: int | None) -> str:
    if reason == errno.EADDRINUSE:
        return (
            f"Port {port} on {host} is taken by another program, perhaps by another Speedup Lab. "
            f"Stop that one, or choose another port: {command_line(f'--port {port + 1 if port < 65535 else PORT}')}"
        )
    if reason == errno.EACCES:
        return f"Port {port} is not allowed for this user. Choose one above 1023: {command_line(f'--port {PORT}')}"
    return ""


# Checking


def run_checks(pytest_arguments: Sequence[str]) -> int:
    """All checks, tests last; with arguments for pytest only the tests. Returns 0 if everything passed."""
    python = str(venv_python())
    pytest = [python, "-m", "pytest"]
    if pytest_arguments:
        return call([*pytest, *pytest_arguments])
    lint_imports = str(venv_python().parent / "lint-imports")
    checks = {
        "ruff check": [python, "-m", "ruff", "check"],
        "ruff format --check": [python, "-m", "ruff", "format", "--check"],
        "mypy": [python, "-m", "mypy"],
        "lint-imports": [lint_imports],
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
    return call([*pytest, *AT_A_TIME]) or bool(failed)


def call(command: Sequence[str]) -> int:
    """Run a program in the project's folder to its end; it is ended with us. Returns its exit status."""
    child = subprocess.Popen(command, cwd=ROOT)
    try:
        return child.wait()
    except KeyboardInterrupt:
        wait_or_kill(child)  # the terminal has sent Ctrl-C to the child too
        raise
    except SystemExit:
        child.terminate()
        wait_or_kill(child)
        raise


def wait_or_kill(child: subprocess.Popen[Any], seconds: float = 10) -> int:
    try:
        return child.wait(seconds)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        child.kill()
        return child.wait()


# Setting up


def set_up(lock: str) -> None:
    """Make .venv hold what the lock file lists; does nothing, and needs no network, when it does already.

    Raises:
        Problem: it could not be made.
    """
    wanted = {name: sha256(ROOT / name) for name in INCLUDES[lock]}
    with only_one_at_a_time() as held:
        usable = venv_is_usable()
        stamp = read_stamp() if usable else {}
        if all(stamp.get(name) == digest for name, digest in wanted.items()):
            return
        if not usable:
            make_venv(held)
        UNFINISHED.touch()
        STAMP.unlink(missing_ok=True)
        install(ROOT / lock, held)
        STAMP.write_text(json.dumps({"place": str(VENV), "python": this_python(), "locks": wanted}, indent=1))
        UNFINISHED.unlink()


def add_gpu_set(again: bool = False) -> None:
    """Add the packages of the GPU techniques, where NVIDIA's driver is. All else works without them, so where they
    cannot be installed that is said, and they are left out until the lock changes or ``again`` is asked for."""
    lock = ROOT / GPU_LOCK
    if not lock.exists() or not has_gpu_driver():
        return
    with only_one_at_a_time() as held:
        stamp, digest = read_stamp(whole=True), sha256(lock)
        locks, failed = stamp.get("locks", {}), stamp.get("failed", {})
        if locks.get(GPU_LOCK) == digest or (failed.get(GPU_LOCK) == digest and not again):
            return
        say("NVIDIA’s driver is here, so the GPU techniques are added; that is half a gigabyte.")
        try:
            install(lock, held)
            locks[GPU_LOCK], stamp["failed"] = digest, {}
        except Problem as problem:
            say(f"{problem}\nSpeedup Lab goes on without the GPU techniques. To try once more: {command_line('setup')}")
            stamp["failed"] = {GPU_LOCK: digest}
        STAMP.write_text(json.dumps({**stamp, "locks": locks}, indent=1))


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
    place = read_stamp(whole=True).get("place", str(VENV))
    return bool(has_pip and python == this_python() and Path(prefix).resolve() == VENV.resolve() and place == str(VENV))


def this_python() -> str:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return " ".join([sys.implementation.name, version, sys.platform, platform.machine()])


def read_stamp(whole: bool = False) -> dict[str, Any]:
    """The digests of the installed lock files, or the whole stamp; empty if there is none."""
    try:
        stamp = dict(json.loads(STAMP.read_text()))
        return stamp if whole else dict(stamp["locks"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


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


def install(lock: Path, held: Sequence[int]) -> None:
    packages = len(re.findall(r"^[\w.-]+==", lock.read_text(encoding="utf-8"), flags=re.MULTILINE))
    counted = "1 package" if packages == 1 else f"{packages} packages"
    say(f"Installing {counted} of {lock.name}; the first time takes a few minutes …")
    # pip reads the person's own settings (index, proxy, certificates); only its own questions are switched off.
    pip = [str(venv_python()), "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    status, output = call_quietly([*pip, "--require-hashes", "-r", str(lock)], held, {"PIP_USER": "0"})
    with suppress(OSError):
        INSTALL_LOG.write_text(output + "\n", encoding="utf-8")
    if status:
        raise Problem(
            f"The packages could not be installed. The end of what pip said:\n{indent_end(output)}\n"
            "Check the network (and pip’s settings, if you use an index or proxy of your own) and the free disk "
            f"space, then run the same again. All that pip said is in {INSTALL_LOG.relative_to(ROOT)}."
        )


def indent_end(output: str, lines: int = 15) -> str:
    return "\n".join("    " + line for line in output.splitlines()[-lines:])


def call_quietly(
    command: Sequence[str], held: Sequence[int], environment: dict[str, str] | None = None
) -> tuple[int, str]:
    """Run a program that takes long, with the seconds shown on a terminal. Returns exit status and output."""
    everything = {**os.environ, **(environment or {})}
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(
            command,
            cwd=ROOT,
            env=everything,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=() if WINDOWS else tuple(held),
        )
        try:
            status = wait_showing_seconds(child)
        except BaseException:
            child.terminate()
            wait_or_kill(child)
            raise
        output.seek(0)
        return status, output.read().decode(errors="replace").strip()


def wait_showing_seconds(child: subprocess.Popen[Any]) -> int:
    start, terminal = time.monotonic(), sys.stderr.isatty()
    while True:
        try:
            status = child.wait(1)
        except subprocess.TimeoutExpired:
            if terminal:
                print(f"\r  {time.monotonic() - start:.0f} s ", end="", file=sys.stderr, flush=True)
            continue
        if terminal:
            print("\r         \r", end="", file=sys.stderr, flush=True)
        return status


def guarded(command: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    """Run the command; what a person must read is one text without a traceback."""
    for stream in (sys.stdout, sys.stderr):
        tolerate_any_character(stream)
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


def tolerate_any_character(stream: IO[str]) -> None:
    """A terminal without the typographic signs shows a question mark instead of failing."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure:
        reconfigure(errors="replace")


if __name__ == "__main__":
    sys.exit(guarded(main, sys.argv[1:]))
