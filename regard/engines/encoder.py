"""The engine of encoders: texts to states, logits of their task, or attention weights, in torch."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regard.data.text_tokens import TextIds, TextTokens
from regard.engines.batches import Weights, by_length, pad_to_step
from regard.engines.positions import position_facts
from regard.engines.single import SingleTextEngine
from regard.errors import ConfigError, ModelError
from regard.models.folder import load_encoder
from regard.models.heads import TaskModel
from regard.nn.layers import fast_in_bf16, round_weights
from regard.nn.padded import Padded


class EncoderEngine(SingleTextEngine[TaskModel, TextTokens]):
    """Runs an encoder in evaluation mode. Batches hold inputs of one padded length, results come in input order."""

    @classmethod
    def from_folder(cls, folder: Path, *, float32: bool = False) -> "EncoderEngine":
        """Load a model folder or a run folder.

        Args:
            float32: multiply in float32 also where the processor is faster in bfloat16.
        """
        loaded = load_encoder(folder)
        if fast_in_bf16() and not float32:
            round_weights(loaded.model.encoder)
        return cls(loaded.model, loaded.tokens, language=loaded.language)

    @property
    def products(self) -> str:
        """The type in which the encoder multiplies; its head always does in float32."""
        types = {parameter.dtype for parameter in self.model.encoder.parameters()}
        return "bfloat16" if torch.bfloat16 in types else "float32"

    @property
    def max_length(self) -> int:
        """Longest input in tokens, special ones counted."""
        return self.model.encoder.config.max_length

    def states(self, inputs: Sequence[TextIds]) -> list[np.ndarray]:
        """The last layer's states of each input, (tokens, hidden)."""
        return self._run(inputs, lambda tokens, types: self.model.encoder.encode(tokens, types).states, cut=1)

    def logits(self, inputs: Sequence[TextIds]) -> list[np.ndarray]:
        """The head's logits: (tokens, V) to fill masks, (labels,) to classify, (tokens, labels) to tag.

        Raises:
            ConfigError: there is no head.
        """
        return self._run(inputs, self.model, cut=0 if self.model.config.task == "classify" else 1)

    @torch.inference_mode()
    def logits_at(self, inputs: Sequence[TextIds], places: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """The head's logits at some tokens of each input, (places, V): those of all tokens would fill the memory.

        Raises:
            ConfigError: there is no head.
        """
        if self.model.head is None:
            raise ConfigError("this encoder has no head: it has not been trained for a task.")
        chosen = [states[list(rows)] for states, rows in zip(self.states(inputs), places, strict=True)]
        return [self.model.head(torch.from_numpy(rows)).float().numpy() for rows in chosen]

    def attention(self, sources: Sequence[Sequence[int]], targets: None = None) -> list[Weights]:
        """Attention weights of single texts by the plain path, before dropout: "encoder" (layers, H, tokens, tokens).

        Args:
            sources: with the special tokens around them.
            targets: an encoder has none.
        """
        if targets is not None:
            raise ModelError("an encoder reads text and writes none: there is no translation to attend from.")

        def weights(tokens: Padded, types: Tensor) -> Tensor:
            found = self.model.encoder.encode(tokens, types, return_weights=True).weights
            assert found is not None
            return found

        inputs = [TextIds(list(ids), [0] * len(ids), [], []) for ids in sources]
        return [{"encoder": each[:, :, :, : each.shape[2]]} for each in self._run(inputs, weights, cut=3)]

    @torch.inference_mode()
    def positions(self) -> dict[str, dict[str, Any]]:
        """What the model adds to token vectors to say where they stand; as `TorchEngine.positions`, for one "text".

        Token vectors are with what else each token gets, such as BERT's vector of the first of two texts.
        """
        encoder = self.model.encoder
        added, size = encoder.positions, encoder.config.vocab_size
        ids = torch.arange(size)[:, None]  # each token as a text of its own, at position 0
        first = encoder.embed(Padded(ids, torch.ones(size, dtype=torch.long)), None)[:, 0]  # (V, hidden)
        facts = position_facts(added, first - added(torch.zeros(1, 1, first.size(1)))[0], self.max_length)
        return {} if facts is None else {"text": facts}

    def untrained(self) -> "EncoderEngine":
        """The same engine with the random weights that training would begin with, from torch's global generator."""
        encoder = type(self.model.encoder)(self.model.encoder.config)
        return EncoderEngine(TaskModel(encoder, self.model.config), self._tokens, batch_tokens=self.batch_tokens)

    @torch.inference_mode()
    def _run(
        self, inputs: Sequence[TextIds], compute: Callable[[Padded, Tensor], Tensor], *, cut: int
    ) -> list[np.ndarray]:
        """What `compute` gives for each input, without its filling.

        Args:
            cut: the axis of (B, ...) along which tokens stand; 0: none.
        """
        self.model.eval()
        results: list[np.ndarray] = [np.empty(0)] * len(inputs)
        longest = max((len(each) for each in inputs), default=0)
        if longest > self.max_length:
            raise ModelError(f"a text has {longest:,} tokens, the model takes {self.max_length:,}. Split it first.")
        for rows in by_length([len(each) for each in inputs], self.batch_tokens):
            tokens = pad_to_step([inputs[row].ids for row in rows], self.max_length)
            types = pad_to_step([inputs[row].types for row in rows], self.max_length)
            found = compute(tokens, types.ids).float()
            for number, row in enumerate(rows):
                values = found[number]
                results[row] = (values.narrow(cut - 1, 0, len(inputs[row])) if cut else values).numpy()
        return results
