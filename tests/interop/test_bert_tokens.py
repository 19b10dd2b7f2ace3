"""Tokenizers of BERT-like folders: what two files say must agree, and what cannot be done is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_model import make_text_tokens

from regard.errors import ModelError
from regard.interop.bert_tokens import read_tokens

CONFIG = "tokenizer_config.json"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """vocab.txt alone, as BERT was published."""
    make_text_tokens(tmp_path)
    return tmp_path


@pytest.fixture
def new(old: Path) -> Path:
    """tokenizer.json, which lower-cases."""
    tokens, _ = read_tokens(old, vocab_size=1_000)
    assert tokens is not None
    tokens.save(old)
    (old / "vocab.txt").unlink()
    return old


def change(folder: Path, name: str, **values: Any) -> None:
    path = folder / name
    found = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**found, **values}))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"do_lower_case": False}, "do_lower_case is False for tokenizer_config.json and True in tokenizer.json"),
        ({"strip_accents": False}, "strip_accents is False"),
        ({"tokenize_chinese_chars": False}, "tokenize_chinese_chars is False"),
    ],
)
def test_two_files_that_contradict_each_other_are_refused(new: Path, settings: dict[str, Any], message: str) -> None:
    change(new, CONFIG, **settings)
    with pytest.raises(ModelError, match=message):
        read_tokens(new, vocab_size=1_000)


def test_what_a_class_takes_where_nothing_is_said_counts_too(new: Path) -> None:
    change(new, CONFIG, do_lower_case=True, tokenizer_class="BertTokenizer")
    assert read_tokens(new, vocab_size=1_000)[0] is not None
    normalizer = json.loads((new / "tokenizer.json").read_text())["normalizer"]
    change(new, "tokenizer.json", normalizer={**normalizer, "lowercase": False})
    (new / CONFIG).write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
    assert read_tokens(new, vocab_size=1_000)[0] is not None
    (new / CONFIG).write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    with pytest.raises(ModelError, match="do_lower_case is True"):
        read_tokens(new, vocab_size=1_000)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        (CONFIG, {"tokenizer_class": "BertJapaneseTokenizer"}, "tokenizer_class asks for more than vocab.txt says"),
        (CONFIG, {"do_basic_tokenize": False}, "do_basic_tokenize asks for more"),
        (CONFIG, {"never_split": ["<x>"]}, "never_split asks for more"),
        (CONFIG, {"strip_accents": "no"}, "strip_accents asks for more"),
        ("added_tokens.json", {"<e1>": 10}, "added_tokens.json asks for more"),
    ],
)
def test_what_vocab_txt_cannot_say_is_refused(old: Path, name: str, values: dict[str, Any], message: str) -> None:
    change(old, name, **values)
    with pytest.raises(ModelError, match=message):
        read_tokens(old, vocab_size=1_000)


def test_special_tokens_of_the_older_file_count(old: Path) -> None:
    text = (old / "vocab.txt").read_text().replace("[CLS]", "<s>").replace("[SEP]", "</s>").replace("[UNK]", "<unk>")
    (old / "vocab.txt").write_text(text)
    change(old, "special_tokens_map.json", cls_token="<s>", sep_token="</s>", unk_token={"content": "<unk>"})
    tokens, _ = read_tokens(old, vocab_size=1_000)
    assert tokens is not None
    assert tokens.pieces(tokens.encode("cat").ids) == ["<s>", "cat", "</s>"]


def test_a_tokenizer_that_cannot_cut_is_a_model_error(new: Path) -> None:
    model = json.loads((new / "tokenizer.json").read_text())["model"]
    del model["vocab"]["[UNK]"], model["vocab"]["a"]
    change(new, "tokenizer.json", model=model, added_tokens=[])
    with pytest.raises(ModelError, match=r"cannot cut a text into tokens|cannot be read as a tokenizer"):
        read_tokens(new, vocab_size=1_000)


def test_half_a_character_in_a_file_is_a_model_error(new: Path) -> None:
    (new / CONFIG).write_text('{"mask_token": "\\ud800"}')
    with pytest.raises(ModelError, match="half a character"):
        read_tokens(new, vocab_size=1_000)


def test_a_tokenizer_that_cuts_at_random_is_refused(tmp_path: Path) -> None:
    from tiny_model import make_byte_tokens

    from regard.interop.gpt2_tokens import read_tokens as read_gpt2_tokens

    make_byte_tokens().save(tmp_path)
    model = json.loads((tmp_path / "tokenizer.json").read_text())["model"]
    change(tmp_path, "tokenizer.json", model={**model, "dropout": 0.5})
    with pytest.raises(ModelError, match="cuts words at random"):
        read_gpt2_tokens(tmp_path, vocab_size=300)
