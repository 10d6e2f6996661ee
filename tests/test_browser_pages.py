"""Every page in every state, in a browser: what axe finds, what it weighs, when it is there and whether it stays."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from conftest import browsing, served

from app import create_app
from imgproc.settings import Settings
from tests.page_states import REACHED, TOKEN, Site, choose_files

pytestmark = pytest.mark.browser
axe = pytest.importorskip("axe_playwright_python.base", reason="axe-playwright-python is not installed")

WIDTHS = (320, 768, 1440, 2560)
DESKTOP = {"width": 1440, "height": 900}
#: Bytes of a page as sent, without pictures; milliseconds until something is seen; how far parts of it may jump.
MOST_BYTES, MOST_MS, MOST_SHIFT = 300_000, 1_000, 0.1
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
#: What another colour scheme or another width can change.
ELSEWHERE = ["color-contrast", "link-in-text-block", "target-size", "scrollable-region-focusable", "heading-order"]
#: Addresses that are no pages: what is downloaded, shown inside a page, or for programs.
NO_PAGES = {
    "static", "bootstrap.static", "run_json", "run_text", "report_notebook", "results_zip", "rounds", "trace",
    "run_image", "run_preview", "run_figure", "exhibit_figure", "class_figure", "what_if_figure",
    "communication_figure", "history_csv", "class_csv", "healthz", "metrics_text", "typed",
}  # fmt: skip

#: Of long lists the first few are looked at; the blocks of a timeline are for the eye, the picture has one name.
ALIKE = [
    ".tl-lanes",
    *(f"{one}:nth-child(n+4)" for one in (".strip li", ".refused li", ".history tbody tr", ".ops .op")),
]

SHIFTS = """
window.shifted = 0;
new PerformanceObserver((list) => {
    for (const one of list.getEntries()) if (!one.hadRecentInput) window.shifted += one.value;
}).observe({ type: "layout-shift", buffered: true });
"""
PAINTED = """() => new Promise((done) => new PerformanceObserver((list) => {
    for (const one of list.getEntriesByName("first-contentful-paint")) done(one.startTime);
}).observe({ type: "paint", buffered: true }))"""
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
UNFOLD = "for (const fold of document.querySelectorAll('details')) fold.open = true"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("site"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def page(browser: Any, site: Site) -> Iterator[Any]:
    """A page of the browser whose runs these are."""
    with served(site.app) as port:
        server = f"http://127.0.0.1:{port}"
        with browsing(browser, server) as open_page:
            page = open_page("/", viewport=DESKTOP, color_scheme="light")
            page.add_init_script(SHIFTS)
            page.context.add_cookies([{**site.cookie, "url": server}])
            yield page


#: Scripts that follow the size of a page have seen it once it is drawn.
DRAWN = "() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))"


def violations(page: Any, **only: Any) -> list[str]:
    """What axe finds wrong in the page as it is shown now, with where."""
    wanted = {"type": "rule", "values": only["rules"]} if only else {"type": "tag", "values": TAGS}
    options = [{"exclude": ALIKE}, {"runOnly": wanted, "resultTypes": ["violations"]}]
    found = page.evaluate("([context, options]) => axe.run(context, options)", options)
    return [
        f"{one['id']}: {' '.join(map(str, node['target']))}: {node['html'][:200]} {node['failureSummary'][:300]}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


def inspected(page: Any) -> list[str]:
    """What axe finds, with all folds open: of everything, then on a dark phone of what may be otherwise there."""
    page.evaluate(UNFOLD)
    page.evaluate(axe.AXE_SCRIPT)
    found = violations(page)
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 320, "height": 700})
    page.evaluate(DRAWN)
    found += [f"dark and narrow: {one}" for one in violations(page, rules=ELSEWHERE)]
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(DESKTOP)
    return found


def test_axe_finds_nothing_on_any_page(page: Any, site: Site) -> None:
    page.emulate_media(reduced_motion="reduce")  # nothing is looked at half faded
    found = {}
    for name, path in site.paths.items():
        page.goto(path)
        found[name] = inspected(page)
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_axe_finds_nothing_where_something_was_done(page: Any, site: Site) -> None:
    page.emulate_media(reduced_motion="reduce")
    found = {}
    for name, reach in REACHED.items():
        reach(page, site)
        found[name] = inspected(page)
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_axe_finds_nothing_where_a_token_or_a_first_run_is_asked_for(browser: Any, settings: Settings) -> None:
    with served(create_app(settings)) as port, browsing(browser, f"http://127.0.0.1:{port}") as open_page:
        page = open_page("/runs", viewport=DESKTOP)
        assert page.get_by_role("heading", name="No run yet").is_visible()
        assert inspected(page) == []
        page.goto("/")
        choose_files(page)
        page.locator("[data-preview-of=canny] img[src]").wait_for()
        assert inspected(page) == []
    locked = create_app(replace(settings, ACCESS_TOKEN=TOKEN))
    with served(locked) as port, browsing(browser, f"http://127.0.0.1:{port}") as open_page:
        page = open_page("/?token=wrong", viewport=DESKTOP)
        assert page.get_by_role("heading", name="This is not the token").is_visible()
        assert inspected(page) == []


def test_no_page_is_left_out(site: Site) -> None:
    seen = set()
    adapter = site.app.url_map.bind("localhost")
    for path in site.paths.values():
        if "nothing" not in path:
            seen.add(adapter.match(path.partition("?")[0])[0])
    pages = {rule.endpoint for rule in site.app.url_map.iter_rules() if "GET" in (rule.methods or ())}
    assert pages - NO_PAGES == seen


class Weight:
    """Bytes that came over the wire, without those of pictures."""

    def __init__(self, page: Any) -> None:
        self.bytes = 0
        self._pictures: set[str] = set()
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        session.send("Network.setCacheDisabled", {"cacheDisabled": True})
        session.on("Network.responseReceived", self._came)
        session.on("Network.loadingFinished", self._ended)

    def _came(self, event: Any) -> None:
        if event["type"] == "Image":
            self._pictures.add(event["requestId"])

    def _ended(self, event: Any) -> None:
        if event["requestId"] not in self._pictures:
            self.bytes += int(event["encodedDataLength"])


def test_every_page_is_small_soon_there_and_stays_where_it_is(page: Any, site: Site) -> None:
    weight = Weight(page)
    found: dict[str, list[str]] = {}
    for name, path in site.paths.items():
        wrong = found[name] = []
        weight.bytes = 0
        page.goto(path)
        painted = page.evaluate(PAINTED)
        if weight.bytes > MOST_BYTES or not weight.bytes:
            wrong.append(f"{weight.bytes} bytes")
        page.wait_for_timeout(1_200 if name in ("running", "waiting", "exhibit, waiting") else 50)
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        page.wait_for_timeout(50)
        if (shifted := page.evaluate("window.shifted")) > MOST_SHIFT:
            wrong.append(f"shifts by {shifted:.2f}")
        for _ in range(2):  # again, in case something else had the processors just then
            if painted > MOST_MS:
                page.reload()
                painted = min(painted, page.evaluate(PAINTED))
        # Beside more programs than there are processors it is not the page that takes long.
        if painted > MOST_MS * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)):
            wrong.append(f"painted after {painted:.0f} ms")
        page.evaluate(UNFOLD)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            if (wide := page.evaluate(TOO_WIDE)) > 0:
                wrong.append(f"{wide} pixels too wide at {width}")
        page.set_viewport_size(DESKTOP)
    assert {name: wrong for name, wrong in found.items() if wrong} == {}
