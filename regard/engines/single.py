"""What the engines of encoders and of language models share: one text at a time, and perhaps no tokenizer."""

from typing import Generic, TypeVar

from regard.data.text_tokens import TextTokens
from regard.errors import ModelError

Model = TypeVar("Model")
Tokenizer = TypeVar("Tokenizer", bound=TextTokens)


class SingleTextEngine(Generic[Model, Tokenizer]):
    """A model that reads single texts; it has no source and target language."""

    source_language = target_language = ""

    def __init__(self, model: Model, tokens: Tokenizer | None, *, batch_tokens: int = 8_192, language: str = ""):
        """Wrap a model.

        Args:
            tokens: None where the model came without its tokenizer.
            batch_tokens: padded tokens in a batch, at most; those of a prompt count once for each hypothesis.
            language: of its text, BCP-47, or "".
        """
        self.model = model
        self._tokens = tokens
        self.batch_tokens = batch_tokens
        self.language = language

    @property
    def tokens(self) -> Tokenizer:
        """The tokenizer.

        Raises:
            ModelError: there is none.
        """
        if self._tokens is None:
            raise ModelError(
                "this model was imported without its tokenizer, so it cannot read text. "
                "Put the tokenizer's files beside the weights and import it again."
            )
        return self._tokens
