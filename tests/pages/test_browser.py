"""What moves on the book's pages, in Chromium, the pages opened as files: `make test-book`."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
import sites
from sites import DESK, PHONE
from test_train_here import SETTINGS, TRIALS, asked, node, stack_of

from semantica_lib.figures import facts, second_round
from semantica_lib.figures.explorer import explorer
from semantica_lib.files import ROOT
from semantica_lib.store import results

pytest.importorskip(
    "playwright.sync_api", reason="Playwright is not installed: `make test-book` installs it"
)
if not sites.CHROMIUM:
    pytest.skip("no Chromium is found", allow_module_level=True)

MAIN = "transformer-small"
FIGURE = ".semantica-explorer.ready"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A book of two pages that show the published main result, its own and one that quotes it, and
    of the page on which one trains."""
    book = tmp_path_factory.mktemp("book")
    for name in ("_config.yml", "references.bib", "_static", "extra"):
        copy = shutil.copytree if (ROOT / "book" / name).is_dir() else shutil.copy
        copy(ROOT / "book" / name, book / name)
    contents = f"format: jb-book\nroot: intro\nchapters:\n- file: {MAIN}\n- file: train\n"
    (book / "_toc.yml").write_text(contents)
    _, fence, rest = (ROOT / "book" / "train.md").read_text().partition("```{raw} html\n")
    trainer = fence + rest.partition("\n```")[0].replace('href="experiments/', 'href="')
    (book / "train.md").write_text(f"# Train it here\n\n{trainer}\n```\n")
    quoted = f"```{{glue}} explorer\n:doc: {MAIN}.ipynb\n```"
    told = f"```{{raw}} html\n{facts.html(second_round.whole())}\n```"
    (book / "intro.md").write_text(f"# A book\n\nBefore it.\n\n{quoted}\n\n{told}\n")
    result = results.load(results.PUBLISHED / MAIN)
    assert result
    html, prefix = explorer(result).data, "application/papermill.record/"
    glued = {"scrapbook": {"name": "explorer", "mime_prefix": prefix}}
    v4 = nbformat.v4
    shown = v4.new_output("display_data", {"text/html": html, "text/plain": ""})
    data = {f"{prefix}text/html": html, f"{prefix}text/plain": ""}
    kept = v4.new_output("display_data", data, metadata=glued)
    cells = [v4.new_markdown_cell("# The main experiment")]
    hidden = {"tags": ["remove-input"]}
    cells += [v4.new_code_cell("x", metadata=hidden, outputs=[output]) for output in (shown, kept)]
    nbformat.write(v4.new_notebook(cells=cells), book / f"{MAIN}.ipynb")
    command = [str(Path(sys.executable).parent / "jupyter-book"), "build", str(book), "-W", "-n"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return book / "_build" / "html"


@pytest.fixture
def turn(browser: Any, site: Path) -> Iterator[Any]:
    """Opens a page offline; it must ask for nothing outside, and tell no error."""
    wrong: list[list[str]] = []
    with ExitStack() as stack:

        def turned(page: str = MAIN, **options: Any) -> Any:
            to = sites.opened(browser, site, site / f"{page}.html", **options)
            found = stack.enter_context(to)
            wrong.append(found.wrong)
            return found.page

        yield turned
    assert not any(wrong)


def stored(page: Any) -> dict[str, Any]:
    """The data that the page holds."""
    return json.loads(page.locator(".semantica-explorer script").text_content())


def marks(page: Any, panel: int) -> list[list[float]]:
    """Where the symbols are drawn in a panel, in its own units."""
    drawn = page.locator(f"{FIGURE} section").nth(panel).locator("[data-symbol]")
    styles = drawn.evaluate_all("all => all.map(one => one.style.transform)")
    return [[float(n) for n in re.findall(r"-?[\d.]+", style)] for style in styles]


def widest(rows: list[list[int]]) -> int:
    """How far the places of all records reach, along the axis along which they reach furthest."""
    alongs = [[n for row in rows for n in row[axis::2]] for axis in (0, 1)]
    return max(max(along) - min(along) for along in alongs)


def at(page: Any, record: int) -> None:
    page.locator("input[type=range][name=step]").fill(str(record))


@pytest.mark.parametrize("name", ["intro", MAIN])
def test_the_slider_moves_the_symbols_along_the_trajectory(turn: Any, name: str) -> None:
    page = turn(name)
    data = stored(page)
    assert page.locator(f"{FIGURE} [data-symbol]").count() == 3 * len(data["symbols"])
    axes = page.locator(f"{FIGURE} .grid").first
    before = axes.inner_html()
    for record in (0, 20, len(data["steps"]) - 1):
        at(page, record)
        step = f"{data['steps'][record]:,}"
        assert page.locator("output").text_content() == step
        told = page.locator("[name=step]").get_attribute("aria-valuetext")
        assert told == f"{step} of 150,000"
        for index, panel in enumerate(data["trials"][0]["panels"]):
            row = panel["rows"][record]
            rows = list(zip(row[::2], row[1::2], strict=True))
            (x0, y0), (a0, b0) = marks(page, index)[0], rows[0]
            scale = 170 / (1.16 * widest(panel["rows"]))  # one for both axes, at every step
            for (x, y), (a, b) in zip(marks(page, index), rows, strict=True):
                assert x - x0 == pytest.approx(scale * (a - a0), abs=0.21)
                assert y0 - y == pytest.approx(scale * (b - b0), abs=0.21)
    assert axes.inner_html() == before
    shares = data["trials"][0]["panels"][0]["shares"]
    words = page.locator(f"{FIGURE} svg").first.text_content()
    assert all(f"axis {k}: {share}% of variance" in words for k, share in enumerate(shares, 1))


def test_play_goes_on_until_it_is_paused_or_at_the_end(turn: Any) -> None:
    page = turn()
    slider, play = page.locator("[name=step]"), page.locator("button[name=play]")
    last = slider.input_value()
    play.click()  # at the end: begins anew
    page.wait_for_function("document.querySelector('[name=step]').value === '3'")
    assert play.text_content() == "Pause"
    play.click()
    assert play.text_content() == "Play"
    rests = slider.input_value()
    page.wait_for_timeout(400)
    assert slider.input_value() == rests != last
    at(page, int(last) - 3)
    play.click()
    page.wait_for_function(f"document.querySelector('[name=step]').value === '{last}'")
    page.wait_for_function("document.querySelector('[name=play]').textContent === 'Play'")


def test_the_keyboard_alone_will_do(turn: Any) -> None:
    page = turn()
    play, last = page.locator("[name=play]"), int(page.locator("[name=step]").input_value())
    play.focus()
    page.keyboard.press("Space")
    assert play.text_content() == "Pause"
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.name") == "step"
    for key, place in (("End", last), ("ArrowLeft", last - 1), ("Home", 0), ("ArrowRight", 1)):
        page.keyboard.press(key)
        assert int(page.locator("[name=step]").input_value()) == place
    before = marks(page, 0)
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    assert page.locator("[name=seed]").evaluate("one => one.selectedOptions[0].text") == "43"
    assert marks(page, 0) != before
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert page.locator("[name=close]").is_checked()


def test_who_does_not_see_is_told(turn: Any) -> None:
    page = turn()
    at(page, 0)
    status = page.locator(f"{FIGURE} [aria-live=polite]")
    page.wait_for_function("document.querySelector('[aria-live=polite]').textContent.length > 99")
    data = stored(page)
    panel = data["trials"][0]["panels"][2]
    share = panel["distances"][0][0] / panel["control"][0]
    told = status.text_content().replace("\u2060", "").replace("\xa0", " ")
    assert told.startswith("Step 0.")
    pair = f"A–B {panel['distances'][0][0]:.2g} ({share:.2g})"
    assert pair in told.partition("Untied: output: ")[2]
    for image in page.locator(f"{FIGURE} svg[role=img]").all():
        assert image.get_attribute("aria-label")


def test_close_up_keeps_a_control_pair_s_distance(turn: Any) -> None:
    page = turn()
    page.locator("[name=close]").check()
    data = stored(page)
    for record in (0, len(data["steps"]) - 1):
        at(page, record)
        for index, panel in enumerate(data["trials"][0]["panels"]):
            row = [n / data["unit"] / panel["control"][record] for n in panel["rows"][record]]
            (ax, ay), (bx, by) = marks(page, index)[:2]
            scale = 170 / 2.5
            assert bx - ax == pytest.approx(scale * (row[2] - row[0]), abs=0.21)
            assert ay - by == pytest.approx(scale * (row[3] - row[1]), abs=0.21)


def test_a_pull_over_the_curves_moves_the_step(turn: Any) -> None:
    page = turn()
    box = page.locator(f"{FIGURE} svg.curves").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 1, box["y"] + 20)
    page.mouse.up()
    assert page.locator("[name=step]").input_value() == "0"
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    assert page.locator("[name=step]").input_value() == "0"
    marker = page.locator(f"{FIGURE} .marker").first.get_attribute("d")
    assert marker.startswith("M42 ")


