"""Text to ids and back: nothing is lost, control text is text, damaged files are said."""

import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from regard.data.tokens import BOS_ID, EOS_ID, Tokens
from regard.errors import DataError, ModelError

LINES = [
    "the cat sees the dog",
    "a gata vê o cão",
    "no  two   spaces are one ",
    "1 234,5 % of 67",
    "Größe, naïve, 日本語",
]
JOINT = Tokens.train(LINES * 4, LINES[::-1] * 4, 400)
SEPARATE = Tokens.train(LINES * 4, [line.upper() for line in LINES * 4], 360, "separate")
# Sentencepiece itself uses U+2581 for a space; a line holds no line feed; a lone surrogate is no text.
texts = st.text(st.characters(exclude_characters="\u2581\n", exclude_categories=["Cs"]), max_size=40)


@pytest.mark.parametrize("tokens", [JOINT, SEPARATE], ids=["joint", "separate"])
@given(text=texts)
@example(text=" leading, double  and trailing ")
@example(text="</s> <s> <pad> <unk> <0x41> @@ ##a")
@example(text="👩‍👩‍👧 é e\u0301 \u00a0\u3000\t\r\x0b\x85\u2028 ＡＢＣ ﬁ ½")
@example(text="\x00\x01")
@settings(max_examples=150, deadline=None)
def test_text_comes_back_letter_by_letter(tokens: Tokens, text: str) -> None:
    assert tokens.decode(tokens.encode_target(text)) == text


@pytest.mark.parametrize("text", ["</s>", "<s>", "<pad>", "<unk>", "<0x41>", "a</s>b", "<s> the cat </s>"])
def test_control_text_is_text(text: str) -> None:
    ids = JOINT.encode_target(text)
    assert min(ids) > EOS_ID, "no control id comes from text"
    assert JOINT.decode(ids) == text
    assert JOINT.encode_source(text) == [*ids, EOS_ID]


def test_control_ids_and_ids_out_of_range_say_nothing() -> None:
    ids = JOINT.encode_target("the cat")
    assert JOINT.decode([BOS_ID, *ids, EOS_ID, 0, 1, 10**9, -1]) == "the cat"


def test_pieces_are_for_people() -> None:
    ids = JOINT.encode_source("the cat")
    assert "".join(JOINT.source_pieces(ids)) == "▁the▁cat</s>"
    assert JOINT.target_pieces([10**6]) == ["<unk>"]


@pytest.mark.parametrize("lines", [["a"], ["x", "", "  "], ["ab"] * 1000], ids=["a letter", "empty lines", "one word"])
def test_little_text_is_enough(lines: list[str]) -> None:
    tokens = Tokens.train(lines, lines, 8_000)
    assert tokens.vocab_size < 300
    assert tokens.decode(tokens.encode_target("Never seen: ü 日")) == "Never seen: ü 日"


def test_training_is_deterministic(tmp_path: Path) -> None:
    models = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        Tokens.train(LINES * 4, LINES, 400).save(tmp_path / name)
        models.append((tmp_path / name / "tokens.spm").read_bytes())
    assert models[0] == models[1]


def test_text_that_cannot_make_a_vocabulary() -> None:
    with pytest.raises(DataError, match="no text to learn a vocabulary from: every line is empty"):
        Tokens.train(["", "  "], [], 300)
    with pytest.raises(DataError, match=r"a vocabulary of 261 does not fit text with .* Set tokens.vocab_size higher"):
        Tokens.train(LINES, LINES, 261)


@pytest.mark.parametrize(("tokens", "kind"), [(JOINT, "joint"), (SEPARATE, "separate")])
def test_saved_is_loaded(tmp_path: Path, tokens: Tokens, kind: str) -> None:
    facts = tokens.save(tmp_path)
    assert facts == {"kind": kind}
    loaded = Tokens.load(tmp_path, json.loads(json.dumps(facts)))
    assert (loaded.vocab_size, loaded.shared) == (tokens.vocab_size, kind == "joint")
    for line in LINES:
        assert loaded.encode_source(line) == tokens.encode_source(line)
        assert loaded.encode_target(line) == tokens.encode_target(line)


def test_a_vocabulary_of_its_own_is_kept(tmp_path: Path) -> None:
    pieces = sorted({piece for line in LINES for piece in JOINT.target_pieces(JOINT.encode_target(line))})
    vocabulary = {piece: number for number, piece in enumerate(["</s>", "<unk>", *pieces, "<pad>"])}
    spm = (JOINT.save(tmp_path), (tmp_path / "tokens.spm").read_bytes())[1]
    tokens = Tokens(spm, spm, vocabulary=vocabulary, bos_id=vocabulary["<pad>"])
    loaded = Tokens.load(tmp_path, tokens.save(tmp_path))
    assert loaded.encode_source("the cat") == tokens.encode_source("the cat")
    assert loaded.encode_source("the cat")[-1] == 0
    assert loaded.decode([*loaded.encode_target("the cat"), 0]) == "the cat"
    assert loaded.encode_target("Ж") == [1] * len(loaded.encode_target("Ж")) or 1 in loaded.encode_target("Ж")
    assert loaded.bos_id == loaded.pad_id == len(pieces) + 2


@pytest.mark.parametrize("kind", ["joint", "separate"])
@pytest.mark.parametrize("damage", ["gone", "cut", "empty", "text"])
def test_a_damaged_file_is_said(tmp_path: Path, kind: str, damage: str) -> None:
    facts = (JOINT if kind == "joint" else SEPARATE).save(tmp_path)
    path = sorted(tmp_path.iterdir())[0]
    data = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes({"cut": data[: len(data) // 2], "empty": b"", "text": b"hello" * 100}[damage])
    with pytest.raises(ModelError, match=r"its tokenizer cannot be read.*Copy the whole folder again"):
        Tokens.load(tmp_path, facts)


@pytest.mark.parametrize(
    "facts",
    [{}, {"kind": "$HOME"}, {"kind": ["joint"]}, {"kind": "marian"}, {"kind": "marian", "bos_id": "x"}],
    ids=str,
)
def test_facts_that_are_none(tmp_path: Path, facts: dict[str, object]) -> None:
    with pytest.raises(ModelError):
        Tokens.load(tmp_path, facts)
