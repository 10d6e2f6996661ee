"""The package as pip installs it: what is in it, what it needs, and that it works outside the checkout."""

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections import defaultdict
from importlib import metadata
from pathlib import Path

import pytest
from conftest import jpeg
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import imgproc
from imgproc import installation
from tests.live_app import Live

PROJECT = Path(__file__).resolve().parent.parent
DECLARED = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
EXTRAS = DECLARED["optional-dependencies"]
posix = pytest.mark.skipif(os.name != "posix", reason="programs of a virtual environment as POSIX has them")


# ---------------------------------------------------------------- what it needs


def groups(file):
    """The requirements of a file by what its headings call extras; those before are of the core, “”."""
    found, extra = defaultdict(set), ""
    for line in (PROJECT / file).read_text(encoding="utf-8").splitlines():
        if heading := re.match(r'# The extra "(\w+)"', line):
            extra = heading[1]
        elif line[:1].isalnum():
            requirement, _, reason = line.partition("  # ") if ";" in line else line.partition(" # ")
            assert reason.strip(), f"{file}: {line} has no reason"
            found[extra].add(Requirement(requirement.strip()))
    return found


def test_pyproject_and_the_requirements_declare_the_same():
    """A new dependency goes into both: with its reason there, with what it is needed for here."""
    core = {Requirement(one) for one in DECLARED["dependencies"]}
    extras = {name: {Requirement(one) for one in needs} for name, needs in EXTRAS.items() if name != "all"}
    assert {"": core, **extras} == {**groups("requirements.txt"), "cuda": groups("requirements-cuda.txt")[""]}
    assert EXTRAS["all"] == [f"speedup-lab[{','.join(extras)}]"]


def test_what_a_command_needs_is_an_extra():
    from imgproc.__main__ import EXTRAS as of_commands
    from imgproc.cli import COMMANDS

    assert set(of_commands) <= set(COMMANDS) and set(of_commands.values()) <= set(EXTRAS)


# ---------------------------------------------------------------- what is in it


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The source distribution, as it is when it is unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    build("sdist", PROJECT, folder)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    return next(path for path in folder.iterdir() if path.is_dir())


@pytest.fixture(scope="module")
def wheel(unpacked, tmp_path_factory):
    """The wheel, made of the source distribution."""
    folder = tmp_path_factory.mktemp("wheel")
    build("wheel", unpacked, folder)
    return next(folder.glob("*.whl"))


def build(kind, source, folder):
    run(sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", folder, cwd=source)


def run(*command, status=0, cwd=None, **options):
    """Output and errors of a program that must end with the status."""
    words = list(map(str, command))
    done = subprocess.run(words, capture_output=True, text=True, cwd=cwd, timeout=170, check=False, **options)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def files(folder):
    """The files of a folder of the checkout, but for what Python makes by itself, and the built site."""
    paths = (path.relative_to(PROJECT) for path in (PROJECT / folder).rglob("*") if path.is_file())
    return {path.as_posix() for path in paths if not {"__pycache__", "_build"} & set(path.parts)}


def test_the_wheel_holds_the_package_with_its_pages_and_nothing_else(wheel):
    wanted = files("imgproc") | {f"imgproc/web/{path}" for path in files("templates") | files("static")}
    kinds = {Path(path).suffix for path in wanted}
    assert {".py", ".cu", ".json", ".html", ".css", ".js", ".webp", ".typed"} <= kinds
    names = set(zipfile.ZipFile(wheel).namelist())
    info = f"speedup_lab-{imgproc.__version__}.dist-info/"
    assert {name for name in names if not name.startswith(info)} == wanted
    assert {f"{info}licenses/LICENSE", f"{info}entry_points.txt"} <= names


def test_the_source_distribution_holds_the_tests_and_nobodys_pictures(unpacked):
    there = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    tops = ("imgproc", "templates", "static", "tests", "docs", "benchmarks", "findings")
    assert set().union(*map(files, tops)) <= there
    alone = "app.py run.py pyproject.toml requirements.txt requirements.lock README.md CHANGELOG.md LICENSE"
    assert {*alone.split(), ".ci/run", ".ci/newest-python"} <= there
    assert {path for path in there if path.startswith(("uploads/", "results/"))} == {
        "uploads/.gitkeep", "results/.gitkeep",
    }  # fmt: skip


# ---------------------------------------------------------------- installed


def closure(extras):
    """The names of all distributions that pip would install with these extras."""
    found, todo = set(), [Requirement(f"speedup-lab[{','.join(extras)}]")]
    while todo:
        requirement = todo.pop()
        name, wanted = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, wanted) in found:
            continue
        found.add((name, wanted))
        if name == "speedup-lab":
            needs = [*DECLARED["dependencies"], *(one for extra in wanted for one in EXTRAS[extra])]
        else:
            needs = metadata.requires(name) or ()
        todo += (need for need in map(Requirement, needs) if applies(need, wanted))
    return {name for name, _ in found} - {"speedup-lab"}


