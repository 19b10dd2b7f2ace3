"""The model folder: config.json, model.safetensors, the tokenizer's files and a card. Publishable as it is."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from regard.config import from_dict, to_dict
from regard.data.byte_tokens import ByteTokens
from regard.data.text_tokens import TextTokens
from regard.data.tokens import Tokens
from regard.errors import ConfigError, ModelError
from regard.models import DECODERS, ENCODERS, MODELS, build, build_decoder, build_encoder
from regard.models.heads import HeadConfig, TaskModel
from regard.models.protocol import Decoder, Seq2Seq
from regard.storage import publish_folder

CONFIG_FILE, WEIGHTS_FILE, CARD_FILE = "config.json", "model.safetensors", "README.md"
FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)  # types that weights may have in a file
_FORMAT = 1
_KEYS = {"format", "arch", "model", "tokens"}
_TRANSLATOR_KEYS, _ENCODER_KEYS = {"source_language", "target_language"}, {"head", "language"}
_DECODER_KEYS = {"language"}
_MAX_CONFIG_BYTES = 1 << 20
_MAX_SIZE, _MAX_LAYERS = 1 << 20, 1_000


@dataclass(frozen=True)
class LoadedModel:
    """A translator's folder, ready to run."""

    model: Seq2Seq  # in evaluation mode
    tokens: Tokens
    source_language: str  # BCP-47, or ""
    target_language: str


@dataclass(frozen=True)
class LoadedEncoder:
    """An encoder's folder, ready to run."""

    model: TaskModel  # in evaluation mode
    tokens: TextTokens | None  # None: it was imported without its tokenizer
    language: str  # BCP-47, or ""


@dataclass(frozen=True)
class LoadedDecoder:
    """A language model's folder, ready to run."""

    model: Decoder  # in evaluation mode
    tokens: ByteTokens | None  # None: it was imported without its tokenizer
    language: str  # BCP-47, or ""


AnyLoaded = LoadedModel | LoadedEncoder | LoadedDecoder


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
    """Write a translator's folder; it appears under its name complete or not at all, and replaces one that is there.

    Args:
        weights: by the names of `model.named_parameters()`; they may differ from the model's present ones.

    Raises:
        StorageError: the disk refused.
    """
    facts = {
        "arch": _arch(MODELS, model),
        "model": to_dict(model.config),
        "source_language": source_language,
        "target_language": target_language,
    }
    _write(folder, facts, weights, tokens, card)


def save_encoder(
    folder: Path,
    model: TaskModel,
    weights: Mapping[str, Tensor],
    tokens: TextTokens | None,
    card: str,
    *,
    language: str = "",
) -> None:
    """Write an encoder's folder, in the same way as `save`."""
    encoder, head = model.encoder, to_dict(model.config)
    facts = {"arch": _arch(ENCODERS, encoder), "model": to_dict(encoder.config), "head": head, "language": language}
    _write(folder, facts, weights, tokens, card)


def save_decoder(
    folder: Path,
    model: Decoder,
    weights: Mapping[str, Tensor],
    tokens: ByteTokens | None,
    card: str,
    *,
    language: str = "",
) -> None:
    """Write a language model's folder, in the same way as `save`."""
    facts = {"arch": _arch(DECODERS, model), "model": to_dict(model.config), "language": language}
    _write(folder, facts, weights, tokens, card)


def save_as(folder: Path, like: AnyLoaded, weights: Mapping[str, Tensor], card: str) -> None:
    """Write a folder with all that a loaded one has but the weights and the card, in the same way as `save`."""
    if isinstance(like, LoadedModel):
        languages = {"source_language": like.source_language, "target_language": like.target_language}
        save(folder, like.model, weights, like.tokens, card, **languages)
    elif isinstance(like, LoadedEncoder):
        save_encoder(folder, like.model, weights, like.tokens, card, language=like.language)
    else:
        save_decoder(folder, like.model, weights, like.tokens, card, language=like.language)


