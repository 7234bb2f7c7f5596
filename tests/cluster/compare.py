"""Compare two folders of results bit for bit: `compare.py ONE OTHER` names what differs."""

import sys
from pathlib import Path

import numpy as np

from semantica_lib.store import results


def main(one: Path, other: Path) -> None:
    """End with an error if a folder lacks a result or a trial of the other's differs."""
    names = {path.parent.name for path in one.glob(f"*/{results.MANIFEST}")}
    if not names or names != {path.parent.name for path in other.glob(f"*/{results.MANIFEST}")}:
        sys.exit(f"{one} and {other} do not hold the same results")
    for name in sorted(names):
        here, there = (results.load(place / name) for place in (one, other))
        here.metrics.equals(there.metrics) or sys.exit(f"{name}: metrics differ")
        for array in ("seed", "tied", "steps", "input_embedding", "output_embedding"):
            if not np.array_equal(getattr(here, array), getattr(there, array)):
                sys.exit(f"{name}: {array} differs")
        print(f"{name}: {len(here.seed)} trials, step {here.manifest['steps_done']:,}, equal")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
