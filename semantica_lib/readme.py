"""The part of README.md that shows results: written from the published ones, never by hand."""

import re

from semantica_lib import results
from semantica_lib.analysis.claims import EXPLORATORY
from semantica_lib.analysis.verdicts import summary, to_markdown, verdicts
from semantica_lib.errors import RequestError
from semantica_lib.experiments import ROOT, find
from semantica_lib.figures.curves import endings
from semantica_lib.figures.style import png
from semantica_lib.results import Result
from semantica_lib.trainers.checkpoint import write_whole

README = ROOT / "README.md"
MAIN = "transformer-small"
FIGURE = results.PUBLISHED / MAIN / "endings.png"
BEGIN, END = "<!-- results: written by `make readme` -->", "<!-- end of results -->"


def block(result: Result) -> str:
    """The figure, its caption, the primary verdicts and where they come from, as Markdown."""
    frame = verdicts(result)
    primary = frame[~frame.claim.str.startswith(EXPLORATORY)]
    made = result.manifest
    seeds = f"{min(made['seeds'])} to {max(made['seeds'])}"
    return (
        f"![Distance of each pair of synonyms at the end of training, by table, every seed a dot]"
        f"({FIGURE.relative_to(ROOT).as_posix()})\n\n"
        f"{summary(primary)}.\n\n{to_markdown(primary)}\n"
        f"{len(made['trials'])} trials (seeds {seeds}, tied and untied) of "
        f"{made['steps_done']:,} steps, trained in {made['duration_s'] / 60:.0f} core-minutes on "
        f"{made['device'].removeprefix('cpu: ')} at commit {made['commit'][:10]}.\n"
    )


def write() -> None:
    """Rewrite the block and its figure from the published result of the main experiment.

    Raises:
        RequestError: there is no published result, or the README lacks the block's marks.
    """
    result = results.load(results.folder(results.PUBLISHED, find(MAIN)))
    if result is None:
        raise RequestError(f"{MAIN} has no published result; `semantica publish {MAIN}` makes one")
    text = README.read_text(encoding="utf-8")
    whole = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    if not whole.search(text):
        raise RequestError(f"README.md lacks the lines {BEGIN} and {END}")
    write_whole(FIGURE, png(endings([result])))
    content = f"{BEGIN}\n\n{block(result)}\n{END}"
    write_whole(README, whole.sub(lambda _: content, text).encode())
