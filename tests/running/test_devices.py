"""Where stacks go: a device by its name, and over several GPUs, which are made up here."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from semantica_lib.errors import RequestError
from semantica_lib.running import devices
from semantica_lib.running.groups import Group
from semantica_lib.running.plan import Target, stacks_of
from semantica_lib.running.processes import emptiest
from semantica_lib.settings.catalogue import find


def seen(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """As many GPUs as one says."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


@pytest.mark.parametrize("count", [0, 1, 4])
def test_a_device_by_its_name(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    seen(monkeypatch, count)
    assert devices.resolve_device("auto") == ("cuda" if count else "cpu")
    assert devices.resolve_device("cpu") == "cpu"
    assert devices.spread("cpu") == ["cpu"]
    for number in range(6):
        if number < count:
            assert devices.resolve_device(f"cuda:{number}") == f"cuda:{number}"
            assert devices.spread(f"cuda:{number}") == [f"cuda:{number}"]
        else:
            with pytest.raises(RequestError, match=f"has {count} CUDA devices"):
                devices.resolve_device(f"cuda:{number}")
    assert devices.spread("cuda") == [f"cuda:{number}" for number in range(count)]


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/", {}, 8),
        ("0::/", {"cpu.max": "max 100000"}, 8),
        ("0::/", {"cpu.max": "150000 100000"}, 2),  # a part of a core is a core
        ("0::/job/step", {"cpu.max": "max 100000", "job/cpu.max": "300000 100000"}, 3),
        ("0::/job/step", {"job/cpu.max": "400000 100000", "job/step/cpu.max": "50000 100000"}, 1),
        ("0::/job", {"job/cpu.max": "nonsense"}, 8),
        ("0::/job", {"job/cpu.max": "6400000 100000"}, 8),  # no more than there are
        (
            "5:memory:/m\n4:cpu,cpuacct:/job",
            {
                "cpu,cpuacct/job/cpu.cfs_quota_us": "200000\n",
                "cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
                "cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
                "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            2,
        ),
    ],
)
def test_the_cores_are_those_that_the_process_may_use(
    own: str, files: dict[str, str], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "own").write_text(own + "\n")
    monkeypatch.setattr(devices, "GROUPS", tmp_path)
    monkeypatch.setattr(devices, "OWN_GROUP", tmp_path / "own")
    monkeypatch.setattr(devices.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert devices.cores() == expected
    monkeypatch.setattr(devices.os, "sched_getaffinity", lambda _: {5}, raising=False)
    assert devices.cores() == 1
    monkeypatch.setattr(devices, "OWN_GROUP", tmp_path / "none")  # not on Linux
    assert devices.cores() == 1


@given(count=st.integers(1, 8), ends=st.lists(st.integers(0, 7), max_size=40))
def test_no_gpu_has_two_stacks_more_than_another(count: int, ends: list[int]) -> None:
    """While stacks are begun one after the other, and some of those that run end in between."""
    places, running = [f"cuda:{number}" for number in range(count)], []
    for end in ends:
        running.append(emptiest(places, running))
        counts = Counter(dict.fromkeys(places, 0)) + Counter(running)
        least = min(counts.get(place, 0) for place in places)
        assert running.count(running[-1]) - 1 <= least  # it went where there were fewest
        if end < len(running) and end % 3 == 0:
            running.pop(end)


def test_work_is_cut_so_that_every_gpu_has_a_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    own = find("transformer-small", [("device", "cuda"), ("seeds", list(range(8)))])
    groups = [Group(devices.__file__, own, tie, (seed,)) for tie in own.ties for seed in own.seeds]
    for count in (1, 2, 4):
        seen(monkeypatch, count)
        ((device, stacks),) = stacks_of([Target(own, groups)]).items()
        assert device == "cuda" and len(stacks) == count
        assert {len(stack) for stack in stacks} == {16 // count}
