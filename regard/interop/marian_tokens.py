"""The tokenizer of MarianMT folders, read and written: two sentencepiece models and ids of their own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from regard.data.tokens import Tokens
from regard.errors import ModelError
from regard.formats.languages import is_tag
from regard.interop.huggingface import ADDED_TOKENS_FILE, TOKENIZER_CONFIG_FILE, read_json, write_json

_SOURCE_FILE, _TARGET_FILE, _VOCABULARY_FILE = "source.spm", "target.spm", "vocab.json"

_PLAIN_VALUES: Mapping[str, Any] = {
    "tokenizer_class": "MarianTokenizer",
    "unk_token": "<unk>",
    "eos_token": "</s>",
    "pad_token": "<pad>",
    "separate_vocabs": False,
    "sp_model_kwargs": {},
    "additional_special_tokens": [],
    "extra_special_tokens": {},
    "bos_token": None,
    "target_vocab_file": None,
}
# No part of turning text into ids. clean_up_tokenization_spaces would take out spaces before punctuation after
# translating; the target sentencepiece model already puts them where they belong.
# fmt: off
_HARMLESS = frozenset(
    {
        "added_tokens_decoder", "backend", "clean_up_tokenization_spaces", "is_local", "local_files_only",
        "model_max_length", "name_or_path", "processor_class", "source_lang", "special_tokens_map_file",
        "target_lang", "tokenizer_file",
    }
)
# fmt: on


def read_tokens(
    folder: Path, *, vocab_size: int, pad_id: int, eos_id: int, start_id: int
) -> tuple[Tokens, tuple[str, str], list[str]]:
    """Read source.spm, target.spm and vocab.json.

    Args:
        vocab_size, pad_id, eos_id: what the model's configuration says; vocab.json must agree.
        start_id: the id that starts a target.

    Returns:
        The tokenizer, the tags of source and target language ("" where they are not told), and warnings.

    Raises:
        ModelError: a file is missing or damaged, or says something that we do not know or cannot do.
    """
    missing = [name for name in (_SOURCE_FILE, _TARGET_FILE, _VOCABULARY_FILE) if not (folder / name).is_file()]
    if missing:
        raise ModelError(
            f"{folder}: its tokenizer's {', '.join(missing)} is not here. A model without them cannot read text; "
            "call the tokenizer's save_pretrained for the same folder."
        )
    vocabulary = _read_vocabulary(folder / _VOCABULARY_FILE, vocab_size, {"</s>": eos_id, "<pad>": pad_id})
    facts = read_json(folder / TOKENIZER_CONFIG_FILE) if (folder / TOKENIZER_CONFIG_FILE).is_file() else {}
    _check_tokenizer(facts, folder / TOKENIZER_CONFIG_FILE)
    decoder = facts.get("added_tokens_decoder") or {}
    if not isinstance(decoder, dict) or not all(isinstance(_content(value), str) for value in decoder.values()):
        raise ModelError(f"{folder / TOKENIZER_CONFIG_FILE}: added_tokens_decoder must be a table from ids to tokens.")
    added = {_content(value): key for key, value in decoder.items()}
    if (folder / ADDED_TOKENS_FILE).is_file():
        added |= read_json(folder / ADDED_TOKENS_FILE)
    strangers = [
        f"{token} (id {number})" for token, number in added.items() if str(vocabulary.get(token)) != str(number)
    ]
    if strangers:
        raise ModelError(
            f"{folder}: added tokens {', '.join(strangers[:8])} differ from vocab.json; tokens outside it cannot be "
            "imported."
        )
    try:
        models = [(folder / name).read_bytes() for name in (_SOURCE_FILE, _TARGET_FILE)]
        tokens = Tokens(*models, vocabulary=vocabulary, bos_id=start_id)
    except (OSError, RuntimeError) as error:
        raise ModelError(f"{folder}: source.spm or target.spm cannot be read as sentencepiece ({error}).") from error
    warnings = []
    codes = sorted(piece for piece in vocabulary if piece.startswith(">>") and piece.endswith("<<"))
    if codes:
        shown = ", ".join(codes[:4]) + (", ..." if len(codes) > 4 else "")
        warnings.append(
            f"vocab.json has {len(codes)} codes of target languages ({shown}) that Marian reads at the start of a "
            "source; here such text is not one token, so the language of a translation cannot be chosen."
        )
    languages = []
    for key in ("source_lang", "target_lang"):
        tag = facts.get(key) or ""
        if tag and not (isinstance(tag, str) and is_tag(tag)):
            warnings.append(f"{TOKENIZER_CONFIG_FILE}: {key} {tag!r} is no language tag and was left out.")
            tag = ""
        languages.append(tag)
    return tokens, (languages[0], languages[1]), warnings


def write_tokens(folder: Path, tokens: Tokens, languages: tuple[str, str], *, max_length: int) -> None:
    """Write source.spm, target.spm, vocab.json and tokenizer_config.json.

    Args:
        tokens: with one vocabulary for both sides.
        languages: the tags of source and target; "" where they are not known.
        max_length: the longest text that the model takes, in tokens.
    """
    source, target, vocabulary = tokens.parts()
    (folder / _SOURCE_FILE).write_bytes(source)
    (folder / _TARGET_FILE).write_bytes(target)
    write_json(folder / _VOCABULARY_FILE, vocabulary)
    settings = {
        "tokenizer_class": "MarianTokenizer",
        "unk_token": "<unk>",
        "eos_token": "</s>",
        "pad_token": "<pad>",
        "separate_vocabs": False,
        "source_lang": languages[0] or None,
        "target_lang": languages[1] or None,
        "model_max_length": max_length,
        "clean_up_tokenization_spaces": False,
    }
    write_json(folder / TOKENIZER_CONFIG_FILE, settings)


def _read_vocabulary(path: Path, vocab_size: int, expected: Mapping[str, int]) -> dict[str, int]:
    vocabulary = read_json(path)
    if not all(type(number) is int and 0 <= number < vocab_size for number in vocabulary.values()):
        raise ModelError(f"{path}: expected ids from 0 to {vocab_size - 1} (vocab_size), found others.")
    if len(set(vocabulary.values())) < len(vocabulary):
        raise ModelError(f"{path}: two pieces have the same id.")
    for token, number in expected.items():
        if vocabulary.get(token) != number:
            raise ModelError(f"{path}: {token} has id {vocabulary.get(token)}, config.json says {number}.")
    if "<unk>" not in vocabulary:
        raise ModelError(f"{path}: <unk> is missing, expected an id for unknown pieces.")
    return vocabulary


def _check_tokenizer(facts: Mapping[str, Any], path: Path) -> None:
    wrong = [
        f"{key} is {facts[key]!r}, expected {plain!r}"
        for key, plain in _PLAIN_VALUES.items()
        if facts.get(key) and _content(facts[key]) != plain  # null, {} and [] all say that there is none
    ]
    if wrong:
        raise ModelError(f"{path}: describes a tokenizer that cannot be imported: {'; '.join(wrong)}.")
    if unknown := sorted(set(facts) - set(_PLAIN_VALUES) - _HARMLESS):
        raise ModelError(f"{path}: unknown setting {', '.join(unknown)}.")


def _content(token: Any) -> Any:
    """A special token's text: it is stored as such or as a table."""
    return token.get("content", token) if isinstance(token, dict) else token
