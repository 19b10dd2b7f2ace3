"""Text to ids for models that write any text: byte-level BPE (Radford et al. 2019, section 2.2), lossless.

A token stands for bytes of UTF-8, so every text has ids and every id has its bytes; where a character's bytes are in
several tokens, only all of them together are text.
"""

from collections.abc import Iterable, Sequence

import tokenizers
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.processors import ByteLevel as ByteLevelProcessor
from tokenizers.trainers import BpeTrainer

from regard.data.text_tokens import TextTokens
from regard.errors import ModelError

END = "<|endoftext|>"  # what GPT-2 has between its texts

# Radford et al.'s code writes a byte as a character that shows: its own in Latin-1 where that does, else the next free
# one from 256 on.
_SHOWN = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
_HIDDEN = [byte for byte in range(256) if byte not in _SHOWN]
BYTES = {chr(byte): byte for byte in _SHOWN} | {chr(256 + number): byte for number, byte in enumerate(_HIDDEN)}

# A normalizer, a prefix space or a pattern that drops something would show in one of these.
_PROBES = (
    "a",
    " a  b ",
    "\t\r\n\n \r",
    "Éé e\u0301 ﬁ Å",
    "漢字 かな",
    "👩‍👩‍👧 😀",
    "\x00\x1f\x7f\u200b\ufeff",
    "I'll 12 345!",
)


class ByteTokens(TextTokens):
    """A byte-level BPE tokenizer.

    Attributes:
        silent_ids: those that stand for no text: special tokens, and numbers below `vocab_size` without a token.
    """

    def __init__(self, tokenizer: tokenizers.Tokenizer, special: dict[str, str]):
        """Take a tokenizer.

        Raises:
            ModelError: as `TextTokens`, or text does not come back from it as it was.
        """
        super().__init__(tokenizer, special)
        added = tokenizer.get_added_tokens_decoder()
        names = {number: name for name, number in tokenizer.get_vocab(with_added_tokens=True).items()}
        silent, self._bytes = [], [b""] * self.vocab_size
        for number in range(self.vocab_size):
            if number not in names or (number in added and added[number].special):
                silent.append(number)
            elif number in added:
                self._bytes[number] = names[number].encode()
            elif foreign := sorted(set(names[number]) - set(BYTES)):
                raise ModelError(
                    f"the tokenizer is not a byte-level one: its token {names[number]!r} has the character "
                    f"{foreign[0]!r}, which stands for no byte."
                )
            else:
                self._bytes[number] = bytes(BYTES[character] for character in names[number])
        self.silent_ids = tuple(silent)
        single = {token for token in self._bytes if len(token) == 1}
        if len(single) < 256:
            raise ModelError(f"the tokenizer has {len(single)} of the 256 bytes, so it would lose text.")
        for probe in _PROBES:
            if (found := self.decode(self.encode(probe).ids)) != probe:
                raise ModelError(f"the tokenizer changes text: {probe!r} comes back as {found!r}.")

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int) -> "ByteTokens":
        """Learn merges from texts; the tokens are the 256 bytes, what they are merged to, and END.

        Args:
            vocab_size: at most, but for the 256 bytes and the end; a small text has fewer merges.
        """
        tokenizer = _tokenizer(BPE())
        trainer = BpeTrainer(
            vocab_size=vocab_size, initial_alphabet=sorted(BYTES), special_tokens=[END], show_progress=False
        )
        tokenizer.train_from_iterator(texts, trainer)
        return cls(tokenizer, {"end": END})

    @property
    def before_text(self) -> int | None:
        """The token after which a text begins: its start, or the end of another; None: the model has neither."""
        return next((self.id_of(role) for role in ("start", "end") if role in self.special), None)

    def silent_ids_of(self, vocab_size: int) -> tuple[int, ...]:
        """The ids that a model of this size never writes: those that stand for no text, save the one that ends it."""
        end = self.id_of("end") if "end" in self.special else None
        return tuple(sorted({*self.silent_ids, *range(self.vocab_size, vocab_size)} - {end}))

    def encode_prompt(self, text: str) -> list[int]:
        """Ids of a text that goes on: nothing that the tokenizer would put behind its end."""
        found = self.encode(text)
        real = [place for place, special in enumerate(found.special) if not special]
        return found.ids[: real[-1] + 1] if real else found.ids[:1]

    def bytes_of(self, ids: Sequence[int]) -> bytes:
        """What the ids stand for, in UTF-8 unless they end within a character or are no text at all."""
        return b"".join(self._bytes[number] for number in ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids; bytes that are no UTF-8 become "�"."""
        return self.bytes_of(ids).decode("utf-8", errors="replace")

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """What each id stands for, for people to read: "▁" for a space, and bytes that are no character as <0xE2>."""
        return [_shown(self._bytes[number]) or name for number, name in zip(ids, super().pieces(ids), strict=True)]


def from_merges(vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> tokenizers.Tokenizer:
    """The tokenizer that a vocabulary and merges, as GPT-2 has them, describe.

    Raises:
        ModelError: a merge is of tokens that the vocabulary does not have.
    """
    try:
        return _tokenizer(BPE(vocab=vocabulary, merges=merges))
    except Exception as error:  # the library raises bare Exception
        raise ModelError(f"vocabulary and merges do not fit together ({error}).") from error


def _tokenizer(model: BPE) -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)  # type: ignore[misc]
    tokenizer.post_processor = ByteLevelProcessor(trim_offsets=False)  # type: ignore[misc]
    tokenizer.decoder = ByteLevelDecoder()  # type: ignore[misc]
    return tokenizer


def _shown(token: bytes) -> str:
    try:
        text = token.decode("utf-8")
    except UnicodeDecodeError:
        return "".join(f"<0x{byte:02X}>" for byte in token)
    return "".join("▁" if letter == " " else letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
