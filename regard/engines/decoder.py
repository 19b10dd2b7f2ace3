"""The engine of language models: prompts to texts, texts to probabilities or attention weights, in torch."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from regard.data.byte_tokens import ByteTokens
from regard.decoding.options import Hypothesis, SearchOptions, Written
from regard.decoding.search import Controls, Ends, search, stream
from regard.engines.batches import Weights, by_length, pad_to_step
from regard.engines.positions import position_facts
from regard.engines.single import SingleTextEngine
from regard.errors import ModelError
from regard.models.folder import load_decoder
from regard.models.protocol import Decoder
from regard.nn.padded import Padded


class DecoderEngine(SingleTextEngine[Decoder, ByteTokens]):
    """Runs a language model in evaluation mode. Batches hold prompts of one padded length, results in input order."""

    @classmethod
    def from_folder(cls, folder: Path) -> "DecoderEngine":
        """Load a model folder or a run folder."""
        loaded = load_decoder(folder)
        return cls(loaded.model, loaded.tokens, language=loaded.language)

    @property
    def max_length(self) -> int:
        """Most tokens of a prompt and the text after it together: the context."""
        return self.model.config.max_length

    def search(
        self, prompts: Sequence[Sequence[int]], options: SearchOptions, ends: Ends | None = None
    ) -> list[list[Hypothesis]]:
        """How each prompt goes on; for each the hypotheses, best first.

        Args:
            options: `max_length` 0 lets a text go on until the context is full.
            ends: told the ids written so far; the text ends where it says so.

        Raises:
            ModelError: a prompt is empty, or fills the context.
            ConfigError: `ends` is given for a beam.
        """
        options = self._options(prompts, options)
        width = options.n_best if options.sample else options.beam_size
        results: list[list[Hypothesis]] = [[] for _ in prompts]
        longest = min(options.max_length, self.max_length)
        for rows in by_length([len(ids) for ids in prompts], self.batch_tokens // width, to_write=longest):
            batch = self._pad([prompts[row] for row in rows])
            found = search(self.model, batch, options, self._controls(), ends=ends)
            for row, hypotheses in zip(rows, found, strict=True):
                results[row] = hypotheses
        return results

    def stream(self, prompt: Sequence[int], options: SearchOptions, ends: Ends | None = None) -> Iterator[Written]:
        """What `search` finds for one prompt, told token by token.

        Raises:
            ModelError, ConfigError: as `search`.
        """
        options = self._options([prompt], options)
        yield from stream(self.model, self._pad([prompt]), options, self._controls(), ends=ends)

    @torch.inference_mode()
    def score(self, texts: Sequence[Sequence[int]]) -> list[list[float]]:
        """The log-probability (nats) of each id but the first, given those before it.

        Raises:
            ModelError: a text has no id, or more than the model reads and the one after them.
        """
        self.model.eval()
        results: list[list[float]] = [[] for _ in texts]
        self._check([ids[:-1] or ids for ids in texts], room=0)
        several = [row for row, ids in enumerate(texts) if len(ids) > 1]
        for group in by_length([len(texts[row]) - 1 for row in several], self.batch_tokens):
            rows = [several[number] for number in group]
            tokens = self._pad([texts[row][:-1] for row in rows])
            labels = [torch.tensor(texts[row][1:]) for row in rows]
            found = self.model.output.log_probs(self.model.states(tokens)[tokens.real()], torch.cat(labels))
            for row, scores in zip(rows, found.split([len(each) for each in labels]), strict=True):
                results[row] = scores.tolist()
        return results

    @torch.inference_mode()
    def attention(self, texts: Sequence[Sequence[int]]) -> list[Weights]:
        """Attention weights of single texts by the plain path, before dropout: "decoder" (layers, H, tokens, tokens).

        Row t is the distribution over the tokens up to t that is used to predict the one after it.

        Raises:
            ModelError: a text has no id, or more than the model reads.
        """
        self.model.eval()
        self._check(texts, room=0)
        weights = [self.model.forced(self._pad([ids]), return_weights=True).weights["decoder"][0] for ids in texts]
        return [
            {"decoder": each[:, :, : len(ids), : len(ids)].float().numpy()}
            for each, ids in zip(weights, texts, strict=True)
        ]

    def untrained(self) -> "DecoderEngine":
        """The same engine with the random weights that training would begin with, from torch's global generator."""
        return DecoderEngine(type(self.model)(self.model.config), self._tokens, batch_tokens=self.batch_tokens)

    @torch.inference_mode()
    def positions(self) -> dict[str, dict[str, Any]]:
        """What the model adds to token vectors to say where they stand; as `TorchEngine.positions`, for one "text"."""
        facts = position_facts(getattr(self.model, "positions", None), self.model.embedding.weight, self.max_length)
        return {} if facts is None else {"text": facts}

    def _options(self, prompts: Sequence[Sequence[int]], options: SearchOptions) -> SearchOptions:
        """Check the prompts; no limit of length means the context, not a multiple of the prompt."""
        self.model.eval()
        self._check(prompts, room=1)
        return options if options.max_length else replace(options, max_length=max(self.max_length, options.min_length))

    def _check(self, texts: Sequence[Sequence[int]], *, room: int) -> None:
        for ids in texts:
            if not ids:
                raise ModelError("there is no token to go on from: give at least one character.")
            if len(ids) + room > self.max_length:
                raise ModelError(
                    f"a text has {len(ids):,} tokens, the model reads {self.max_length:,}"
                    f"{' with what it writes' if room else ''}. Shorten it."
                )

    def _controls(self) -> Controls:
        """A language model goes on where its prompt ends, and never writes what stands for no text."""
        if self._tokens is None:
            return Controls(bos_id=None, eos_id=None)
        eos_id = self._tokens.id_of("end") if "end" in self._tokens.special else None
        forbidden = self._tokens.silent_ids_of(self.model.config.vocab_size)
        return Controls(bos_id=None, eos_id=eos_id, forbidden_ids=forbidden)

    def _pad(self, texts: Sequence[Sequence[int]]) -> Padded:
        return pad_to_step(texts, self.max_length)