def card_of(folder: Path, facts: Sequence[str], said: Sequence[str], use: Sequence[str] = ()) -> str:
    """README.md of a folder that no training made.

    Args:
        folder: it is called after this one.
        facts: lines for machines, such as "library_name: regard".
        said: lines on what it is.
        use: lines on how to use it.
    """
    lines = ["---", *facts, "---", "", f"# {folder.resolve().name}", "", *said, ""]
    return "\n".join([*lines, *use, ""] if use else lines)


def _arch(table: Mapping[str, tuple[type, type]], model: nn.Module) -> str:
    """The name that a model's class has in a table of names to configuration and class."""
    return next(name for name, (_, model_class) in table.items() if type(model) is model_class)


def _write(
    folder: Path, facts: Mapping[str, Any], weights: Mapping[str, Tensor], tokens: Tokens | TextTokens | None, card: str
) -> None:
    def fill(partial: Path) -> None:
        config = {"format": _FORMAT, **facts, "tokens": {"kind": "none"} if tokens is None else tokens.save(partial)}
        (partial / CONFIG_FILE).write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
        (partial / WEIGHTS_FILE).write_bytes(safetensors.torch.save(tensors))
        (partial / CARD_FILE).write_text(card, encoding="utf-8")

    publish_folder(folder, fill)


def load(folder: Path) -> LoadedModel:
    """Read a translator's folder, or the model of a run folder.

    Raises:
        ModelError: it is no such folder, a file is missing or damaged, or files do not fit together.
    """
    folder = find(folder)
    config = read_config(folder)
    if config["arch"] in ENCODERS:
        raise ModelError(f"{folder}: is an encoder ({config['arch']}), which writes no text; expected a translator.")
    if config["arch"] in DECODERS:
        raise ModelError(f"{folder}: is a language model ({config['arch']}), expected a translator.")
    where = str(folder / CONFIG_FILE)
    model = _read_model(folder, lambda: build(config["arch"], config["model"], where))
    tokens = Tokens.load(folder, config["tokens"])
    _check_vocabulary(folder, tokens.vocab_size, model.config.vocab_size)
    languages = {key: str(config.get(key, "")) for key in ("source_language", "target_language")}
    return LoadedModel(model, tokens, **languages)


def load_encoder(folder: Path) -> LoadedEncoder:
    """Read an encoder's folder, or the model of a run folder.

    Raises:
        ModelError: as `load`.
    """
    folder = find(folder)
    config = read_config(folder)
    if config["arch"] not in ENCODERS:
        raise ModelError(f"{folder}: is a {config['arch']}, expected an encoder: {', '.join(ENCODERS)}.")
    where = str(folder / CONFIG_FILE)
    model = _read_model(folder, lambda: build_encoder(config["arch"], config["model"], config["head"], where))
    tokens = None if config["tokens"] == {"kind": "none"} else TextTokens.load(folder, config["tokens"])
    if tokens is not None:
        _check_vocabulary(folder, tokens.vocab_size, model.encoder.config.vocab_size)
    return LoadedEncoder(model, tokens, str(config.get("language", "")))


def load_decoder(folder: Path) -> LoadedDecoder:
    """Read a language model's folder, or the model of a run folder.

    Raises:
        ModelError: as `load`.
    """
    folder = find(folder)
    config = read_config(folder)
    if config["arch"] not in DECODERS:
        raise ModelError(f"{folder}: is a {config['arch']}, expected a language model: {', '.join(DECODERS)}.")
    where = str(folder / CONFIG_FILE)
    model = _read_model(folder, lambda: build_decoder(config["arch"], config["model"], where))
    tokens = None if config["tokens"] == {"kind": "none"} else ByteTokens.load(folder, config["tokens"])
    if tokens is not None:
        _check_vocabulary(folder, tokens.vocab_size, model.config.vocab_size)
    return LoadedDecoder(model, tokens, str(config.get("language", "")))


def load_any(folder: Path) -> AnyLoaded:
    """Read a folder of whatever kind, or the model of a run folder.

    Raises:
        ModelError: as `load`.
    """
    arch = arch_of(folder)
    return load_encoder(folder) if arch in ENCODERS else load_decoder(folder) if arch in DECODERS else load(folder)


