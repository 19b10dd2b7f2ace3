"""GPT-2 as `transformers` stores it: into our language model, and into our model folder."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from regard.config import from_dict, to_dict
from regard.data.byte_tokens import END, ByteTokens, from_merges
from regard.data.text_tokens import TOKENIZER_FILE, read_tokenizer
from regard.errors import ConfigError, ModelError
from regard.interop import huggingface
from regard.interop.huggingface import ForeignTensors
from regard.models import build_decoder
from regard.models.folder import copy_weights, save_decoder
from regard.models.gpt import GPTConfig
from regard.models.protocol import Decoder

_ARCHITECTURES = ("GPT2LMHeadModel", "GPT2Model")
_SETTINGS = {  # ours by the foreign one
    "vocab_size": "vocab_size",
    "n_embd": "hidden_size",
    "n_layer": "num_layers",
    "n_head": "num_heads",
    "embd_pdrop": "embedding_dropout",
    "resid_pdrop": "dropout",
    "attn_pdrop": "attention_dropout",
    "activation_function": "activation",
    "layer_norm_epsilon": "norm_epsilon",
    "n_positions": "max_length",
}
_OTHER_SETTINGS = ("n_inner", "n_ctx")
# Settings with the only value that we can express.
_PLAIN = {
    "is_encoder_decoder": False,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "reorder_and_upcast_attn": False,
    "tie_word_embeddings": True,
}
# Settings that change no number of a model that only runs.
_HARMLESS = (
    *("architectures", "model_type", "bos_token_id", "eos_token_id", "pad_token_id", "is_decoder"),
    *("summary_activation", "summary_first_dropout", "summary_proj_to_labels", "summary_type", "summary_use_proj"),
)
_MASK = re.compile(r"h\.\d+\.attn\.(bias|masked_bias)")  # who may attend to whom, which old files hold as tensors
_VOCABULARY_FILE, _MERGES_FILE, _TOKENS_FILE = "vocab.json", "merges.txt", "tokenizer_config.json"
_ADDED_FILE = "added_tokens.json"
_ROLES = {"bos_token": "start", "eos_token": "end", "pad_token": "pad"}


def import_folder(source: Path, out: Path) -> list[str]:
    """Make a model folder from one that a GPT-2 class's `save_pretrained` wrote.

    Read are config.json, model.safetensors (or its shards), and tokenizer.json or vocab.json with merges.txt and
    tokenizer_config.json, all in `source`. Weights are stored in float32.

    Args:
        out: the new folder; there must be nothing of that name.

    Returns:
        What is not quite as it was, a sentence each.

    Raises:
        ModelError: a file is missing, damaged or a pickle, or says something that we do not know or cannot do.
        StorageError: the disk refused.
    """
    if out.exists():
        raise ModelError(f"{out}: is already there. Name a folder that does not exist yet.")
    config = huggingface.read_config(source)
    tensors = huggingface.read_tensors(source)
    model = convert(config, tensors, str(source))
    tokens, warnings = read_tokens(source, vocab_size=model.config.vocab_size)
    if any(tensor.dtype == torch.float64 for tensor in tensors.values()):
        warnings.append("float64 weights were rounded to float32.")
    if (source / huggingface.GENERATION_FILE).is_file():
        search = huggingface.read_json(source / huggingface.GENERATION_FILE)
        warnings += huggingface.generation_warnings(search, {}, {*_HARMLESS})
    weights = {name: parameter.float() for name, parameter in model.named_parameters()}
    card = huggingface.card(source, _architecture(config, str(source)), sum(map(torch.numel, weights.values())))
    save_decoder(out, model, weights, tokens, card)
    return warnings


def convert(config: Mapping[str, Any], tensors: Mapping[str, Tensor], where: str = "GPT-2 model") -> Decoder:
    """Make our language model from a configuration of `transformers` and its tensors.

    Args:
        config: config.json of a GPT-2 class: bare or with the language model's head, which is the token embedding.
        tensors: by their foreign names. Half precision becomes float32; if any tensor is float64, so is the model.
        where: what they were read from, for messages.

    Returns:
        A model in evaluation mode, with the states and logits of the original.

    Raises:
        ModelError: an unknown class, key or value; a tensor that is missing, unknown, of another shape or not finite.
    """
    if config.get("model_type") != "gpt2":
        raise ModelError(f"{where}: model_type is {config.get('model_type')!r}, expected 'gpt2'.")
    _architecture(config, where)
    settings = _settings(config, where)
    # Some files have the names of the bare class, whatever class their configuration tells of.
    renamed = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    if len(renamed) < len(tensors):
        raise ModelError(f"{where}: a tensor is there twice, with and without 'transformer.' before its name.")
    foreign = ForeignTensors({name: each for name, each in renamed.items() if not _MASK.fullmatch(name)}, where)
    try:
        ours = from_dict(GPTConfig, settings, where)
        if ours.num_layers > len(tensors):
            raise ModelError(f"{where}: describes {ours.num_layers} layers, found {len(tensors)} tensors.")
        weights = _weights(foreign, ours)
        foreign.finish()
        model = build_decoder("gpt", to_dict(ours), where).to(foreign.dtype)
    except ConfigError as error:
        raise ModelError(str(error)) from error
    copy_weights(weights, dict(model.named_parameters()), Path(where))
    return model.eval()


def read_tokens(folder: Path, *, vocab_size: int) -> tuple[ByteTokens | None, list[str]]:
    """Read a folder's tokenizer.

    Args:
        vocab_size: how many ids the model knows.

    Returns:
        The tokenizer, or None where the folder has none, and warnings.

    Raises:
        ModelError: a file is damaged, would lose text, or does not fit the model.
    """
    settings = huggingface.read_json(folder / _TOKENS_FILE) if (folder / _TOKENS_FILE).is_file() else {}
    special = {role: huggingface.special_token(settings.get(name)) for name, role in _ROLES.items()}
    special |= {role: special[role] or END for role in ("start", "end")}
    if (folder / TOKENIZER_FILE).is_file():
        tokenizer = read_tokenizer(folder / TOKENIZER_FILE)
    elif (folder / _VOCABULARY_FILE).is_file() and (folder / _MERGES_FILE).is_file():
        tokenizer = _from_files(folder, settings)
        tokenizer.add_special_tokens(
            [token for token in dict.fromkeys(special.values()) if tokenizer.token_to_id(token) is not None]
        )
    else:
        return None, ["this folder has no tokenizer, so the model will not read text until it gets one."]
    present = {role: token for role, token in special.items() if token and tokenizer.token_to_id(token) is not None}
    try:
        tokens = ByteTokens(tokenizer, present)
    except ModelError as error:
        raise ModelError(f"{folder}: {error}") from error
    if tokens.vocab_size > vocab_size:
        raise ModelError(
            f"{folder}: its tokenizer has {tokens.vocab_size:,} tokens, the model knows {vocab_size:,}. "
            "Both must come from one model."
        )
    return tokens, [] if "end" in present else [f"{special['end']} is no token, so the model cannot end a text."]


def _from_files(folder: Path, settings: Mapping[str, Any]) -> Any:
    """The tokenizer that transformers builds of vocab.json and merges.txt."""
    odd = [name for name in ("add_prefix_space", "add_bos_token") if settings.get(name)]
    odd += [_ADDED_FILE] if (folder / _ADDED_FILE).is_file() else []
    if odd:
        raise ModelError(
            f"{folder}: {odd[0]} asks for more than {_VOCABULARY_FILE} and {_MERGES_FILE} say. "
            "Load the tokenizer with transformers and call save_pretrained, which writes tokenizer.json."
        )
    vocabulary = huggingface.read_json(folder / _VOCABULARY_FILE)
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


def _architecture(config: Mapping[str, Any], where: str) -> str:
    """The class that wrote the folder; the bare one where it does not say."""
    named = config.get("architectures") or ["GPT2Model"]
    if not isinstance(named, list) or len(named) != 1 or named[0] not in _ARCHITECTURES:
        raise ModelError(f"{where}: architectures is {named!r}, expected one of {', '.join(_ARCHITECTURES)}.")
    return named[0]


def _settings(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    huggingface.check_keys(config, {*_SETTINGS, *_OTHER_SETTINGS, *_HARMLESS}, _PLAIN, where)
    missing = [key for key in _SETTINGS if key not in config]
    if missing:
        raise ModelError(f"{where}: {', '.join(missing)} is missing.")
    settings = {ours: config[foreign] for foreign, ours in _SETTINGS.items()}
    if config.get("n_ctx") not in (None, settings["max_length"]):
        raise ModelError(f"{where}: n_ctx is {config['n_ctx']!r}, n_positions {settings['max_length']!r}.")
    settings["activation"] = huggingface.activation(settings["activation"], where)
    inner, size = config.get("n_inner"), settings["hidden_size"]
    if inner is None:
        inner = 4 * size if isinstance(size, int) else size  # what is no number is named later
    return settings | {"feed_forward_size": inner}


def _weights(foreign: ForeignTensors, ours: GPTConfig) -> dict[str, Tensor]:
    """All tensors by our names. GPT-2's linear maps are stored as (in, out), with query, key and value side by side."""
    size, inner = ours.hidden_size, ours.feed_forward_size
    weights = {
        "embedding.weight": foreign.take("wte.weight", (ours.vocab_size, size)),
        "positions.weight": foreign.take("wpe.weight", (ours.max_length, size)),
        **foreign.norm("ln_f", size, "norm"),
    }
    for number in range(ours.num_layers):
        there, here = f"h.{number}", f"layers.{number}"
        weights |= foreign.norm(f"{there}.ln_1", size, f"{here}.attention_frame.norm")
        fused = _linear(foreign, f"{there}.attn.c_attn", (size, 3 * size), "")
        for part in (".weight", ".bias"):
            weights[f"{here}.attention.query{part}"] = fused[part][:size]
            weights[f"{here}.attention.key_value{part}"] = fused[part][size:]
        weights |= _linear(foreign, f"{there}.attn.c_proj", (size, size), f"{here}.attention.output")
        weights |= foreign.norm(f"{there}.ln_2", size, f"{here}.feed_forward_frame.norm")
        weights |= _linear(foreign, f"{there}.mlp.c_fc", (size, inner), f"{here}.feed_forward.inner")
        weights |= _linear(foreign, f"{there}.mlp.c_proj", (inner, size), f"{here}.feed_forward.outer")
    foreign.take_copy("lm_head.weight", "wte.weight", weights["embedding.weight"])
    return weights


def _linear(foreign: ForeignTensors, name: str, shape: tuple[int, int], ours: str) -> dict[str, Tensor]:
    """A linear map stored as (in, out), by our name."""
    return {
        f"{ours}.weight": foreign.take(f"{name}.weight", shape).transpose(0, -1),
        f"{ours}.bias": foreign.take(f"{name}.bias", shape[1:]),
    }
