"""docs/ as a site: it builds without a warning and without a network, no link in it is dead, and what the code declares
is in it."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import imgproc
from docs.conf import with_contents
from docs.declared import PARTS, commands, parser_of, text
from imgproc.backends import TECHNIQUES
from imgproc.cli import COMMANDS
from imgproc.operations import OPERATIONS
from imgproc.report.glossary import GLOSSARY
from imgproc.runs.options import options
from imgproc.runs.record import ImageRecord, Record
from imgproc.settings import Settings

PROJECT = Path(__file__).resolve().parent.parent
#: What makes a browser fetch something, by its attribute.
LOADED = {"img": "src", "script": "src", "link": "href", "iframe": "src", "source": "src", "object": "data"}
#: Links that are for programs, and load nothing.
FOR_PROGRAMS = {"canonical", "index", "search", "prev", "next"}


class Page(HTMLParser):
    """A page of the site: its ids, where its links lead, what a browser loads with it, and its words."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.words: list[str] = []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.ids |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if (address := found.get(LOADED.get(tag, ""))) and not FOR_PROGRAMS & set(found.get("rel", "").split()):
            self.loads.append(address)

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def said(self) -> str:
        return plain("".join(self.words))


def plain(words: str) -> str:
    return " ".join(words.split())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-E", "-c", "docs", ".", str(out)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {file: Page(file) for file in site.rglob("*.html")}


def page_of(pages: dict[Path, Page], site: Path, name: str) -> Page:
    return pages[site / f"{name}.html"]


def test_every_page_is_built_and_the_root_leads_to_the_index(site: Path, pages: dict[Path, Page]) -> None:
    sources = [*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")]
    built = {(site / source.relative_to(PROJECT)).with_suffix(".html") for source in sources}
    assert len(built) > 25 and built <= set(pages)
    assert page_of(pages, site, "index").links == ["docs/index.html"]


def test_no_link_is_dead(site: Path, pages: dict[Path, Page]) -> None:
    assert not list(dead(site, pages))


def dead(site: Path, pages: dict[Path, Page]) -> list[str]:
    """Links within the site to what is not there. Those that lead out of it are not asked."""
    found = []
    for file, page in pages.items():
        for link in page.links + page.loads:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            there = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            fragment = unquote(parts.fragment)
            if not there.is_file() or (fragment and there in pages and fragment not in pages[there].ids):
                found.append(f"{file.relative_to(site)}: {link}")
    return found


def test_a_dead_link_would_be_seen(site: Path, tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<p id="here"><a href="#here"></a><a href="#gone"></a><a href="gone.html"></a>')
    (tmp_path / "b.html").write_text(
        '<a href="a.html#here"></a><img src="gone.webp"><a href="https://example.org"></a>'
    )
    made = {tmp_path / name: Page(tmp_path / name) for name in ("a.html", "b.html")}
    assert dead(tmp_path, made) == ["a.html: #gone", "a.html: gone.html", "b.html: gone.webp"]


def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    loads = {address for page in pages.values() for address in page.loads}
    assert all(any(part in address for address in loads) for part in ("furo.css", "furo.js", "run.webp"))
    assert not [address for address in loads if urlsplit(address).netloc]
    styles = "".join(file.read_text(encoding="utf-8") for file in site.rglob("*.css"))
    assert not re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", styles)


def test_the_reference_has_what_the_code_declares(site: Path, pages: dict[Path, Page]) -> None:
    of = {name: page_of(pages, site, f"docs/reference/{name}") for name in (
        "commands", "settings", "environment", "operations", "techniques", "record", "library", "glossary",
    )}  # fmt: skip
    for command in COMMANDS:
        assert command in of["commands"].ids
        flags = {flag for action in parser_of(command)._actions for flag in action.option_strings} - {"-h", "--help"}
        assert not [flag for flag in flags if flag not in of["commands"].said]
    assert all(flag in of["settings"].said for option in options().values() for flag in option.flags)
    assert all(item.name in of["environment"].said for item in fields(Settings))
    for operation in OPERATIONS.values():
        assert plain(operation.help) in of["operations"].said
        assert all(plain(p.help) in of["operations"].said for p in operation.parameters)
    told = of["techniques"].said
    assert all(plain(words) in told for one in TECHNIQUES.values() for words in (one.what, one.wins, one.loses))
    assert all(item.name in of["record"].said for kind in (Record, ImageRecord) for item in fields(kind))
    assert {f"imgproc.{name}" for name in imgproc.__all__ if name != "__version__"} <= of["library"].ids
    assert all(plain(what) in of["glossary"].said for what in GLOSSARY.values())


def test_every_part_is_asked_for_by_a_page() -> None:
    asked = {
        name
        for page in (PROJECT / "docs" / "reference").glob("*.md")
        for name in re.findall(r"<!-- declared: (\w+) -->", page.read_text())
    }
    assert asked == set(PARTS)


def test_the_contents_are_the_lists_of_the_index() -> None:
    made = with_contents("# A\n\nwords\n\n## B\n\n- [c](c.md): d\n- [e](../f.md#g)\n\n## H\n\n[i](i.md)\n")
    assert made.count("{toctree}") == 1 and ":caption: B\n\nc <c.md>\n```" in made
    assert made.index("{toctree}") < made.index("## H")


def test_words_of_the_code_are_not_taken_for_markdown() -> None:
    assert text("a|b <name> *.jpg [FILE] _x_") == r"a\|b \<name> \*.jpg \[FILE\] \_x\_"
    assert "## process\n" in commands() and "--out DIR" in commands()
