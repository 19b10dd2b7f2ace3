"""The Python face: `regard.load(folder)` and what it can do. Torch is imported when an engine needs it."""

from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from regard import generation, prediction
from regard.data.text_tokens import MASK
from regard.decoding.options import SearchOptions
from regard.errors import InputError, MissingDependencyError, ModelError, TextError
from regard.generation import DEFAULT_GENERATION, Continuation, Scored
from regard.look.effects import Effects, effects
from regard.look.positions import PositionVectors
from regard.look.weights import Look
from regard.look.words import EMPTY, line
from regard.prediction import Classified, Guess, TaggedWord
from regard.translation import Translation, translate

if TYPE_CHECKING:
    from regard.engines.decoder import DecoderEngine
    from regard.engines.encoder import EncoderEngine
    from regard.engines.torch import TorchEngine

Prediction = Classified | float | list[TaggedWord]
DEFAULT_SEARCH = SearchOptions()


def load(folder: str | Path, *, float32: bool = False) -> "Model":
    """Load a model folder, or the model of a run folder.

    Args:
        float32: take an encoder's matrix products in float32, as all other models do, also where the processor is
            faster in bfloat16.

    Raises:
        ModelError: it is no model folder, or a damaged one.
        MissingDependencyError: torch is not installed.
    """
    try:
        from regard.engines.decoder import DecoderEngine
        from regard.engines.encoder import EncoderEngine
        from regard.engines.torch import TorchEngine
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingDependencyError("torch", "train", "Running this model") from error
    path = Path(folder)
    kind = kind_of(path)
    if kind is Encoder:
        return Encoder(EncoderEngine.from_folder(path, float32=float32), path.name)
    if kind is LanguageModel:
        return LanguageModel(DecoderEngine.from_folder(path), path.name)
    return Translator(TorchEngine.from_folder(path), path.name)


def kind_of(folder: str | Path) -> "type[Model]":
    """What `load` would give for a model folder or run folder.

    Raises:
        ModelError: it is no model folder.
    """
    from regard.models import DECODERS, ENCODERS
    from regard.models.folder import arch_of

    arch = arch_of(Path(folder))
    return Encoder if arch in ENCODERS else LanguageModel if arch in DECODERS else Translator


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

    def predict(
        self,
        texts: Sequence[str | tuple[str, str]],
        *,
        calibrated: bool = False,
        split: bool = False,
        split_long: bool = False,
    ) -> Sequence[Prediction]:
        """What the model was trained to say of texts, or of pairs of texts."""
        raise self.refusal("predict labels")

    def fill(self, texts: Sequence[str], count: int = 5) -> list[list[list[Guess]]]:
        """The likeliest tokens behind each `[MASK]` of each text."""
        raise self.refusal("fill masks")

    @overload
    def generate(self, prompt: str, options: SearchOptions = ..., *, stop: Sequence[str] = ...) -> Continuation: ...
    @overload
    def generate(
        self, prompt: Sequence[str], options: SearchOptions = ..., *, stop: Sequence[str] = ...
    ) -> list[Continuation]: ...
    def generate(
        self, prompt: str | Sequence[str], options: SearchOptions = DEFAULT_GENERATION, *, stop: Sequence[str] = ()
    ) -> Continuation | list[Continuation]:
        """Go on with one prompt, or with several: `model.generate("Once upon a time").text`."""
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        found = self._generate(prompts, options, stop)
        return found[0] if isinstance(prompt, str) else found

    def _generate(self, prompts: list[str], options: SearchOptions, stop: Sequence[str]) -> list[Continuation]:
        raise self.refusal("go on with a text")

    def stream(
        self, prompt: str, options: SearchOptions = DEFAULT_GENERATION, *, stop: Sequence[str] = ()
    ) -> Generator[str, None, Continuation]:
        """The text that `generate` gives for one prompt, in pieces as it is written."""
        raise self.refusal("go on with a text")

    @overload
    def score(self, text: str) -> Scored: ...
    @overload
    def score(self, text: Sequence[str]) -> list[Scored]: ...
    def score(self, text: str | Sequence[str]) -> Scored | list[Scored]:
        """How probable one text is, or several: `model.score("The cat sat.").perplexity`."""
        found = self._score([text] if isinstance(text, str) else list(text))
        return found[0] if isinstance(text, str) else found

    def _score(self, texts: list[str]) -> list[Scored]:
        raise self.refusal("say how probable a text is")

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

    def without_attention(self, so: str) -> ModelError:
        """The error for what a translator of this architecture cannot show."""
        return ModelError(
            f"{self.name or 'this model'}: a model of type {type(self.engine.model).__name__} has no attention to its "
            f"source: {so}. Take one that attends, such as a transformer."
        )


