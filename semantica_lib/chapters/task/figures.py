"""One sequence of the XOR task, drawn symbol by symbol."""

from collections.abc import Iterable

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from semantica_lib.analysis.markdown import names
from semantica_lib.datasets.xor import XorTask
from semantica_lib.figures.style import BLACK, panels

DISC = "round,pad=0,rounding_size=0.38"


def sequence(task: XorTask, bits: Iterable[int], tokens: Iterable[int], target: int) -> Figure:
    """One sequence of the task, symbol by symbol: the bits, as written, and as the model sees it.

    Args:
        bits: the string, ``(bit,)``.
        tokens: what the model sees, ``(bit + 1,)``, the parity last.
        target: the symbol that the mask hides.
    """
    bits, tokens = list(map(int, bits)), list(map(int, tokens))
    written = [int(target) if token == task.mask else token for token in tokens]
    parity = "odd" if sum(bits) % 2 else "even"
    rows = {
        "bits, parity": [*map(str, bits), parity],
        "as written": [names(task)[symbol] for symbol in written],
        "as seen": ["?" if token == task.mask else names(task)[token] for token in tokens],
    }
    figure, ((axes,),) = panels(height=0.62 * 3.1, width=0.62 * (2.2 + len(tokens)))
    for row, (label, cells) in enumerate(rows.items()):
        axes.text(-0.7, row, label, ha="right", va="center", fontsize=11, color=BLACK)
        for place, text in enumerate(cells):
            masked = tokens[place] == task.mask
            asked = row == 1 and masked
            grey, shape = _meaning(task, tokens[place] if row == 2 else written[place])
            edge = {"edgecolor": BLACK if asked else "0.6", "linewidth": 2.5 if asked else 0.8}
            corner = place - 0.38, row - 0.38
            axes.add_patch(FancyBboxPatch(corner, 0.76, 0.76, shape, facecolor=grey, **edge))
            size = 13 if len(text) < 3 else 9
            axes.text(place, row, text, ha="center", va="center", color=BLACK, fontsize=size)
    axes.set(xlim=(-2.6, len(tokens) - 0.4), ylim=(2.5, -0.5), aspect="equal")
    axes.set_axis_off()
    return figure


def _meaning(task: XorTask, symbol: int) -> tuple[str, str]:
    """Grey and shape for what a symbol means: bit 0 a square, bit 1 a disc, a parity, the mask."""
    if symbol < task.symbols:
        return ("1", "square,pad=0") if symbol < len(task.zero_dst) else ("0.88", DISC)
    return ("0.8" if symbol == task.mask else "0.95"), "round,pad=0,rounding_size=0.15"
