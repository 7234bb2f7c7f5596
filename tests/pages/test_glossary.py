"""A word of the glossary tells by a hover what it means, where a page first uses it."""

from types import SimpleNamespace

from docutils import nodes
from docutils.utils import new_document

from semantica_lib.pages.site import explain


def explained(page: nodes.document, found: tuple[str, ...] = ("glossary",)) -> list[nodes.Node]:
    one = nodes.definition_list_item()
    one += [nodes.term("", name, ids=[f"term-{name}"]) for name in ("seed", "DH")]
    one += nodes.definition("", nodes.paragraph("", "What it is."))
    told = new_document("glossary")
    told += nodes.definition_list("", one)
    app = SimpleNamespace(
        env=SimpleNamespace(found_docs=found, get_doctree=lambda name: told),
        builder=SimpleNamespace(get_relative_uri=lambda name, to: "../glossary.html"),
    )
    explain(app, page, "experiments/page")
    return [one for one in page.findall(nodes.reference) if "explained" in one["classes"]]


def page() -> nodes.document:
    made = new_document("page")
    made += nodes.title("", "The DH and a seed")
    made += nodes.paragraph("", "", nodes.literal("", "seed"), nodes.Text(" of ten seeds, a seed."))
    made += nodes.paragraph("", "A seedling; the DH.")
    return made


def test_the_first_use_in_prose_is_a_link_that_says_what_it_means() -> None:
    made = page()
    words = made.astext()
    first, second = explained(made)
    assert made.astext() == words
    assert (first.astext(), second.astext()) == ("seeds", "DH")
    assert first["refuri"] == "../glossary.html#term-seed" and first["reftitle"] == "What it is."


def test_a_book_without_a_glossary_is_left_as_it_is() -> None:
    assert explained(page(), ()) == []