def applies(need, extras):
    return not need.marker or any(need.marker.evaluate({"extra": extra}) for extra in ("", *extras))


class Place:
    """A virtual environment with the wheel and what it needs, and a folder to be in, outside the checkout."""

    def __init__(self, folder):
        self.bin, self.work, self.home = folder / "venv" / "bin", folder / "work", folder / "home"
        self.work.mkdir(parents=True)
        self.home.mkdir()
        self.environment = {"PATH": os.defpath, "HOME": str(self.home), "TMPDIR": str(folder), "LANG": "C.UTF-8"}

    def run(self, program, *arguments, status=0):
        return run(self.bin / program, *arguments, status=status, cwd=self.work, env=self.environment)

    def lab(self, *arguments, status=0):
        return self.run("speedup-lab", *arguments, status=status)

    def serving(self):
        """``speedup-lab serve`` from there; its uploads and results lie where they do by default."""
        live = Live(self.home)
        live.command, live.place, live.environment = [self.bin / "speedup-lab"], self.work, self.environment
        live.start()
        return live


def linked(folder, extras, wheel):
    """A place with the packages of this Python that pip would install with these extras, and no other."""
    place = Place(folder)
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv")
    python = place.bin / "python"
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    for name in closure(extras):
        distribution = metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            (packages / top).symlink_to(distribution.locate_file(top))
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "install", "--quiet")
    run(*pip, "--no-index", "--no-deps", "--no-compile", wheel)
    return place


@pytest.fixture(scope="module")
def core(wheel, tmp_path_factory):
    return linked(tmp_path_factory.mktemp("core"), (), wheel)


@pytest.fixture(scope="module")
def web(wheel, tmp_path_factory):
    return linked(tmp_path_factory.mktemp("web"), ("web",), wheel)


@posix
def test_without_extras_all_commands_but_serve_work(core):
    code = "import imgproc, sys; print(imgproc.__version__, imgproc.__file__, *sys.modules)"
    version, file, *modules = core.run("python", "-c", code).split()
    assert version == imgproc.__version__ and Path(file).is_relative_to(core.bin.parent)
    assert not {"cv2", "numpy"} & set(modules)
    assert core.lab("--help").startswith("usage: speedup-lab ")
    assert core.lab("process", "--help").startswith("usage: speedup-lab process ")
    assert core.run("python", "-m", "imgproc", "process", "--help").startswith("usage: python -m imgproc process ")

    core.lab("sample", "photos", "--count", "2", "--megapixels", "0.1")
    said = core.lab("process", "photos", "--out", "out", "--budget", "0", "--operations", "canny")
    assert "Number of Images: 2" in said and len(list((core.work / "out").iterdir())) == 2
    said = core.lab("compare", "photos", "--technique", "threading", "--budget", "1", "--json", "run.json")
    assert "speedup-lab " in said.rpartition("Command: ")[2]
    core.lab("verify", "run.json")
    core.lab("scale", "photos", "--technique", "multiprocessing", "--workers", "1,2", "--budget", "1")
    core.lab("advise", "photos")
    said = core.lab("techniques")
    for name in ("sequential", "threading", "multiprocessing", "futures-processes", "joblib"):
        assert re.search(rf"^yes  {name} ", said, re.MULTILINE)
    for name, command in ("mpi", "pip install mpi4py mpich"), ("dask", "pip install distributed cryptography"):
        assert re.search(rf"^no   {name} .* {command}$", said, re.MULTILINE)
    assert not list(core.work.glob("uploads")) and not list(core.home.glob(".local/share/*"))


@posix
def test_what_needs_an_extra_says_so_in_a_sentence(core):
    assert core.lab("serve", "--help").startswith("usage: speedup-lab serve ")
    said = core.lab("serve", status=2)
    assert re.fullmatch(
        r'imgproc: serve needs the web extra: pip install "speedup-lab\[web\]" \(no package \w+ is here\)\.\n', said
    )
    said = core.run("python", "-m", "imgproc.backends.mpi", "process", "a.jpg", "--out", "out", status=2)
    assert said.startswith("imgproc: python -m imgproc.backends.mpi needs the mpi extra: pip install ")


