"""Settings of an experiment on a masked language model."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from semantica_lib.errors import nearest, short
from semantica_lib.settings.schema import (
    BOTH,
    Betas,
    Common,
    Count,
    Real,
    Seed,
    Whole,
    of_length,
    refuse_contradictions,
)
from semantica_lib.settings.spelling import TEXT

CORPORA = "grammar", "documentation", "bookcorpus"
HUB = "bookcorpus"  # comes with a tokenizer of its own


def anchored(values: Mapping[Any, Any], folder: Path = Path()) -> dict[Any, Any]:
    """Settings, or a sweep's lists of them, of which own files are named by their whole paths."""
    own = {name: values[name] for name in ("corpus", "scheme") if values.get(name)}
    if own:
        from semantica_lib.settings.own_files import whole  # most have none

        own = {name: whole(name, value, folder) for name, value in own.items()}
    return {**values, **own}


def by_profile(cpu: Any, paper: Any) -> Any:
    """A setting that is its profile's where it is not given.

    Args:
        cpu: on a scale at which a processor shows the effect in a few minutes.
        paper: the paper's own (section and code of the original: its language model).
    """
    return Field(None, json_schema_extra={"cpu": cpu, "paper": paper})


class MlmSettings(Common):
    """All that a masked-language-model experiment can choose."""

    corpus: str = "documentation"
    """grammar, documentation, bookcorpus or text:PATH: where the text comes from"""
    skip_unreadable: bool = False
    """text:PATH: leave out files that cannot be read as UTF-8, instead of stopping"""
    profile: Literal["cpu", "paper"] = "cpu"
    """what stands where one of the settings below it is null"""
    steps: Count = 1_200
    """optimizer steps"""
    vocabulary_size: Count | None = by_profile(4096, 30_522)
    """most pieces of the tokenizer trained on the corpus; bookcorpus has one of its own"""
    length: Annotated[Whole, Field(ge=4, le=4096)] | None = by_profile(16, 128)
    """tokens of a sequence, the tag in front included"""
    batch_size: Count | None = by_profile(128, 128)
    """sequences a step, of all processes together"""
    synonyms: Annotated[Whole, Field(ge=0, le=1000)] | None = by_profile(12, 100)
    """words whose synonym is drawn by a fair coin: the distributional hypothesis (DH) holds"""
    broken_synonyms: Annotated[Whole, Field(ge=0, le=1000)] | None = by_profile(12, 0)
    """words whose synonym is read as the word itself, but expected by the tag: DH fails"""
    least_occurrences: Count = 300
    """how often a word must occur in the text to be given a synonym"""
    labels: Literal["drawn", "shown"] | None = by_profile("drawn", "shown")
    """of words for which DH holds: drawn anew, or the one that stands there before masking"""
    masked_share: Annotated[Real, Field(gt=0, lt=1)] = 0.15
    """of the tokens, predicted"""
    replacement: Annotated[
        tuple[Real, Real, Real], Field(strict=False), of_length(0.8, 0.1, 0.1)
    ] = (0.8, 0.1, 0.1)
    """shares of the masked places that show the mask, a random token, what stood there"""
    layers: Count | None = by_profile(2, 3)
    """of the encoder"""
    embedding_size: Count | None = by_profile(64, 128)
    """features of a row, in both tables"""
    heads: Count | None = by_profile(4, 4)
    """attention heads"""
    feedforward_size: Count | None = by_profile(256, 512)
    """width of each layer's feed-forward part"""
    norm: Literal["before", "after"] | None = by_profile("before", "after")
    """where a layer normalises: before each part (and once at the end), or after it"""
    positions: bool | None = by_profile(True, False)
    """whether a learned embedding of the place is added"""
    embedding_std: Annotated[Real, Field(gt=0)] | None = by_profile(0.02, 0.3)
    """standard deviation of both tables' initial values"""
    learning_rate: Annotated[Real, Field(gt=0)] | None = by_profile(3e-3, 1e-4)
    """highest rate of the schedule"""
    warmup_steps: Annotated[Whole, Field(ge=0, le=10**9)] | None = by_profile(100, 0)
    """steps of a linear rise"""
    schedule_period: Annotated[Whole, Field(ge=2, le=10**9)] | None = by_profile(2_400, 20_000)
    """cosine: steps from one peak to the next; a run of half of it ends at the lowest rate"""
    learning_rate_min: Annotated[Real, Field(ge=0)] | None = by_profile(0.0, 1e-5)
    """lowest rate"""
    weight_decay: Annotated[Real, Field(ge=0)] = 0.01
    """of every parameter"""
    betas: Betas = (0.9, 0.999)
    """of AdamW's two moments"""
    eps: Annotated[Real, Field(gt=0)] = 1e-8
    """added to the root of the second moment"""
    data_seed: Seed = 14
    """grammar: chooses the text"""
    record_every: Count = 150
    """steps between records of the tracked words' rows"""
    validate_every: Count = 150
    """steps between measurements of accuracy and loss"""

    @field_validator("corpus")
    @classmethod
    def _corpus(cls, value: str) -> str:
        if value not in CORPORA and not re.fullmatch(rf"{TEXT}[^\x00-\x1f`<>]+", value):
            hint = nearest(value, (*CORPORA, f"{TEXT}PATH"))
            raise ValueError(f"should be {', '.join(CORPORA)} or {TEXT}PATH{hint}")
        return value

    @model_validator(mode="before")
    @classmethod
    def _from_profile(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Give what is not set its profile's value, and refuse what does not apply."""
        profile = values.get("profile", "cpu")
        own = dict(PROFILES.get(profile, {}) if isinstance(profile, str) else {})
        if values.get("corpus") == HUB:
            own.pop("vocabulary_size", None)
            if values.get("vocabulary_size") is not None:
                raise ValueError(
                    f"vocabulary_size does not apply to corpus {HUB}, which has a tokenizer of its "
                    "own: leave it out or set it to null"
                )
        return values | {name: value for name, value in own.items() if values.get(name) is None}

    @model_validator(mode="after")
    def _agree(self) -> Self:
        refuse_contradictions(self)
        shares = self.replacement
        if min(shares) < 0 or not abs(sum(shares) - 1) <= 1e-9:
            raise ValueError(f"replacement must be three shares that sum to 1, not {short(shares)}")
        if schemes := {*self.ties} - {*BOTH}:
            from semantica_lib.settings.ties import refuse_misfits  # most need none of the others

            refuse_misfits(self, schemes, self.vocabulary_size or self.embedding_size)
        if not self.synonyms + self.broken_synonyms:
            raise ValueError("synonyms and broken_synonyms must not both be 0: nothing to compare")
        if self.corpus != "grammar" and self.data_seed != 14:
            raise ValueError(f"data_seed does not apply to corpus {self.corpus}: leave it out")
        if not self.corpus.startswith(TEXT) and self.skip_unreadable:
            name = "skip_unreadable"
            raise ValueError(f"{name} does not apply to corpus {self.corpus}: leave it out")
        return self

    @property
    def identity(self) -> dict[str, Any]:
        """As of the other experiments, and the corpus always, which tells the two kinds apart."""
        return {**super().identity, "corpus": self.corpus}

    @property
    def encoder(self) -> str:
        """Its kind, in words."""
        return f"masked language model ({self.corpus})"

    @property
    def words(self) -> int:
        """How many words have a synonym."""
        return self.synonyms + self.broken_synonyms

    @property
    def masked(self) -> int:
        """Places predicted in each sequence: as many in every one, so that gradients average."""
        return max(1, round(self.masked_share * (self.length - 1)))

    @property
    def period(self) -> int:
        """Steps over which a run's end is averaged: a period of its schedule."""
        return self.schedule_period

    @property
    def tokens_a_step(self) -> int:
        return self.batch_size * self.length


# What each profile gives.
PROFILES: dict[str, dict[str, Any]] = {
    profile: {
        name: field.json_schema_extra[profile]
        for name, field in MlmSettings.model_fields.items()
        if field.json_schema_extra
    }
    for profile in ("cpu", "paper")
}
