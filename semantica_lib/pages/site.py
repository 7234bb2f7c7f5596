"""What Sphinx and the theme leave to be done on the book's pages: they load little and read well.

A Sphinx extension, which ``book/_config.yml`` names.
"""

import re
import shutil
from importlib.metadata import distribution
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any

import nbformat
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config

MATHJAX = "sphinx-mathjax-offline/static/mathjax/tex-svg.js"  # all of MathJax that a page loads
GLOSSARY = "glossary"  # the page that holds it
MOST = 11  # characters of a table's first column, over which it wraps
# What nothing loads: icons are drawn from the theme's font, and the book is in English.
UNUSED = "scripts/fontawesome.js*", "**/*.map", "**/*.ttf", "locales", "images/logo_*"
MENDS = {
    r"<script [^>]*/scripts/fontawesome\.js[^>]*></script>": "",
    # a label that leaves out what is to be read there hides it from those who speak to the page
    r'(<summary) aria-label="Toggle hidden content"': r"\1",
    r'(<button class="[^"]*search-button-field[^>]*?) title="Search" aria-label="Search"': r"\1",
    # the entries of the bibliography are no list items, and the list says that they are
    r'<div role="list" (class="citation-list">)': r"<div \1",
    r'<figure (class="align-default" id="fig-)': r'<figure tabindex="0" \1',  # phones scroll it
    r'<meta property="og:url"[^>]*>\n': "",  # nobody has said yet where the book will be
}


def use_mathjax(app: Sphinx, config: Config) -> None:
    """Take one file of the package that brings MathJax: its own extension copies all 24 MB."""
    file = Path(str(distribution("sphinx-mathjax-offline").locate_file(MATHJAX)))
    config.html_static_path.append(str(file))
    config.mathjax_path = file.name


def mend_tree(app: Sphinx, tree: nodes.document, name: str) -> None:
    """Have links in outputs lead to pages, and mark the tables whose first column holds words."""
    for link in tree.findall(nodes.reference):
        path, mark, anchor = link.get("refuri", "").partition("#")
        target, _, suffix = normpath(join(dirname(name), path)).rpartition(".")
        if suffix in ("ipynb", "md") and target in app.env.found_docs:
            link["refuri"] = app.builder.get_relative_uri(name, target) + mark + anchor
    for table in tree.findall(nodes.table):
        cells = [row[0].astext() for row in table.findall(nodes.row) if len(row)]
        if any(len(cell) > MOST for cell in cells):
            table["classes"].append("wordy")


def explain(app: Sphinx, tree: nodes.document, name: str) -> None:
    """Have a word of the glossary, where a page first uses it, tell by a hover what it means."""
    if name == GLOSSARY or GLOSSARY not in app.env.found_docs:
        return
    told = {}
    for one in app.env.get_doctree(GLOSSARY).findall(nodes.definition_list_item):
        *terms, definition = one
        told |= {term.astext(): (term["ids"][0], definition.astext()) for term in terms}
    to = app.builder.get_relative_uri(name, GLOSSARY)
    for text in [one for one in tree.findall(nodes.Text) if _is_prose(one)]:
        parts, rest = [], str(text)
        while told and (found := re.search(rf"\b({'|'.join(map(re.escape, told))})s?\b", rest)):
            mark, words = told.pop(found[1])
            about = {"refuri": f"{to}#{mark}", "reftitle": words, "classes": ["explained"]}
            link = nodes.reference("", found[0], internal=True, **about)
            parts += [nodes.Text(rest[: found.start()]), link]
            rest = rest[found.end() :]
        if parts:
            text.parent.replace(text, [*parts, nodes.Text(rest)])


def _is_prose(text: nodes.Text) -> bool:
    """Whether it stands in a paragraph, and in nothing that is a link, a heading or code."""
    above, node = [], text.parent
    while node is not None:
        above.append(node)
        node = node.parent
    other = nodes.reference, nodes.title, nodes.literal, nodes.math, nodes.caption, nodes.table
    within = any(isinstance(one, nodes.paragraph) for one in above)
    return within and not any(isinstance(one, other) for one in above)


def load_less(
    app: Sphinx, name: str, template: str, context: dict[str, Any], tree: nodes.document | None
) -> None:
    """Leave MathJax out where no formula is: it is larger than all the rest of a page."""
    if 'class="math' not in context.get("body", ""):
        scripts = context["script_files"]
        context["script_files"] = [one for one in scripts if Path(MATHJAX).name not in str(one)]


def finish(app: Sphinx, error: Exception | None) -> None:
    """Mend the pages that are written, take the outputs out of sources and away what is unused."""
    out = Path(app.outdir)
    if error or app.builder.format != "html":
        return
    for file in sorted(out.rglob("*.html")):
        text = file.read_text("utf-8")
        for pattern, mended in MENDS.items():
            text = re.sub(pattern, mended, text)
        up = "../" * (len(file.relative_to(out).parts) - 1)
        text = text.replace('"og:image" content="_', f'"og:image" content="{up}_')
        file.write_text(text, "utf-8")
    for file in sorted((out / "_sources").rglob("*.ipynb")):
        notebook = nbformat.read(file, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs = []
        nbformat.write(notebook, file)
    for pattern in UNUSED:
        for path in sorted((out / "_static").glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def setup(app: Sphinx) -> dict[str, bool]:
    """Have Sphinx call what is here."""
    app.connect("config-inited", use_mathjax)
    app.connect("doctree-resolved", mend_tree)
    app.connect("doctree-resolved", explain)
    app.connect("html-page-context", load_less, priority=900)
    app.connect("build-finished", finish, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
