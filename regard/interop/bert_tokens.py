"""The tokenizer of BERT-like folders: tokenizer.json, or the vocab.txt of older ones; tokenizer.json is written."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers.models import WordPiece

from regard.data.text_tokens import TOKENIZER_FILE, TextTokens, frame_with, read_tokenizer, wordpiece
from regard.errors import ModelError
from regard.interop.huggingface import (
    ADDED_TOKENS_FILE,
    NO_TOKENIZER,
    TOKENIZER_CONFIG_FILE,
    check_vocabulary,
    contradiction,
    special_token,
    tokenizer_settings,
    write_json,
)

_VOCABULARY_FILE = "vocab.txt"
_SENTENCEPIECE_FILE = "spiece.model"  # of BigBird
_CLASSES = ("BertTokenizer", "BertTokenizerFast", "DistilBertTokenizer", "DistilBertTokenizerFast")
# Settings of the normaliser by their names in tokenizer_config.json, and those that vocab.txt cannot express otherwise.
_NORMALIZER = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}
_PLAIN: Mapping[str, Any] = {"do_basic_tokenize": True, "never_split": []}
# Our role by the name that transformers has for a special token, with BERT's own.
_SPECIAL = {
    "pad_token": ("pad", "[PAD]"),
    "unk_token": ("unk", "[UNK]"),
    "cls_token": ("start", "[CLS]"),
    "sep_token": ("end", "[SEP]"),
    "mask_token": ("mask", "[MASK]"),
}


def read_tokens(folder: Path, *, vocab_size: int) -> tuple[TextTokens | None, list[str]]:
    """Read a folder's tokenizer.

    Args:
        vocab_size: how many ids the model knows.

    Returns:
        The tokenizer, or None where the folder has none, and warnings.

    Raises:
        ModelError: a file is damaged, or does not fit the model.
    """
    settings = tokenizer_settings(folder)
    special = {role: special_token(settings.get(name)) or usual for name, (role, usual) in _SPECIAL.items()}
    if (folder / TOKENIZER_FILE).is_file():
        tokenizer = read_tokenizer(folder / TOKENIZER_FILE)
        _check_agrees(folder, tokenizer, settings)
    elif (folder / _VOCABULARY_FILE).is_file():
        _check_plain(folder, settings)
        tokenizer = _from_vocabulary(folder / _VOCABULARY_FILE, settings, special)
    elif (folder / _SENTENCEPIECE_FILE).is_file():
        return None, [
            f"{_SENTENCEPIECE_FILE} alone is not read, so the model will not read text. Load the tokenizer with "
            "transformers and call its save_pretrained, which writes tokenizer.json."
        ]
    else:
        return None, [NO_TOKENIZER]
    present = {role: token for role, token in special.items() if tokenizer.token_to_id(token) is not None}
    try:
        tokens = TextTokens(tokenizer, present)
        ids = tokens.encode("a").ids
    except ModelError as error:
        raise ModelError(f"{folder}: {error}") from error
    except Exception as error:  # the library raises bare Exception for a vocabulary without its unknown token
        raise ModelError(f"{folder / TOKENIZER_FILE}: cannot cut a text into tokens ({error}).") from error
    check_vocabulary(folder, tokens.vocab_size, vocab_size)
    if "start" in present and (not ids or ids[0] != tokens.id_of("start")):
        raise ModelError(
            f"{folder / TOKENIZER_FILE}: does not put {present['start']} before a text, as this model needs. "
            "Load the tokenizer with transformers and call save_pretrained."
        )
    return tokens, []


def write_tokens(folder: Path, tokens: TextTokens, *, max_length: int, reads_types: bool) -> None:
    """Write tokenizer.json and tokenizer_config.json.

    The class named is the one that takes tokenizer.json as it is: BERT's own would make a tokenizer anew, of settings.

    Args:
        max_length: the longest text that the model takes, in tokens.
        reads_types: whether the model takes token types.
    """
    tokens.save(folder)
    names = {role: name for name, (role, _) in _SPECIAL.items()}
    inputs = ["input_ids", *(["token_type_ids"] if reads_types else []), "attention_mask"]
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **{names[role]: token for role, token in tokens.special.items()},
        "model_max_length": max_length,
        "model_input_names": inputs,
        "clean_up_tokenization_spaces": False,
    }
    write_json(folder / TOKENIZER_CONFIG_FILE, settings)


def _check_agrees(folder: Path, tokenizer: tokenizers.Tokenizer, settings: Mapping[str, Any]) -> None:
    """Refuse a tokenizer.json that cuts otherwise than tokenizer_config.json says, which transformers follows."""
    normalizer = json.loads(tokenizer.to_str()).get("normalizer") or {}
    if normalizer.get("type") != "BertNormalizer":
        return
    wanted = dict(settings)
    if settings.get("tokenizer_class") in _CLASSES:
        wanted.setdefault("do_lower_case", True)  # what these classes take where nothing is said
    for said, there in _NORMALIZER.items():
        if said in wanted and wanted[said] != normalizer.get(there):
            raise contradiction(folder, said, wanted[said], normalizer.get(there))


def _check_plain(folder: Path, settings: Mapping[str, Any]) -> None:
    """Refuse a folder whose tokenizer does more than cut by vocab.txt."""
    odd = [ADDED_TOKENS_FILE] if (folder / ADDED_TOKENS_FILE).is_file() else []
    odd += [key for key, plain in _PLAIN.items() if settings.get(key) not in (None, plain)]
    odd += ["tokenizer_class"] if settings.get("tokenizer_class") not in (None, *_CLASSES) else []
    odd += [key for key in _NORMALIZER if not isinstance(settings.get(key), bool | None)]
    if odd:
        raise ModelError(
            f"{folder}: {odd[0]} asks for more than {_VOCABULARY_FILE} says. Load the tokenizer with transformers and "
            "call save_pretrained, which writes tokenizer.json."
        )


def _from_vocabulary(path: Path, settings: Mapping[str, Any], special: Mapping[str, str]) -> tokenizers.Tokenizer:
    """The WordPiece tokenizer that transformers builds of vocab.txt, one piece a line."""
    try:
        pieces = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: cannot be read as UTF-8 text ({error}).") from error
    vocabulary = {
        piece.rstrip("\r"): number for number, piece in enumerate(pieces[:-1] if pieces[-1] == "" else pieces)
    }
    for role in ("start", "end", "unk"):
        if special[role] not in vocabulary:
            raise ModelError(f"{path}: {special[role]} is missing, expected a piece for it.")
    tokenizer = wordpiece(
        WordPiece(vocabulary, unk_token=special["unk"], max_input_chars_per_word=100),
        lowercase=bool(settings.get("do_lower_case", True)),
        clean_text=True,
        handle_chinese_chars=bool(settings.get("tokenize_chinese_chars", True)),
        strip_accents=settings.get("strip_accents"),
    )
    frame_with(tokenizer, special["start"], special["end"])
    tokenizer.add_special_tokens([token for token in special.values() if token in vocabulary])
    return tokenizer
