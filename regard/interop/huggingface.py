"""Folders that `transformers` wrote or shall read: configuration and tensors, and nothing that runs."""

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from regard.data.text_tokens import TOKENIZER_FILE
from regard.errors import ModelError
from regard.formats.files import has_half_character
from regard.models.folder import CARD_FILE, FLOATS, check_new, read_weights
from regard.nn.layers import Activation
from regard.storage import publish_folder

CONFIG_FILE, WEIGHTS_FILE, INDEX_FILE = "config.json", "model.safetensors", "model.safetensors.index.json"
GENERATION_FILE, TOKENIZER_CONFIG_FILE = "generation_config.json", "tokenizer_config.json"
SPECIAL_TOKENS_FILE, ADDED_TOKENS_FILE = "special_tokens_map.json", "added_tokens.json"
_MAX_JSON_BYTES = 1 << 26  # an index or vocabulary has some megabytes
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")  # torch.save, new and old
NO_TOKENIZER = (
    "this folder has no tokenizer, so the model will not read text. Put the tokenizer's files (tokenizer.json, or "
    "vocab.txt; of GPT-2 vocab.json and merges.txt) beside the weights and import again."
)
PICKLE_NAMES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
PICKLE_ADVICE = (
    "Pickled weights can run code when they are opened, so they are not read. Convert them where you trust their "
    "source: load the folder with transformers and call save_pretrained, which writes model.safetensors."
)

CODE_KEYS = frozenset({"auto_map", "custom_pipelines", "trust_remote_code", "_target_"})
# What every transformers configuration may hold and what changes no number that a model computes.
# fmt: off
HARMLESS_KEYS = frozenset(
    {
        "_name_or_path", "name_or_path", "_commit_hash", "transformers_version", "torch_dtype", "dtype",
        "use_bfloat16", "torchscript", "use_cache", "return_dict", "output_hidden_states", "output_attentions",
        "output_past", "id2label", "label2id", "num_labels", "_num_labels", "problem_type", "finetuning_task",
        "classifier_dropout", "classif_dropout", "task_specific_params", "tokenizer_class", "prefix",
        "gradient_checkpointing", "chunk_size_feed_forward", "tf_legacy_loss", "initializer_range", "init_std",
        "sep_token_id", "_attn_implementation_autoset",
    }
)
# fmt: on
# What changes the numbers, with the only value it may have; null and an absent key are as good.
PLAIN_VALUES: Mapping[str, Any] = {
    "add_cross_attention": False,
    "cross_attention_hidden_size": None,
    "pruned_heads": {},
    "quantization_config": None,
    "tie_encoder_decoder": False,
}
# Our activation by the name that transformers has for it. Of several foreign ones the first is written.
ACTIVATIONS: Mapping[str, Activation] = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "swish": "swish",
    "silu": "swish",
    "tanh": "tanh",
}
# How transformers would search: no part of a model. The values under which nothing special happens.
PLAIN_GENERATION: Mapping[str, Any] = {
    "bad_words_ids": None,
    "begin_suppress_tokens": None,
    "diversity_penalty": 0.0,
    "do_sample": False,
    "encoder_no_repeat_ngram_size": 0,
    "exponential_decay_length_penalty": None,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "length_penalty": 1.0,
    "min_length": 0,
    "no_repeat_ngram_size": 0,
    "num_beam_groups": 1,
    "num_beams": 1,
    "num_return_sequences": 1,
    "repetition_penalty": 1.0,
    "suppress_tokens": None,
    "temperature": 1.0,
    "top_k": 50,
    "top_p": 1.0,
    "typical_p": 1.0,
}
# Generation keys that change no text, or that say only when to give up.
# fmt: off
HARMLESS_GENERATION = frozenset(
    {
        "_from_model_config", "early_stopping", "max_length", "max_new_tokens", "output_scores",
        "remove_invalid_values", "renormalize_logits", "return_dict_in_generate",
    }
)
# fmt: on


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds one table.

    Raises:
        ModelError: it is missing, too large, or something else.
    """
    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            raise ModelError(f"{path}: has {path.stat().st_size:,} bytes, at most {_MAX_JSON_BYTES:,} were expected.")
        values = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: cannot be read as JSON ({error}).") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path}: holds {type(values).__name__}, expected a table of settings.")
    if has_half_character(json.dumps(values, ensure_ascii=False)):
        raise ModelError(f"{path}: has half a character (a lone surrogate). Copy the whole folder again.")
    return values


def tokenizer_settings(folder: Path) -> dict[str, Any]:
    """What tokenizer_config.json says, and before it the older special_tokens_map.json; nothing, if neither is there.

    Raises:
        ModelError: one cannot be read.
    """
    found: dict[str, Any] = {}
    for name in (SPECIAL_TOKENS_FILE, TOKENIZER_CONFIG_FILE):
        if (folder / name).is_file():
            found |= read_json(folder / name)
    return found


def read_folder(folder: Path, out: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read the configuration and the tensors of a foreign folder.

    Args:
        out: where they are to go; that there is something already shows before the long reading.

    Raises:
        ModelError: there is something of the name `out`, or as `read_config` and `read_tensors`.
    """
    check_new(out)
    return read_config(folder), read_tensors(folder)


