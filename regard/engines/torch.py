"""The reference engine: any model family, in torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from regard.data.tokens import Tokens
from regard.decoding.options import Hypothesis, SearchOptions
from regard.decoding.search import Controls, search
from regard.engines.batches import Weights, by_length, pad_to_step
from regard.engines.positions import position_facts
from regard.errors import ModelError
from regard.models.folder import load
from regard.models.protocol import Seq2Seq
from regard.nn.padded import Padded, pad


class TorchEngine:
    """Runs a model in evaluation mode. Batches hold sentences of one padded length, results come in input order."""

    def __init__(
        self,
        model: Seq2Seq,
        tokens: Tokens,
        *,
        source_language: str = "",
        target_language: str = "",
        batch_tokens: int = 8_192,
    ):
        """Wrap a model.

        Args:
            source_language, target_language: BCP-47, where the model folder says.
            batch_tokens: padded source tokens times beam in a batch, at most.
        """
        self.model = model
        self.tokens = tokens
        self.source_language = source_language
        self.target_language = target_language
        self.batch_tokens = batch_tokens

    @classmethod
    def from_folder(cls, folder: Path) -> "TorchEngine":
        """Load a model folder or a run folder."""
        loaded = load(folder)
        return cls(
            loaded.model,
            loaded.tokens,
            source_language=loaded.source_language,
            target_language=loaded.target_language,
        )

    @property
    def max_length(self) -> int:
        """Longest source in tokens, eos counted."""
        return self.model.config.max_length

    def search(self, sources: Sequence[Sequence[int]], options: SearchOptions) -> list[list[Hypothesis]]:
        """Translate encoded sentences, each with its eos; for each the hypotheses, best first."""
        self.model.eval()
        width = options.n_best if options.sample else options.beam_size
        results: list[list[Hypothesis]] = [[] for _ in sources]
        for rows in by_length([len(ids) for ids in sources], self.batch_tokens // width):
            batch = self._pad([sources[row] for row in rows])
            controls = Controls(self.tokens.bos_id, self.tokens.eos_id, self.tokens.pad_id)
            found = search(self.model, batch, options, controls)
            for row, hypotheses in zip(rows, found, strict=True):
                results[row] = hypotheses
        return results

    @torch.inference_mode()
    def score(self, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]) -> list[list[float]]:
        """Forced decoding: the log-probability (nats) of each target id and of the eos after it.

        Args:
            sources: with eos.
            targets: without bos and eos.
        """
        self.model.eval()
        results: list[list[float]] = [[] for _ in sources]
        for rows in by_length(_both_lengths(sources, targets), self.batch_tokens):
            source, target = self._forced_batch([sources[row] for row in rows], [targets[row] for row in rows])
            labels = [torch.tensor([*targets[row], self.tokens.eos_id]) for row in rows]
            states = self.model.states(source, target)[target.real()]
            found = self.model.output.log_probs(states, torch.cat(labels))
            for row, scores in zip(rows, found.split([len(each) for each in labels]), strict=True):
                results[row] = scores.tolist()
        return results

    @torch.inference_mode()
    def attention(
        self, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]] | None = None
    ) -> list[Weights]:
        """Weights of one forced plain pass over given targets: every layer and head, before dropout.

        Args:
            sources: with eos.
            targets: without bos and eos; None: the sources have no translation.

        Returns:
            For each pair, by kind, the arrays (layers, H, rows, columns); the only kinds are those the model has.
            Row t of "cross" (T + 1, S) and of "decoder" (T + 1, T + 1) is the distribution used to predict target token
            t, the last row predicts eos; "encoder" is (S, S). Without targets "encoder" is the only kind.
        """
        self.model.eval()
        results: list[Weights] = [{} for _ in sources]
        # A decoder that has read only its bos says nothing of a translation, but the pass needs one.
        given = [[] for _ in sources] if targets is None else targets
        for rows in by_length(_both_lengths(sources, given), self.batch_tokens):
            source, target = self._forced_batch([sources[row] for row in rows], [given[row] for row in rows])
            weights = self.model.forced(source, target, return_weights=True).weights
            for number, row in enumerate(rows):
                num_sources, num_targets = len(sources[row]), len(given[row]) + 1
                for kind, values in weights.items():
                    if targets is None and kind != "encoder":
                        continue
                    queries = num_sources if kind == "encoder" else num_targets
                    keys = num_targets if kind == "decoder" else num_sources
                    results[row][kind] = values[number, :, :, :queries, :keys].numpy()
        return results

    @torch.inference_mode()
    def posterior(self, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """Where the last attention to the source was, once it is known which target token came of it.

        For each source token j the weight a_tj that predicted token t, times the probability of token t had the
        attention been on j alone; each row then sums to 1. Source: Shankar and Sarawagi 2019, equation 4. With several
        heads a_tj is their mean, and all are taken to look at j.

        Args:
            sources: with eos.
            targets: without bos and eos.

        Returns:
            For each pair (T + 1, S); the last row is of eos. The output layer is asked T + 1 times S times a pair.

        Raises:
            ModelError: the model has no attention to its source.
        """
        self.model.eval()
        results = []
        for ids, given in zip(sources, targets, strict=True):
            source, target = self._forced_batch([ids], [given])
            states = self.model.states_by_token(source, target)
            if states is None:
                raise ModelError("this model has no attention to its source.")
            labels = torch.tensor([*given, self.tokens.eos_id])[:, None]
            likelihoods = [  # token by token: the logits of all at once would be large
                self.model.output(states[0, : len(labels), token]).log_softmax(-1).gather(1, labels)
                for token in range(len(ids))
            ]
            weights = self.model.forced(source, target, return_weights=True).weights["cross"]
            prior = weights[0, -1, :, : len(labels), : len(ids)].mean(0)  # (T + 1, S)
            results.append((prior.log() + torch.cat(likelihoods, 1)).softmax(-1).numpy())
        return results

    def untrained(self) -> "TorchEngine":
        """The same engine with the random weights that training would begin with, from torch's global generator."""
        return TorchEngine(type(self.model)(self.model.config), self.tokens, batch_tokens=self.batch_tokens)

    @torch.inference_mode()
    def positions(self) -> dict[str, dict[str, Any]]:
        """What the model adds to token vectors to say where they stand, by side; empty if it adds nothing.

        Returns:
            For each side what `position_facts` says.
        """
        found = {}
        for side in ("source", "target"):
            embedding = getattr(self.model, f"{side}_embedding")
            added = getattr(self.model, f"{side}_positions", None)
            facts = position_facts(added, embedding.weight * embedding.scale, self.model.config.max_length)
            if facts is not None:
                found[side] = facts
        return found

    def _forced_batch(
        self, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]
    ) -> tuple[Padded, Padded]:
        source = self._pad(sources)
        target = pad([[self.tokens.bos_id, *ids] for ids in targets], pad_id=self.tokens.pad_id)
        return source, target

    def _pad(self, sources: Sequence[Sequence[int]]) -> Padded:
        return pad_to_step(sources, self.max_length, pad_id=self.tokens.pad_id)


def _both_lengths(sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Of each pair the tokens that encoder and decoder read."""
    return [(len(source), len(target) + 1) for source, target in zip(sources, targets, strict=True)]