@posix
def test_a_package_of_the_core_that_is_gone_is_said(core):
    (core.work / "hidden").mkdir()
    (core.work / "hidden" / "cv2.py").write_text("raise ModuleNotFoundError('No module', name='cv2')")
    command = [core.bin / "speedup-lab", "process", "a.jpg", "--out", "out"]
    said = run(*command, status=2, env={**core.environment, "PYTHONPATH": str(core.work / "hidden")})
    assert said == "imgproc: this Python has no package cv2, which “pip install speedup-lab” installs.\n"


@posix
def test_the_app_serves_its_pages_and_does_a_run(web):
    photo = web.work / "photo.jpg"
    photo.write_bytes(jpeg())
    serves_and_works(web)
    assert {path.name for path in (web.home / ".local/share/imgproc").iterdir()} == {"uploads", "results"}
    assert list(web.work.iterdir()) == [photo], "nothing is left in the current folder"


def serves_and_works(place):
    live = place.serving()
    try:
        data = place.home / ".local/share/imgproc"
        said = live.process.stdout.readline()
        assert said == f"Uploads are kept in {data / 'uploads'}, results in {data / 'results'}.\n"
        page = live.http.get("/")
        assert page.status_code == 200 and "op-canny.webp" in page.text
        addresses = re.findall(r'(?:src|href)="(/[^"]*static[^"]*)"', page.text)
        assert any("app.css" in address for address in addresses) and any("bootstrap" in one for one in addresses)
        assert {live.http.get(address).status_code for address in addresses} == {200}
        begun = live.post([], samples=1, sample_megapixels=0.1, mode="parallel", budget=1)
        record = live.finished(begun.json()["id"])
        assert record["state"] == "done" and not record["error"]
        page = live.http.get(f"/runs/{record['id']}")
        assert page.status_code == 200 and "python -m imgproc" not in page.text
        figure = re.search(rf'/runs/{record["id"]}/[^"]*\.svg', page.text)
        assert live.http.get(figure[0]).status_code == 200
    finally:
        live.stop()


@posix
def test_flask_finds_the_app_without_app_py(web):
    assert "/process" in web.run("python", "-m", "flask", "--app", "imgproc.web.app", "routes")


# ---------------------------------------------------------------- from an index


@posix
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_pip_finds_what_is_needed_and_the_sentence_mends_what_is_missing(unpacked, tmp_path):
    """From an empty environment: ``pip install .``, the command line; what ``serve`` says is typed; ``serve``."""
    place = Place(tmp_path)
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    pip = (place.bin / "python", "-P", "-m", "pip", "--disable-pip-version-check", "--no-input")
    # The person's own settings of pip, but packages are to come from nowhere else.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    looked = subprocess.run(
        [*pip, "download", "--no-deps", "--dest", tmp_path, "platformdirs"], capture_output=True, env=environment
    )
    if looked.returncode:
        pytest.skip("no package index can be reached")
    run(*pip, "install", "--quiet", "--no-compile", ".", cwd=unpacked, env=environment)
    assert "dask" in place.lab("techniques")
    place.lab("sample", "photos", "--count", "1", "--megapixels", "0.1")
    place.lab("process", "photos", "--out", "out", "--budget", "0")
    wanted = re.search(r'pip install "(\S+)"', place.lab("serve", status=2))[1]
    run(*pip, "install", "--quiet", "--no-compile", wanted, env=environment)
    run(*pip, "check", env=environment)
    serves_and_works(place)


# ---------------------------------------------------------------- how it was called


@pytest.mark.parametrize(("typed", "run_py", "read"), [
    ("/venv/bin/speedup-lab", "", "speedup-lab"), ("speedup-lab.exe", "", "speedup-lab"),
    ("/lab/imgproc/__main__.py", "", "python -m imgproc"), ("", "", "python -m imgproc"),
    ("/lab/imgproc/__main__.py", "python3 run.py", "python3 run.py"),
])  # fmt: skip
def test_usage_lines_read_as_the_program_was_called(typed, run_py, read, monkeypatch):
    monkeypatch.setattr(sys, "argv", [typed, "process"])
    monkeypatch.setenv(installation.CALLED, run_py)
    assert installation.called() == read


def test_children_of_a_checkout_are_told_where_it_is_and_others_find_it_by_themselves(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/mine")
    assert installation.python_path() == os.pathsep.join([str(PROJECT), "/mine"])
    monkeypatch.setattr(installation, "CHECKOUT", None)
    assert installation.python_path() == "/mine"
    monkeypatch.delenv("PYTHONPATH")
    assert installation.python_path() == ""