def read_config(folder: Path) -> dict[str, Any]:
    """Read config.json of a foreign folder; `check_keys` judges what it holds.

    Raises:
        ModelError: there is no such folder or file, or it is not a table in JSON.
    """
    if not folder.is_dir():
        raise ModelError(f"{folder}: there is no such folder. Expected one that transformers' save_pretrained wrote.")
    if not (folder / CONFIG_FILE).is_file():
        raise ModelError(f"{folder}: no config.json here. Expected a folder that transformers' save_pretrained wrote.")
    return read_json(folder / CONFIG_FILE)


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """Read model.safetensors, or the shards that model.safetensors.index.json lists.

    Raises:
        ModelError: there is no safetensors file (the message says what is there), one is damaged or is a pickle
            under another name, or index and shards do not fit together.
    """
    if (folder / WEIGHTS_FILE).is_file():
        return _read_file(folder / WEIGHTS_FILE)
    if (folder / INDEX_FILE).is_file():
        return _read_shards(folder)
    pickles = sorted({path.name for pattern in PICKLE_NAMES for path in folder.glob(pattern)})
    if pickles:
        raise ModelError(f"{folder}: has its weights in {', '.join(pickles[:3])}, not in safetensors. {PICKLE_ADVICE}")
    found = sorted(path.name for path in folder.iterdir() if path.is_file())
    raise ModelError(
        f"{folder}: no {WEIGHTS_FILE} here, found {', '.join(found[:8]) or 'nothing'}. "
        "Load the folder with transformers and call save_pretrained to get one."
    )


def _read_file(path: Path) -> dict[str, Tensor]:
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise ModelError(f"{str(path)!a}: cannot be read ({error}).") from error
    if start.startswith(_PICKLE_STARTS):
        raise ModelError(f"{path}: holds a pickle, whatever its name says. {PICKLE_ADVICE}")
    return read_weights(path)


def _read_shards(folder: Path) -> dict[str, Tensor]:
    index = folder / INDEX_FILE
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(place, str) for place in places.values()):
        raise ModelError(f"{index}: weight_map must be a table from tensors to files.")
    shards = sorted(set(places.values()))
    for name in shards:  # a shard is a file of this folder: the index may not send us anywhere else
        if "/" in name or "\\" in name or not name.endswith(".safetensors"):
            raise ModelError(f"{index}: names {name!r}, expected the name of a .safetensors file in the same folder.")
    tensors: dict[str, Tensor] = {}
    for name in shards:
        shard = _read_file(folder / name)
        expected = {tensor for tensor, place in places.items() if place == name}
        if differing := sorted(expected ^ set(shard)):
            raise ModelError(
                f"{folder / name}: does not fit {INDEX_FILE}: {differing[0]} is only in one of them. "
                "Copy the whole folder again."
            )
        tensors |= shard
    return tensors