def digest_of_weights(folder: Path) -> str:
    """sha256, in hexadecimal, of the weights in a model folder or run folder."""
    return hashlib.sha256((find(folder) / WEIGHTS_FILE).read_bytes()).hexdigest()


def arch_of(folder: Path) -> str:
    """The architecture that a model folder or run folder names.

    Raises:
        ModelError: it is no such folder.
    """
    return read_config(find(folder))["arch"]


def head_of(folder: Path) -> HeadConfig:
    """The head that an encoder's folder or run folder names, without reading its weights.

    Raises:
        ModelError: it is no such folder.
    """
    folder = find(folder)
    try:
        return from_dict(HeadConfig, read_config(folder)["head"], f"{folder / CONFIG_FILE}, head")
    except ConfigError as error:
        raise ModelError(str(error)) from error


def language_of(folder: Path) -> str:
    """The language that an encoder's or a language model's folder names, "" if none.

    Raises:
        ModelError: it is no such folder.
    """
    return str(read_config(find(folder)).get("language", ""))


AnyModel = TypeVar("AnyModel", Seq2Seq, TaskModel, Decoder)


def _read_model(folder: Path, make: Callable[[], AnyModel]) -> AnyModel:
    tensors = read_weights(folder / WEIGHTS_FILE)
    try:
        with torch.device("meta"), _NoDraws():  # no memory yet: sizes are believed only when the weights have them
            blueprint = make()
        _check(tensors, dict(blueprint.named_parameters()), folder / WEIGHTS_FILE)
        with _NoDraws():
            model = make()
    except ConfigError as error:
        raise ModelError(str(error)) from error
    copy_weights(tensors, dict(model.named_parameters()), folder / WEIGHTS_FILE)
    return model.eval()


class _NoDraws(TorchFunctionMode):
    """Makes models whose weights are not drawn, for they are replaced at once.

    On the meta device to draw them would also import a compiler, which takes longer than all else that a small model's
    loading does.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == "torch.nn.init":
            return next(iter([*args, *kwargs.values()]))  # the tensor comes first
        return func(*args, **kwargs)


def _check_vocabulary(folder: Path, found: int, expected: int) -> None:
    if found > expected:
        raise ModelError(
            f"{folder}: its tokenizer has {found} tokens, config.json says {expected}. "
            "Both must come from one training run; copy the whole folder again."
        )


def check_new(folder: Path) -> None:
    """A model is never written over another one, or over anything else.

    Raises:
        ModelError: there is something of that name.
    """
    if folder.exists():
        raise ModelError(f"{folder}: is already there. Name a folder that does not exist yet.")


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
            f"{folder}: this run has not finished, so it has no model/ yet. Give the command that began it again."
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
    arch = config["arch"] if isinstance(config["arch"], str) else ""
    is_encoder = arch in ENCODERS
    own = _ENCODER_KEYS if is_encoder else _DECODER_KEYS if arch in DECODERS else _TRANSLATOR_KEYS
    if unknown := sorted(set(config) - _KEYS - own):
        raise ModelError(f"{path}: unknown setting {', '.join(unknown)}.")
    tables = ["model", "tokens", *(["head"] if is_encoder else [])]
    if not arch or not all(isinstance(config.get(key), dict) for key in tables):
        raise ModelError(f"{path}: arch must be text, {', '.join(tables[:-1])} and {tables[-1]} must be tables.")
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
        elif tensors[name].dtype not in FLOATS:
            problems.append(f"{name} holds {tensors[name].dtype}, expected floating point of 16, 32 or 64 bits")
        elif not bool(tensors[name].isfinite().all()):
            problems.append(f"{name} holds numbers that are not finite")
    if problems:
        shown = "; ".join(problems[:8]) + (f"; and {len(problems) - 8} more" if len(problems) > 8 else "")
        raise ModelError(f"{where}: does not fit its configuration: {shown}.")
