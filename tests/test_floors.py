"""Imports only go down the floors of pyproject.toml: those too that import-linter cannot see."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
CONTRACT = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
#: The floors, top down; those with a bar stand side by side.
FLOORS = [[module.strip() for module in layer.split("|")] for layer in CONTRACT["layers"]]
#: A program that mpiexec starts by its documented name. Nothing imports it.
EXCEPTIONS = {("imgproc/backends/mpi/__main__.py", "imgproc.cli.mpi_ranks")}
NAMED = re.compile(r"(imgproc(?:\.\w+)*)\.?(?::\w+)?")


def floor(module):
    """How far up a module stands; None for the package itself."""
    for height, layer in enumerate(reversed(FLOORS)):
        if any(module == one or module.startswith(f"{one}.") for one in layer):
            return height
    return None


def named_modules(tree):
    """Modules of this package and the app above it that a file imports, or names in a text that is nothing else."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and (found := NAMED.fullmatch(node.value)):
            yield found[1]
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in (
            "import_module", "__import__", "run_module", "run_path",
        ):  # fmt: skip
            yield from (argument.value for argument in node.args if isinstance(argument, ast.Constant))


def upward(file, source):
    here = ".".join(Path(file).with_suffix("").parts).removesuffix(".__init__")
    if here == "imgproc":  # the public names, each loaded when it is asked for (tests/test_loads.py)
        return
    for module in named_modules(ast.parse(source)):
        if module == "app" or module.startswith("app."):
            yield module
        there = floor(str(module))
        excepted = any(file == one and f"{module}.".startswith(f"{other}.") for one, other in EXCEPTIONS)
        if there is not None and there > (floor(here) or 0) and not excepted:
            yield module


def test_no_file_reaches_up():
    files = [path.relative_to(PROJECT) for path in (PROJECT / "imgproc").rglob("*.py")]
    assert len(files) > 100
    found = {
        f"{file}: {module}"
        for file in files
        for module in upward(file.as_posix(), (PROJECT / file).read_text(encoding="utf-8"))
    }
    assert not found


@pytest.mark.parametrize(("file", "source", "found"), [
    ("imgproc/backends/x.py", "import_module('imgproc.cli')", "imgproc.cli"),
    ("imgproc/backends/x.py", "importlib.import_module('imgproc.runs.store')", "imgproc.runs.store"),
    ("imgproc/backends/x.py", "PATH = 'imgproc.web.app:serve'", "imgproc.web.app"),
    ("imgproc/pixels/x.py", "import_module(f'imgproc.backends.{name}')", "imgproc.backends"),
    ("imgproc/operations/x.py", "def f():\n    from imgproc import measure", "imgproc.measure"),
    ("imgproc/cli/x.py", "importlib.import_module('app').serve()", "app"),
    ("imgproc/web/x.py", "import_module('imgproc.backends.table')", None),
    ("imgproc/backends/x.py", "'see imgproc.web for more'", None),
])  # fmt: skip
def test_what_is_hidden_is_found(file, source, found):
    assert list(dict.fromkeys(upward(file, source))) == ([found] if found else [])


def test_the_exception_is_the_one_that_the_contract_names():
    assert [" -> ".join(pair) for pair in EXCEPTIONS] == [
        line.replace("imgproc.backends.mpi.__main__", "imgproc/backends/mpi/__main__.py")
        for line in CONTRACT["ignore_imports"]
    ]
