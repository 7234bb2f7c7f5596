"""Collecting a result from the checkpoints of its groups, once all of them are trained."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from semantica_lib.datasets.xor import SPLITS
from semantica_lib.models.stack import INPUT, OUTPUT
from semantica_lib.running.groups import Group
from semantica_lib.settings.catalogue import AnySettings, MlmSettings, Settings
from semantica_lib.settings.schema import BOTH, one_table, order
from semantica_lib.store import results
from semantica_lib.store.provenance import any_dirty, device_name, listed, provenance, was_dirty
from semantica_lib.trainers.stacked import NEVER, Stack

if TYPE_CHECKING:  # for language models only
    from semantica_lib.datasets.mlm import MlmTask
    from semantica_lib.datasets.tokens import Tokens

NEAREST = 5  # neighbours of each tracked word


def collect(
    folder: Path, own: AnySettings, groups: list[Group], device: str, text: "Tokens | None" = None
) -> None:
    """Store the result of finished groups.

    Args:
        text: what a language model was trained on; None for an XOR experiment.
    """
    trials = [trial for group in groups for trial in group.trials]
    places = sorted(range(len(trials)), key=lambda at: (order(trials[at][1]), trials[at][0]))
    steps, tables = _joined(groups, "record_steps", "tables")  # (trial, record, table, ...)
    trajectory = {
        "steps": steps,
        "seed": np.array([trials[index][0] for index in places]),
        "tied": np.array([one_table(trials[index][1]) for index in places]),
        "tie": np.array([trials[index][1] for index in places]),
        "input_embedding": tables[places, :, 0],
        "output_embedding": tables[places, :, 1],
    }
    if text is None:
        measured_steps, norms = _joined(groups, "measured_steps", "norms")
        trajectory |= {"measured_steps": measured_steps, "hidden_norm": norms[places]}
        trajectory["logit_gap"] = _joined(groups, "measured_steps", "gaps")[1][places]
        if all("gradients" in one.tensors for one in groups):  # not those of an earlier version
            steps, pulls = _joined(groups, "gradient_steps", "gradients")
            trajectory |= {"gradient_steps": steps, "table_gradient": pulls[places]}
        trajectory |= _uses(own, groups, places)
        further, splits = {}, SPLITS
    else:
        words, further, splits = _words(own, [groups[index] for index in places], text)
        trajectory |= words
    manifest = _manifest(own, groups, trajectory, device) | further
    results.write(folder, manifest, trajectory, _metrics(groups, splits))


def _uses(own: Settings, groups: list[Group], places: list[int]) -> dict[str, np.ndarray]:
    """What the trajectory has of uses, measured of kept weights; empty where none are."""
    from semantica_lib.trainers.uses import measured, uses

    if not measured(own) or not all("kept" in one.tensors for one in groups):
        return {}
    for group in groups:
        stack = Stack(own, group.seeds, group.tie)
        group.tensors["uses"] = torch.stack([uses(stack, flat) for flat in group.tensors["kept"]])
    steps, found = _joined(groups, "kept_steps", "uses")
    return {"use_steps": steps, "uses": found[places].astype(np.float32)}


def _manifest(
    own: AnySettings, groups: list[Group], trajectory: dict[str, np.ndarray], device: str
) -> dict[str, Any]:
    made, name = provenance() | _diverged(groups), device_name(device)
    trials = zip(trajectory["seed"].tolist(), trajectory["tie"].tolist(), strict=True)
    stacks = [
        {**_told(one.tie), "seeds": list(one.seeds)}
        # checkpoints of an earlier version do not tell their device; they never left their machine
        | {"device": one.about.get("device", name), "dirty": was_dirty(one.about)}
        | {name: one.about[name] for name in ("commit", "started")}
        | {"seconds": float(one.about["seconds"])}
        | ({"processes": int(one.about["processes"])} if "processes" in one.about else {})
        | ({"engine": one.about["engine"]} if "engine" in one.about else {})
        for one in groups
    ]
    return made | {
        "experiment": own.experiment,
        "settings": own.model_dump(mode="json"),
        "settings_hash": own.settings_hash,
        "seeds": sorted(set(trajectory["seed"].tolist())),
        "trials": [{"seed": seed} | _told(tie) for seed, tie in trials],
        "status": "complete" if own.steps >= results.full_steps(own) else "partial",
        "steps_done": own.steps,
        "dirty": any_dirty(made["dirty"], *(stack["dirty"] for stack in stacks)),
        "device": listed(*(stack["device"] for stack in stacks)),
        "threads": 1,
        "started": min(stack["started"] for stack in stacks),
        "duration_s": round(sum(stack["seconds"] for stack in stacks), 1),
        "stacks": stacks,
    }


def _told(tie: str) -> dict[str, Any]:
    """A tie, as a manifest names it."""
    return {"tied": one_table(tie), "tie": tie}


def _diverged(groups: list[Group]) -> dict[str, Any]:
    """What a manifest has of trials that diverged: each with its first step that is not finite.

    Where that would be the step to come, it is the last one: the loss there is not finite.
    """
    found = []
    for group in groups:
        never = torch.full((len(group.seeds),), NEVER)  # an earlier version does not tell
        stopped, loss = group.tensors.get("stopped", never), group.tensors["measured"][:, 0, 1]
        first = group.tensors["measured_steps"][loss.isfinite().long().argmin(0)]
        steps = (stopped + 1).where((stopped < NEVER) | loss[-1].isfinite(), first).tolist()
        found += [(*one, step) for one, step in zip(group.trials, steps, strict=True)]
    lost = [{"seed": s, **_told(tie), "step": step} for s, tie, step in found if step <= NEVER]
    return {"diverged": lost} if lost else {}


def _words(
    own: MlmSettings, groups: list[Group], text: "Tokens"
) -> tuple[dict[str, np.ndarray], dict[str, Any], Sequence[str]]:
    """What else a language model's result has: in its trajectory, in its manifest, its splits.

    Args:
        groups: of a trial each, in the order of the trials.
    """
    from semantica_lib.datasets.mlm import HOLDS
    from semantica_lib.trainers import mlm  # accelerate takes seconds to import

    tasks = [mlm.mlm_task(own, text, group.seeds[0]) for group in groups]
    names = np.array(tasks[0].names)
    near = [_nearest(group, task) for group, task in zip(groups, tasks, strict=True)]
    words = {
        "words": names[tasks[0].tracked.numpy()],
        "holds": np.stack([(task.classes == HOLDS).numpy() for task in tasks]),
        "neighbours": names[np.stack(near)],
    }
    baseline = {str(task.seed): mlm.unigram(task) for task in tasks}
    return words, {"text": text.about, "unigram": baseline}, mlm.SPLITS


def _nearest(group: Group, task: "MlmTask") -> np.ndarray:
    """Ids of the rows nearest to each tracked word by cosine, ``(table, word, NEAREST)``."""
    found, named = [], group.tensors.items()
    own = {name.removeprefix("model."): x for name, x in named if name.startswith("model.")}
    if group.tie in BOTH:
        both = own[INPUT], own.get(OUTPUT, own[INPUT])
    else:
        from semantica_lib.models import ties  # most need none of the others

        both = ties.tables(group.tie, own, task.tokens.mask)
    for rows in both:
        rows = torch.nn.functional.normalize(rows.double(), dim=1)
        cosine = rows[task.tracked] @ rows.T
        cosine[torch.arange(len(task.tracked)), task.tracked] = -2  # not itself
        found.append(cosine.topk(NEAREST).indices)
    return torch.stack(found).numpy()


def _joined(groups: list[Group], steps: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps that every group has, and what it stored by that name, ``(trial, step, ...)``."""
    shared = set.intersection(*(set(group.tensors[steps].tolist()) for group in groups))
    values = []
    for group in groups:
        keep = [place for place, step in enumerate(group.tensors[steps].tolist()) if step in shared]
        values.append(group.tensors[name][keep].transpose(0, 1).numpy())
    return np.array(sorted(shared)), np.concatenate(values)


def _metrics(groups: list[Group], names: Sequence[str]) -> str:
    """Accuracy and loss of every trial as tidy CSV."""
    rows = ["seed,tied,tie,step,split,accuracy,loss\n"]
    for group in sorted(groups, key=lambda group: group.place):
        steps, measured = (group.tensors[name] for name in ("measured_steps", "measured"))
        for (seed, tie), trial in zip(group.trials, measured.permute(3, 0, 1, 2), strict=True):
            rows += [
                f"{seed},{str(one_table(tie)).lower()},{tie},{step},{split},{accuracy:.6g},{loss:.6g}\n"
                for step, splits in zip(steps.tolist(), trial.tolist(), strict=True)
                for split, (accuracy, loss) in zip(names, splits, strict=True)
            ]
    return "".join(rows)
