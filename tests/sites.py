"""What has to be true of a built site's pages, whatever they say: links, requests, widths, axe."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
PAPER = {"width": 680, "height": 1009}  # what margins of 15 mm leave of A4, in pixels
# What is drawn beyond an edge, or is cut off there, though it is to be seen on paper.
CUT = """width => [...document.querySelectorAll('.bd-article *')].filter(one => {
  if (!one.checkVisibility() || one.closest('mjx-assistive-mml, svg, .headerlink')) return false;
  const box = one.getBoundingClientRect();
  if (!one.textContent.trim() && !one.matches('img, canvas, video')) return false;
  const clips = getComputedStyle(one).overflowX !== 'visible';
  return box.right > width + 1 || (clips && one.scrollWidth > one.clientWidth + 1);
}).map(one => one.outerHTML.slice(0, 120))"""
# Figures that paper would divide, or that no sheet holds.
DIVIDED = """height => [...document.querySelectorAll('.bd-article :is(figure, img)')].filter(one =>
  one.checkVisibility() && (getComputedStyle(one).breakInside !== 'avoid' ||
  (one.tagName === 'IMG' && one.getBoundingClientRect().height > height))
).map(one => one.outerHTML.slice(0, 120))"""


class Links(HTMLParser):
    """What a page has, names and asks for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.targets: list[str] = []
        self.meta: dict[str, str] = {}
        self.title = ""
        self._within = ""
        self.feed(text)

    def handle_starttag(self, tag: str, pairs: list[tuple[str, str | None]]) -> None:
        own = dict(pairs)
        self._within = tag
        self.anchors |= {own[name] for name in ("id", "name") if own.get(name)}
        self.targets += [own[name] for name in ("href", "src") if own.get(name)]
        if tag == "meta":
            name = own.get("property") or own.get("name") or ""
            self.meta[name] = own.get("content") or ""
            self.targets += [self.meta[name]] * (name == "og:image")

    def handle_data(self, data: str) -> None:
        if self._within == "title":
            self.title += data

    def handle_endtag(self, tag: str) -> None:
        self._within = ""


def pages(site: Path) -> list[Path]:
    """All pages of a site, without what its programs bring."""
    return [file for file in sorted(site.rglob("*.html")) if "_static" not in file.parts]


def dead(site: Path) -> list[str]:
    """Links, pictures and programs that lead nowhere inside the folder, and anchors not there."""
    told = {file: Links(file.read_text("utf-8")) for file in pages(site)}
    wrong = []
    for file, links in told.items():
        for target in links.targets:
            url = urlsplit(target)
            if url.scheme or url.netloc:
                continue
            to = (file.parent / unquote(url.path)).resolve() if url.path else file
            anchor = unquote(url.fragment)
            there = to.is_file() and site in to.parents
            if not there or (anchor and to in told and anchor not in told[to].anchors):
                wrong.append(f"{file.relative_to(site)}: {target}")
    return wrong


class Opened(NamedTuple):
    """A page in the browser, what it asked for inside its site, and what went wrong."""

    page: Any
    asked: list[Path]
    wrong: list[str]


@contextmanager
def opened(browser: Any, site: Path, file: Path, **options: Any) -> Iterator[Opened]:
    """A page opened as a file, offline; closed afterwards."""
    context = browser.new_context(offline=True, **({"viewport": DESK} | options))
    found = Opened(context.new_page(), [], [])

    def ask(request: Any) -> None:
        if request.url.startswith(("data:", "blob:")):
            return
        path = Path(url2pathname(urlsplit(request.url).path))
        if request.url.startswith("file:") and site in path.parents and path.is_file():
            found.asked.append(path)
        else:
            found.wrong.append(f"asks for {request.url}")

    found.page.on("request", ask)
    told = "error", "warning"
    found.page.on("console", lambda line: line.type in told and found.wrong.append(line.text))
    found.page.on("pageerror", lambda error: found.wrong.append(str(error)))
    found.page.goto(file.as_uri())
    try:
        yield found
    finally:
        context.close()


def barriers(page: Any) -> list[str]:
    """What axe calls serious or critical."""
    from axe_playwright_python.sync_playwright import Axe

    page.add_style_tag(content="* { transition: none !important }")  # no colour on its way
    rules = {"label-content-name-mismatch": {"enabled": True}}
    told = Axe().run(page, options={"resultTypes": ["violations"], "preload": False,
                                    "rules": rules}).response  # fmt: skip
    return [
        f"{one['impact']}: {one['id']}: {one['nodes'][0]['html'][:200]}"
        for one in told["violations"]
        if one["impact"] in ("serious", "critical")
    ]


def lost_on_paper(page: Any) -> list[str]:
    """What of a page that was opened as wide as paper would not be whole on it."""
    page.emulate_media(media="print")
    page.wait_for_function("[...document.images].every(one => one.complete)")
    return page.evaluate(CUT, PAPER["width"]) + page.evaluate(DIVIDED, PAPER["height"])
