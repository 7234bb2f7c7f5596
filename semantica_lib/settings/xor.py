"""Settings of an experiment on the XOR task.

The defaults are those of the paper's main experiment and never change once a result is published,
because a result is known by the settings in which it differs from them.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PlainSerializer, field_validator, model_validator

from semantica_lib.settings.schema import (
    BOTH,
    Betas,
    Common,
    Count,
    Real,
    Seed,
    Share,
    Whole,
    refuse_contradictions,
)
from semantica_lib.settings.spelling import as_list

# Settings that apply only where another one has a certain value, with the value that stands where
# none is given: those of the paper's small models and schedule. Elsewhere each is null.
SIZES: dict[str, dict[str, Any]] = {
    "transformer": {
        "heads": 1, "feedforward_size": 4, "activation": "gelu", "dropout": 0.0,
        "near_synonym": 0.0,
    },
    "lstm": {"hidden_size": 8, "bidirectional": True},
    "mixer": {
        "token_feedforward_size": 4, "channel_feedforward_size": 8, "activation": "relu",
    },
}  # fmt: skip
SCHEDULES: dict[str, dict[str, Any]] = {
    "cosine": {"schedule_period": 20_000, "learning_rate_min": 1e-5},
    "constant": {"warmup_steps": 30_000},
    "none": {},
}
MOMENTS = {"betas": (0.9, 0.999), "eps": 1e-12}
OPTIMIZERS: dict[str, dict[str, Any]] = {"adamw": MOMENTS, "adam": MOMENTS, "sgd": {}}
APPLY = {"architecture": SIZES, "schedule": SCHEDULES, "optimizer": OPTIMIZERS}
# What the trials of one stack may differ in beside their seeds: data to the step, not its shape.
MAY_DIFFER = {
    "experiment", "question", "seeds", "ties", "device", "zero_dst", "one_dst", "near_synonym",
    "learning_rate", "learning_rate_min", "weight_decay", "untie_at", "equal_start",
}  # fmt: skip
USUAL_PERIOD = 20_000  # of the paper's schedule, and what a run's end is where there is none
MOST_CONTEXTS = 2**20  # more cannot be enumerated in reasonable time and memory

Own = Annotated[str, PlainSerializer(lambda text: text.rpartition(":")[2], when_used="json")]
Distribution = Annotated[tuple[Real, ...], Field(strict=False), BeforeValidator(as_list)]


class Settings(Common):
    """All that an XOR experiment can choose; the names are fixed: files and notebooks use them."""

    scheme: Own | None = None
    """FILE.py:NAME, a way to tie of one's own beside ties: a class of a file, which is run"""
    untie_at: Count | None = None
    """step from which tied tables go their own ways; null: never"""
    equal_start: bool = False
    """start the synonyms of a bit with equal rows, in both tables"""
    zero_dst: Distribution = (0.1, 0.9)
    """probabilities of the synonyms of bit 0"""
    one_dst: Distribution = (0.5, 0.5)
    """probabilities of the synonyms of bit 1"""
    odds: Literal["constant", "turning", "both"] = "constant"
    """of synonyms, in strings of odd parity: the same; turned round; even, so both kinds of odds"""
    bits: Annotated[Whole, Field(ge=2, le=16)] = 7
    """length of the strings; all 2^bits of them are used"""
    batch_size: Count | None = None
    """strings a step, shuffled anew in each pass through them; null: all training strings"""
    architecture: Literal["transformer", "lstm", "mixer"] = "transformer"
    """of the encoder; mixer: the MLP-Mixer"""
    layers: Count = 1
    """of the encoder"""
    embedding_size: Count = 4
    """features of a row, in both tables"""
    output_bias: Literal["none", "learned", "log-frequency"] = "none"
    """a number added to each symbol's logit; log-frequency: of the training targets, fixed"""
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
    dropout: Share | None = None
    """transformer: share of what is dropped while training, where PyTorch's layer drops"""
    near_synonym: Annotated[Real, Field(ge=0, le=1)] | None = None
    """transformer: how often the last symbol of a bit is written as that of the other bit"""
    loss: Literal["cross-entropy"] = "cross-entropy"
    """at the masked place"""
    expectation: Literal["sampled", "exact"] = "sampled"
    """of the loss: over a writing and a place drawn for each string, or over all of them"""
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    """adam: weight_decay is added to the gradient, as in PyTorch's Adam; sgd: without momentum"""
    learning_rate: Annotated[Real, Field(gt=0)] = 5e-4
    """highest rate of the schedule"""
    weight_decay: Annotated[Real, Field(ge=0)] = 0.1
    """of every parameter"""
    betas: Betas | None = None
    """adamw and adam: of the optimizer's two moments"""
    eps: Annotated[Real, Field(gt=0)] | None = None
    """adamw and adam: added to the root of the second moment"""
    schedule: Literal["cosine", "constant", "none"] = "cosine"
    """of the learning rate; constant: after a linear rise; none: the same rate throughout"""
    schedule_period: Annotated[Whole, Field(ge=2, le=10**9)] | None = None
    """cosine: steps from one peak to the next (twice PyTorch's ``T_max``)"""
    warmup_steps: Annotated[Whole, Field(ge=0, le=10**9)] | None = None
    """constant: steps of the linear rise from 0"""
    learning_rate_min: Annotated[Real, Field(ge=0)] | None = None
    """cosine: lowest rate"""
    data_seed: Seed = 14
    """chooses the split only"""
    validation: Literal["held-out", "as-published"] = "held-out"
    """strings that validation measures on; as-published: the training strings"""
    record_every: Count = 1_000
    """steps between records of the embedding tables"""
    validate_every: Count = 1_000
    """steps between measurements of accuracy and loss"""
    keep_every: Count | None = None
    """steps between the weights that are kept for later beside the last; null: none"""
    keep_best: bool = False
    """keep each trial's weights of the measured step with the least validation loss, too"""

    @field_validator("zero_dst", "one_dst")
    @classmethod
    def _distribution(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if not values or min(values) < 0:
            raise ValueError("needs at least one probability and none negative")
        total = sum(values)  # not fsum, which gives up where the sum is not finite
        if not abs(total - 1) <= 1e-9:
            raise ValueError(f"probabilities must sum to 1, these sum to {total:.9g}")
        return values

    @model_validator(mode="before")
    @classmethod
    def _applying(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Give what applies its value where none is set, and refuse what does not apply."""
        if isinstance(values.get("scheme"), str):
            from semantica_lib.settings.own_files import with_its_tie  # most have none

            values = with_its_tie(values)
        for kind, choices in APPLY.items():
            chosen = values.get(kind, cls.model_fields[kind].default)
            own = choices.get(chosen) if isinstance(chosen, str) else None
            if own is None:
                continue  # refused by the field itself
            foreign = {name for names in choices.values() for name in names} - set(own)
            for name, value in values.items():
                if name in foreign and value is not None:
                    words = f"which has {', '.join(own)}" if own else "which has none such"
                    raise ValueError(
                        f"{name} does not apply to {kind} {chosen}, {words}: "
                        "leave it out or set it to null"
                    )
            values = values | {name: v for name, v in own.items() if values.get(name) is None}
        return values

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.architecture != "transformer":
            written = max(sum(p > 0 for p in dst) for dst in (self.zero_dst, self.one_dst))
            contexts = 2**self.bits * self.bits * written ** (self.bits - 1)
            if contexts > MOST_CONTEXTS:
                raise ValueError(
                    f"bits is too large, {self.bits}: the {self.architecture} sees the order of "
                    f"symbols, and up to {contexts:,} contexts would have to be enumerated "
                    f"(at most {MOST_CONTEXTS:,})"
                )
        refuse_contradictions(self)
        if self.odds != "constant" and self.near_synonym:
            raise ValueError(f"near_synonym does not apply to odds {self.odds}: leave it out")
        if schemes := {*self.ties} - {*BOTH}:
            from semantica_lib.settings.ties import refuse_misfits  # most need none of the others

            refuse_misfits(self, schemes, len(self.zero_dst) + len(self.one_dst) + 3)
        if self.expectation == "exact" and (self.batch_size is not None or self.dropout):
            name = "dropout" if self.dropout else "batch_size"
            raise ValueError(
                f"{name} does not apply to expectation exact, which leaves nothing to chance: "
                "leave it out"
            )
        strings = training_strings(self.bits)
        if self.batch_size is not None and self.batch_size > strings:
            raise ValueError(
                f"batch_size must not exceed the training strings, and {self.batch_size} exceeds "
                f"{strings} (of {self.bits} bits)"
            )
        return self

    @property
    def encoder(self) -> str:
        """Its kind, in words."""
        return self.architecture

    @property
    def shape(self) -> str:
        """What the trials of one stack have in common, as text."""
        shared = self.model_dump_json(exclude=MAY_DIFFER)
        return f"{shared} {len(self.zero_dst)} {len(self.one_dst)}"

    @property
    def period(self) -> int:
        """Steps over which a run's end is averaged: its schedule's period, else the paper's."""
        period = self.schedule_period
        return period if period and self.steps > period // 2 else USUAL_PERIOD


def training_strings(bits: int) -> int:
    """How many strings of so many bits train: nine tenths of all but one (see ``datasets.xor``)."""
    return 9 * (2**bits - 1) // 10
