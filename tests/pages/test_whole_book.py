"""Every page of the book that was built last, in Chromium: `make test-book`."""

import io
from collections import Counter
from typing import Any

import numpy as np
import pytest
import sites
from PIL import Image

from semantica_lib.pages.book import BOOK

pytestmark = pytest.mark.long
pytest.importorskip(
    "playwright.sync_api", reason="Playwright is not installed: `make test-book` installs it"
)
if not sites.CHROMIUM:
    pytest.skip("no Chromium is found", allow_module_level=True)

SITE = BOOK / "_build" / "html"
PAGES = [file.relative_to(SITE).as_posix() for file in sites.pages(SITE)]
PAGES = [name for name in PAGES if name != "index.html"]  # which leads to the first page
if not PAGES:
    pytest.skip("there is no book: `make book` builds it", allow_module_level=True)
WRITTEN = [name for name in PAGES if name not in ("genindex.html", "search.html")]
MEGABYTE = 1_000_000


def test_no_link_is_dead() -> None:
    assert not sites.dead(SITE)


def test_the_folder_is_light() -> None:
    files = [file for file in SITE.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 25 * MEGABYTE


def test_pages_can_be_told_apart_by_title_and_description() -> None:
    told = [sites.Links((SITE / name).read_text("utf-8")) for name in WRITTEN]
    for one, name in zip(told, WRITTEN, strict=True):
        assert len(one.meta["description"]) > 50, name
        assert one.meta["og:title"] and one.meta["og:image"], name
    for what in ([one.title for one in told], [one.meta["og:title"] for one in told]):
        assert [title for title, count in Counter(what).items() if count > 1] == []


def test_search_tells_pages_apart_and_fetches_nothing(browser: Any) -> None:
    with sites.opened(browser, SITE, SITE / "search.html") as (page, _, wrong):
        page.goto(f"{(SITE / 'search.html').as_uri()}?q=tied+embeddings")
        page.wait_for_selector("#search-results li a")
        page.wait_for_function(
            "document.querySelector('#search-results h2').textContent.includes('Results')"
        )
        found = page.locator("#search-results li > a").all_text_contents()
        assert not wrong
    assert len(found) > 5 and len(set(found)) == len(found)


def test_the_first_page_loads_little(browser: Any) -> None:
    with sites.opened(browser, SITE, SITE / "index.html") as (page, asked, wrong):
        page.wait_for_url((SITE / "intro.html").as_uri())
        page.wait_for_load_state()
        assert not wrong
    assert sum(file.stat().st_size for file in set(asked)) < 1.5 * MEGABYTE


def test_the_first_screen_holds_claim_figure_findings_and_table(browser: Any) -> None:
    with sites.opened(browser, SITE, SITE / "intro.html") as (page, *_):
        page.wait_for_selector(".semantica-explorer.ready")
        for part in ("article h1", ".panels", ".found li:last-child", ".judged table"):
            box = page.locator(part).first.bounding_box()
            assert box["y"] >= 0 and box["y"] + box["height"] <= sites.DESK["height"], part


def test_the_trainer_has_a_picture_before_it_trains_on_paper_and_without_scripts(
    browser: Any,
) -> None:
    page = SITE / "train.html"
    with sites.opened(browser, SITE, page) as (found, _, wrong):
        still = found.locator(".trainer-still img")
        assert still.is_visible()
        found.locator(".semantica-trainer [name=start]").click()
        still.wait_for(state="hidden")
        found.emulate_media(media="print")
        assert still.is_visible() and still.evaluate("one => one.naturalWidth") > 600
        assert not wrong
    with sites.opened(browser, SITE, page, java_script_enabled=False) as (found, *_):
        assert found.locator(".trainer-still img").is_visible()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_sound(browser: Any, name: str) -> None:
    for scheme in ("light", "dark"):
        with sites.opened(browser, SITE, SITE / name, color_scheme=scheme) as (page, _, wrong):
            page.wait_for_load_state()
            assert not wrong
            assert page.locator("html").get_attribute("data-theme") == scheme
            assert not sites.barriers(page), scheme
            if page.locator(".math").count():
                page.wait_for_selector("mjx-container")
            assert not page.evaluate(
                "[...document.images].filter(one => one.complete && !one.naturalWidth).length"
            )
            _figures_are(scheme, page)
    with sites.opened(browser, SITE, SITE / name, viewport=sites.PHONE) as (page, *_):
        assert page.evaluate("document.documentElement.scrollWidth") <= sites.PHONE["width"]
    with sites.opened(browser, SITE, SITE / name, viewport=sites.PAPER) as (page, *_):
        assert not sites.lost_on_paper(page)


def _figures_are(scheme: str, page: Any) -> None:
    """Figures have the page's ground: most of what one sees of them is light, or dark."""
    for figure in page.locator(".bd-article figure img:visible").all()[:3]:
        seen = np.asarray(Image.open(io.BytesIO(figure.screenshot())).convert("L"))
        assert (np.median(seen) > 128) == (scheme == "light")
