"""The model folder: config.json, model.safetensors, the tokenizer's files and a card. Publishable as it is."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from regard.config import to_dict
from regard.data.tokens import Tokens
from regard.errors import ConfigError, ModelError, StorageError
from regard.models import MODELS, build
from regard.models.protocol import Seq2Seq

CONFIG_FILE, WEIGHTS_FILE, CARD_FILE = "config.json", "model.safetensors", "README.md"
_FORMAT = 1
_KEYS = {"format", "arch", "model", "tokens", "source_language", "target_language"}
_MAX_CONFIG_BYTES = 1 << 20
_MAX_SIZE, _MAX_LAYERS = 1 << 20, 1_000


@dataclass(frozen=True)
class LoadedModel:
    """A model folder's contents, ready to run."""

    model: Seq2Seq  # in evaluation mode
    tokens: Tokens
    source_language: str  # BCP-47, or ""
    target_language: str


def save(
    folder: Path,
    model: Seq2Seq,
    weights: Mapping[str, Tensor],
    tokens: Tokens,
    card: str,
    *,
    source_language: str = "",
    target_language: str = "",
) -> None:
    """Write a model folder; it appears under its name complete or not at all, and replaces one that is there.

    Args:
        weights: by the names of `model.named_parameters()`; they may differ from the model's present ones.

    Raises:
        StorageError: the disk refused.
    """
    arch = next(name for name, (_, model_class) in MODELS.items() if type(model) is model_class)
    partial, old = folder.with_name(f".{folder.name}.partial"), folder.with_name(f".{folder.name}.old")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        facts = tokens.save(partial)
        config = {
            "format": _FORMAT,
            "arch": arch,
            "model": to_dict(model.config),
            "tokens": facts,
            "source_language": source_language,
            "target_language": target_language,
        }
        (partial / CONFIG_FILE).write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
        (partial / WEIGHTS_FILE).write_bytes(safetensors.torch.save(tensors))
        (partial / CARD_FILE).write_text(card, encoding="utf-8")
        for path in partial.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        flush_folder(partial)
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.rename(old)
        partial.rename(folder)
        flush_folder(folder.parent)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise StorageError(f"{folder}: the model could not be saved ({error.strerror}).") from error


def load(folder: Path) -> LoadedModel:
    """Read a model folder, or the model of a run folder.

    Raises:
        ModelError: it is no model folder, a file is missing or damaged, or files do not fit together.
    """
    folder = find(folder)
    config = read_config(folder)
    tensors = read_weights(folder / WEIGHTS_FILE)
    try:
        with torch.device("meta"):  # no memory yet: sizes are believed only when the weights have them
            blueprint = build(config["arch"], config["model"], str(folder / CONFIG_FILE))
        _check(tensors, dict(blueprint.named_parameters()), folder / WEIGHTS_FILE)
        model = build(config["arch"], config["model"], str(folder / CONFIG_FILE))
    except ConfigError as error:
        raise ModelError(str(error)) from error
    tokens = Tokens.load(folder, config["tokens"])
    if tokens.vocab_size > model.config.vocab_size:
        raise ModelError(
            f"{folder}: its tokenizer has {tokens.vocab_size} tokens, config.json says {model.config.vocab_size}. "
            "Both must come from one training run; copy the whole folder again."
        )
    fill(model, tensors, folder / WEIGHTS_FILE)
    languages = {key: str(config.get(key, "")) for key in ("source_language", "target_language")}
    return LoadedModel(model.eval(), tokens, **languages)


def find(folder: Path) -> Path:
    """The model folder that a path means: itself, or `model/` in a run folder.

    Raises:
        ModelError: there is none.
    """
    for candidate in (folder, folder / "model"):
        if (candidate / CONFIG_FILE).is_file():
            return candidate
    if not folder.exists():
        raise ModelError(f"{folder}: there is no such folder. Expected a model folder or a run folder.")
    if (folder / "checkpoints").is_dir():
        raise ModelError(
            f"{folder}: this run has not finished, so it has no model/ yet. Run the same `regard train` command again."
        )
    raise ModelError(f"{folder}: no config.json here. Expected a model folder or a run folder.")


def read_config(folder: Path) -> dict[str, Any]:
    """Read and check config.json.

    Raises:
        ModelError: not JSON, a key is unknown or missing, or written by a later format.
    """
    path = folder / CONFIG_FILE
    try:
        if path.stat().st_size > _MAX_CONFIG_BYTES:
            raise ModelError(f"{path}: has {path.stat().st_size:,} bytes; a configuration has at most a million.")
        config = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: cannot be read as JSON ({error}).") from error
    if not isinstance(config, dict) or not {"format", "arch", "model", "tokens"} <= set(config):
        raise ModelError(
            f"{path}: is not the configuration of a regard model. Import other models with `regard import`."
        )
    if config["format"] != _FORMAT:
        raise ModelError(f"{path}: has format {config['format']!r}, this version reads format {_FORMAT}.")
    if unknown := sorted(set(config) - _KEYS):
        raise ModelError(f"{path}: unknown setting {', '.join(unknown)}.")
    if not isinstance(config["arch"], str) or not all(isinstance(config[key], dict) for key in ("model", "tokens")):
        raise ModelError(f"{path}: arch must be text, model and tokens must be tables.")
    if largest := [key for key, value in config["model"].items() if _is_huge(key, value)]:
        raise ModelError(f"{path}: {', '.join(largest)} is larger than any model has. Copy the whole folder again.")
    return config


def _is_huge(key: str, value: object) -> bool:
    """Whether a size would only exhaust memory or patience."""
    return isinstance(value, int) and value > (_MAX_LAYERS if key.endswith("num_layers") else _MAX_SIZE)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        ModelError: it is missing, damaged, or no safetensors file at all.
    """
    try:
        return safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError, ValueError, KeyError) as error:
        raise ModelError(f"{path}: cannot be read as safetensors ({error}). Copy the whole folder again.") from error


def fill(model: Seq2Seq, tensors: Mapping[str, Tensor], where: Path) -> None:
    """Copy tensors into a model's parameters; see `copy_weights`."""
    copy_weights(tensors, dict(model.named_parameters()), where)


def copy_weights(tensors: Mapping[str, Tensor], into: Mapping[str, Tensor], where: Path) -> None:
    """Copy tensors into others of the same names and shapes; all mismatches are named in one message.

    Raises:
        ModelError: names or shapes differ, or a number is not finite.
    """
    _check(tensors, into, where)
    with torch.no_grad():
        for name, parameter in into.items():
            parameter.copy_(tensors[name])


def _check(tensors: Mapping[str, Tensor], into: Mapping[str, Tensor], where: Path) -> None:
    problems = [f"{name} is missing" for name in into if name not in tensors]
    problems += [f"{name} is unknown" for name in tensors if name not in into]
    for name in into:
        if name not in tensors:
            continue
        if tensors[name].shape != into[name].shape:
            problems.append(f"{name} has shape {tuple(tensors[name].shape)}, expected {tuple(into[name].shape)}")
        elif not tensors[name].is_floating_point():
            problems.append(f"{name} holds {tensors[name].dtype}, expected floating point")
        elif not bool(tensors[name].isfinite().all()):
            problems.append(f"{name} holds numbers that are not finite")
    if problems:
        shown = "; ".join(problems[:8]) + (f"; and {len(problems) - 8} more" if len(problems) > 8 else "")
        raise ModelError(f"{where}: does not fit its configuration: {shown}.")


def flush_folder(folder: Path) -> None:
    """Have the disk remember which files a folder holds."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
