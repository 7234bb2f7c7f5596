"""Progress: how far training is, in one line; of XOR in trials' steps, of words in tokens."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

from tqdm.auto import tqdm

from semantica_lib.running.groups import Group, trials_in
from semantica_lib.settings.catalogue import MlmSettings

# Jupyter's Run All leads to the last cell, and the bar is somewhere above: so what it says is said
# in a corner of the window too, until it ends or somebody clicks there.
IN_SIGHT = """<script>(() => {
  const seek = setInterval(() => {
    const bar = document.querySelector(".semantica-bar:not([data-seen])");
    if (!bar) return;
    clearInterval(seek);
    bar.dataset.seen = "";
    const copy = document.createElement("div");
    copy.className = "semantica-bar-copy";
    copy.style = "position:fixed;right:1rem;bottom:2.5rem;width:min(44rem,90vw);z-index:1000;"
      + "padding:0.3rem 0.6rem;background:var(--jp-layout-color1,#fff);border:1px solid #888";
    const follow = () => {
      copy.replaceChildren(bar.cloneNode(true));
      if (bar.querySelector(".progress-bar-success, .progress-bar-danger")) end();
    };
    const watch = new MutationObserver(follow);
    const end = () => { watch.disconnect(); copy.remove(); };
    copy.onclick = end;
    watch.observe(bar, {subtree: true, childList: true, attributes: true, characterData: true});
    document.body.append(copy);
    follow();
  }, 100);
})()</script>"""
# Told how much is done, of how much, of what, and what is done before that goes on.
Tell = Callable[[int, int, str, str], None]


def amount(stack: Sequence[Group], step: int) -> int:
    """What of a stack is done at a step, in its :func:`unit`."""
    own = stack[0].own
    return step * trials_in(stack) * (own.tokens_a_step if isinstance(own, MlmSettings) else 1)


def unit(stack: Sequence[Group]) -> str:
    return "tokens" if isinstance(stack[0].own, MlmSettings) else "trial-steps"


def _keep_in_sight(widget: Any) -> None:
    """Have Jupyter show a bar where its reader is; not a notebook without one."""
    from IPython.display import HTML, display  # a notebook has imported both, a command neither

    from semantica_lib.figures.style import in_jupyter

    if in_jupyter():
        widget.add_class("semantica-bar")
        display(HTML(IN_SIGHT))


class Bar:
    """A bar that stands there from the first that it is told.

    Args:
        title: what it is a bar of.
        position: its line, where several stand below one another.
    """

    def __init__(self, title: str, position: int | None = None) -> None:
        self.title, self.position, self.bar, self.doing = title, position, None, ""

    def __call__(self, done: int, total: int, unit: str, doing: str = "") -> None:
        if self.bar is None:
            often = 0.1 if sys.stderr.isatty() else 0.5
            line = {"position": self.position, "dynamic_ncols": True, "mininterval": often}
            counted = {"total": total, "initial": done, "unit": f" {unit}", "unit_scale": True}
            title = f"{self.title}: {doing}" if doing else self.title
            self.bar, self.doing = tqdm(desc=title, file=sys.stderr, **line, **counted), doing
            if hasattr(self.bar, "container"):  # a widget
                _keep_in_sight(self.bar.container)
        self.bar.total = total
        if doing != self.doing:
            if not doing:  # what was compiled meanwhile tells nothing of how long the rest takes
                self.bar.unpause()
                self.bar.initial += done - self.bar.n
                self.bar.n = self.bar.last_print_n = done
            self.doing = doing
            self.bar.set_description(f"{self.title}: {doing}" if doing else self.title)
        self.bar.update(done - self.bar.n)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
