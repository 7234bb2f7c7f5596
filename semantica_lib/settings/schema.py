"""What all experiments' settings have in common: how they are checked, and what identifies them."""

import hashlib
import json
import re
from collections.abc import Mapping
from types import NoneType
from typing import Annotated, Any, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
)

from semantica_lib.errors import RequestError, nearest, short
from semantica_lib.settings.spelling import advice, as_list, as_null, as_number

BOTH = "tied", "untied"  # the two ties that most experiments have, in the order of their trials
NAMES = "letters a to z, digits, '.', '_' and '-', a letter or digit first, at most 100 characters"


def is_name(text: str) -> bool:
    """Whether an experiment, and so its folder, can have this name."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", text) is not None


def _name(value: str) -> str:
    if not is_name(value):
        raise ValueError(f"should be a name of {NAMES}")
    return value


def _tie(word: str) -> str:
    if word in BOTH:
        return word
    from semantica_lib.settings.ties import read  # most need none of the others

    return read(word)


def family(tie: str) -> str:
    """A tie without its strength: ``soft`` of ``soft:0.1``."""
    return tie.partition(":")[0]


def order(tie: str) -> tuple[int, str]:
    """Where its trials stand in a result: tied ones first, then untied ones, then others."""
    return BOTH.index(tie) if tie in BOTH else len(BOTH), tie


def one_table(tie: str) -> bool:
    """Whether one table serves both as input and as output."""
    return family(tie) in ("tied", "scaled", "lookup")


def _prose(value: str) -> str:
    """Free text, without the signs that a terminal could take for commands."""
    if re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", value):
        raise ValueError("should be text without control characters")
    return value


def of_length(*usual: float) -> BeforeValidator:
    """Refuses a list of more or fewer values than these."""

    def same(value: Any) -> Any:
        several = isinstance(value, list | tuple)
        if isinstance(value, int | float) or (several and len(value) != len(usual)):
            raise ValueError(f"should be {len(usual)} values, as {list(usual)}")
        return value

    return BeforeValidator(same)


Real = Annotated[float, BeforeValidator(as_number)]
Whole = Annotated[int, BeforeValidator(as_number)]
Count = Annotated[Whole, Field(ge=1, le=10**9)]
Prose = Annotated[str, AfterValidator(_prose)]
Share = Annotated[Real, Field(ge=0, lt=1)]
Betas = Annotated[tuple[Share, Share], Field(strict=False), of_length(0.9, 0.999)]
Seed = Annotated[Whole, Field(ge=0, lt=2**32)]
# Of any length, which may be written as its one value.
Seeds = Annotated[tuple[Seed, ...], Field(strict=False), BeforeValidator(as_list)]
Tie = Annotated[str, AfterValidator(_tie)]
Ties = Annotated[tuple[Tie, ...], Field(strict=False), BeforeValidator(as_list)]


class Common(BaseModel):
    """What an experiment of either task can choose, and how it is told from others.

    :func:`semantica_lib.settings.catalogue.settings` makes them, or raises a RequestError of one
    line: the setting, what it was and what is allowed.
    """

    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    experiment: Annotated[str, AfterValidator(_name)] = "custom"
    """name of the experiment and of its result folder"""
    question: Prose = ""
    """what it asks, in plain words"""
    steps: Count = 150_000
    """optimizer steps"""
    seeds: Seeds = (42, 43, 44, 45, 46)
    """one trial each, for each tie"""
    ties: Ties = ("tied", "untied")
    """how the output table comes of the input table: tied is that table itself"""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N; auto takes a GPU where there is one"""

    @field_validator("seeds", "ties")
    @classmethod
    def _distinct(cls, values: tuple) -> tuple:
        if not values or len(set(values)) < len(values):
            raise ValueError("needs at least one value and none twice")
        return values

    @field_validator("device")
    @classmethod
    def _device(cls, value: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,3})?", value):
            hint = nearest(value, ("auto", "cpu", "cuda"))
            raise ValueError(f"should be auto, cpu, cuda or cuda:N{hint}")
        return value

    @property
    def identity(self) -> dict[str, Any]:
        """What changes a trial's trajectory and differs from the default, as JSON values."""
        mine, default = self.model_dump(mode="json"), type(self)().model_dump(mode="json")
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


# Settings that leave the trajectory of a trial as it is: the rest make up a result's identity.
NOT_IDENTITY = {*Common.model_fields, "record_every", "validate_every", "keep_every", "keep_best"}
Kind = TypeVar("Kind", bound=BaseModel)


def checked(kind: type[Kind], values: Mapping[str, Any], where: str = "") -> Kind:
    """Settings of a kind from plain values, checked.

    Args:
        values: by name; settings left out keep their default.
        where: what the values come from, put before the message.

    Raises:
        RequestError: an unknown name (with the nearest known one) or a value that is not allowed.
    """
    prefix = f"{where}: " if where else ""
    for name in values:
        if name not in kind.model_fields:
            word = name if isinstance(name, str) else short(name)
            hint = nearest(word, kind.model_fields)
            raise RequestError(f"{prefix}unknown setting {short(word)}{hint}")
    nullable = (name for name in values if NoneType in get_args(kind.model_fields[name].annotation))
    try:
        return kind(**{**values, **{name: as_null(values[name]) for name in nullable}})
    except ValidationError as error:
        raise RequestError(prefix + _one_line(error.errors()[0])) from None


def refuse_contradictions(own: Any) -> None:
    """Of heads and features, of lowest and highest rate; a ValueError. Null is what has none."""
    if own.heads and own.embedding_size % own.heads:
        raise ValueError(
            f"heads must divide embedding_size, and {own.heads} does not divide "
            f"{own.embedding_size}"
        )
    if own.learning_rate_min is not None and own.learning_rate_min > own.learning_rate:
        raise ValueError(
            f"learning_rate_min must not exceed learning_rate, and {own.learning_rate_min} "
            f"exceeds {own.learning_rate}"
        )


def _one_line(detail: Mapping[str, Any]) -> str:
    """``steps: must be greater than or equal to 1, not 0`` from pydantic's account of an error."""
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    message = message[:1].lower() + message[1:].replace("a valid tuple", "a list")
    if not detail["loc"]:
        return message
    name = "".join(f"[{part}]" if isinstance(part, int) else str(part) for part in detail["loc"])
    value, hint = detail["input"], advice(detail["type"], detail["input"])
    if detail["type"] == "literal_error" and (value is None or isinstance(value, str)):
        allowed = re.findall(r"'([^']*)'", detail["ctx"]["expected"])
        hint = nearest(str(value), allowed)
    return f"{name} {message}, not {short(value)}{hint}"
