"""Text to ids for models that read: a tokenizer of Hugging Face's `tokenizers`, kept whole in its tokenizer.json.

Truncation and padding, which such files may ask for, are turned off: a text that is too long is the caller's to split
or refuse, never cut in silence.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import tokenizers
from tokenizers.decoders import WordPiece as WordPieceDecoder
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import WordPieceTrainer

from regard.errors import DataError, ModelError

TOKENIZER_FILE = "tokenizer.json"
_MOST_LETTERS = 1_000  # of a vocabulary that is learnt
_MOST_TOKENS = 1 << 24  # of a tokenizer that is read; the largest in use have a quarter of a million
_SENTENCE_ENDS = frozenset(".!?…。！？।؟۔")
MASK = "[MASK]"  # how a text writes a word that is not told, whatever the model's own token is
ROLES = ("pad", "unk", "start", "end", "mask")  # of special tokens; BERT writes [PAD] [UNK] [CLS] [SEP] [MASK]


@dataclass(frozen=True)
class TextIds:
    """One input: a text, or two, with the special tokens around them."""

    ids: list[int]
    types: list[int]  # 0 for the first text and its special tokens, 1 for the second
    spans: list[tuple[int, int]]  # characters of its own text, (first, end); special tokens have (0, 0)
    special: list[bool]

    def __len__(self) -> int:
        return len(self.ids)


class TextTokens:
    """A tokenizer and the special tokens a model needs by their role.

    Attributes:
        vocab_size: number of ids.
        special: token by role (see ROLES); a role that the model has no token for is missing.
    """

    def __init__(self, tokenizer: tokenizers.Tokenizer, special: dict[str, str]):
        """Take a tokenizer.

        Raises:
            ModelError: a role is unknown, its token is none of the tokenizer's, or tokens have absurdly large numbers.
        """
        if getattr(tokenizer.model, "dropout", None):
            raise ModelError("the tokenizer cuts words at random (dropout); it must cut a text always alike.")
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True  # "[SEP]" in a text is text
        self._tokenizer = tokenizer
        self.special = special
        self.vocab_size = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1
        if self.vocab_size > _MOST_TOKENS:  # tables are made of as many
            raise ModelError(
                f"the tokenizer numbers a token {self.vocab_size - 1:,}; at most {_MOST_TOKENS:,} tokens were expected."
            )
        if unknown := sorted(set(special) - set(ROLES)):
            raise ModelError(f"a special token is for {unknown[0]!r}; known roles are {', '.join(ROLES)}.")
        for role, token in special.items():
            if tokenizer.token_to_id(token) is None:
                raise ModelError(f"the {role} token {token!r} is not in the tokenizer's vocabulary.")

    @classmethod
    def train_wordpiece(
        cls, texts: Callable[[], Iterable[str]], vocab_size: int, *, lowercase: bool = True
    ) -> "TextTokens":
        """Learn a WordPiece vocabulary as BERT has it (Devlin et al. 2019); equal texts give equal vocabularies.

        Args:
            texts: gives them; they are read twice.
            vocab_size: at most, but for the letters of the texts, which all have a piece; few texts give fewer.
            lowercase: make no difference between upper and lower case, nor between a letter and its accented forms.

        Raises:
            DataError: the texts have nothing to learn from.
        """
        special = dict(zip(ROLES, ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"), strict=True))
        tokenizer = wordpiece(WordPiece(unk_token=special["unk"]), lowercase=lowercase)
        letters = _alphabet(tokenizer, texts())
        if not letters:
            raise DataError("the texts have no words to make a vocabulary of.")
        # The library numbers letters inside words in the order of a hash table, and breaks ties by number: the same
        # texts would give another vocabulary each time. As special tokens they have their numbers beforehand.
        inside = [f"##{letter}" for letter in letters if letter.isalnum()]
        trainer = WordPieceTrainer(
            vocab_size=vocab_size,
            min_frequency=2,
            initial_alphabet=letters,
            limit_alphabet=len(letters),
            special_tokens=[*special.values(), *inside],
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts(), trainer)
        # Made anew, for there "##a" must not be a special token.
        found = wordpiece(WordPiece(tokenizer.get_vocab(), unk_token=special["unk"]), lowercase=lowercase)
        found.add_special_tokens(list(special.values()))
        frame_with(found, special["start"], special["end"])
        return cls(found, special)

    def same_as(self, other: "TextTokens") -> bool:
        """Whether an id stands for the same in both."""
        ours, theirs = (each._tokenizer.get_vocab(with_added_tokens=True) for each in (self, other))
        return ours == theirs and self.special == other.special

    def id_of(self, role: str) -> int:
        """The id of a special token.

        Raises:
            ModelError: the model has none of this role.
        """
        number = self._tokenizer.token_to_id(self.special[role]) if role in self.special else None
        if number is None:
            raise ModelError(f"this model's tokenizer has no {role} token.")
        return number

    def encode(self, text: str, other: str | None = None) -> TextIds:
        """A text, or two texts as one input; neither is cut."""
        return self.encode_all([text] if other is None else [(text, other)])[0]

    def encode_all(self, texts: Sequence[str | tuple[str, str]]) -> list[TextIds]:
        """Several inputs at once."""
        return [
            TextIds(found.ids, found.type_ids, found.offsets, [bool(mark) for mark in found.special_tokens_mask])
            for found in self._tokenizer.encode_batch(list(texts))
        ]

    def encode_bare(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of several texts, without special tokens."""
        return [found.ids for found in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def starts_word(self) -> np.ndarray:
        """Of each id, whether it begins a word, bool (V,): WordPiece marks what does not, other kinds what does."""
        pieces = [self._tokenizer.id_to_token(number) or "" for number in range(self.vocab_size)]
        if any(piece.startswith("##") for piece in pieces):
            return np.array([not piece.startswith("##") for piece in pieces])
        return np.array([piece[:1] in ("Ġ", "▁", "Ċ") for piece in pieces])

    def ends_sentence(self) -> np.ndarray:
        """Of each id, whether it is a mark that ends a sentence, bool (V,)."""
        pieces = [self._tokenizer.id_to_token(number) or "" for number in range(self.vocab_size)]
        return np.array([piece.removeprefix("##").lstrip("Ġ▁") in _SENTENCE_ENDS for piece in pieces])

    def encode_masked(self, text: str) -> TextIds:
        """One text in which each `MASK` stands for a word that is not told.

        Where the tokenizer says that its mask takes the spaces before it (BigBird's does), it does so here.

        Raises:
            ModelError: the tokenizer has no mask token.
        """
        start, mask, end = (self.id_of(role) for role in ("start", "mask", "end"))
        added = self._tokenizer.get_added_tokens_decoder().get(mask)
        takes_spaces = added is not None and added.lstrip
        ids, spans, special = [start], [(0, 0)], [True]
        parts, place = text.split(MASK), 0
        for number, part in enumerate(parts):
            if number:
                ids.append(mask)
                spans.append((place - len(MASK), place))
                special.append(True)
            read = part.rstrip() if takes_spaces and number < len(parts) - 1 else part
            found = self._tokenizer.encode(read, add_special_tokens=False)
            ids += found.ids
            spans += [(place + first, place + last) for first, last in found.offsets]
            special += [False] * len(found.ids)
            place += len(part) + len(MASK)
        return TextIds([*ids, end], [0] * (len(ids) + 1), [*spans, (0, 0)], [*special, True])

    def encode_source(self, text: str) -> list[int]:
        """Ids of one text, special tokens around them; as `Tokens.encode_source`."""
        return self.encode(text).ids

    def source_spans(self, text: str) -> list[tuple[int, int]]:
        """Where in the text each id of `encode_source` stands: characters (first, end); empty for special tokens."""
        return self.encode(text).spans

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """What each id stands for, for people to read."""
        found = [self._tokenizer.id_to_token(number) for number in ids]
        return [self.special.get("unk", "?") if piece is None else piece for piece in found]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, without special tokens."""
        return self._tokenizer.decode(list(ids), skip_special_tokens=True)

    def save(self, folder: Path) -> dict[str, Any]:
        """Write tokenizer.json; the returned facts belong into the folder's config.json."""
        (folder / TOKENIZER_FILE).write_text(self._tokenizer.to_str(pretty=False), encoding="utf-8")
        return {"kind": "text", **self.special}

    @classmethod
    def load(cls, folder: Path, facts: dict[str, Any]) -> Self:
        """Read what `save` wrote.

        Raises:
            ModelError: the file is missing or is not what it should be.
        """
        special = {role: token for role, token in facts.items() if role != "kind"}
        if facts.get("kind") != "text" or not all(isinstance(token, str) for token in special.values()):
            raise ModelError(f"{folder / 'config.json'}: expected tokens of kind 'text', found {facts!r:.80}.")
        try:
            return cls(read_tokenizer(folder / TOKENIZER_FILE), special)
        except ModelError as error:
            raise ModelError(f"{folder}: {error}") from error


def that_fit(inputs: Sequence[TextIds], max_length: int, what: str = "texts") -> list[int]:
    """The numbers of the texts that a model takes whole.

    Raises:
        DataError: there is none; `what` says of which texts.
    """
    kept = [row for row, read in enumerate(inputs) if len(read) <= max_length]
    if not kept:
        raise DataError(
            f"none of {len(inputs):,} {what} fits into {max_length:,} tokens. Have single texts read in "
            "stretches (--split-long), or lengthen a BERT or BigBird as it is fine-tuned: --set model.max_length=4096"
        )
    return kept


def _alphabet(tokenizer: tokenizers.Tokenizer, texts: Iterable[str]) -> list[str]:
    """The most frequent letters, in order; rarer ones of other scripts would fill the vocabulary."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(tokenizer.normalizer.normalize_str(text))
    letters = sorted(
        (letter for letter in counts if not letter.isspace()), key=lambda letter: (-counts[letter], letter)
    )
    return sorted(letters[:_MOST_LETTERS])


def wordpiece(model: WordPiece, *, lowercase: bool, **normalizer: Any) -> tokenizers.Tokenizer:
    """The tokenizer of BERT around a WordPiece model, without special tokens around a text."""
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.normalizer = BertNormalizer(lowercase=lowercase, **normalizer)  # type: ignore[misc]
    tokenizer.pre_tokenizer = BertPreTokenizer()  # type: ignore[misc]
    tokenizer.decoder = WordPieceDecoder()  # type: ignore[misc]
    return tokenizer


def frame_with(tokenizer: tokenizers.Tokenizer, start: str, end: str) -> None:
    """Put special tokens around one text, or two, as BERT reads them: [CLS] a [SEP] b [SEP]."""
    tokenizer.post_processor = TemplateProcessing(  # type: ignore[misc]
        single=f"{start} $A {end}",
        pair=f"{start} $A {end} $B:1 {end}:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (start, end)],
    )


def read_tokenizer(path: Path) -> tokenizers.Tokenizer:
    """Read a tokenizer.json.

    Raises:
        ModelError: it is missing or damaged.
    """
    try:
        return tokenizers.Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # the library raises bare Exception for a file that it cannot read
        raise ModelError(f"{path}: cannot be read as a tokenizer ({error}). Copy the whole folder again.") from error