class Translator(Model):
    """A model that reads a text and writes another."""

    engine: "TorchEngine"
    kind = "a translator"

    def _translate(self, lines: list[str], options: SearchOptions) -> list[Translation]:
        def look_at(found: Translation) -> Look:  # no method: a copy of a translation's fields would copy the model too
            return self._look(found.source.strip(), self._whole(found.source), list(found.pieces[0]))

        return [replace(found, looker=look_at) for found in translate(self.engine, lines, options)]

    def look(self, source: str, target: str | None = None) -> Look:
        """What the model attends to while it reads a sentence and writes its translation, yours or its own.

        The weights come from one forced plain pass over the finished translation: translating is not touched, and its
        text and scores are always those of the normal path. White space around both is left out, as in translating.

        Raises:
            ModelError: the model has no attention, or cannot take the sentence whole.
        """
        source_ids = self._whole(source)
        if target is None:
            return self.translate(source.strip()).look()
        target_ids, limit = self.engine.tokens.encode_target(target.strip()), self.engine.max_length
        if len(target_ids) >= limit:
            raise ModelError(
                f"attention needs a translation that the model takes whole; this one has {len(target_ids):,} "
                f"tokens, at most {limit - 1:,} were expected."
            )
        return self._look(source.strip(), source_ids, target_ids)

    def _whole(self, source: str) -> list[int]:
        """The ids of a source; refused if it is empty, or more than the model takes at once."""
        ids, limit = self.engine.tokens.encode_source(source.strip()), self.engine.max_length
        if source.strip() and len(ids) <= limit:
            return ids
        raise TextError(
            "attention needs one sentence that the model takes whole; "
            f"this text has {len(ids) - 1:,} tokens, from 1 to {limit - 1:,} were expected.",
            0,
        )

    def _look(self, source: str, source_ids: list[int], target_ids: list[int]) -> Look:
        """A forced pass over one pair; the ids of a translation are those that the model wrote."""
        tokens = self.engine.tokens
        weights = self.engine.attention([source_ids], [target_ids])[0]
        if not weights:
            raise self.without_attention("what it knows of the sentence went through one state")
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
            source_language=self.engine.source_language,
            target_language=self.engine.target_language,
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
            raise ModelError(
                f"{self.name or 'this model'}: a model of type {type(self.engine.model).__name__} has no position "
                "vectors. Take one that adds some, such as a transformer with trainable positions."
            )
        if len(found) == 2 and np.array_equal(found["source"].vectors, found["target"].vectors):
            return {"source and target": found["source"]}
        return found


class Encoder(Model):
    """A model that reads a text and writes none, such as BERT."""

    engine: "EncoderEngine"
    kind = "an encoder"

    def predict(
        self,
        texts: Sequence[str | tuple[str, str]],
        *,
        calibrated: bool = False,
        split: bool = False,
        split_long: bool = False,
    ) -> Sequence[Prediction]:
        """For each text, or pair of texts, its class, its number (where the head has one label), or its tagged words.

        Args:
            calibrated: give classes the probability of being right, as it was on the dev set of fine-tuning.
            split: tag the words that stand between spaces, and no others.
            split_long: read a text that is longer than the model takes in stretches that overlap by a quarter or more,
                and join what is said of them.

        Raises:
            ModelError: the model has not been trained for such a task, or `split_long` is asked of pairs.
            TextError: a text is longer than the model takes, or is one where it has learnt pairs, or a pair where not.
        """
        head = self.engine.model.config
        if head.pair is not None:
            for row, text in enumerate(texts):
                if isinstance(text, str) == head.pair:
                    wanted = "pairs of texts" if head.pair else "single texts"
                    raise TextError(f"{self.name or 'this model'}: has learnt to judge {wanted}; give it those.", row)
        task, labels = head.task, head.labels
        if calibrated and (task != "classify" or len(labels) == 1):
            raise self.refusal("give calibrated probabilities: it does not tell classes apart")
        if split and task != "tag":
            raise self.refusal("label words: it does not tag them")
        if split_long and not all(isinstance(text, str) for text in texts):
            raise self.refusal("read pairs of texts in stretches: nothing says which of the two to split")
        if task == "classify" and len(labels) == 1:
            return prediction.regress(self.engine, texts, split_long=split_long)
        if task == "classify":
            temperature = head.temperature if calibrated else 1.0
            return prediction.classify(self.engine, labels, texts, temperature, split_long=split_long)
        if task == "tag":
            single = [text for text in texts if isinstance(text, str)]
            if len(single) < len(texts):
                raise self.refusal("tag pairs of texts")
            return prediction.tag(self.engine, labels, single, split=split, split_long=split_long)
        raise self.refusal(
            "predict labels: it has no head for that. Teach it a task first, for example with "
            "`regard finetune MODEL labelled.tsv --task classify --out runs/mine`"
        )

    def fill(self, texts: Sequence[str], count: int = 5) -> list[list[list[Guess]]]:
        """For each text and each `[MASK]` in it the likeliest tokens, best first.

        Raises:
            ModelError: the model has no head for masked words.
            TextError: a text has no mask, or is longer than the model takes.
        """
        if self.engine.model.config.task != "mask":
            raise self.refusal("fill masks: it has no head for that")
        return prediction.fill(self.engine, texts, count)

    def look(self, source: str, target: str | None = None) -> Look:
        """What each token attends to, in every layer and head. `[MASK]` in the text is read as `fill` reads it.

        Raises:
            ModelError: the text is empty or longer than the model takes, or a translation was given.
        """
        if target is not None:
            raise self.refusal("attend to a translation")
        source, tokens, limit = source.strip(), self.engine.tokens, self.engine.max_length
        has_mask = MASK in source and "mask" in tokens.special
        read = tokens.encode_masked(source) if has_mask else tokens.encode(source)
        # A mask is a special token too, but it stands in the text; those around it stand for no characters.
        real = [place for place, span in enumerate(read.spans) if not read.special[place] or span[0] < span[1]]
        around = len(read) - len(real)
        if not real or len(read) > limit:
            raise _wrong_length(len(real), 1, limit - around)
        pieces = tokens.pieces(read.ids)
        first, end = real[0], real[-1] + 1
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
            source_language=self.engine.language,
        )

    def positions(self) -> dict[str, PositionVectors]:
        """What the model adds to token vectors to say where they stand."""
        return {side: PositionVectors(**facts) for side, facts in self.engine.positions().items()}


