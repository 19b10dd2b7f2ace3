"""MarianMT (the OPUS-MT models) as `transformers` stores it: into our Transformer, and into our model folder."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from regard.config import from_dict
from regard.errors import ConfigError, ModelError
from regard.interop import cards, huggingface, places
from regard.interop.huggingface import ForeignTensors
from regard.interop.marian_names import layer_places
from regard.interop.marian_tokens import read_tokens
from regard.models.folder import copy_weights, save
from regard.models.transformer import Transformer, TransformerConfig
from regard.nn.positions import sinusoids

_MAX_POSITIONS = 1 << 16  # a table of them is computed at once

# Keys of old and new configurations with the only value we can express.
_PLAIN_VALUES: Mapping[str, Any] = {
    "model_type": "marian",
    "architectures": ["MarianMTModel"],
    "is_encoder_decoder": True,
    "is_decoder": False,
    "add_final_layer_norm": False,
    "force_bos_token_to_be_generated": False,
    "forced_bos_token_id": None,
    "normalize_before": False,
    "normalize_embedding": False,
    "static_position_embeddings": True,
}
# Old keys that no version of MarianMTModel acted on: the bias is always added, sinusoids have no extra positions.
_HARMLESS = frozenset({"add_bias_logits", "extra_pos_embeddings"})


@dataclass(frozen=True, kw_only=True)
class _MarianSettings:
    """The keys of a Marian configuration that we read; defaults are those of `transformers`."""

    vocab_size: int
    d_model: int
    encoder_layers: int
    encoder_attention_heads: int
    encoder_ffn_dim: int
    decoder_layers: int
    decoder_attention_heads: int
    decoder_ffn_dim: int
    max_position_embeddings: int
    activation_function: str
    scale_embedding: bool
    pad_token_id: int
    eos_token_id: int
    decoder_start_token_id: int
    bos_token_id: int | None = None  # Marian has no such token; old configurations name one all the same
    num_hidden_layers: int | None = None  # another name for encoder_layers
    decoder_vocab_size: int | None = None
    share_encoder_decoder_embeddings: bool = True
    tie_word_embeddings: bool = True
    dropout: float = 0.1
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0
    encoder_layerdrop: float = 0.0
    decoder_layerdrop: float = 0.0

    @property
    def tied(self) -> bool:
        """Whether source, target and output share one matrix."""
        return self.share_encoder_decoder_embeddings and self.tie_word_embeddings


def import_folder(source: Path, out: Path, origin: str = "") -> list[str]:
    """Make a model folder from one that `MarianMTModel.save_pretrained` and its tokenizer's wrote.

    Read are config.json, generation_config.json, model.safetensors (or its shards), source.spm, target.spm, vocab.json,
    tokenizer_config.json and added_tokens.json, all in `source`; paths that they hold are not followed. Weights are
    stored in float32. Ids are those of `MarianTokenizer`, save that text such as "</s>" stays text; that class has a
    punctuation normaliser (of sacremoses), but does not apply it when it encodes, and neither do we.

    What comes back and what is raised: see `regard.interop.import_folder`.
    """
    config, tensors = huggingface.read_folder(source, out)
    where = str(source / huggingface.CONFIG_FILE)
    settings = _read_settings(config, where)
    warnings = _search_warnings(source, config, settings)
    tokens, languages, token_warnings = read_tokens(
        source,
        vocab_size=settings.vocab_size,
        pad_id=settings.pad_token_id,
        eos_id=settings.eos_token_id,
        start_id=settings.decoder_start_token_id,
    )
    model = convert(config, tensors, str(source))
    warnings += token_warnings + _model_warnings(settings, tensors, model)
    weights = {name: parameter.float() for name, parameter in model.named_parameters()}
    facts = ["pipeline_tag: translation"]
    use = ["## Use", "", "    regard translate THIS-FOLDER < text.txt"]
    card = cards.imported(source, "MarianMT model", weights, languages, facts=facts, use=use, origin=origin)
    save(out, model, weights, tokens, card, source_language=languages[0], target_language=languages[1])
    return warnings


def convert(config: Mapping[str, Any], tensors: Mapping[str, Tensor], where: str = "Marian model") -> Transformer:
    """Make our Transformer from a MarianMT configuration and its tensors.

    Args:
        config: config.json of `MarianMTModel`.
        tensors: by their foreign names. Half precision becomes float32; if any tensor is float64, so is the model.
        where: what they were read from, for messages.

    Returns:
        A model in evaluation mode, with the logits of `MarianMTModel`. Where the embeddings of source and target or
        the output are not all one matrix, it has three.

    Raises:
        ModelError: an unknown key or one with a value that we cannot express; a tensor that is missing, unknown, of
            another shape or not finite.
    """
    settings = _read_settings(config, where)
    foreign = ForeignTensors(tensors, where)
    if settings.encoder_layers + settings.decoder_layers > len(tensors):
        raise ModelError(
            f"{where}: encoder_layers and decoder_layers are {settings.encoder_layers} and {settings.decoder_layers}, "
            f"found {len(tensors)} tensors, expected several for each layer. Copy the whole folder again."
        )
    weights = _embeddings(foreign, settings)
    positions = _positions(foreign, settings)
    ours = TransformerConfig(
        vocab_size=settings.vocab_size,
        hidden_size=settings.d_model,
        num_layers=settings.encoder_layers,
        num_heads=settings.encoder_attention_heads,
        feed_forward_size=settings.encoder_ffn_dim,
        decoder_num_layers=settings.decoder_layers,
        decoder_num_heads=settings.decoder_attention_heads,
        decoder_feed_forward_size=settings.decoder_ffn_dim,
        dropout=settings.dropout,
        attention_dropout=settings.attention_dropout,
        activation_dropout=settings.activation_dropout,
        norm_place="post",
        positions="trainable" if positions else "sinusoidal",
        activation=huggingface.ACTIVATIONS[settings.activation_function],
        tied_embeddings=settings.tied,
        embedding_scale=None if settings.scale_embedding else 1.0,
        max_length=settings.max_position_embeddings,
    )
    weights |= positions | places.read(layer_places(ours), foreign)
    foreign.finish()
    model = Transformer(ours).to(foreign.dtype)
    copy_weights(weights, dict(model.named_parameters()), Path(where))
    return model.eval()


def _read_settings(config: Mapping[str, Any], where: str) -> _MarianSettings:
    names = {field.name for field in fields(_MarianSettings)}
    if config.get("model_type") != "marian":
        raise ModelError(f"{where}: model_type is {config.get('model_type')!r}, expected 'marian'.")
    huggingface.check_keys(config, names | _HARMLESS, _PLAIN_VALUES, where)
    try:
        settings = from_dict(_MarianSettings, {key: config[key] for key in names & set(config)}, where)
    except ConfigError as error:
        raise ModelError(str(error)) from error
    problems = [
        f"{name} is {getattr(settings, name)}, expected at least 1"
        for name in (
            *("vocab_size", "d_model", "encoder_layers", "encoder_attention_heads", "encoder_ffn_dim"),
            *("decoder_layers", "decoder_attention_heads", "decoder_ffn_dim", "max_position_embeddings"),
        )
        if getattr(settings, name) < 1
    ]
    problems += [
        f"{name} is {getattr(settings, name)}, expected an id from 0 to {settings.vocab_size - 1}"
        for name in ("pad_token_id", "eos_token_id", "decoder_start_token_id")
        if not 0 <= getattr(settings, name) < settings.vocab_size
    ]
    problems += [
        f"{name} is {getattr(settings, name)}, expected at least 0 and below 1"
        for name in ("dropout", "attention_dropout", "activation_dropout")
        if not 0 <= getattr(settings, name) < 1
    ]
    problems += [
        f"{name} is {getattr(settings, name)}, expected a divisor of d_model ({settings.d_model})"
        for name in ("encoder_attention_heads", "decoder_attention_heads")
        if getattr(settings, name) > 0 and settings.d_model % getattr(settings, name)
    ]
    if settings.activation_function not in huggingface.ACTIVATIONS:
        known = ", ".join(huggingface.ACTIVATIONS)
        problems.append(f"activation_function is {settings.activation_function!r}, expected one of {known}")
    if settings.max_position_embeddings > _MAX_POSITIONS:
        problems.append(
            f"max_position_embeddings is {settings.max_position_embeddings}, expected at most {_MAX_POSITIONS}"
        )
    if settings.num_hidden_layers not in (None, settings.encoder_layers):
        problems.append(
            f"num_hidden_layers is {settings.num_hidden_layers}, expected encoder_layers ({settings.encoder_layers})"
        )
    if settings.decoder_vocab_size not in (None, settings.vocab_size):
        problems.append(
            f"decoder_vocab_size is {settings.decoder_vocab_size}, expected vocab_size ({settings.vocab_size}): "
            "sides with vocabularies of different sizes cannot be imported"
        )
    if problems:
        raise ModelError(f"{where}: describes a model that cannot be imported: {'; '.join(problems)}.")
    return settings


def _embeddings(foreign: ForeignTensors, settings: _MarianSettings) -> dict[str, Tensor]:
    """Embeddings and output by our names. Which foreign names there are depends on who wrote the file and what is tied.

    With share_encoder_decoder_embeddings but without tie_word_embeddings, transformers 4 uses model.shared.weight and 5
    each side's own embed_tokens: there all must be equal, else what the model computes would depend on the version.
    """
    shape = (settings.vocab_size, settings.d_model)
    shared, output = "model.shared.weight", "lm_head.weight"
    source, target = "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight"
    weights = {"output.bias": foreign.take("final_logits_bias", (1, settings.vocab_size)).flatten()}
    if settings.share_encoder_decoder_embeddings:
        names = [shared, source, target, *([output] if settings.tie_word_embeddings else [])]
        original = next((name for name in names if name in foreign), shared)
        embedding = foreign.take(original, shape)
        for name in names:
            foreign.take_copy(name, original, embedding)
        weights["source_embedding.weight"] = embedding
        if settings.tie_word_embeddings:
            return weights
        return weights | {"target_embedding.weight": embedding, "output.weight": foreign.take(output, shape)}
    weights["source_embedding.weight"] = foreign.take(source, shape)
    embedding = weights["target_embedding.weight"] = foreign.take(target, shape)
    if settings.tie_word_embeddings:
        foreign.take_copy(output, target, embedding)
        return weights | {"output.weight": embedding}
    return weights | {"output.weight": foreign.take(output, shape)}


def _positions(foreign: ForeignTensors, settings: _MarianSettings) -> dict[str, Tensor]:
    """Position vectors by our names; nothing if they are the usual sinusoids (or are not there, as is usual)."""
    shape = (settings.max_position_embeddings, settings.d_model)
    found = {
        f"{ours}_positions.weight": foreign.take(there, shape)
        for name, ours in (("encoder", "source"), ("decoder", "target"))
        if (there := f"model.{name}.embed_positions.weight") in foreign
    }
    if foreign.has_problems:  # they will be raised: sizes that no tensor has must not fill the memory here
        return {}
    waves = sinusoids(*shape)
    # Missing ones are what transformers computes itself.
    vectors = {"source_positions.weight": waves, "target_positions.weight": waves, **found}
    usual = (waves, waves.half().float(), waves.bfloat16().float())  # as files of each precision hold them
    if all(any(torch.equal(table.float(), waves) for waves in usual) for table in vectors.values()):
        return {}
    return vectors


def _search_warnings(folder: Path, config: Mapping[str, Any], settings: _MarianSettings) -> list[str]:
    search = {key: value for key, value in config.items() if key in huggingface.PLAIN_GENERATION}
    path = folder / huggingface.GENERATION_FILE
    if path.is_file():
        search |= huggingface.read_json(path)
    ids = ("decoder_start_token_id", "eos_token_id", "pad_token_id")
    for key in ids:
        if search.get(key) not in (None, getattr(settings, key)):
            raise ModelError(f"{path}: {key} is {search[key]!r}, config.json says {getattr(settings, key)}.")
    if search.get("forced_bos_token_id") is not None:
        raise ModelError(f"{path}: forced_bos_token_id is {search['forced_bos_token_id']!r}, expected None.")
    plain = {"bad_words_ids": [[settings.pad_token_id]], "forced_eos_token_id": settings.eos_token_id}
    return huggingface.generation_warnings(search, plain, {*ids, "bos_token_id"})


def _model_warnings(settings: _MarianSettings, tensors: Mapping[str, Tensor], model: Transformer) -> list[str]:
    warnings = huggingface.rounding_warnings(tensors)
    if model.config.positions == "trainable":
        warnings.append("embed_positions are not the usual sinusoids and became trainable positions.")
    if settings.encoder_layerdrop or settings.decoder_layerdrop:
        warnings.append("encoder_layerdrop and decoder_layerdrop were left out; they matter in training only.")
    if not settings.tied and (settings.share_encoder_decoder_embeddings or settings.tie_word_embeddings):
        warnings.append("two of source, target and output share a matrix; here each has a copy of its own.")
    if settings.decoder_start_token_id not in (settings.pad_token_id, settings.eos_token_id):
        warnings.append(
            f"decoder_start_token_id {settings.decoder_start_token_id} is no control token; it will never be produced."
        )
    return warnings
