"""Text that is not ours inside our Markdown."""

import html
import re


def literal(text: str) -> str:
    """Markdown that shows a text as it is, on one line: no tag, link or mark in it has effect."""
    return html.escape(re.sub(r"([\\`*_\[\]{}#|~$])", r"\\\1", " ".join(text.split())))
