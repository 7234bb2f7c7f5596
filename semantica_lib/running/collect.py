"""Putting a result together from its finished stacks."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from semantica_lib.datasets.mlm import HOLDS, MlmTask
from semantica_lib.datasets.tokens import Tokens
from semantica_lib.datasets.xor import SPLITS
from semantica_lib.running.groups import Part
from semantica_lib.settings.catalogue import AnySettings, MlmSettings
from semantica_lib.store import results
from semantica_lib.store.provenance import device_name, listed, provenance

NEAREST = 5  # neighbours of each tracked word


def assemble(
    folder: Path, own: AnySettings, parts: list[Part], device: str, text: Tokens | None = None
) -> None:
    """Store the result of finished stacks.

    Args:
        text: what a language model was trained on; None for an XOR experiment.
    """
    trials = [trial for part in parts for trial in part.trials]
    order = sorted(range(len(trials)), key=lambda index: (not trials[index][1], trials[index][0]))
    steps, tables = _joined(parts, "record_steps", "tables")  # (trial, record, table, ...)
    trajectory = {
        "steps": steps,
        "seed": np.array([trials[index][0] for index in order]),
        "tied": np.array([trials[index][1] for index in order]),
        "input_embedding": tables[order, :, 0],
        "output_embedding": tables[order, :, 1],
    }
    if text is None:
        measured_steps, norms = _joined(parts, "measured_steps", "norms")
        trajectory |= {"measured_steps": measured_steps, "hidden_norm": norms[order]}
        trajectory["logit_gap"] = _joined(parts, "measured_steps", "gaps")[1][order]
        if all("gradients" in part.tensors for part in parts):  # not those of an earlier version
            steps, pulls = _joined(parts, "gradient_steps", "gradients")
            trajectory |= {"gradient_steps": steps, "table_gradient": pulls[order]}
        further, splits = {}, SPLITS
    else:
        from semantica_lib.trainers.mlm import SPLITS as splits

        words, further = _language(own, [parts[index] for index in order], text)
        trajectory |= words
    manifest = _manifest(own, parts, trajectory, device) | further
    results.write(folder, manifest, trajectory, _metrics(parts, splits))


def _manifest(
    own: AnySettings, parts: list[Part], trajectory: dict[str, np.ndarray], device: str
) -> dict[str, Any]:
    made, name = provenance(), device_name(device)
    # checkpoints of an earlier version do not tell their device; they never left their machine
    devices = [part.about.get("device", name) for part in parts]
    trials = zip(trajectory["seed"].tolist(), trajectory["tied"].tolist(), strict=True)
    return made | {
        "experiment": own.experiment,
        "settings": own.model_dump(mode="json"),
        "settings_hash": own.settings_hash,
        "seeds": sorted(set(trajectory["seed"].tolist())),
        "trials": [{"seed": seed, "tied": tied} for seed, tied in trials],
        "status": "complete" if own.steps >= results.full_steps(own) else "partial",
        "steps_done": own.steps,
        "dirty": made["dirty"] or any(part.about["dirty"] == "true" for part in parts),
        "device": listed(*devices),
        "threads": 1,
        "started": min(part.about["started"] for part in parts),
        "duration_s": round(sum(float(part.about["seconds"]) for part in parts), 1),
        "stacks": [
            {"tied": part.tied, "seeds": list(part.seeds), "device": used}
            | {name: part.about[name] for name in ("commit", "started")}
            | {"dirty": part.about["dirty"] == "true", "seconds": float(part.about["seconds"])}
            | ({"processes": int(part.about["processes"])} if "processes" in part.about else {})
            for part, used in zip(parts, devices, strict=True)
        ],
    }


def _language(
    own: MlmSettings, parts: list[Part], text: Tokens
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """What else the result of a language model has, in its trajectory and in its manifest.

    Args:
        parts: of a trial each, in the order of the trials.
    """
    from semantica_lib.trainers.mlm import mlm_task, unigram

    tasks = [mlm_task(own, text, part.seeds[0]) for part in parts]
    names = np.array(tasks[0].names)
    near = [_nearest(part, task) for part, task in zip(parts, tasks, strict=True)]
    words = {
        "words": names[tasks[0].tracked.numpy()],
        "holds": np.stack([(task.classes == HOLDS).numpy() for task in tasks]),
        "neighbours": names[np.stack(near)],
    }
    baseline = {str(task.seed): unigram(task) for task in tasks}
    return words, {"text": text.about, "unigram": baseline}


def _nearest(part: Part, task: MlmTask) -> np.ndarray:
    """Ids of the rows nearest to each tracked word by cosine, ``(table, word, NEAREST)``."""
    found = []
    for name in ("input_embedding", "output_embedding"):
        one = part.tensors.get(f"model.{name}.weight")
        rows = part.tensors["model.input_embedding.weight"] if one is None else one  # tied
        rows = torch.nn.functional.normalize(rows.double(), dim=1)
        cosine = rows[task.tracked] @ rows.T
        cosine[torch.arange(len(task.tracked)), task.tracked] = -2  # not itself
        found.append(cosine.topk(NEAREST).indices)
    return torch.stack(found).numpy()


def _joined(parts: list[Part], steps: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps that every stack has, and what it stored by that name, ``(trial, step, ...)``."""
    shared = set.intersection(*(set(part.tensors[steps].tolist()) for part in parts))
    values = []
    for part in parts:
        keep = [index for index, step in enumerate(part.tensors[steps].tolist()) if step in shared]
        values.append(part.tensors[name][keep].transpose(0, 1).numpy())
    return np.array(sorted(shared)), np.concatenate(values)


def _metrics(parts: list[Part], names: Sequence[str]) -> str:
    """Accuracy and loss of every trial as tidy CSV."""
    rows = io.StringIO()
    rows.write("seed,tied,step,split,accuracy,loss\n")
    for part in sorted(parts, key=lambda part: (not part.tied, part.seeds)):
        measured = part.tensors["measured"].tolist()  # (step, split, quantity, trial)
        for index, (seed, tied) in enumerate(part.trials):
            for step, splits in zip(part.tensors["measured_steps"].tolist(), measured, strict=True):
                for split, (accuracy, loss) in zip(names, splits, strict=True):
                    rows.write(
                        f"{seed},{str(tied).lower()},{step},{split},"
                        f"{accuracy[index]:.6g},{loss[index]:.6g}\n"
                    )
    return rows.getvalue()
