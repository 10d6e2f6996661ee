"""Takes a picture of every page in every state, on a phone, a desktop and a wide screen, light and dark, to look at.

    python docs/screens.py FOLDER [WORD …]

With words, only of pages whose names have one of them. Needs the packages of requirements-test.txt and Chromium. The
records behind the pages were never measured (``tests/page_states.py``).
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests")]

from conftest import CHROMIUM, served  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402

from tests.page_states import REACHED, Site  # noqa: E402

SIZES = {"phone": (375, 812), "desktop": (1440, 900), "wide": (2560, 1440)}
SCHEMES = ("light", "dark")
MEGAPIXELS = 1.0
#: What Chromium draws in one picture.
MOST_PIXELS_HIGH = 16_000
#: Pictures that are loaded when they come into sight are loaded now.
LOAD = """async () => {
    const seen = [...document.images].filter((image) => image.checkVisibility());
    for (const image of seen) image.loading = "eager";
    await Promise.all(seen.map((image) => image.decode().catch(() => {})));
}"""


def main(folder: Path, *words: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as runs, sync_playwright() as playwright:
        site = Site(Path(runs), MEGAPIXELS)
        names = [name for name in (*site.paths, *REACHED) if not words or any(word in name for word in words)]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        with served(site.app) as port:
            for page in _pages(browser, site, f"http://127.0.0.1:{port}"):
                for name in names:
                    _take(page, site, name, folder)
        browser.close()
        site.close()


def _pages(browser: Any, site: Site, server: str) -> Iterator[Any]:
    """One of each size, of the browser whose runs these are."""
    for width, height in SIZES.values():
        context = browser.new_context(
            base_url=server, viewport={"width": width, "height": height}, reduced_motion="reduce"
        )
        context.add_cookies([{**site.cookie, "url": server}])
        yield context.new_page()
        context.close()


def _take(page: Any, site: Site, name: str, folder: Path) -> None:
    """In both colour schemes."""
    if name in REACHED:
        REACHED[name](page, site)
    else:
        page.goto(site.paths[name])
    size = next(size for size, (width, _) in SIZES.items() if width == page.viewport_size["width"])
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        page.evaluate(LOAD)  # which begins to load some
        page.wait_for_timeout(100)
        page.evaluate(LOAD)
        high = min(page.evaluate("document.documentElement.scrollHeight"), MOST_PIXELS_HIGH)
        area = {"x": 0, "y": 0, "width": page.viewport_size["width"], "height": high}
        file = folder / f"{re.sub('[^a-z0-9]+', '-', name.lower())}_{size}_{scheme}.png"
        page.screenshot(path=file, full_page=True, clip=area)
    page.emulate_media(color_scheme=SCHEMES[0])
    print(f"{name}, {size}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), *sys.argv[2:])