class LanguageModel(Model):
    """A model that goes on with a text, such as GPT."""

    engine: "DecoderEngine"
    kind = "a language model"

    def _generate(self, prompts: list[str], options: SearchOptions, stop: Sequence[str]) -> list[Continuation]:
        return generation.generate(self.engine, prompts, options, stop)

    def stream(
        self, prompt: str, options: SearchOptions = DEFAULT_GENERATION, *, stop: Sequence[str] = ()
    ) -> Generator[str, None, Continuation]:
        """The text that `generate` gives for one prompt, in pieces as it is written; whole characters each.

        Returns:
            As the generator's value, the continuation: why it ended, its ids and their log-probabilities.

        Raises:
            ModelError: the prompt leaves no room in the context.
            InputError: more than one text is asked for, or a stop string is empty.
        """
        return generation.stream(self.engine, prompt, options, stop)

    def _score(self, texts: list[str]) -> list[Scored]:
        return generation.score(self.engine, texts)

    def look(self, source: str, target: str | None = None) -> Look:
        """What each word of a text was predicted from, in every layer and head.

        Before the text stands the token after which one begins, where the tokenizer has such a one; else nothing says
        how the first token came, and the rows begin with the second. The last row predicts the end of the text, where
        the tokenizer has a token for it.

        Args:
            source: the text, such as a prompt with what `generate` gave.
            target: there is none; what a language model reads and what it writes are one text.

        Raises:
            ModelError: the text has fewer than two tokens or more than the model reads, or a translation was given.
        """
        if target is not None:
            raise self.refusal("attend to a translation")
        tokens, limit = self.engine.tokens, self.engine.max_length
        found = tokens.encode(source)
        real = [place for place, special in enumerate(found.special) if not special]
        ids, spans = [found.ids[place] for place in real], [found.spans[place] for place in real]
        before = tokens.before_text
        read_ids = ids if before is None else [before, *ids]
        if len(read_ids) < 2 or len(read_ids) > limit:
            added = len(read_ids) - len(ids)
            raise _wrong_length(len(ids), 2 - added, limit - added)
        first, pieces = tokens.pieces(read_ids[:1])[0], tokens.pieces(read_ids[1:])
        spans = spans[len(spans) - len(pieces) :]
        end_id = tokens.id_of("end") if "end" in tokens.special else None
        end = "" if end_id is None else tokens.pieces([end_id])[0]
        read = line(source, pieces, spans, before=first)
        if before is None:  # it is of the text, not a mark before it
            read = replace(read, special=(False, *read.special[1:]))
        weights = self.engine.attention([read_ids])[0]["decoder"]
        scored = read_ids if end_id is None else [*read_ids, end_id]
        return Look(
            source_text="",
            target_text=source,
            source=EMPTY,
            target=line(source, pieces, spans, after=end),
            read=read,
            weights={"decoder": weights[:, :, : len(scored) - 1]},
            log_probs=tuple(self.engine.score([scored])[0]),
            model=self.name,
            target_ids=tuple(read_ids[1:]),
            target_language=self.engine.language,
        )

    def positions(self) -> dict[str, PositionVectors]:
        """What the model adds to token vectors to say where they stand."""
        return {side: PositionVectors(**facts) for side, facts in self.engine.positions().items()}


def _wrong_length(found: int, least: int, most: int) -> TextError:
    """The error for a text of too few or too many tokens, those that are added around it not counted."""
    return TextError(f"this text has {found:,} token{'s' * (found != 1)}, from {least} to {most:,} were expected.", 0)
