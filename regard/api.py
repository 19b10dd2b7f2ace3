"""The Python face: `regard.load(folder)` and what it can do. Torch is imported when an engine needs it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from regard import prediction
from regard.decoding.options import SearchOptions
from regard.errors import InputError, MissingDependencyError, ModelError
from regard.look.effects import Effects, effects
from regard.look.positions import PositionVectors
from regard.look.weights import Look
from regard.look.words import EMPTY, line
from regard.prediction import Classified, Guess, TaggedWord
from regard.translation import Translation, translate

if TYPE_CHECKING:
    from regard.engines.encoder import EncoderEngine
    from regard.engines.torch import TorchEngine

Prediction = Classified | float | list[TaggedWord]
DEFAULT_SEARCH = SearchOptions()


def load(folder: str | Path) -> "Model":
    """Load a model folder, or the model of a run folder.

    Raises:
        ModelError: it is no model folder, or a damaged one.
        MissingDependencyError: torch is not installed.
    """
    try:
        from regard.engines.encoder import EncoderEngine
        from regard.engines.torch import TorchEngine
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingDependencyError("torch", "train", "Running this model") from error
    path = Path(folder)
    if is_encoder(path):
        return Encoder(EncoderEngine.from_folder(path), path.name)
    return Translator(TorchEngine.from_folder(path), path.name)


def is_encoder(folder: str | Path) -> bool:
    """Whether a model folder or run folder holds an encoder, which reads and writes no text.

    Raises:
        ModelError: it is no model folder.
    """
    from regard.models import ENCODERS
    from regard.models.folder import arch_of

    return arch_of(Path(folder)) in ENCODERS


class Model:
    """A trained model, of whatever kind. What its kind cannot do it refuses with a ModelError."""

    kind = "a model"  # for people

    def __init__(self, engine: Any, name: str = ""):
        self.engine = engine
        self.name = name  # for people: the folder's

    @overload
    def translate(self, text: str, options: SearchOptions = ...) -> Translation: ...
    @overload
    def translate(self, text: Sequence[str], options: SearchOptions = ...) -> list[Translation]: ...
    def translate(
        self, text: str | Sequence[str], options: SearchOptions = DEFAULT_SEARCH
    ) -> Translation | list[Translation]:
        """Translate one line, or several: `model.translate("Good morning.").text`."""
        lines = [text] if isinstance(text, str) else list(text)
        found = self._translate(lines, options)
        return found[0] if isinstance(text, str) else found

    def _translate(self, lines: list[str], options: SearchOptions) -> list[Translation]:
        raise self.refusal("translate")

    def predict(self, texts: Sequence[str | tuple[str, str]]) -> Sequence[Prediction]:
        """What the model was trained to say of texts, or of pairs of texts."""
        raise self.refusal("predict labels")

    def fill(self, texts: Sequence[str], count: int = 5) -> list[list[list[Guess]]]:
        """The likeliest tokens behind each `[MASK]` of each text."""
        raise self.refusal("fill masks")

    def look(self, source: str, target: str | None = None) -> Look:
        """What the model attends to while it reads a text, and while it writes one."""
        raise self.refusal("show attention")

    def effects(self, look: Look, kind: str = "", layer: int | None = None, head: int | None = None) -> Effects:
        """What the model's output loses when a source word is left out, beside the attention to that word."""
        raise self.refusal("say what a word's absence changes")

    def positions(self) -> dict[str, PositionVectors]:
        """What the model adds to token vectors to say where they stand."""
        raise self.refusal("show position vectors")

    def refusal(self, verb: str) -> ModelError:
        """The error for what this kind of model cannot do."""
        return ModelError(f"{self.name or 'this model'}: is {self.kind}; it cannot {verb}.")