def rounding_warnings(tensors: Mapping[str, Tensor]) -> list[str]:
    """A sentence if any tensor had more digits than a model folder keeps, which is float32."""
    double = any(tensor.dtype == torch.float64 for tensor in tensors.values())
    return ["float64 weights were rounded to float32."] if double else []


def write_folder(
    out: Path,
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    card: str,
    write_more: Callable[[Path], None],
) -> None:
    """Write config.json, model.safetensors and README.md into a new folder, which appears complete or not at all.

    Args:
        write_more: writes further files, the tokenizer's say, into the folder that it is given.

    Raises:
        ModelError: there is something of that name.
        StorageError: the disk refused.
    """
    check_new(out)
    # Copies: safetensors refuses parts of one tensor, such as key and value.
    copies = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
    }
    dtype = str(next(iter(copies.values())).dtype).removeprefix("torch.")

    def fill(folder: Path) -> None:
        write_json(folder / CONFIG_FILE, {**config, "dtype": dtype})
        # Without this mark transformers does not know whose tensors they are.
        (folder / WEIGHTS_FILE).write_bytes(safetensors.torch.save(copies, metadata={"format": "pt"}))
        (folder / CARD_FILE).write_text(card, encoding="utf-8")
        write_more(folder)

    publish_folder(out, fill)


def write_json(path: Path, values: Mapping[str, Any] | list[Any]) -> None:
    """Write a table, or a list, as transformers does."""
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def check_keys(config: Mapping[str, Any], known: Collection[str], plain: Mapping[str, Any], where: str) -> None:
    """Refuse a configuration that says anything we do not know or cannot do.

    Args:
        known: keys the importer reads itself.
        plain: keys with the only value that this model family may have; they are joined with `PLAIN_VALUES`.

    Raises:
        ModelError: with the keys' names and values.
    """
    if code := sorted(CODE_KEYS & {key for key, value in config.items() if value}):
        raise ModelError(
            f"{where}: {code[0]} asks for code that comes with the model. No code from a model folder is run, and what "
            "a model with code of its own computes is not known; such a model cannot be imported."
        )
    plain = {**PLAIN_VALUES, **plain}
    wrong = [key for key in plain if config.get(key) is not None and config[key] != plain[key] and key not in known]
    if wrong:
        listed = "; ".join(f"{key} is {config[key]!r}, expected {plain[key]!r}" for key in sorted(wrong))
        raise ModelError(f"{where}: describes a model that cannot be imported: {listed}.")
    accepted = {*known, *plain, *HARMLESS_KEYS, *PLAIN_GENERATION, *HARMLESS_GENERATION, *CODE_KEYS}
    if unknown := sorted(set(config) - accepted):
        listed = ", ".join(f"{key} ({_short(config[key])})" for key in unknown)
        raise ModelError(
            f"{where}: unknown setting {listed}. Whether it changes what the model computes is not known; "
            "remove it from config.json only if you know that it does not."
        )


def contradiction(folder: Path, setting: str, said: Any, found: Any) -> ModelError:
    """The error for a setting that tokenizer_config.json has in one way and tokenizer.json in another."""
    return ModelError(
        f"{folder}: {setting} is {said!r} for {TOKENIZER_CONFIG_FILE} and {found!r} in {TOKENIZER_FILE}. Which of "
        "them the model has learnt with cannot be told; load the tokenizer with transformers and call save_pretrained."
    )


def special_token(value: Any) -> str:
    """The text of a special token in tokenizer_config.json, where it is stored as such or as a table; "" if none."""
    found = value.get("content") if isinstance(value, dict) else value
    return found if isinstance(found, str) else ""


def check_vocabulary(folder: Path, num_tokens: int, vocab_size: int) -> None:
    """Refuse a tokenizer with more tokens than the model knows; it may have fewer.

    Raises:
        ModelError: with both numbers.
    """
    if num_tokens > vocab_size:
        raise ModelError(
            f"{folder}: its tokenizer has {num_tokens:,} tokens, the model knows {vocab_size:,}. "
            "Both must come from one model."
        )


