"""docs/ as a site: python -m sphinx -W -c docs . docs/_build

The pages are the Markdown files of the project as they stand, with the links that they have on a code host. Two things
are added while they are read: the contents, from the lists of links in docs/index.md, and what the code declares, in
the place of comments such as ``<!-- declared: commands -->``.
"""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from docs.declared import PARTS  # noqa: E402
from imgproc import __version__  # noqa: E402

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "Speedup Lab"
version = release = __version__
language = "en"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md", "benchmarks/*.md", "findings/*.md"]
# Folders that need not be looked through; some are large.
exclude_patterns = [
    ".*", "docs/_build", "dist", "imgproc", "results", "static", "templates", "tests", "uploads", "**/__pycache__",
]  # fmt: skip

myst_heading_anchors = 4
highlight_language = "none"
smartquotes = False  # "--" is an option, not a dash

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"

html_theme = "furo"
html_title = "Speedup Lab"
html_favicon = "../static/img/icon.svg"
html_static_path = html_css_files = ["site.css"]
html_show_copyright = False
html_show_sourcelink = html_copy_source = False

_DECLARED = re.compile(r"^<!-- declared: (\w+) -->$", re.MULTILINE)
_LISTED = re.compile(r"^- \[([^\]]+)\]\(([^)#]+\.md)\)", re.MULTILINE)


def with_contents(index: str) -> str:
    """The index with a hidden toctree after each section, of the pages that its list links to."""
    start, *sections = re.split(r"^## ", index, flags=re.MULTILINE)
    return start + "".join(f"## {section}{_toctree(section)}" for section in sections)


def _toctree(section: str) -> str:
    pages = "\n".join(f"{title} <{page}>" for title, page in _LISTED.findall(section))
    caption = section.partition("\n")[0]
    return f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{pages}\n```\n\n" if pages else ""


def read(app: "Sphinx", docname: str, source: list[str]) -> None:
    """Add to a page what it has only in the site."""
    if docname == root_doc:
        source[0] = with_contents(source[0])
    if _DECLARED.search(source[0]):
        app.env.note_reread()  # the code may have changed, although the page has not
        source[0] = _DECLARED.sub(lambda found: PARTS[found[1]](), source[0])


def lead_to_index(app: "Sphinx", failed: Exception | None) -> None:
    """A page at the root of the site that leads to the index, which lies in docs/."""
    if failed is None and app.builder.format == "html":
        target = f"{root_doc}.html"
        page = (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html_title}</title>'
            f'<meta http-equiv="refresh" content="0; url={target}"></head>'
            f'<body><a href="{target}">{html_title}</a></body></html>\n'
        )
        (Path(app.outdir) / "index.html").write_text(page, encoding="utf-8")


def setup(app: "Sphinx") -> None:
    app.connect("source-read", read)
    app.connect("build-finished", lead_to_index)
