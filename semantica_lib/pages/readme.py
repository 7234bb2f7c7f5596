"""The part of README.md that shows results: written from the published ones, never by hand."""

import re
from collections.abc import Sequence

from semantica_lib.analysis.markdown import markdown_table, title
from semantica_lib.analysis.statistics import VERDICTS
from semantica_lib.analysis.verdicts import primary_rows, verdicts
from semantica_lib.errors import RequestError
from semantica_lib.figures import explorer, findings, second_round
from semantica_lib.figures.curves import endings
from semantica_lib.figures.facts import model
from semantica_lib.figures.moving import moving
from semantica_lib.figures.style import png
from semantica_lib.figures.tables import named, spoken, steps
from semantica_lib.files import ROOT, write_whole
from semantica_lib.settings.catalogue import MAIN, AnySettings, find
from semantica_lib.store import results
from semantica_lib.store.results import Result

README = ROOT / "README.md"
FIGURE, STILL, MOVING = (
    results.PUBLISHED / MAIN / name for name in ("endings.png", "explorer.png", "explorer.svg")
)
FOUND = "**What was found**"  # on the book's first page
BEGIN, END = "<!-- results: written by `make readme` -->", "<!-- end of results -->"


def published() -> list[Result]:
    """The published results of the named experiments, the main one first if it is there."""
    names = [*named(), *spoken()]
    found = (_published(find(name)) for name in names)
    return [result for result in found if result is not None]


def block(found: Sequence[Result]) -> str:
    """The second round, with a figure of its main experiment; a row a result of the first."""
    playing, still, figure = (file.relative_to(ROOT).as_posix() for file in (MOVING, STILL, FIGURE))
    alt = f"{explorer.told(explorer.data(found[0]))} {explorer.ALT}."
    return (
        f'<picture><source media="(prefers-reduced-motion: reduce)" srcset="{still}">'
        f'<img src="{playing}" alt="{alt}"></picture>\n\n'
        "(The symbols of one trial as they move in training, tied and untied. Blue: synonyms for "
        "which the DH holds; orange: those for which it fails. Below: how far they are apart, with "
        "the control pairs in grey. In the book one can turn it.)\n\n"
        f"{was_found()}\n\n{second_round.whole(_published)}\n\n**In numbers:**\n\n"
        f"{second_round.counts(load=_published)}\n\n"
        f"![{findings.merged(fresh(found))} Distance of each pair of synonyms at the end, by "
        f"table, every seed a dot]({figure})\n\n(Where input rows end "
        "beside the dotted line depends on how long weight decay has run: so the rows above ask "
        "another question of them.)\n\n"
        "**The first round**, of other seeds and by other rules, has a page of its own in the book "
        f"(of partial results nothing is decided yet):\n\n{experiments(found)}"
    )


def fresh(found: Sequence[Result]) -> Result:
    """The main experiment's result of the second round, else of the first."""
    return second_round.of(found[0].settings, _published) or found[0]


def was_found() -> str:
    """What the book's first page says was found, without its links into the book."""
    text = (ROOT / "book" / "intro.md").read_text(encoding="utf-8")
    told = text.partition(FOUND)[2].partition("::::")[0].strip()
    return re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", told)


def _published(own: AnySettings) -> Result | None:
    return results.load_of(results.PUBLISHED, own)


def experiments(found: Sequence[Result]) -> str:
    """A row a result: model, seeds, steps, and how many primary claims have which verdict."""
    lines = []
    for one in found:
        counts = primary_rows(verdicts(one)).verdict.value_counts()
        told = [f"{counts[verdict]} {verdict}" for verdict in VERDICTS if verdict in counts]
        own, seeds = one.settings, str(len(set(one.seed.tolist())))
        decided = ", ".join(told) if one.complete else f"{counts.sum()} open"
        lines.append([title(own.experiment), model(own), seeds, steps(one), decided])
    return markdown_table(["experiment", "model", "seeds", "steps", "primary claims"], lines)


def write() -> None:
    """Rewrite the block and its figures from the published results.

    Raises:
        RequestError: there is no published result of the main experiment, or the README lacks the
            block's marks.
    """
    found = published()
    if not found or found[0].settings.experiment != MAIN:
        raise RequestError(f"{MAIN} has no published result; `semantica publish {MAIN}` makes one")
    text = README.read_text(encoding="utf-8")
    whole = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    if not whole.search(text):
        raise RequestError(f"README.md lacks the lines {BEGIN} and {END}: put them in")
    drawn = explorer.data(found[0])
    write_whole(STILL, png(explorer.still(drawn)))
    write_whole(MOVING, moving(drawn).encode())
    write_whole(FIGURE, png(endings([fresh(found)])))
    content = f"{BEGIN}\n\n{block(found)}\n{END}"
    write_whole(README, whole.sub(lambda _: content, text).encode())
