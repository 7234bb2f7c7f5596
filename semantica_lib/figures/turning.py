"""Figures that a person at the notebook can turn: other pairs, another table, some of the seeds."""

from html import escape
from typing import Any

import ipywidgets as widgets
from IPython.display import SVG, Image

from semantica_lib.analysis.distances import Table, control_pairs, synonym_pairs
from semantica_lib.analysis.markdown import pair_name
from semantica_lib.analysis.sweep_points import INPUT, OUTPUT, TIED
from semantica_lib.datasets.xor import xor_task
from semantica_lib.errors import RequestError
from semantica_lib.figures import curves, findings, pairs, style
from semantica_lib.store.results import Result

TABLES = {"tied": TIED, "untied: input": INPUT, "untied: output": OUTPUT}
CLOCK = "synonyms, each beside its clock"


def turned(result: Result, tied: bool, table: Table) -> "Image | SVG | widgets.VBox":
    """The distances of the synonyms in a table; where nobody can turn it, the figure alone."""
    if style.in_jupyter():
        return Turning(result, tied, table).view
    found = findings.merged(result, (tied, table))
    return style.show(curves.distances(result, tied, table), found)


class Turning:
    """Distances in a table that is chosen, of pairs and seeds that are; ``view`` is the widget."""

    def __init__(self, result: Result, tied: bool, table: Table) -> None:
        self.result, task = result, xor_task(result.settings)
        tables = [(n, place) for n, place in TABLES.items() if place[0] in result.tied]
        tables = tables or [*TABLES.items()]
        shown = (tied, table) if (tied, table) in dict(tables).values() else tables[0][1]
        single = [pair[:2] for pair in synonym_pairs(task)] + control_pairs(task)
        choices = {CLOCK: CLOCK, "all synonyms": "synonyms", "all control pairs": "control"}
        choices |= {pair_name(pair): [pair] for pair in single}
        seeds = list(dict.fromkeys(result.seed.tolist()))
        self.table = widgets.Dropdown(options=tables, value=shown, description="table")
        self.pairs = widgets.Dropdown(options=[*choices.items()], value=CLOCK, description="pairs")
        self.seeds = widgets.SelectMultiple(options=seeds, value=seeds, description="seeds", rows=5)
        self.picture = widgets.Image(format="png", width=round(style.WIDTH * style.DOTS))
        self.said = widgets.HTML()
        knobs = [self.table, self.pairs, self.seeds]
        for knob in knobs:
            knob.observe(self.draw, "value")
        self.view = widgets.VBox([widgets.HBox(knobs), self.picture, self.said])
        self.draw()

    def draw(self, _: Any = None) -> None:
        """Draw what is chosen, or say why it cannot be."""
        (tied, table), chosen = self.table.value, self.pairs.value
        try:
            some = self.result.of_seeds(self.seeds.value)
            if chosen == CLOCK:
                figure = curves.distances(some, tied, table)
            else:
                figure = pairs.plot(some, table, tied, chosen)
            self.picture.value, self.said.value = style.png(figure), ""
        except RequestError as error:
            self.said.value = escape(str(error))
