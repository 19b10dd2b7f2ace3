"""One training run in its folder."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from regard.data import pairs as pair_data
from regard.data.pairs import PairSet
from regard.data.tokens import Tokens
from regard.models import build
from regard.models.folder import LoadedModel, copy_weights
from regard.models.folder import save as save_model
from regard.models.protocol import Seq2Seq
from regard.runs.card import write_card
from regard.runs.folder import RunFolder, facts_of
from regard.runs.forgetting import ContinuedLesson, balance, score_before
from regard.runs.reporter import Reporter
from regard.runs.session import Learner, Lesson, Session
from regard.runs.settings import Settings
from regard.runs.teaching import beside_teacher, check_smaller, taught
from regard.runs.translating import TranslationLesson
from regard.training.batches import IdPairs, SampledPairs, encode_pairs, sample_pairs
from regard.training.distil import alike, begin_with


class Run:
    """One training run in its folder."""

    def __init__(
        self, folder: Path, settings: Settings, reporter: Reporter | None = None, base: LoadedModel | None = None
    ):
        """Make ready to run.

        Args:
            base: the translator that the settings name, to go on with or to learn from; None: begin from nothing.
        """
        assert (base is not None) == bool(settings.base)
        self.folder = RunFolder(folder)
        self.settings, self.base = settings, base
        self.reporter = reporter or Reporter()

    def train(self, train_pairs: PairSet, dev_pairs: PairSet, old_dev_pairs: PairSet | None = None) -> dict[str, Any]:
        """Train to the end of the plan, from the newest checkpoint if there is one, and write `model/`.

        Args:
            old_dev_pairs: what the base could translate; what it forgets of them is measured.

        Returns:
            The best validation's row.

        Raises:
            CheckpointError: the folder holds a run with other settings or data.
            ModelError: a student would not be smaller than its teacher.
            Stopped: a signal came; a checkpoint was written.
            TrainingError: the loss is not finite.
            StorageError: the disk refused.
        """
        with self.folder.locked():
            return self._train(train_pairs, dev_pairs, old_dev_pairs)

    def _train(self, train_pairs: PairSet, dev_pairs: PairSet, old_dev_pairs: PairSet | None) -> dict[str, Any]:
        plan = self.settings.training
        if plan.threads:
            torch.set_num_threads(plan.threads)
        self._check(train_pairs, dev_pairs)
        self.folder.settle(self.settings.to_toml())
        tokens = self._tokens(train_pairs)
        torch.manual_seed(plan.seed)
        model = self._model(tokens)
        sets = [pairs for pairs in (train_pairs, dev_pairs, old_dev_pairs) if pairs is not None]
        facts = facts_of(*map(pair_data.fingerprint, sets))
        if self.settings.distil is not None and self.base is not None:
            distil = self.settings.distil
            train_pairs = taught(self.folder.path, self.base, train_pairs, distil, facts, self.reporter)
        learner = Learner.of(model, plan)
        limit = model.config.max_length
        encoded = self._encode(train_pairs, tokens, limit)
        dev, dev_kept = encode_pairs(dev_pairs.sources, dev_pairs.targets, tokens, max_length=limit)
        too_long = len(train_pairs) - len(encoded), len(dev_pairs) - len(dev_kept)
        if any(too_long):
            self.reporter.note(
                f"{too_long[0]:,} training and {too_long[1]:,} dev pairs have more than {limit} tokens: "
                "not trained on, not in the dev loss."
            )
        new = TranslationLesson(encoded, dev, dev_pairs, tokens, plan, self.settings.data.target_language)
        lesson: Lesson = new
        before: Mapping[str, float] = {}
        if old_dev_pairs is not None:
            old, _ = encode_pairs(old_dev_pairs.sources, old_dev_pairs.targets, tokens, max_length=limit)
            lesson = ContinuedLesson(new, dataclasses.replace(new, dev=old, dev_pairs=old_dev_pairs))
            before = score_before(self.folder.path, lesson, model, facts, self.reporter)
        best = Session(self.folder.path, plan, learner, lesson, facts, self.reporter).run()
        weights = self.folder.best_weights(best["step"], plan)
        change = balance(before, best, plan.dev_metric) if before else ""
        if self.settings.distil is not None and self.base is not None:
            student = self._new_model(tokens)
            copy_weights(weights, dict(student.named_parameters()), self.folder.path)
            change = beside_teacher(self.folder.path, student, self.base.model, new, best)
        self._write_model(model, weights, tokens, train_pairs, dev_pairs, best, change, facts)
        if change:
            self.reporter.note(change)
        return best

    def _check(self, train_pairs: PairSet, dev_pairs: PairSet) -> None:
        """Find mistakes before anything is written, and before a teacher translates for an hour."""
        if self.base is None:
            return
        if self.settings.tokens.dropout:
            self.base.tokens.merges()
        if self.settings.distil is not None:
            student = self._new_model(self.base.tokens)
            check_smaller(student, self.base.model)
            for pairs in (train_pairs, dev_pairs):
                encode_pairs(pairs.sources, pairs.targets, self.base.tokens, max_length=student.config.max_length)

    def _tokens(self, pairs: PairSet) -> Tokens:
        settings, base = self.settings.tokens, self.base

        def make() -> Tokens:
            if base is not None:
                return base.tokens
            return Tokens.train(pairs.sources, pairs.targets, settings.vocab_size, settings.sharing)

        return self.folder.tokens(Tokens.load, make)

    def _model(self, tokens: Tokens) -> Seq2Seq:
        """A new model; a student that begins with what it can of its teacher; or the base, its dropout as it is set."""
        model = self._new_model(tokens)
        if self.settings.distil is not None and self.base is not None:
            if alike(model, self.base.model):
                begin_with(model, self.base.model)
        elif self.base is not None:
            model.load_state_dict(self.base.model.state_dict())
        return model

    def _new_model(self, tokens: Tokens) -> Seq2Seq:
        # The vocabulary of an imported model may be larger than that of its tokenizer.
        vocab_size = tokens.vocab_size if self.base is None else self.base.model.config.vocab_size
        return build(self.settings.arch, {**self.settings.model, "vocab_size": vocab_size}, "config.toml, [model]")

    def _encode(self, pairs: PairSet, tokens: Tokens, max_length: int) -> IdPairs | SampledPairs:
        """The training pairs as ids, cut anew in each epoch if the settings say so."""
        texts = pairs.sources, pairs.targets, tokens
        dropout, seed = self.settings.tokens.dropout, self.settings.training.seed
        if dropout:
            return sample_pairs(*texts, max_length=max_length, weights=pairs.weights, dropout=dropout, seed=seed)[0]
        return encode_pairs(*texts, max_length=max_length, weights=pairs.weights, links=pairs.links)[0]

    def _write_model(
        self,
        model: Seq2Seq,
        weights: Mapping[str, Tensor],
        tokens: Tokens,
        train_pairs: PairSet,
        dev_pairs: PairSet,
        best: Mapping[str, Any],
        change: str,
        facts: Mapping[str, Any],
    ) -> None:
        languages = {
            "source_language": self.settings.data.source_language,
            "target_language": self.settings.data.target_language,
        }
        card = write_card(self.settings, model, len(train_pairs), len(dev_pairs), best, change, facts)
        save_model(self.folder.path / "model", model, weights, tokens, card, **languages)
