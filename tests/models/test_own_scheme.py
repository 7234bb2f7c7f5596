"""A way to tie of one's own: what its setting means, when its file is run, and what is refused."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from semantica_lib.errors import RequestError
from semantica_lib.models.own_scheme import in_file, load, tried
from semantica_lib.models.stack import INPUT
from semantica_lib.models.ties import SCHEMES
from semantica_lib.settings.added_points import asked_points
from semantica_lib.settings.catalogue import parse_override, read_file, settings
from semantica_lib.settings.sweeps import points, read, sweeps
from semantica_lib.settings.xor import Settings
from semantica_lib.trainers.kernel import serves
from semantica_lib.trainers.stacked import Stack

GOOD = """
import torch
from semantica_lib.models.stack import INPUT, OUTPUT
from semantica_lib.models.ties import Scheme

class Mine(Scheme):
    def start(self, drawn, strength):
        return {INPUT: drawn.input, "tie_scale": torch.full((1, 1), 2.0)}

    def tables(self, own, mask):
        return own[INPUT], own["tie_scale"] * own[INPUT]

    def penalty(self, own):
        return own["tie_scale"].square().sum((1, 2))
"""
START = 'return {INPUT: drawn.input, "tie_scale": torch.full((1, 1), 2.0)}'
TABLES = 'return own[INPUT], own["tie_scale"] * own[INPUT]'
PENALTY = 'return own["tie_scale"].square().sum((1, 2))'
SMALL = {"bits": 3, "steps": 4, "seeds": [1, 2]}


@pytest.fixture(autouse=True)
def _none_stays() -> Iterator[None]:
    yield
    for word in [word for word in SCHEMES if "@" in word]:
        del SCHEMES[word]


def own(folder: Path, text: str = GOOD, name: str = "Mine") -> Settings:
    """Settings that name a scheme of this text."""
    file = folder / "mine.py"
    file.write_text(text)
    return settings(SMALL | dict([parse_override(f"scheme={file}:{name}")]))


def refusal(folder: Path, text: str = GOOD, name: str = "Mine") -> str:
    with pytest.raises(RequestError) as caught:
        tried(own(folder, text, name))
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


# --- the setting -----------------------------------------------------------------------------


def test_a_scheme_stands_beside_the_ties_and_its_content_is_of_the_identity(tmp_path) -> None:
    plain, first = settings(SMALL), own(tmp_path)
    word = first.ties[-1]
    assert first.ties == ("tied", "untied", word) and word.startswith("Mine@")
    assert first.identity == plain.identity | {"scheme": word}
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    assert own(moved).settings_hash == first.settings_hash
    assert own(tmp_path, GOOD + "# another\n").settings_hash != first.settings_hash


def test_what_is_stored_names_no_path_and_reads_as_the_same(tmp_path) -> None:
    first = own(tmp_path)
    stored = first.model_dump(mode="json")
    assert str(tmp_path) not in json.dumps(stored)
    again = settings(stored)
    assert again.settings_hash == first.settings_hash and again.ties == first.ties
    with pytest.raises(RequestError, match=r"file of Mine@.* is not known: write scheme=FILE.py:"):
        load(again.scheme)


def test_the_path_in_a_file_of_settings_begins_at_its_folder(tmp_path) -> None:
    (tmp_path / "mine.py").write_text("raise SystemExit  # which nothing here runs")
    (tmp_path / "one.yaml").write_text("scheme: mine.py:Mine\nties: [untied]\n")
    found = read_file(tmp_path / "one.yaml")
    assert found.scheme.startswith(f"{tmp_path / 'mine.py'}:Mine@")
    assert found.ties[0] == "untied" and len(found.ties) == 2


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"scheme": "mine.py"}, ["scheme should be FILE.py:NAME", "'mine.py'"]),
        ({"scheme": "Mine"}, ["scheme should be FILE.py:NAME"]),
        ({"scheme": 3}, ["scheme", "string"]),
        ({"ties": ["mine.py:Mine"]}, ["ties[0]", "write scheme=FILE.py:NAME"]),
        ({"ties": ["Mine@0123456789ab"]}, ["Mine@0123456789ab", "write scheme=FILE.py:NAME"]),
        ({"scheme": "Mine@0123456789ab", "untie_at": 3}, ["untie_at", "Mine@0123456789ab"]),
    ],
)
def test_what_is_no_scheme_is_refused_in_a_line(values, words) -> None:
    with pytest.raises(RequestError) as caught:
        settings(values)
    assert all(word in str(caught.value) for word in words)


def test_a_file_that_is_not_there_is_named(tmp_path) -> None:
    with pytest.raises(RequestError, match=rf"scheme: cannot read {tmp_path}/no.py: No such file"):
        parse_override(f"scheme={tmp_path}/no.py:Mine")


def test_a_sweep_gets_points_of_the_scheme_alone_one_for_each_of_its_cells(tmp_path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(GOOD)
    sweep = read(sweeps()["schemes"])
    plain, more = points(sweep), asked_points(sweep, [parse_override(f"scheme={file}:Mine")])
    assert [one.expectation for _, one in more] == ["sampled", "exact"]
    for (_, without), (_, one) in zip(plain, more, strict=True):
        assert len(one.ties) == 1 and one.seeds == without.seeds
        assert one.identity == without.identity | {"scheme": one.ties[0]}


# --- what it computes ------------------------------------------------------------------------


def test_its_parameters_train_as_plain_pytorch_would_train_them(tmp_path, masked_writings) -> None:
    """A step of gradient descent on the exact loss, beside autograd on an enumeration."""
    text = {"expectation": "exact", "optimizer": "sgd", "learning_rate": 0.1, "weight_decay": 0.0}
    one = settings(own(tmp_path).model_dump() | text | {"schedule": "none", "eps": None} | {
        "betas": None, "schedule_period": None, "learning_rate_min": None,
    })  # fmt: skip
    stack = Stack(one, [1, 2], one.ties[-1], dtype=torch.float64)
    assert not serves(stack)
    state = stack.initial()
    own_ = {name: value.requires_grad_() for name, value in stack.layout.views(state.flat).items()}
    table, scale = own_["input_embedding.weight"], own_["tie_scale"]
    views = own_ | {"output_embedding.weight": scale * table}
    writings = [*masked_writings(stack.task, "train")]
    tokens = torch.tensor([tokens for tokens, _, _ in writings]).T[None]
    _, log_probability = stack.predict(views, tokens)
    target = torch.tensor([target for _, target, _ in writings])
    weight = torch.tensor([probability for _, _, probability in writings], dtype=torch.float64)
    hit = log_probability.gather(1, target[None, None].expand(2, 1, -1))[:, 0]
    losses = -(weight * hit).sum(1)
    pulls = torch.autograd.grad((losses + scale[:, 0, 0] ** 2).sum(), [table, scale])
    after, told = stack.update(state, stack.batch(state, stack.traits), stack.traits)
    moved = stack.layout.views(after.flat)
    torch.testing.assert_close(told, losses)
    torch.testing.assert_close(moved["input_embedding.weight"], table - 0.1 * pulls[0])
    torch.testing.assert_close(moved["tie_scale"], scale - 0.1 * pulls[1])


# --- what is wrong with it -------------------------------------------------------------------


def test_a_good_one_is_let_through(tmp_path) -> None:
    tried(own(tmp_path))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("import torch\n", "import torch\nimport nothing_there\n", ["line 3", "nothing_there"]),
        ("import torch\n", "import torch\n  x\n", ["line 3", "IndentationError"]),
        ("import torch\n", "import sys\nsys.exit(3)\n", ["line 3", "SystemExit"]),
        ("class Mine(Scheme)", "class Mime(Scheme)", ["has no Mine", "did you mean 'Mime'"]),
        ("class Mine(Scheme)", "class Mine", ["Mine must be a class of", "class Mine(Scheme):"]),
        ("class Mine(Scheme):", "Mine = 3\nclass Other:", ["Mine must be a class of"]),
        (
            "    def start",
            "    def __init__(self):\n        1 / 0\n\n    def start",
            ["line 8", "in __init__", "ZeroDivisionError"],
        ),
        (START, "return {INPUT: drawn.inputs}", ["line 8", "in start", "AttributeError"]),
        (START, "return drawn.input", ["Mine.start must give parameters by name"]),
        (START, "return {INPUT: drawn.input.T}", ["start", INPUT, "(7, 4), not (4, 7)"]),
        (START, 'return {"table": drawn.input}', ["start", INPUT, "(7, 4), not NoneType"]),
        (START, "return {INPUT: drawn.input, 'x': 1.0}", ["start", "x is of float"]),
        (
            START,
            "return {INPUT: drawn.input, 'tie_scale': torch.ones(1, 1, dtype=int)}",
            ["start", "real numbers", "tie_scale"],
        ),
        (START, "return {INPUT: drawn.input, 'output_bias': torch.ones(7)}", ["call it otherwise"]),
        (
            START,
            "vars(self).setdefault('n', []).append(1)\n"
            "        return {INPUT: drawn.input, 'tie_scale': torch.ones(len(self.n))}",
            ["every trial the same names and shapes"],
        ),
        (TABLES, "return own[INPUT]", ["Mine.tables", "two tables", "(2, 7, 4) each, not (2, 7"]),
        (TABLES, "return own[INPUT], own[INPUT][0]", ["tables", "(2, 7, 4) each", "(7, 4)]"]),
        (TABLES, "return own[INPUT], own['tie_map']", ["line 11", "in tables", "KeyError"]),
        (TABLES, "return own[INPUT], own[INPUT].mean(0, True) + 0 * own[INPUT]", ["beside it"]),
        (TABLES, "return own[INPUT], own[INPUT].zero_()", ["line 11", "RuntimeError"]),
        (PENALTY, 'return own["tie_scale"].sum()', ["Mine.penalty", "None or (2,)", "not ()"]),
        (PENALTY, "return 1.0", ["Mine.penalty", "not float"]),
        (PENALTY, "raise ValueError", ["line 14", "in penalty: ValueError"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_a_line(tmp_path, old, new, words) -> None:
    assert GOOD.count(old) == 1
    message = refusal(tmp_path, GOOD.replace(old, new))
    assert str(tmp_path / "mine.py") in message
    assert [word for word in words if word not in message] == [], message


def test_a_file_that_has_changed_since_it_was_named_is_not_run(tmp_path) -> None:
    named = own(tmp_path)
    (tmp_path / "mine.py").write_text("raise SystemExit  # never run")
    with pytest.raises(RequestError, match=r"mine.py has changed since this began with Mine@"):
        load(settings(named.model_dump()).scheme)


def test_where_an_error_arose_is_told_if_it_was_in_that_file(tmp_path) -> None:
    scheme = own(tmp_path, GOOD.replace(PENALTY, "return own[1]  # another")).scheme
    with pytest.raises(KeyError) as caught:
        load(scheme).penalty({})
    assert in_file(caught.value, scheme).endswith("mine.py, line 14, in penalty: KeyError: 1")
    assert in_file(KeyError(1), scheme) == ""
