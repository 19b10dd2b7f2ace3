"""The tokenizer of GPT-2 folders: tokenizer.json, or the vocab.json and merges.txt of older ones.

tokenizer.json is written.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tokenizers

from regard.data.byte_tokens import END, ByteTokens, from_merges
from regard.data.text_tokens import TOKENIZER_FILE, read_tokenizer
from regard.errors import ModelError
from regard.interop.huggingface import (
    ADDED_TOKENS_FILE,
    NO_TOKENIZER,
    TOKENIZER_CONFIG_FILE,
    check_vocabulary,
    contradiction,
    read_json,
    special_token,
    tokenizer_settings,
    write_json,
)

_VOCABULARY_FILE, _MERGES_FILE = "vocab.json", "merges.txt"
_ROLES = {"bos_token": "start", "eos_token": "end", "pad_token": "pad"}


def read_tokens(folder: Path, *, vocab_size: int) -> tuple[ByteTokens | None, list[str]]:
    """Read a folder's tokenizer.

    Args:
        vocab_size: how many ids the model knows.

    Returns:
        The tokenizer, or None where the folder has none, and warnings.

    Raises:
        ModelError: a file is damaged, would lose text, or does not fit the model.
    """
    settings = tokenizer_settings(folder)
    special = {role: special_token(settings.get(name)) for name, role in _ROLES.items()}
    special |= {role: special[role] or END for role in ("start", "end")}
    if (folder / TOKENIZER_FILE).is_file():
        tokenizer = read_tokenizer(folder / TOKENIZER_FILE)
        before = (json.loads(tokenizer.to_str()).get("pre_tokenizer") or {}).get("add_prefix_space")
        if settings.get("add_prefix_space") and before is False:
            raise contradiction(folder, "add_prefix_space", True, False)
    elif (folder / _VOCABULARY_FILE).is_file() and (folder / _MERGES_FILE).is_file():
        tokenizer = _from_files(folder, settings)
        tokenizer.add_special_tokens(
            [token for token in dict.fromkeys(special.values()) if tokenizer.token_to_id(token) is not None]
        )
    else:
        return None, [NO_TOKENIZER]
    present = {role: token for role, token in special.items() if token and tokenizer.token_to_id(token) is not None}
    highest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    check_vocabulary(folder, highest + 1, vocab_size)  # first: a table is made of as many
    try:
        tokens = ByteTokens(tokenizer, present)
    except ModelError as error:
        raise ModelError(f"{folder}: {error}") from error
    return tokens, [] if "end" in present else [f"{special['end']} is no token, so the model cannot end a text."]


def write_tokens(folder: Path, tokens: ByteTokens, *, max_length: int) -> None:
    """Write tokenizer.json and tokenizer_config.json.

    The class named is the one that takes tokenizer.json as it is: GPT-2's own would make a tokenizer anew, of its
    vocabulary and merges. A special token that is written in a text is special there, as usual, and text here.

    Args:
        max_length: the longest text that the model takes, in tokens.
    """
    tokens.save(folder)
    special = {name: tokens.special[role] for name, role in _ROLES.items() if role in tokens.special}
    if "end" in tokens.special:  # as GPT-2's own class has them
        special = {"bos_token": special["eos_token"], "unk_token": special["eos_token"], **special}
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **special,
        "model_max_length": max_length,
        "model_input_names": ["input_ids", "attention_mask"],
        "clean_up_tokenization_spaces": False,
    }
    write_json(folder / TOKENIZER_CONFIG_FILE, settings)


def _from_files(folder: Path, settings: Mapping[str, Any]) -> tokenizers.Tokenizer:
    """The tokenizer that transformers builds of vocab.json and merges.txt."""
    odd = [name for name in ("add_prefix_space", "add_bos_token") if settings.get(name)]
    odd += [ADDED_TOKENS_FILE] if (folder / ADDED_TOKENS_FILE).is_file() else []
    if odd:
        raise ModelError(
            f"{folder}: {odd[0]} asks for more than {_VOCABULARY_FILE} and {_MERGES_FILE} say. "
            "Load the tokenizer with transformers and call save_pretrained, which writes tokenizer.json."
        )
    vocabulary = read_json(folder / _VOCABULARY_FILE)
    if not all(type(number) is int for number in vocabulary.values()):
        raise ModelError(f"{folder / _VOCABULARY_FILE}: must be a table from tokens to their numbers.")
    try:
        lines = (folder / _MERGES_FILE).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{folder / _MERGES_FILE}: cannot be read as UTF-8 text ({error}).") from error
    merges = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or (number == 1 and line.startswith("#version")):
            continue
        parts = line.rstrip("\r").split(" ")
        if len(parts) != 2:
            raise ModelError(f"{folder / _MERGES_FILE}, line {number:,}: {line[:40]!r} is not two tokens with a space.")
        merges.append((parts[0], parts[1]))
    try:
        return from_merges(vocabulary, merges)
    except ModelError as error:
        raise ModelError(f"{folder}: {error}") from error
