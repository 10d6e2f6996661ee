"""What the documents say is what there is."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from docs import formats
from imgproc.backends import TECHNIQUES
from imgproc.cli import main
from imgproc.pixels.formats.depth import DEPTHS
from imgproc.settings import Settings

PROJECT = Path(__file__).resolve().parent.parent
README = (PROJECT / "README.md").read_text()


@pytest.mark.parametrize("item", fields(Settings), ids=lambda item: item.name)
def test_every_setting_is_in_the_readme_with_its_default(item):
    row = next((line for line in README.splitlines() if line.startswith(f"| `{item.name}` |")), None)
    assert row, f"{item.name} is missing"
    default = item.default
    if isinstance(default, Path):
        assert f"`{default.name}/`" in row
    elif default != "":
        assert f"| {default if isinstance(default, str) else f'{default:g}'} |" in row or f"| {default} |" in row


def test_every_technique_is_in_the_readme():
    for name in TECHNIQUES:
        assert f"| `{name}` |" in README


def test_what_is_read_is_documented_from_the_table():
    page = (PROJECT / "docs" / "formats.md").read_text()
    shown = page.partition("<!-- formats -->\n")[2].partition("<!-- /formats -->")[0]
    assert shown == formats.markdown(), "python docs/formats.py writes it anew"
    assert all(f"`{depth}`" in page for depth in DEPTHS)


def test_the_commands_of_the_readme_exist(capsys):
    typed = r"(?:python -m imgproc|python3 run\.py|speedup-lab)"
    commands = set(re.findall(rf"{typed} (\w+)", README)) - {"test"}
    assert {"process", "sample", "techniques", "serve"} <= commands
    for command in commands:
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0
        options = set(re.findall(rf"{typed} {command}[^\n]*?(--[a-z-]+)", README))
        text = capsys.readouterr().out
        assert all(option in text for option in options), options


def test_every_exception_from_a_security_rule_says_why():
    sources = [PROJECT / "app.py", PROJECT / "run.py", *(PROJECT / "imgproc").rglob("*.py")]
    exceptions = [
        line for source in sources for line in source.read_text().splitlines() if re.search(r"noqa: S\d", line)
    ]
    without = [line for line in exceptions if re.search(r"noqa: S\d+(, S\d+)*\s*$", line)]
    assert len(exceptions) > 10 and not without


def test_files_that_documents_link_to_are_there():
    for document in (
        PROJECT / "README.md",
        PROJECT / "CONTRIBUTING.md",
        PROJECT / "SECURITY.md",
        *(PROJECT / "docs").rglob("*.md"),
    ):
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_tests_that_promises_of_security_name_are_there():
    promises = re.findall(r"^\| \*\*.*\|(.*)\|$", (PROJECT / "SECURITY.md").read_text(), re.M)
    assert len(promises) > 10
    for tests in promises:
        files = [(PROJECT / "tests" / name).read_text() for name in re.findall(r"`(test_\w+\.py)`", tests)]
        assert files, tests
        for name in re.findall(r"`(test_\w+)`", tests):
            assert any(f"def {name}(" in text for text in files), name
