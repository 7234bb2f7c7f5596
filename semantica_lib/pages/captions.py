"""Figures of an executed notebook: their names, and how their captions and texts begin."""

import nbformat


def complete(notebook: nbformat.NotebookNode, page: str) -> None:
    """Have figures' names be of this page, and what is written of them begin with what was found.

    A cell shows by ``show(figure, found)`` what is to be seen; that is computed, unlike the rest.
    """
    for cell in notebook.cells:
        about = cell.metadata.get("mystnb", {})
        if figure := about.get("figure"):
            figure["name"] = f"{figure['name']}-{page}"
            kinds = [kind for one in cell.outputs for kind in one.get("metadata", {}).values()]
            for kind in kinds:
                found = kind.get("found") if isinstance(kind, dict) else None
                if not found:
                    continue
                figure["caption"] = f"{found} {figure['caption']}"
                spoken = found.translate(str.maketrans("", "", "*`"))
                about["image"]["alt"] = f"{spoken} {about['image']['alt']}"