@pytest.mark.parametrize("name", ["intro", MAIN])
def test_a_phone_shows_all_without_a_sideways_scroll(turn: Any, name: str) -> None:
    page = turn(name, viewport=PHONE, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    for part in page.locator(f"{FIGURE} :is(button, input, select, svg[role])").all():
        box = part.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= PHONE["width"]
    # the controls stand over the figure, and stay in sight while one scrolls through it
    top = "one => scrollTo(0, scrollY + one.getBoundingClientRect().top - {})"
    figure, controls = page.locator(FIGURE), page.locator(f"{FIGURE} .controls")
    figure.evaluate(top.format(120))
    above, head = controls.bounding_box(), page.locator(f"{FIGURE} .head").first.bounding_box()
    assert above["y"] == pytest.approx(120, abs=1)
    assert above["y"] + above["height"] <= head["y"]
    figure.evaluate(top.format(-300))
    assert controls.bounding_box()["y"] == pytest.approx(56, abs=1)
    page.locator("[name=play]").tap()
    assert page.locator("[name=play]").text_content() == "Pause"
    page.locator(f"{FIGURE} svg.curves").nth(1).tap()  # which shows the step that is meant
    assert page.locator("[name=play]").text_content() == "Play"
    assert 20 < int(page.locator("[name=step]").input_value()) < 50


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_the_coloured_table_of_all_experiments_fits_the_screen(turn: Any, size: Any) -> None:
    page = turn("intro", viewport=size)
    table = page.locator(".pst-scrollable-table-container").first
    assert table.locator(".met").count() > 3
    assert table.evaluate("one => one.scrollWidth <= one.clientWidth")


def test_the_dark_page_has_a_dark_figure_whose_text_reads(turn: Any) -> None:
    seen = {}
    for scheme in ("light", "dark"):
        page = turn(color_scheme=scheme)
        assert page.locator("html").get_attribute("data-theme") == scheme
        shade = (
            "one => [getComputedStyle(one).fill, getComputedStyle(document.body).backgroundColor]"
        )
        for what in ("text", ".symbol.holds path", ".symbol.fails path", ".symbol text"):
            colours = page.locator(f"{FIGURE} svg {what}").first.evaluate(shade)
            seen[scheme, what] = [luminance(colour) for colour in colours]
            light, dark = sorted(seen[scheme, what], reverse=True)
            least = 4.5 if "text" in what else 3  # WCAG 2.1, 1.4.3 and 1.4.11
            assert (light + 0.05) / (dark + 0.05) >= least, (scheme, what)
    assert seen["light", "text"][0] < 0.2 < 0.5 < seen["dark", "text"][0]


def luminance(colour: str) -> float:
    """Relative luminance of ``rgb(...)``, by WCAG."""
    parts = [int(n) / 255 for n in re.findall(r"\d+", colour)[:3]]
    linear = [n / 12.92 if n <= 0.04045 else ((n + 0.055) / 1.055) ** 2.4 for n in parts]
    return sum(weight * n for weight, n in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_print_and_a_page_without_scripts_have_the_still_figure(turn: Any) -> None:
    page = turn()
    still = page.locator(".semantica-explorer .still img")
    assert not still.is_visible()
    page.emulate_media(media="print")
    assert still.is_visible()
    assert not any(part.is_visible() for part in page.locator(f"{FIGURE} .live").all())
    assert still.evaluate("one => one.naturalWidth") > 300
    plain = turn(java_script_enabled=False)
    assert plain.locator(".semantica-explorer .still img").is_visible()
    assert not plain.locator(".semantica-explorer .live").is_visible()


def test_reduced_motion_shows_few_still_pictures(turn: Any) -> None:
    moved = "one => getComputedStyle(one).transitionDuration"
    for motion, duration in (("no-preference", "0.13s"), ("reduce", "0s")):
        page = turn(reduced_motion=motion)
        page.locator("[name=play]").click()
        assert page.locator(f"{FIGURE} .symbol").first.evaluate(moved) == duration
    page.wait_for_function("document.querySelector('[name=step]').value > 5")
    assert page.locator("[name=step]").input_value() == "7"  # a twelfth of the way at once


TRAINER = ".semantica-trainer.ready"
SHORT = 20_000  # the shorter of the two runs that the page offers
RECORDED = "n => document.querySelector('.semantica-trainer').records?.length > n"


def choose(page: Any, zero: float, one: float, decay: float, kind: str, seed: int) -> None:
    for name, value in (("zero", zero), ("one", one), ("seed", seed)):
        page.locator(f"{TRAINER} input[name={name}]").fill(str(value))
    page.locator(f"{TRAINER} [name=decay]").select_option(f"{decay:g}")
    page.locator(f"{TRAINER} [name=kind]").select_option(kind)
    shorter(page)


def shorter(page: Any) -> None:
    page.locator(f"{TRAINER} [name=steps]").select_option(str(SHORT))


def press(page: Any, name: str) -> None:
    page.locator(f"{TRAINER} button[name={name}]").click()


def drawn_step(page: Any) -> int:
    return int(page.locator(f"{TRAINER} .step output").last.text_content().replace(",", ""))


KINDS = {"both": [True, False, True, False], "tied": [True] * 4, "untied": [False] * 4}


@pytest.mark.parametrize(
    ("kind", "name"), [("both", "the paper's"), ("tied", "no decay"), ("untied", "almost certain")]
)
def test_the_page_trains_as_the_library_does(turn: Any, kind: str, name: str) -> None:
    page = turn("train")
    choose(page, *SETTINGS[name], kind, 98)
    press(page, "start")
    page.wait_for_function(RECORDED, arg=1)
    record = page.evaluate(
        "() => { const { step, tables, losses } = document.querySelector('.semantica-trainer')"
        ".records[1]; return { step, losses, tables: tables.map((table) => [...table]) }; }"
    )
    assert record["step"] == SHORT // 200
    seeds = [98, 98, 99, 99] if kind == "both" else [98, 99, 0, 1]
    stack = stack_of(*SETTINGS[name], list(zip(seeds, KINDS[kind], strict=True)))
    state, step = stack.initial(), stack.stepper(record["step"])
    for _ in range(record["step"]):
        state, _ = step(state)
    tables = np.stack([table.numpy() for table in stack.tables(state)], 1).reshape(4, -1)
    np.testing.assert_allclose(record["tables"], tables, rtol=0, atol=1e-4)


def test_the_engine_in_the_page_is_that_of_node(turn: Any) -> None:
    page = turn("train")
    own = asked(*SETTINGS["the paper's"], TRIALS)
    page.add_script_tag(path=str(ROOT / "book" / "extra" / "trainer" / "starts.js"))
    found = page.evaluate(
        "(own) => semanticaEngine(semanticaKernel, semanticaStarts, own).then("
        "(engine) => (engine.advance(100), [...engine.arrays.flat]))",
        own,
    )
    (there,) = node({"own": own})
    np.testing.assert_allclose(found, there["flat"], rtol=0, atol=1e-5)


def test_training_stops_goes_on_and_ends(turn: Any) -> None:
    page = turn("train")
    shorter(page)
    press(page, "start")
    page.wait_for_function(RECORDED, arg=5)
    page.wait_for_function("document.querySelectorAll('.semantica-trainer section').length === 7")
    assert page.locator(f"{TRAINER} [data-symbol]").count() == 3 * 7
    press(page, "stop")
    assert page.locator(f"{TRAINER} [name=stop]").text_content() == "Go on"
    page.wait_for_timeout(200)
    rests = drawn_step(page)
    page.wait_for_timeout(300)
    assert drawn_step(page) == rests < SHORT
    press(page, "stop")
    done = "document.querySelector('.said').textContent.startsWith('Done')"
    page.wait_for_function(done, timeout=300_000)  # seconds, on a machine with nothing else to do
    assert drawn_step(page) == SHORT
    assert page.locator(f"{TRAINER} [name=stop]").is_disabled()
    slider = page.locator(f"{TRAINER} [name=step]")
    slider.fill("100")
    assert drawn_step(page) == SHORT // 2
    told = page.locator(f"{TRAINER} .further .foot").first.text_content()
    gap, law = (float(n) for n in re.search(r"B.over.A:.(\S+).\(law:.(\d+\.\d+)\)", told).groups())
    assert law == pytest.approx(2.20, abs=0.005) and 0 < gap < 2 * law
    page.wait_for_function("document.querySelector('[aria-live=polite].status').textContent")


def test_another_start_begins_anew_with_what_is_chosen(turn: Any) -> None:
    page = turn("train")
    press(page, "start")
    page.wait_for_function(RECORDED, arg=3)
    page.get_by_role("button", name="The DH holds").click()
    page.locator(f"{TRAINER} [name=kind]").select_option("tied")
    page.locator(f"{TRAINER} input[name=seed]").fill("7")
    press(page, "start")
    page.wait_for_function("document.querySelectorAll('.semantica-trainer section').length === 3")
    shown = page.locator(f"{TRAINER} select[name=seed] option").all_text_contents()
    assert shown == ["7", "8", "9", "10"]
    assert page.locator(f"{TRAINER} .symbol.fails").count() == 0
    page.locator(f"{TRAINER} input[name=seed]").fill("100")  # there is none
    press(page, "start")
    assert page.evaluate("document.querySelector('[name=seed]:invalid') !== null")


def test_the_trainer_needs_no_mouse(turn: Any) -> None:
    page = turn("train")
    page.locator(f"{TRAINER} .presets button").first.focus()
    names = []
    for _ in range(12):
        names.append(page.evaluate("document.activeElement.name"))
        page.keyboard.press("Tab")
    assert [name for name in names if name] == [
        "zero", "one", "decay", "kind", "seed", "steps", "start",
    ]  # fmt: skip
    page.locator(f"{TRAINER} [name=zero]").focus()
    page.keyboard.press("ArrowRight")
    told = page.locator(f"{TRAINER} [name=zero]").get_attribute("aria-valuetext")
    assert told == "A 0.11, B 0.89"
    page.keyboard.press("Enter")
    page.wait_for_function(RECORDED, arg=1)


def test_the_trainer_fits_a_phone_and_says_what_it_is_without_scripts(turn: Any) -> None:
    page = turn("train", viewport=PHONE, has_touch=True, is_mobile=True)
    page.locator(f"{TRAINER} [name=start]").tap()
    page.wait_for_function(RECORDED, arg=3)
    page.locator(f"{TRAINER} [name=stop]").tap()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    for part in page.locator(f"{TRAINER} :is(button, input, select, svg[role])").all():
        box = part.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= PHONE["width"]
    still = page.locator(".semantica-trainer .still")
    assert not still.is_visible()
    page.emulate_media(media="print")
    assert still.is_visible() and not page.locator(f"{TRAINER} form").is_visible()
    plain = turn("train", java_script_enabled=False)
    assert plain.locator(".semantica-trainer .still").is_visible()


def test_every_control_of_the_trainer_has_a_name(turn: Any) -> None:
    page = turn("train")
    press(page, "start")
    page.wait_for_function(RECORDED, arg=1)
    press(page, "stop")
    unnamed = page.locator(f"{TRAINER} :is(input, select, button)").evaluate_all(
        "all => all.filter((one) => !(one.textContent || one.ariaLabel || one.labels?.length))"
        ".map((one) => one.outerHTML)"
    )
    assert unnamed == []


def test_pages_are_sound_whatever_they_show(turn: Any, site: Path) -> None:
    assert not sites.dead(site)
    for scheme in ("light", "dark"):
        assert not sites.barriers(turn(color_scheme=scheme))
    assert not sites.lost_on_paper(turn(viewport=sites.PAPER))
    for name in ("intro", MAIN):
        links = sites.Links((site / f"{name}.html").read_text("utf-8"))
        assert links.meta["og:title"] == links.title.partition(" — ")[0]
    assert not [*site.rglob("fontawesome.js")]


def test_what_is_wrong_is_found(turn: Any, site: Path, tmp_path: Path) -> None:
    text = (site / "intro.html").read_text("utf-8")
    wide = '<p style="width: 2000px">wide</p><img src="none.png" style="break-inside: auto">'
    added = f'<a href="none.html">a</a><a href="#none">b</a>{wide}<select></select>'
    bad = re.sub("(<article[^>]*>)", rf"\1{added}", text)
    shutil.copytree(site, tmp_path, dirs_exist_ok=True)
    (tmp_path / "intro.html").write_text(bad, "utf-8")
    targets = [line.partition(": ")[2] for line in sites.dead(tmp_path)]
    assert targets == ["none.html", "#none", "none.png"]
    page, added = turn(), wide.replace("none.png", "data:,") + "<select></select>"
    put = "(one, added) => one.insertAdjacentHTML('afterbegin', added)"
    page.locator("article").evaluate(put, added)
    assert any("select-name" in line for line in sites.barriers(page))
    lost = sites.lost_on_paper(page)
    assert any("wide" in line for line in lost) and any("data:," in line for line in lost)
