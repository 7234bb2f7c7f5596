"""How figures look, and how they get into a notebook.

Every figure has an opaque white ground (so that it reads on a dark page), colours that colour-blind
readers can tell apart, and line styles or markers that survive a grey print.
"""

import io

import seaborn as sns
from IPython.display import Image
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, *_ = sns.color_palette("colorblind")
GREY, BLACK = "0.45", "0.1"
WIDTH, DOTS = 6.8, 100  # inches, and page pixels an inch; files have twice as many
STYLE = {
    **sns.axes_style("whitegrid"),
    "grid.color": "0.92",
    "axes.edgecolor": "0.6",
    "axes.titlesize": 11,
    "axes.labelsize": 10.5,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
}


def png(figure: Figure) -> bytes:
    """The figure as a PNG of twice the page's resolution."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=2 * DOTS)
    return buffer.getvalue()


def show(figure: Figure) -> Image:
    """The figure as a notebook's output, at its size in page pixels."""
    return Image(png(figure), width=round(figure.get_figwidth() * DOTS))
