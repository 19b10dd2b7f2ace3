"""Tokenizers of encoders: nothing is cut, text stays text, spans are true."""

import json
import random

import pytest
from tokenizers import Tokenizer

from regard.data.text_tokens import ROLES, TextTokens
from regard.errors import DataError, ModelError
from regard.interop.bert_tokens import read_tokens

PIECES = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "the",
    "cat",
    "##s",
    "sat",
    "[",
    "]",
    "cl",
    "##s",
    "ca",
    "é",
    ".",
]
VOCABULARY = list(dict.fromkeys([*PIECES, "mask", "##fé", "unk", "sep"]))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True, "strip_accents": False}))
    return tmp_path


@pytest.fixture
def tokens(folder) -> TextTokens:
    found, warnings = read_tokens(folder, vocab_size=50)
    assert found is not None
    assert warnings == []
    return found


def test_a_text_has_its_pieces_types_and_spans(tokens) -> None:
    text = "The  cats sat."
    found = tokens.encode(text)
    assert tokens.pieces(found.ids) == ["[CLS]", "the", "cat", "##s", "sat", ".", "[SEP]"]
    assert [text[first:end] for first, end in found.spans] == ["", "The", "cat", "s", "sat", ".", ""]
    assert found.special == [True, False, False, False, False, False, True]
    assert found.types == [0] * 7
    assert len(found) == 7


def test_two_texts_are_one_input(tokens) -> None:
    found = tokens.encode("the cat", "sat")
    assert tokens.pieces(found.ids) == ["[CLS]", "the", "cat", "[SEP]", "sat", "[SEP]"]
    assert found.types == [0, 0, 0, 0, 1, 1]
    assert found.spans[4] == (0, 3), "each text counts its own characters"


def test_special_tokens_in_a_text_are_text(tokens) -> None:
    found = tokens.encode("[SEP] [MASK]")
    assert found.special == [True, *[False] * (len(found) - 2), True]
    assert tokens.id_of("mask") not in found.ids
    assert found.ids.count(tokens.id_of("end")) == 1


def test_a_file_that_asks_to_cut_does_not_cut(tokens, folder) -> None:
    """Sentence encoders ship tokenizer.json with truncation to 128 and padding to as many."""
    tokens.save(folder)
    settings = json.loads((folder / "tokenizer.json").read_text())
    settings["truncation"] = {"max_length": 4, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    settings["padding"] = {
        "strategy": {"Fixed": 16},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "[PAD]",
    }
    (folder / "tokenizer.json").write_text(json.dumps(settings))
    assert len(Tokenizer.from_file(str(folder / "tokenizer.json")).encode("the cat " * 30).ids) == 16
    found, _ = read_tokens(folder, vocab_size=50)
    assert len(found.encode("the cat " * 30)) == 62
    assert len(found.encode("the")) == 3


def test_saved_is_loaded(tokens, tmp_path) -> None:
    facts = tokens.save(tmp_path)
    assert facts == {
        "kind": "text",
        "pad": "[PAD]",
        "unk": "[UNK]",
        "start": "[CLS]",
        "end": "[SEP]",
        "mask": "[MASK]",
    }
    again = TextTokens.load(tmp_path, facts)
    assert again.encode("the cats", "é") == tokens.encode("the cats", "é")
    assert again.vocab_size == tokens.vocab_size == len(VOCABULARY)
    assert again.decode(again.encode("the cats sat.").ids) == "the cats sat."


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"kind": "joint"}, "expected tokens of kind 'text'"),
        ({"kind": "text", "pad": 3}, "expected tokens of kind 'text'"),
        ({"kind": "text", "pad": "<pad>"}, "the pad token '<pad>' is not in the tokenizer's vocabulary"),
        ({"kind": "text", "boss": "[PAD]"}, "a special token is for 'boss'"),
    ],
)
def test_facts_that_do_not_fit_are_refused(tokens, tmp_path, facts, message) -> None:
    tokens.save(tmp_path)
    with pytest.raises(ModelError, match=message):
        TextTokens.load(tmp_path, facts)


def test_damaged_files_are_told(folder) -> None:
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match=r"tokenizer.json: cannot be read as a tokenizer"):
        read_tokens(folder, vocab_size=50)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="its tokenizer has 19 tokens, the model knows 9"):
        read_tokens(folder, vocab_size=9)
    (folder / "vocab.txt").write_bytes(b"[PAD]\n\xff\n")
    with pytest.raises(ModelError, match=r"vocab.txt: cannot be read as UTF-8"):
        read_tokens(folder, vocab_size=50)
    (folder / "vocab.txt").write_text("a\nb\n")
    with pytest.raises(ModelError, match=r"\[CLS\] is missing"):
        read_tokens(folder, vocab_size=50)


def test_a_role_that_is_missing_is_told(folder) -> None:
    (folder / "vocab.txt").write_text("\n".join(piece for piece in VOCABULARY if piece != "[MASK]") + "\n")
    found, _ = read_tokens(folder, vocab_size=50)
    with pytest.raises(ModelError, match="has no mask token"):
        found.id_of("mask")


def test_ids_are_those_of_transformers(folder) -> None:
    transformers = pytest.importorskip("transformers")
    theirs = transformers.BertTokenizer(str(folder / "vocab.txt"), do_lower_case=True, strip_accents=False)
    theirs.save_pretrained(folder / "saved")
    for place in (folder, folder / "saved"):
        ours, _ = read_tokens(place, vocab_size=50)
        for text in ("The cats sat. The CAT", "café cat é", "unseen words", "", "  the\tcat \n"):
            assert ours.encode(text).ids == theirs(text)["input_ids"], text
            assert ours.encode(text, "sat.").types == theirs(text, "sat.")["token_type_ids"]


def test_equal_texts_give_equal_vocabularies() -> None:
    letters = random.Random(5)
    texts = ["".join(letters.choice("abcdefghij  ,") for _ in range(60)) + " ção Ünï [MASK]" for _ in range(80)]
    trained = [TextTokens.train_wordpiece(lambda: texts, 120) for _ in range(6)]
    vocabularies = {str(sorted(tokens._tokenizer.get_vocab().items())) for tokens in trained}
    assert len(vocabularies) == 1
    tokens = trained[0]
    assert tokens.vocab_size <= 120
    assert [tokens.id_of(role) for role in ROLES] == [0, 1, 2, 3, 4]
    read = tokens.encode("abc ##a [SEP]", "ção")
    assert tokens.pieces(read.ids)[0] == "[CLS]"
    assert sum(read.special) == 3  # "##a" and "[SEP]" in a text are text
    assert set(read.types) == {0, 1}
    assert tokens.decode(tokens.encode_bare(["ÇÃO"])[0]) == "cao"
    cased = TextTokens.train_wordpiece(lambda: texts, 120, lowercase=False)
    assert cased.decode(cased.encode_bare(["ção"])[0]) == "ção"
    starts = tokens.starts_word()
    assert all(starts[tokens.encode_bare([letter])[0][0]] for letter in "abc")
    assert not starts[tokens.encode_bare(["a" * 50])[0][-1]]
    with pytest.raises(DataError, match="no words to make a vocabulary of"):
        TextTokens.train_wordpiece(lambda: [" ", ""], 50)
