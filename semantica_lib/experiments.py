"""Settings of an experiment, checked at the boundary, and the catalogue of named experiments.

A settings file lists the values that differ from the defaults below. The defaults are those of the
paper's main experiment and never change once a result is published, because a result is known by
the settings in which it differs from them.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from semantica_lib.errors import RequestError, nearest, short
from semantica_lib.yaml_text import parse

ROOT = Path(__file__).resolve().parents[1]
CATALOGUE = ROOT / "notebooks" / "experiments"

# Settings that leave the trajectory of a trial as it is: the rest make up a result's identity.
NOT_IDENTITY = {
    "experiment",
    "question",
    "steps",
    "seeds",
    "ties",
    "record_every",
    "validate_every",
    "device",
}
Tie = Literal["tied", "untied"]

# Sizes that only some architectures have, with the value that stands where none is given: those of
# the paper's small models. Each is null where its architecture is not listed.
SIZES: dict[str, dict[str, Any]] = {
    "transformer": {"heads": 1, "feedforward_size": 4, "activation": "gelu"},
    "lstm": {"hidden_size": 8, "bidirectional": True},
    "mixer": {
        "token_feedforward_size": 4, "channel_feedforward_size": 8, "activation": "relu",
    },
}  # fmt: skip
MOST_CONTEXTS = 2**20  # more cannot be enumerated in reasonable time and memory


def _number(value: Any) -> Any:
    """YAML 1.1 reads 5e-4 and -.5 as text; take them for the numbers that they are."""
    if isinstance(value, str) and re.fullmatch(
        r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", value, re.ASCII
    ):
        return float(value)
    return value


Real = Annotated[float, BeforeValidator(_number)]
Count = Annotated[int, Field(ge=1, le=10**9)]
Distribution = Annotated[tuple[Real, ...], Field(strict=False)]


class Settings(BaseModel):
    """All that an experiment can choose. Names are fixed: files, notebooks and ``--set`` use them.

    Raises:
        RequestError: one line naming the setting, what it was and what is allowed
            (from :func:`settings`, the way to make one).
    """

    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    experiment: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")] = "custom"
    """name of the experiment and of its result folder"""
    question: str = ""
    """what it asks, in plain words"""
    steps: Count = 150_000
    """optimizer steps"""
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**32)], ...], Field(strict=False)] = (
        42, 43, 44, 45, 46,
    )  # fmt: skip
    """one trial each, for each tie"""
    ties: Annotated[tuple[Tie, ...], Field(strict=False)] = ("tied", "untied")
    """whether the output table is the input table"""
    zero_dst: Distribution = (0.1, 0.9)
    """probabilities of the synonyms of bit 0"""
    one_dst: Distribution = (0.5, 0.5)
    """probabilities of the synonyms of bit 1"""
    bits: Annotated[int, Field(ge=2, le=16)] = 7
    """length of the strings; all 2^bits of them are used"""
    architecture: Literal["transformer", "lstm", "mixer"] = "transformer"
    layers: Count = 1
    embedding_size: Count = 4
    heads: Count | None = None
    """transformer: attention heads"""
    feedforward_size: Count | None = None
    """transformer: width of each layer's feed-forward part"""
    hidden_size: Count | None = None
    """lstm: width of each direction"""
    bidirectional: bool | None = None
    """lstm: whether a second one reads backwards"""
    token_feedforward_size: Count | None = None
    """mixer: width of the part that mixes places"""
    channel_feedforward_size: Count | None = None
    """mixer: width of the part that mixes features"""
    activation: Literal["gelu", "relu"] | None = None
    """transformer and mixer"""
    learning_rate: Annotated[Real, Field(gt=0)] = 5e-4
    """highest rate of the schedule"""
    weight_decay: Annotated[Real, Field(ge=0)] = 0.1
    betas: Annotated[
        tuple[Annotated[Real, Field(ge=0, lt=1)], Annotated[Real, Field(ge=0, lt=1)]],
        Field(strict=False),
    ] = (0.9, 0.999)
    eps: Annotated[Real, Field(gt=0)] = 1e-12
    schedule_period: Annotated[int, Field(ge=2)] = 20_000
    """steps from one peak of the cosine schedule to the next (twice PyTorch's ``T_max``)"""
    learning_rate_min: Annotated[Real, Field(ge=0)] = 1e-5
    data_seed: Annotated[int, Field(ge=0, lt=2**32)] = 14
    """chooses the split only"""
    validation: Literal["held-out", "as-published"] = "held-out"
    """strings that validation measures on; as-published: the training strings"""
    record_every: Count = 1_000
    """steps between records of the embedding tables"""
    validate_every: Count = 1_000
    """steps between measurements of accuracy and loss"""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N; auto takes a GPU where there is one"""

    @field_validator("seeds", "ties")
    @classmethod
    def _distinct(cls, values: tuple) -> tuple:
        if not values or len(set(values)) < len(values):
            raise ValueError("needs at least one value and none twice")
        return values

    @field_validator("zero_dst", "one_dst")
    @classmethod
    def _distribution(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if not values or min(values) < 0:
            raise ValueError("needs at least one probability and none negative")
        total = sum(values)  # not fsum, which gives up where the sum is not finite
        if not abs(total - 1) <= 1e-9:
            raise ValueError(f"probabilities must sum to 1, these sum to {total:.9g}")
        return values

    @field_validator("device")
    @classmethod
    def _device(cls, value: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", value):
            hint = nearest(value, ("auto", "cpu", "cuda"))
            raise ValueError(f"should be auto, cpu, cuda or cuda:N{hint}")
        return value

    @model_validator(mode="before")
    @classmethod
    def _own_sizes(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Give the architecture its sizes where none is set, and refuse those of another."""
        architecture = values.get("architecture", "transformer")
        own = SIZES.get(architecture) if isinstance(architecture, str) else None
        if own is None:
            return values  # refused by the field itself
        foreign = {name for sizes in SIZES.values() for name in sizes} - set(own)
        for name, value in values.items():
            if name in foreign and value is not None:
                raise ValueError(
                    f"{name} is not a size of the {architecture}, whose own are "
                    f"layers, embedding_size, {', '.join(own)}: leave it out or set it to null"
                )
        unset = {name: value for name, value in own.items() if values.get(name) is None}
        return values | unset

    @model_validator(mode="after")
    def _sizes_agree(self) -> Self:
        if self.architecture != "transformer":
            written = max(sum(p > 0 for p in dst) for dst in (self.zero_dst, self.one_dst))
            contexts = 2**self.bits * self.bits * written ** (self.bits - 1)
            if contexts > MOST_CONTEXTS:
                raise ValueError(
                    f"bits is too large, {self.bits}: the {self.architecture} sees the order of "
                    f"symbols, and up to {contexts:,} contexts would have to be enumerated "
                    f"(at most {MOST_CONTEXTS:,})"
                )
        elif self.embedding_size % self.heads:
            raise ValueError(
                f"heads must divide embedding_size, and {self.heads} does not divide "
                f"{self.embedding_size}"
            )
        if self.learning_rate_min > self.learning_rate:
            raise ValueError(
                f"learning_rate_min must not exceed learning_rate, and {self.learning_rate_min} "
                f"exceeds {self.learning_rate}"
            )
        return self

    @property
    def identity(self) -> dict[str, Any]:
        """What changes a trial's trajectory and differs from the default, as JSON values."""
        mine, default = self.model_dump(mode="json"), Settings().model_dump(mode="json")
        return {
            name: mine[name]
            for name in sorted(mine)
            if name not in NOT_IDENTITY and mine[name] != default[name] and mine[name] is not None
        }

    @property
    def settings_hash(self) -> str:
        """sha256 of the identity as canonical JSON."""
        text = json.dumps(self.identity, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def settings(values: Mapping[str, Any], where: str = "") -> Settings:
    """Checked settings from plain values.

    Args:
        values: setting name to value; names left out keep their default.
        where: what the values come from, put before the message.

    Raises:
        RequestError: an unknown name (with the nearest known one) or a value that is not allowed.
    """
    prefix = f"{where}: " if where else ""
    for name in values:
        if name not in Settings.model_fields:
            hint = nearest(str(name), Settings.model_fields)
            raise RequestError(f"{prefix}unknown setting {str(name)!r}{hint}")
    try:
        return Settings(**values)
    except ValidationError as error:
        raise RequestError(prefix + _one_line(error.errors()[0])) from None


def _one_line(detail: Mapping[str, Any]) -> str:
    """``steps: must be greater than or equal to 1, not 0`` from pydantic's account of an error."""
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    message = message[:1].lower() + message[1:].replace("a valid tuple", "a list")
    if not detail["loc"]:
        return message
    name = "".join(f"[{part}]" if isinstance(part, int) else str(part) for part in detail["loc"])
    hint = ""
    if detail["type"] == "literal_error" and isinstance(detail["input"], str):
        allowed = re.findall(r"'([^']*)'", detail["ctx"]["expected"])
        hint = nearest(detail["input"], allowed)
    return f"{name} {message}, not {short(detail['input'])}{hint}"


def from_namespace(names: Mapping[str, Any]) -> Settings:
    """Settings from a notebook's variables: every name set in its parameter cells must be one.

    What IPython and the notebook's own code define (modules, functions, objects, names with a
    leading underscore) does not count.

    Raises:
        RequestError: as :func:`settings`.
    """
    plain = (type(None), bool, int, float, str, list, tuple, dict)

    def set_by_the_user(name: str, value: Any) -> bool:
        own = name.startswith("_") or name in ("In", "Out") or not isinstance(value, plain)
        return name in Settings.model_fields or not own

    return settings({name: value for name, value in names.items() if set_by_the_user(name, value)})


def read_file(path: Path, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Settings of a YAML file, with some of them replaced.

    Raises:
        RequestError: the file cannot be read, is not a mapping, or holds a wrong setting.
    """
    try:
        values = parse(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise RequestError(f"cannot read {path}: {reason}") from None
    if not isinstance(values, dict):
        raise RequestError(f"{path} must hold settings, one `name: value` a line")
    values.setdefault("experiment", path.stem)
    settings(values, str(path))  # so that an error of the file names the file
    return settings({**values, **(overrides or {})})


def parse_override(text: str) -> tuple[str, Any]:
    """``key=value`` of the command line, the value written as in YAML."""
    name, equals, value = text.partition("=")
    if not equals:
        raise RequestError(f"--set takes key=value, not {short(text)}")
    return name.strip(), parse(value, f"--set {name.strip()}: {short(value)}")


@cache
def catalogue() -> dict[str, Path]:
    """Named experiments and their files, in the order of their names."""
    return {path.stem: path for path in sorted(CATALOGUE.glob("*.yaml"))}


def find(name: str, overrides: Iterable[tuple[str, Any]] = ()) -> Settings:
    """Settings of a named experiment or of a YAML file.

    Raises:
        RequestError: there is no such experiment or file, or a setting is wrong.
    """
    if name in catalogue():
        path = catalogue()[name]
    elif name.endswith((".yaml", ".yml")):
        path = Path(name)
    else:
        raise RequestError(f"unknown experiment {name!r}{nearest(name, catalogue())}")
    return read_file(path, dict(overrides))
