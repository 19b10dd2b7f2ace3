"""GPT-2 as `transformers` stores it: into our language model, and into our model folder."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from regard.config import from_dict, to_dict
from regard.errors import ConfigError, ModelError
from regard.interop import cards, huggingface, places
from regard.interop.gpt2_names import ARCHITECTURES, HARMLESS, PLAIN, PREFIX, SETTINGS, places_of
from regard.interop.gpt2_tokens import read_tokens
from regard.interop.huggingface import ForeignTensors
from regard.models import build_decoder
from regard.models.folder import copy_weights, save_decoder
from regard.models.gpt import GPTConfig
from regard.models.protocol import Decoder

_MASK = re.compile(r"h\.\d+\.attn\.(bias|masked_bias)")  # who may attend to whom, which old files hold as tensors


def import_folder(source: Path, out: Path, origin: str = "") -> list[str]:
    """Make a model folder from one that a GPT-2 class's `save_pretrained` wrote.

    Read are config.json, model.safetensors (or its shards), and tokenizer.json or vocab.json with merges.txt and
    tokenizer_config.json, and the language that README.md names, all in `source`. Weights are stored in float32.

    What comes back and what is raised: see `regard.interop.import_folder`.
    """
    config, tensors = huggingface.read_folder(source, out)
    model = convert(config, tensors, str(source))
    tokens, warnings = read_tokens(source, vocab_size=model.config.vocab_size)
    warnings += huggingface.rounding_warnings(tensors)
    search = {key: value for key, value in config.items() if key in huggingface.PLAIN_GENERATION}
    ends = [config.get("eos_token_id")]
    if (source / huggingface.GENERATION_FILE).is_file():
        search |= huggingface.read_json(source / huggingface.GENERATION_FILE)
        ends.append(search.get("eos_token_id"))
    silent = [] if tokens is None else list(tokens.silent_ids_of(model.config.vocab_size))
    warnings += huggingface.generation_warnings(search, {"suppress_tokens": silent}, HARMLESS)
    end = None if tokens is None or "end" not in tokens.special else tokens.id_of("end")
    if end is not None and (other := next((each for each in ends if each not in (None, end, [end])), None)) is not None:
        warnings.append(f"transformers ends a text at eos_token_id {other}, this model at its tokenizer's end, {end}.")
    weights = {name: parameter.float() for name, parameter in model.named_parameters()}
    language = cards.language_of(source)
    card = cards.imported(source, _architecture(config, str(source)), weights, [language], origin=origin)
    save_decoder(out, model, weights, tokens, card, language=language)
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
    renamed = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items()}
    if len(renamed) < len(tensors):
        raise ModelError(f"{where}: a tensor is there twice, with and without {PREFIX!r} before its name.")
    foreign = ForeignTensors({name: each for name, each in renamed.items() if not _MASK.fullmatch(name)}, where)
    try:
        ours = from_dict(GPTConfig, settings, where)
        if ours.num_layers > len(tensors):
            raise ModelError(f"{where}: describes {ours.num_layers} layers, found {len(tensors)} tensors.")
        weights = places.read(places_of(ours, ""), foreign)
        foreign.take_copy("lm_head.weight", "wte.weight", weights["embedding.weight"])
        foreign.finish()
        model = build_decoder("gpt", to_dict(ours), where).to(foreign.dtype)
    except ConfigError as error:
        raise ModelError(str(error)) from error
    copy_weights(weights, dict(model.named_parameters()), Path(where))
    return model.eval()


def _architecture(config: Mapping[str, Any], where: str) -> str:
    """The class that wrote the folder; the bare one where it does not say."""
    named = config.get("architectures") or [ARCHITECTURES[1]]
    if not isinstance(named, list) or len(named) != 1 or named[0] not in ARCHITECTURES:
        raise ModelError(f"{where}: architectures is {named!r}, expected one of {', '.join(ARCHITECTURES)}.")
    return named[0]


def _settings(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    huggingface.check_keys(config, {*SETTINGS, "n_ctx", *HARMLESS}, PLAIN, where)
    if missing := [key for key in SETTINGS if key not in config and key != "n_inner"]:
        raise ModelError(f"{where}: {', '.join(missing)} is missing.")
    settings = {ours: config.get(foreign) for foreign, ours in SETTINGS.items()}
    if config.get("n_ctx") not in (None, settings["max_length"]):
        raise ModelError(f"{where}: n_ctx is {config['n_ctx']!r}, n_positions {settings['max_length']!r}.")
    settings["activation"] = huggingface.activation(settings["activation"], where)
    if settings["feed_forward_size"] is None:
        size = settings["hidden_size"]
        settings["feed_forward_size"] = 4 * size if isinstance(size, int) else size  # what is no number is named later
    return settings