class Translator(Model):
    """A model that reads a text and writes another."""

    engine: "TorchEngine"
    kind = "a translator"

    def _translate(self, lines: list[str], options: SearchOptions) -> list[Translation]:
        return translate(self.engine, lines, options)

    def look(self, source: str, target: str | None = None) -> Look:
        """What the model attends to while it reads a sentence and writes its translation, yours or its own.

        The weights come from one forced plain pass over the finished translation: translating is not touched, and its
        text and scores are always those of the normal path. White space around both is left out, as in translating.

        Raises:
            ModelError: the model has no attention, or cannot take the sentence whole.
        """
        tokens, limit = self.engine.tokens, self.engine.max_length
        source = source.strip()
        source_ids = tokens.encode_source(source)
        if not source or len(source_ids) > limit:
            raise ModelError(
                "attention needs one sentence that the model takes whole; "
                f"this text has {len(source_ids) - 1:,} tokens, from 1 to {limit - 1:,} were expected."
            )
        if target is None:
            target_ids = list(self.translate(source).pieces[0])
        else:
            target_ids = tokens.encode_target(target.strip())
            if len(target_ids) >= limit:
                raise ModelError(
                    f"attention needs a translation that the model takes whole; this one has {len(target_ids):,} "
                    f"tokens, at most {limit - 1:,} were expected."
                )
        weights = self.engine.attention([source_ids], [target_ids])[0]
        if not weights:
            raise ModelError(
                f"a model of type {type(self.engine.model).__name__} has no attention to its source: what it knows of "
                "the sentence went through one state."
            )
        target_pieces = tokens.target_pieces(target_ids)
        target, spans = tokens.lay_out_target(target_ids)
        start, end = tokens.target_pieces([tokens.bos_id, tokens.eos_id])
        return Look(
            source_text=source,
            target_text=target,
            source=line(source, tokens.source_pieces(source_ids)[:-1], tokens.source_spans(source)[:-1], after=end),
            target=line(target, target_pieces, spans, after=end),
            read=line(target, target_pieces, spans, before=start),
            target_ids=tuple(target_ids),
            weights=weights,
            log_probs=tuple(self.engine.score([source_ids], [target_ids])[0]),
            model=self.name,
        )

    def effects(self, look: Look, kind: str = "", layer: int | None = None, head: int | None = None) -> Effects:
        """What the translation's probability loses when a source word is left out, beside the attention to that word.

        Each word is taken out of the text in turn, and the same translation is scored again ("leave one out"). Nothing
        is said of words together: two that stand for each other may both seem to matter little.

        Args:
            look: what `look` gave.
            kind, layer, head: which attention stands beside it, as in `Look.attention`; not "decoder".

        Raises:
            InputError: there is no such attention to source words.
        """
        if kind == "decoder":
            raise InputError("attention of kind 'decoder' goes to the target; effects are those of source words.")
        look.piece_attention(kind, layer, head)  # a mistake shows before the work
        tokens = self.engine.tokens
        target_ids = look.target_ids
        spans = tokens.source_spans(look.source_text)
        groups = [group for group, special in zip(look.source.groups, look.source.special, strict=True) if not special]
        sources = [tokens.encode_source(look.source_text)]
        for group in groups:
            first, end = spans[group[0]][0], spans[group[-1]][1]
            sources.append(tokens.encode_source((look.source_text[:first] + look.source_text[end:]).strip()))
        scores = np.array(self.engine.score(sources, [target_ids] * len(sources)))  # (1 + source words, target pieces)
        by_word = np.stack([scores[:, list(pieces)].sum(axis=1) for pieces in look.target.groups])  # (T, 1 + S)
        return effects(look, by_word[:, :1] - by_word[:, 1:], kind, layer, head)

    def positions(self) -> dict[str, PositionVectors]:
        """What the model adds to token vectors to say where they stand: "source" and "target", or one for both.

        Raises:
            ModelError: it adds nothing: a recurrent network, or a Transformer without positions.
        """
        found = {side: PositionVectors(**facts) for side, facts in self.engine.positions().items()}
        if not found:
            raise ModelError(f"a model of type {type(self.engine.model).__name__} has no position vectors.")
        if len(found) == 2 and np.array_equal(found["source"].vectors, found["target"].vectors):
            return {"source and target": found["source"]}
        return found


class Encoder(Model):
    """A model that reads a text and writes none, such as BERT."""

    engine: "EncoderEngine"
    kind = "an encoder"

    def predict(self, texts: Sequence[str | tuple[str, str]]) -> Sequence[Prediction]:
        """For each text, or pair of texts, its class, its number (where the head has one label), or its tagged words.

        Raises:
            ModelError: the model has not been trained for such a task, or a text is longer than it takes.
        """
        task, labels = self.engine.model.config.task, self.engine.model.config.labels
        if task == "classify" and len(labels) == 1:
            return prediction.regress(self.engine, texts)
        if task == "classify":
            return prediction.classify(self.engine, labels, texts)
        if task == "tag":
            single = [text for text in texts if isinstance(text, str)]
            if len(single) < len(texts):
                raise self.refusal("tag pairs of texts")
            return prediction.tag(self.engine, labels, single)
        raise self.refusal("predict labels: it has no head for that")

    def fill(self, texts: Sequence[str], count: int = 5) -> list[list[list[Guess]]]:
        """For each text and each `[MASK]` in it the likeliest tokens, best first.

        Raises:
            InputError: a text has no mask.
            ModelError: the model has no head for masked words, or a text is longer than it takes.
        """
        if self.engine.model.config.task != "mask":
            raise self.refusal("fill masks: it has no head for that")
        return prediction.fill(self.engine, texts, count)

    def look(self, source: str, target: str | None = None) -> Look:
        """What each token attends to, in every layer and head.

        Raises:
            ModelError: the text is empty or longer than the model takes, or a translation was given.
        """
        if target is not None:
            raise self.refusal("attend to a translation")
        source = source.strip()
        read, limit = self.engine.tokens.encode(source), self.engine.max_length
        if not source or len(read) > limit:
            raise ModelError(f"this text has {len(read):,} tokens, from 3 to {limit:,} were expected.")
        pieces = self.engine.tokens.pieces(read.ids)
        real = [place for place, special in enumerate(read.special) if not special]
        first, end = (real[0], real[-1] + 1) if real else (1, 1)
        return Look(
            source_text=source,
            target_text="",
            source=line(
                source,
                pieces[first:end],
                read.spans[first:end],
                before=" ".join(pieces[:first]),
                after=" ".join(pieces[end:]),
            ),
            target=EMPTY,
            read=EMPTY,
            weights={"encoder": self.engine.attention([read.ids])[0]["encoder"]},
            log_probs=(),
            model=self.name,
        )
