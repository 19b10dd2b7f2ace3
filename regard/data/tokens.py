"""Text to ids and back, with sentencepiece set so that nothing is lost.

Identity normalisation, white space kept, characters never seen fall back to bytes. The dummy prefix stays on, as in
Marian: without it a first word differs from the same word later. Text such as "</s>" is text: only `encode` adds
control ids. One character is lost: U+2581 (▁), which sentencepiece writes for a space, comes back as one.
"""

import codecs
import io
import itertools
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import sentencepiece

from regard.data.subwords import Merges
from regard.errors import ConfigError, DataError, ModelError

Sharing = Literal["joint", "separate"]

PAD_ID, UNK_ID, BOS_ID, EOS_ID = 0, 1, 2, 3
_MAX_TRAINING_LINES = 1_000_000
_CONTROL_AND_BYTES = 4 + 256
_JOINT_FILE, _SOURCE_FILE, _TARGET_FILE, _VOCABULARY_FILE = "tokens.spm", "source.spm", "target.spm", "vocab.json"


class Tokens:
    """A source and a target vocabulary, usually one and the same.

    Attributes:
        vocab_size: number of ids, the larger one if the two sides differ.
        pad_id, unk_id, bos_id, eos_id: control ids; `bos_id` starts every target.
    """

    def __init__(
        self,
        source_model: bytes,
        target_model: bytes | None = None,
        *,
        vocabulary: dict[str, int] | None = None,
        bos_id: int = BOS_ID,
    ):
        """Take serialized sentencepiece models.

        Args:
            source_model: for the source, and for the target too if that has none of its own.
            target_model: a separate one for the target.
            vocabulary: ids by piece where they are not sentencepiece's own (Marian's vocab.json).
            bos_id: the id that starts a target (with a vocabulary).
        """
        self._models = (source_model, target_model)
        self._source = _processor(source_model)
        self._target = self._source if target_model is None else _processor(target_model)
        self._vocabulary = vocabulary
        self._pieces = {} if vocabulary is None else {number: piece for piece, number in vocabulary.items()}
        if vocabulary is None:
            self.pad_id, self.unk_id, self.bos_id, self.eos_id = PAD_ID, UNK_ID, BOS_ID, EOS_ID
            self.vocab_size = max(self._source.vocab_size(), self._target.vocab_size())
        else:
            self.unk_id, self.eos_id = vocabulary["<unk>"], vocabulary["</s>"]
            self.pad_id, self.bos_id = vocabulary["<pad>"], bos_id
            self.vocab_size = max(vocabulary.values()) + 1

    @property
    def shared(self) -> bool:
        """Whether source and target use the same ids, so that their embeddings may be tied."""
        return self._models[1] is None or self._vocabulary is not None

    def same_as(self, other: "Tokens") -> bool:
        """Whether an id stands for the same in both."""
        ours, theirs = ((each._models, each._vocabulary, each.bos_id) for each in (self, other))
        return ours == theirs

    def encode_source(self, text: str) -> list[int]:
        """Ids of a source sentence, eos at the end."""
        return [*self._ids(self._source, text), self.eos_id]

    def encode_target(self, text: str) -> list[int]:
        """Ids of a target sentence, without bos and eos."""
        return self._ids(self._target, text)

    def decode(self, ids: Sequence[int]) -> str:
        """The target text of ids; control ids and ids out of range say nothing."""
        if self._vocabulary is not None:
            control = {self.pad_id, self.unk_id, self.bos_id, self.eos_id}
            return self._target.decode([self._pieces.get(int(i), "") for i in ids if int(i) not in control])
        size = self._target.vocab_size()
        return self._target.decode([int(i) for i in ids if EOS_ID < int(i) < size])

    def source_pieces(self, ids: Sequence[int]) -> list[str]:
        """What each source id stands for, for people to read."""
        return [self._piece(self._source, int(i)) for i in ids]

    def target_pieces(self, ids: Sequence[int]) -> list[str]:
        """What each target id stands for, for people to read."""
        return [self._piece(self._target, int(i)) for i in ids]

    def source_spans(self, text: str) -> list[tuple[int, int]]:
        """Where in the text each id of `encode_source` stands: characters (first, end); eos has an empty span."""
        return [*self._spans(self._source, text), (len(text), len(text))]

    def target_spans(self, text: str) -> list[tuple[int, int]]:
        """Where in the text each id of `encode_target` stands."""
        return self._spans(self._target, text)

    def lay_out_target(self, ids: Sequence[int]) -> tuple[str, list[tuple[int, int]]]:
        """The text of any target ids, a model's own too, and where in it each stands.

        As in `decode`, control ids and ids out of range say nothing: their span is empty.
        """
        control = {self.pad_id, self.unk_id, self.bos_id, self.eos_id}
        size = self.vocab_size if self._vocabulary is not None else self._target.vocab_size()
        silent = [number in control or not 0 <= number < size for number in ids]
        pieces = self.target_pieces(ids)
        return _lay_out([b"" if mute else _bytes_of(piece) for piece, mute in zip(pieces, silent, strict=True)])

    def merges(self) -> tuple[Merges, Merges]:
        """What byte-pair encoding does with sources and with targets, to cut words in other ways (BPE-dropout).

        Raises:
            ConfigError: these tokens were not made by `train`.
        """
        if self._vocabulary is not None:
            raise ConfigError("tokens.dropout needs a vocabulary that regard has learnt; this one was imported.")
        source = Merges.of(self._source)
        return source, source if self._target is self._source else Merges.of(self._target)

    def parts(self) -> tuple[bytes, bytes, dict[str, int]]:
        """What a tokenizer with one vocabulary is made of: source model, target model, and ids by piece."""
        assert self.shared
        source, target = self._models
        own = {self._source.id_to_piece(number): number for number in range(self._source.vocab_size())}
        return source, target or source, own if self._vocabulary is None else self._vocabulary

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the tokenizer's files; the returned facts belong into the folder's config.json."""
        source_model, target_model = self._models
        if target_model is None:
            (folder / _JOINT_FILE).write_bytes(source_model)
            return {"kind": "joint"}
        (folder / _SOURCE_FILE).write_bytes(source_model)
        (folder / _TARGET_FILE).write_bytes(target_model)
        if self._vocabulary is None:
            return {"kind": "separate"}
        (folder / _VOCABULARY_FILE).write_text(json.dumps(self._vocabulary, ensure_ascii=False), encoding="utf-8")
        return {"kind": "marian", "bos_id": self.bos_id}

    @classmethod
    def load(cls, folder: Path, facts: dict[str, Any]) -> "Tokens":
        """Read what `save` wrote.

        Raises:
            ModelError: a file is missing or is not what it should be.
        """
        kind = facts.get("kind")
        if kind not in ("joint", "separate", "marian"):
            raise ModelError(f"{folder / 'config.json'}: unknown kind of tokens {kind!r}.")
        try:
            if kind == "joint":
                return cls((folder / _JOINT_FILE).read_bytes())
            models = [(folder / name).read_bytes() for name in (_SOURCE_FILE, _TARGET_FILE)]
            if kind == "separate":
                return cls(*models)
            vocabulary = json.loads((folder / _VOCABULARY_FILE).read_text(encoding="utf-8"))
            return cls(*models, vocabulary=vocabulary, bos_id=int(facts["bos_id"]))
        except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
            raise ModelError(
                f"{folder}: its tokenizer cannot be read ({error}). Copy the whole folder again."
            ) from error

    @classmethod
    def train(
        cls, sources: Sequence[str], targets: Sequence[str], vocab_size: int, sharing: Sharing = "joint"
    ) -> "Tokens":
        """Learn byte-pair pieces from text (Sennrich et al. 2016).

        Args:
            sources, targets: the training text.
            vocab_size: number of ids wanted; less is made when the text does not hold as many pieces.
            sharing: one vocabulary for both sides, or two.

        Raises:
            DataError: there is no text, or vocab_size is too small for the letters in it.
        """
        if sharing == "joint":
            return cls(_train([*sources, *targets], vocab_size))
        return cls(_train(sources, vocab_size), _train(targets, vocab_size))

    def _ids(self, processor: sentencepiece.SentencePieceProcessor, text: str) -> list[int]:
        if self._vocabulary is None:
            return processor.encode(text)
        return [self._vocabulary.get(piece, self.unk_id) for piece in processor.encode(text, out_type=str)]

    def _spans(self, processor: sentencepiece.SentencePieceProcessor, text: str) -> list[tuple[int, int]]:
        """Nothing is normalised, so the pieces laid end to end are the text with the dummy prefix before it.

        A vocabulary that was imported may normalise, and then says itself where each character comes from.
        """
        if self._vocabulary is not None:
            normal, origins = processor.normalize(text, with_offsets=True)
            pieces = processor.encode(text, out_type=str)  # of letters that it does not know the letters themselves
            if sum(map(len, pieces)) == len(normal):  # without pieces for single bytes
                ends = [0, *itertools.accumulate(map(len, pieces))]
                return [(origins[first], origins[end]) for first, end in itertools.pairwise(ends)]
        return _lay_out([_bytes_of(processor.id_to_piece(number)) for number in processor.encode(text)])[1]

    def _piece(self, processor: sentencepiece.SentencePieceProcessor, number: int) -> str:
        if self._vocabulary is not None:
            return self._pieces.get(number, "<unk>")
        return processor.id_to_piece(number) if 0 <= number < processor.vocab_size() else "<unk>"


def _processor(model: bytes) -> sentencepiece.SentencePieceProcessor:
    processor = sentencepiece.SentencePieceProcessor()
    processor.load_from_serialized_proto(model)
    return processor


_BYTE = re.compile("<0x([0-9A-F]{2})>")


def _bytes_of(piece: str) -> bytes:
    """What a piece writes: a space for its ▁; one byte for a byte piece."""
    byte = _BYTE.fullmatch(piece)
    return bytes([int(byte[1], 16)]) if byte else piece.replace("▁", " ").encode()


def _lay_out(parts: Sequence[bytes]) -> tuple[str, list[tuple[int, int]]]:
    """The parts laid end to end as text, without the dummy prefix, and where each stands: characters (first, end).

    Bytes that are no UTF-8 become replacement characters. The bytes of one character all have its span.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    characters, text = [], ""  # by byte, the character it belongs to
    for part in parts:
        for byte in part:
            text += decoder.decode(bytes([byte]))
            waits = bool(decoder.getstate()[0])  # for the rest of its character, which is then the next one
            characters.append(len(text) if waits else len(text) - 1)
    text += decoder.decode(b"", final=True)
    prefix = 1 if text.startswith(" ") else 0
    spans, first = [], 0
    for part in parts:
        end = first + len(part)
        start = characters[first] if first < len(characters) else len(text)
        last = characters[end - 1] + 1 if part else start
        spans.append((max(start - prefix, 0), max(last - prefix, 0)))
        first = end
    return text[prefix:], spans


def _train(lines: Sequence[str], vocab_size: int) -> bytes:
    stride = -(-len(lines) // _MAX_TRAINING_LINES)  # evenly spread over the text
    lines = [line for line in lines[:: max(stride, 1)] if line.strip()]
    if not lines:
        raise DataError("no text to learn a vocabulary from: every line is empty.")
    # Every letter gets a piece of its own, unless the script has so many that pieces of several letters would not fit.
    letters = len(set().union(*lines))
    coverage = 1.0 if letters * 4 <= vocab_size else 0.9995
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=model,
            model_type="bpe",
            vocab_size=vocab_size,
            hard_vocab_limit=False,  # little text makes fewer pieces
            character_coverage=coverage,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            byte_fallback=True,
            max_sentence_length=1 << 20,
            pad_id=PAD_ID,
            unk_id=UNK_ID,
            bos_id=BOS_ID,
            eos_id=EOS_ID,
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise DataError(
            f"a vocabulary of {vocab_size} does not fit text with {letters} different characters; {_CONTROL_AND_BYTES} "
            f"ids are control and byte ids ({error}). Set tokens.vocab_size higher."
        ) from error
    return model.getvalue()
