"""Drawing a figure once, as the tests of many figures do: without writing a picture of it."""

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def rendered(figure: Figure) -> bool:
    """Lay it out and draw all of it in dots; True, or what the drawing raises."""
    FigureCanvasAgg(figure).draw()
    return True