def activation(name: Any, where: str) -> Activation:
    """Our name of an activation.

    Raises:
        ModelError: there is no such one.
    """
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise ModelError(f"{where}: the activation is {name!r}, expected one of {', '.join(ACTIVATIONS)}.")
    return ACTIVATIONS[name]


def foreign_activation(name: Activation) -> str:
    """The name that transformers has for an activation of ours."""
    return next(there for there, here in ACTIVATIONS.items() if here == name)


def generation_warnings(config: Mapping[str, Any], plain: Mapping[str, Any], neutral: Collection[str]) -> list[str]:
    """One sentence on the search settings that would change transformers' output and are not imported, or nothing.

    Args:
        config: configuration and generation configuration in one.
        plain: values under which nothing special happens in this family, where they are not those of
            `PLAIN_GENERATION`.
        neutral: keys that say nothing about the search (or were checked before).
    """
    plain = {**PLAIN_GENERATION, **plain}
    ignored = HARMLESS_GENERATION | HARMLESS_KEYS | set(neutral)
    special = [
        f"{key} {_short(value)}"
        for key, value in sorted(config.items())
        if key not in ignored and value is not None and value != plain.get(key)
    ]
    if not special:
        return []
    return [f"search settings are not part of a model and were left out: {', '.join(special)}."]


class ForeignTensors:
    """Tensors by foreign name, each taken once, in one floating-point type.

    Problems are collected: `finish` raises them together with what nobody took. Half-precision numbers become float32,
    which holds them exactly; if any tensor is float64 all become float64.
    """

    def __init__(self, tensors: Mapping[str, Tensor], where: str):
        self._tensors = dict(tensors)
        self._where = where
        self._problems: list[str] = []
        double = any(tensor.dtype == torch.float64 for tensor in tensors.values())
        self.dtype = torch.float64 if double else torch.float32

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def take(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """A tensor of this shape; an empty one if there is none, and `finish` will say so."""
        tensor = self._tensors.pop(name, None)
        if tensor is None:
            self.problem(f"{name} is missing, expected shape {shape}")
        elif tuple(tensor.shape) != shape:
            self.problem(f"{name} has shape {tuple(tensor.shape)}, expected {shape}")
        elif tensor.dtype not in FLOATS:
            self.problem(f"{name} holds {tensor.dtype}, expected floating point of 16, 32 or 64 bits")
        elif not bool(tensor.isfinite().all()):
            self.problem(f"{name} holds numbers that are not finite")
        else:
            return tensor.to(self.dtype)
        return torch.empty(0, dtype=self.dtype)  # not of that shape: a configuration alone must not fill the memory

    def take_copy(self, name: str, of: str, original: Tensor) -> None:
        """Drop a tensor, if it is there, that must equal one taken before.

        Args:
            of: the name of the original, for the message.
        """
        if name in self._tensors:
            copy = self.take(name, tuple(original.shape))
            if copy.shape == original.shape and not torch.equal(copy, original):
                self.problem(f"{name} differs from {of}, expected a copy of it")

    @property
    def has_problems(self) -> bool:
        """Whether there is something to raise so far."""
        return bool(self._problems)

    def problem(self, sentence: str) -> None:
        """Keep a complaint for `finish`."""
        self._problems.append(sentence)

    def finish(self) -> None:
        """Raise everything that was wrong.

        Raises:
            ModelError: a tensor was missing, had another shape or type, or was left over.
        """
        problems = self._problems + [
            f"{name} with shape {tuple(tensor.shape)} is unknown, expected no such tensor"
            for name, tensor in self._tensors.items()
        ]
        if problems:
            shown = "; ".join(problems[:8]) + (f"; and {len(problems) - 8} more" if len(problems) > 8 else "")
            raise ModelError(f"{self._where}: tensors do not fit the configuration: {shown}.")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:40] + "..."
