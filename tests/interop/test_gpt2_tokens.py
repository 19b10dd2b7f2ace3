"""Tokenizers of GPT-2 folders: the ids are those of `transformers`, whichever files they come from."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from tiny_model import make_byte_tokens

from regard.data.byte_tokens import END
from regard.errors import ModelError
from regard.interop.gpt2_tokens import read_tokens

TEXTS = ["the cat sees\n\nthe dog", "  no bird's 12 345 ", "", "café 😀", "a\tb\r\n", "I'll they've"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """vocab.json and merges.txt, as GPT-2 was published."""
    make_byte_tokens().save(tmp_path)
    model = json.loads((tmp_path / "tokenizer.json").read_text())["model"]
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "vocab.json").write_text(json.dumps(model["vocab"]))
    lines = ["#version: 0.2", *(" ".join(merge) for merge in model["merges"])]
    (tmp_path / "merges.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_ids_are_those_of_transformers(folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transformers = pytest.importorskip("transformers")
    theirs = transformers.GPT2Tokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    theirs.save_pretrained(folder / "saved")
    assert (folder / "saved" / "tokenizer.json").is_file()
    for place in (folder, folder / "saved"):
        ours, said = read_tokens(place, vocab_size=300)
        assert ours is not None
        assert said == []
        assert ours.special == {"start": END, "end": END}
        for text in TEXTS:
            assert ours.encode_prompt(text) == theirs(text)["input_ids"], text
            assert ours.decode(ours.encode(text).ids) == theirs.decode(theirs(text)["input_ids"]) == text
        assert END in theirs.decode(ours.encode(END).ids)
        assert ours.id_of("end") not in ours.encode(END).ids, "an end written in a text is text"


def test_a_folder_without_a_tokenizer_is_told_of(tmp_path: Path) -> None:
    tokens, (said,) = read_tokens(tmp_path, vocab_size=300)
    assert tokens is None
    assert "no tokenizer" in said


def test_a_text_that_cannot_end_is_told_of(folder: Path) -> None:
    vocabulary = json.loads((folder / "vocab.json").read_text())
    del vocabulary[END]
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    tokens, (said,) = read_tokens(folder, vocab_size=300)
    assert tokens is not None
    assert tokens.special == {}
    assert said == f"{END} is no token, so the model cannot end a text."


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"tokenizer_config.json": {"add_prefix_space": True}}, "add_prefix_space asks for more than vocab.json"),
        ({"tokenizer_config.json": {"add_bos_token": True}}, "add_bos_token asks for more than vocab.json"),
        ({"added_tokens.json": {"<x>": 300}}, "added_tokens.json asks for more than vocab.json"),
        ({"vocab.json": {"a": "b"}}, "must be a table from tokens to their numbers"),
        ({"vocab.json": ["a"]}, "holds list, expected a table"),
        ({"vocab.json": {"a": 0}}, "vocabulary and merges do not fit together"),
        ({"merges.txt": "#version: 0.2\nt h e\n"}, "merges.txt, line 2: 't h e' is not two tokens with a space"),
        ({"merges.txt": b"\xff"}, "merges.txt: cannot be read as UTF-8"),
        ({"tokenizer.json": {}}, "tokenizer.json: cannot be read as a tokenizer"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(folder: Path, files: dict[str, Any], message: str) -> None:
    for name, content in files.items():
        data = content if isinstance(content, bytes) else content.encode() if isinstance(content, str) else None
        (folder / name).write_bytes(json.dumps(content).encode() if data is None else data)
    with pytest.raises(ModelError, match=message):
        read_tokens(folder, vocab_size=300)


def test_a_tokenizer_larger_than_the_model_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"its tokenizer has \d+ tokens, the model knows 9"):
        read_tokens(folder, vocab_size=9)


def test_a_huge_token_number_takes_no_memory(folder: Path) -> None:
    vocabulary = json.loads((folder / "vocab.json").read_text())
    (folder / "vocab.json").write_text(json.dumps({**vocabulary, "zzz": 2**32 - 1}))
    with pytest.raises(ModelError, match=r"its tokenizer has 4,?294,?967,?296 tokens, the model knows 300"):
        read_tokens(folder, vocab_size=300)
