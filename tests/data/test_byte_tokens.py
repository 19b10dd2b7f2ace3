"""Byte-level tokenizers: any text comes back as it was, and its pieces can be read."""

import json

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.normalizers import NFC, Lowercase
from tokenizers.pre_tokenizers import ByteLevel, Whitespace

from regard.data.byte_tokens import BYTES, END, ByteTokens
from regard.errors import ModelError

TEXTS = ["the cat sees the dog\n", "a dog sees a cat 😀😀\n", "café, 漢字\r\n"] * 4


@pytest.fixture(scope="module")
def tokens() -> ByteTokens:
    return ByteTokens.train(TEXTS, 290)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "\n", "\r\n\r \t\n", " the  cat ", "👩‍👩‍👧‍👦🇵🇹 é e\u0301 ﬁ", "\x00\x01\x1b[0m\x7f\x85\u2028\ufeff"),
        *("<|endoftext|>", "the <|endoftext|> cat", "Ġ Ċ Ã", "עברית العربية ไทย 한국어 " * 3, "\U0010ffff"),
    ],
    ids=repr,
)
def test_any_text_comes_back(tokens: ByteTokens, text: str) -> None:
    ids = tokens.encode(text).ids
    assert tokens.decode(ids) == text
    assert tokens.bytes_of(ids) == text.encode()
    assert not set(ids) & set(tokens.silent_ids), "special tokens written in a text are text"


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_any_text_at_all_comes_back(text: str) -> None:
    assert TOKENS.decode(TOKENS.encode(text).ids) == text


TOKENS = ByteTokens.train(TEXTS, 290)


def test_every_byte_has_its_character() -> None:
    assert sorted(BYTES.values()) == list(range(256))
    assert set(BYTES) == set(ByteLevel.alphabet())
    ours = Tokenizer(BPE())
    ours.pre_tokenizer = ByteLevel(add_prefix_space=False, use_regex=False)  # the library's own table as the oracle
    for code in range(0x250):
        ((shown, _),) = ours.pre_tokenizer.pre_tokenize_str(chr(code))
        assert bytes(BYTES[character] for character in shown) == chr(code).encode()


def test_pieces_can_be_read(tokens: ByteTokens) -> None:
    found = tokens.encode("the cat\n漢")
    assert tokens.pieces(found.ids)[:3] == ["the", "▁cat", "\\n"]
    assert all(piece and piece.isprintable() for piece in tokens.pieces(range(tokens.vocab_size)))
    assert tokens.pieces([tokens.id_of("end")]) == [END]
    assert tokens.pieces(tokens.encode("ё").ids) == ["<0xD1>", "<0x91>"]
    text = "the cat sees\nthe 😀 dog"
    found = tokens.encode(text)
    for piece, (first, end) in zip(tokens.pieces(found.ids), found.spans, strict=True):
        if "<0x" not in piece:
            assert piece.replace("▁", " ").replace("\\n", "\n") == text[first:end]


def test_bytes_that_are_no_character_show_as_such(tokens: ByteTokens) -> None:
    ids = tokens.encode("ё").ids
    assert tokens.decode(ids[:1]) == "�"
    assert tokens.decode([*ids[:1], *tokens.encode("a").ids]) == "�a"


def test_saved_is_loaded(tokens: ByteTokens, tmp_path) -> None:
    facts = tokens.save(tmp_path)
    assert facts == {"kind": "text", "end": END}
    again = ByteTokens.load(tmp_path, facts)
    assert isinstance(again, ByteTokens)
    assert again.encode(TEXTS[1]) == tokens.encode(TEXTS[1])
    assert again.silent_ids == tokens.silent_ids == (0,)
    assert again.before_text == 0


def test_a_tokenizer_that_would_lose_text_is_refused(tokens: ByteTokens, tmp_path) -> None:
    tokens.save(tmp_path)

    def load(**changes) -> ByteTokens:
        tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
        for name, value in changes.items():
            setattr(tokenizer, name, value)
        return ByteTokens(tokenizer, {})

    assert load().before_text is None
    for changes, message in (
        ({"normalizer": Lowercase()}, "the tokenizer changes text: .* comes back as"),
        ({"normalizer": NFC()}, "the tokenizer changes text: 'Éé"),
        ({"pre_tokenizer": ByteLevel(add_prefix_space=True)}, "changes text: 'a' comes back as ' a'"),
        ({"pre_tokenizer": Whitespace()}, "the tokenizer changes text"),
    ):
        with pytest.raises(ModelError, match=message):
            load(**changes)
    settings = json.loads((tmp_path / "tokenizer.json").read_text())
    settings["model"]["vocab"] = {name: n for name, n in settings["model"]["vocab"].items() if name != "Ā"}
    few = Tokenizer.from_str(json.dumps(settings))
    with pytest.raises(ModelError, match="has 255 of the 256 bytes, so it would lose text"):
        ByteTokens(few, {})
    with pytest.raises(ModelError, match="the tokenizer numbers a token 4,294,967,295; at most 16,777,216"):
        ByteTokens(Tokenizer(BPE({"a": 2**32 - 1}, [])), {})
    with pytest.raises(ModelError, match="is not a byte-level one: its token '漢' has the character '漢'"):
        ByteTokens(Tokenizer(BPE({"漢": 0}, [])), {})


def test_numbers_without_a_token_are_silent(tokens: ByteTokens, tmp_path) -> None:
    tokens.save(tmp_path)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    tokenizer.add_tokens([tokenizers.AddedToken("<sep>", special=True), tokenizers.AddedToken("kitty")])
    found = ByteTokens(tokenizer, {})
    assert found.silent_ids == (0, tokens.vocab_size)
    assert found.decode(found.encode("a kitty <sep>").ids) == "a kitty <sep>"


def test_a_prompt_has_nothing_behind_its_end(tokens: ByteTokens, tmp_path) -> None:
    """Some tokenizers put an end token behind every text: a model would go on after it."""
    tokens.save(tmp_path)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    plain = tokens.encode("the cat").ids
    for template, expected in ((f"{END} $A {END}", [0, *plain]), (f"$A {END}", plain), (f"{END} $A", [0, *plain])):
        tokenizer.post_processor = tokenizers.processors.TemplateProcessing(single=template, special_tokens=[(END, 0)])
        found = ByteTokens(tokenizer, {"start": END})
        assert found.encode_prompt("the cat") == expected
        assert found.encode_prompt("") == [0]
    assert tokens.encode_prompt("") == []
