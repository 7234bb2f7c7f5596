"""The masked language model by a way to tie that is neither tied nor untied."""

from torch import Tensor, nn

from semantica_lib.models import ties
from semantica_lib.models.language import MaskedLanguageModel
from semantica_lib.models.stack import INPUT, OUTPUT
from semantica_lib.settings.language import MlmSettings


class SchemedLanguageModel(MaskedLanguageModel):
    """As the untied one, with the parameters of a scheme in the place of its two tables.

    Args:
        vocabulary: rows of the tables.
        tie: the scheme's word.
        mask: the mask's row.
    """

    def __init__(self, own: MlmSettings, vocabulary: int, tie: str, mask: int) -> None:
        super().__init__(own, vocabulary, False)
        both = (table.weight.data for table in (self.input_embedding, self.output_embedding))
        started = ties.started(tie, ties.Tables(*both, own.embedding_std, mask))
        self.tie, self.mask = tie, mask
        self.input_embedding.weight.data = started.pop(INPUT)
        if started.pop(OUTPUT, None) is None:
            self.output_embedding = None
        for name, value in started.items():
            if not name.startswith(ties.FIXED):
                self.register_parameter(name, nn.Parameter(value))

    def tables(self) -> tuple[Tensor, Tensor]:
        return ties.tables(self.tie, dict(self.named_parameters()), self.mask)

    def penalty(self) -> Tensor | None:
        return ties.penalty(self.tie, dict(self.named_parameters()))
