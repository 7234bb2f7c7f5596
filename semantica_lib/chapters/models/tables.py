"""What the measures say of real models, as Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from semantica_lib.analysis.markdown import NONE, number, table_of
from semantica_lib.chapters.models.validation import Row
from semantica_lib.checkpoints.measures.rows import CLEANINGS, MOVED
from semantica_lib.errors import literal

Model = Mapping[str, Any]
NO_MODELS = "There is no model here: `make models` fetches some and stores their measures."
KINDS = {
    "sides": "before or after", "pairs": "pairs of one meaning", "agreement": "agreement",
    "start": "hardly moved",
}  # fmt: skip


def spread(value: Sequence[float] | None) -> str:
    """``0.43 [0.30, 0.56]``."""
    return f"{value[0]:.2f} [{value[1]:.2f}, {value[2]:.2f}]" if value else NONE


def checked(rows: Iterable[Row]) -> str:
    """How many of the validation's rows came out as they should, by measure; and which did not."""
    rows = list(rows)
    told = [
        {"measure": label, "has to see it": _passed(rows, kind, "+-"),
         "has to see nothing": _passed(rows, kind, "0")}
        for kind, label in KINDS.items()
    ]  # fmt: skip
    missed = [f"- {KINDS[one.measure]}: {one.label}" for one in rows if not one.passed]
    none = "Not validated yet: `tests/benchmarks/table_measures.py` does it."
    ending = ["Otherwise than expected:\n", *missed] if missed else ["None came out otherwise."]
    return table_of(told) + "\n" + "\n".join(ending) if rows else none


def _passed(rows: Sequence[Row], kind: str, expected: str) -> str:
    some = [one.passed for one in rows if one.measure == kind and one.expected in expected]
    return f"{sum(some)} of {len(some)}" if some else NONE


def listed(models: Sequence[Model], left_out: Sequence[str]) -> str:
    """What the models are, where they are from, and what was left out."""
    rows = [
        {"model": literal(one["name"]), "what": literal(one["what"] or one["family"]),
         "tables": _tables(one), "status": one["status"], "from": _source(one)}
        for one in models
    ]  # fmt: skip
    why = [f"- {literal(one)}" for one in left_out]
    return table_of(rows, NO_MODELS) + ("\nLeft out:\n\n" + "\n".join(why) if why else "")


def _tables(one: Model) -> str:
    found = [one[name] for name in ("input", "output") if one[name]]
    return ", ".join("×".join(f"{length:,}" for length in table["shape"]) for table in found)


def _source(one: Model) -> str:
    package = one["package"]
    if not package:
        return literal(one["source"])
    return (f"{package['name']} {package['version']} ({package['licence']}, "
            f"{package['megabytes']:g} MB)")  # fmt: skip


def sides(models: Sequence[Model]) -> str:
    """The correlations by the cleaning fixed beforehand, the contrast by each, and the verdict."""
    rows = []
    for one in models:
        found = one.get("sides") or {}
        first = found.get(CLEANINGS[0], {})
        names = [name for name in ("input", "output", "table") if f"{name} before" in first]
        for index, name in enumerate(names):
            cells = {"model": literal(one["name"]) * (not index), "table": name}
            cells |= {side: spread(first.get(f"{name} {side}")) for side in ("before", "after")}
            for how in CLEANINGS:
                contrast = found.get(how, {}).get("contrast") if not index else None
                cells[f"contrast, {how}"] = spread(contrast)
            rows.append(cells | {"verdict": found["verdict"] * (not index)})
    return table_of(rows, "No model here was tried on a text.")


def starts(models: Sequence[Model]) -> str:
    """How far each table is beyond a random start."""
    rows = [
        {"model": literal(one["name"]), "table": name,
         "beyond a random start": f"{told['beyond']:.2f}",
         "norm over N(0, 1)'s": number(told["norm over N(0, 1)'s"]),
         "so": "moved" if told["beyond"] >= MOVED else "hardly moved"}
        for one in models for name, told in one.get("start", {}).items()
    ]  # fmt: skip
    return table_of(rows, NO_MODELS)


def pairs(models: Sequence[Model]) -> str:
    """Cosines of pairs of one meaning and of their matched partners."""
    rows = [
        {"model": literal(one["name"]), "pairs": f"{literal(kind)} ({told['pairs']})",
         "table": name, "cosine": f"{told['pair']:.2f}", "matched": f"{told['matched']:.2f}",
         "nearer than matched": spread(told["auc"])}
        for one in models for kind, some in one.get("pairs", {}).items()
        for name, told in some.items()
    ]  # fmt: skip
    return table_of(rows, "No model here has pairs of one meaning.")


def agreement(models: Sequence[Model]) -> str:
    """How two tables agree, each number with what shuffled rows give."""
    rows = []
    for one in models:
        if told := one.get("agreement"):
            cells = {"model": literal(one["name"]), "words": f"{told['words']:,}"}
            for name, label in (("overlap", f"overlap of {told['k']}"), ("cka", "unbiased CKA"),
                                ("procrustes", "Procrustes rest")):  # fmt: skip
                label = "overlap of neighbours" if name == "overlap" else label
                cells[label] = f"{told[name]:.3f}; shuffled {spread(told[f'{name} null'])}"
            rows.append(cells)
    return table_of(rows, "No model here has two tables.")


def unmeasured(models: Sequence[Model]) -> str:
    """What could not be measured, and the reader's warnings."""
    lines = [f"- {literal(one['name'])}: {literal(words)}"
             for one in models for words in (*one["left out"], *one["warnings"])]  # fmt: skip
    return "\n".join(lines) or "Nothing was left out."
