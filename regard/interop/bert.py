"""BERT and DistilBERT as `transformers` stores them: into our encoders, and into our model folder."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from regard.config import from_dict, to_dict
from regard.errors import ConfigError, ModelError
from regard.interop import huggingface
from regard.interop.bert_tokens import read_tokens
from regard.interop.huggingface import ForeignTensors
from regard.models import ENCODERS, build_encoder
from regard.models.bert import DistilBertConfig
from regard.models.folder import copy_weights, save_encoder
from regard.models.heads import Task, TaskModel

# What the classes of `transformers` put on the encoder, by what follows the family's name.
_TASKS: Mapping[str, Task] = {
    "Model": "none",
    "ForMaskedLM": "mask",
    "ForPreTraining": "mask",
    "ForSequenceClassification": "classify",
    "ForTokenClassification": "tag",
}
_NEXT_SENTENCE = "cls.seq_relationship.weight"  # of BERT's pre-training; nothing of ours uses it
_MAX_LABELS = 10_000


@dataclass(frozen=True)
class _Family:
    """Where a family's names differ from the other's."""

    prefix: str  # of tensors, in classes with a head
    name: str  # of its classes
    settings: Mapping[str, str]  # our setting by the foreign one
    plain: Mapping[str, Any]  # settings with the only value that we can express
    layers: str
    attention: tuple[str, str, str, str]  # query, key, value, output
    attention_norm: str
    inner: str
    outer: str
    output_norm: str
    transform: str  # of the masked head
    transform_norm: str
    output: str
    output_bias: str
    pooler: str  # with {prefix} where it is a part of the encoder


_FAMILIES = {
    "bert": _Family(
        prefix="bert.",
        name="Bert",
        settings={
            "vocab_size": "vocab_size",
            "hidden_size": "hidden_size",
            "num_hidden_layers": "num_layers",
            "num_attention_heads": "num_heads",
            "intermediate_size": "feed_forward_size",
            "hidden_dropout_prob": "dropout",
            "attention_probs_dropout_prob": "attention_dropout",
            "hidden_act": "activation",
            "layer_norm_eps": "norm_epsilon",
            "max_position_embeddings": "max_length",
            "type_vocab_size": "num_types",
        },
        plain={
            "is_decoder": False,
            "is_encoder_decoder": False,
            "position_embedding_type": "absolute",
            "tie_word_embeddings": True,
        },
        layers="encoder.layer",
        attention=("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"),
        attention_norm="attention.output.LayerNorm",
        inner="intermediate.dense",
        outer="output.dense",
        output_norm="output.LayerNorm",
        transform="cls.predictions.transform.dense",
        transform_norm="cls.predictions.transform.LayerNorm",
        output="cls.predictions.decoder",
        output_bias="cls.predictions.bias",
        pooler="{prefix}pooler.dense",
    ),
    "distilbert": _Family(
        prefix="distilbert.",
        name="DistilBert",
        settings={
            "vocab_size": "vocab_size",
            "dim": "hidden_size",
            "n_layers": "num_layers",
            "n_heads": "num_heads",
            "hidden_dim": "feed_forward_size",
            "dropout": "dropout",
            "attention_dropout": "attention_dropout",
            "activation": "activation",
            "max_position_embeddings": "max_length",
        },
        plain={"is_decoder": False, "is_encoder_decoder": False, "tie_word_embeddings": True, "tie_weights_": True},
        layers="transformer.layer",
        attention=("attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin"),
        attention_norm="sa_layer_norm",
        inner="ffn.lin1",
        outer="ffn.lin2",
        output_norm="output_layer_norm",
        transform="vocab_transform",
        transform_norm="vocab_layer_norm",
        output="vocab_projector",
        output_bias="vocab_projector.bias",
        pooler="pre_classifier",
    ),
}
# Settings that change no number of a model that only runs, or that the tensors themselves tell.
_HARMLESS = frozenset(
    {
        *("architectures", "model_type", "pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id"),
        *("sinusoidal_pos_embds", "qa_dropout", "seq_classif_dropout", "directionality"),
        *("pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers", "pooler_size_per_head"),
        *("pooler_type", "decoder_start_token_id"),
    }
)


def import_folder(source: Path, out: Path) -> list[str]:
    """Make a model folder from one that a BERT or DistilBERT class's `save_pretrained` wrote.

    Read are config.json, model.safetensors (or its shards), and tokenizer.json or vocab.txt with
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
    tokens, warnings = read_tokens(source, vocab_size=model.encoder.config.vocab_size)
    if any(tensor.dtype == torch.float64 for tensor in tensors.values()):
        warnings.append("float64 weights were rounded to float32.")
    if _NEXT_SENTENCE in tensors:
        warnings.append("the head for next sentences was left out; the one for masked words is there.")
    weights = {name: parameter.float() for name, parameter in model.named_parameters()}
    card = huggingface.card(source, _architecture(config, str(source)), sum(map(torch.numel, weights.values())))
    save_encoder(out, model, weights, tokens, card)
    return warnings


def convert(config: Mapping[str, Any], tensors: Mapping[str, Tensor], where: str = "BERT model") -> TaskModel:
    """Make our encoder, with its head, from a configuration of `transformers` and its tensors.

    Args:
        config: config.json of a BERT or DistilBERT class: bare, or for masked words, sequence classification or token
            classification (of one for pre-training, the head for next sentences is left out).
        tensors: by their foreign names. Half precision becomes float32; if any tensor is float64, so is the model.
        where: what they were read from, for messages.

    Returns:
        A model in evaluation mode, with the states and logits of the original.

    Raises:
        ModelError: an unknown class, key or value; a tensor that is missing, unknown, of another shape or not finite.
    """
    arch = str(config.get("model_type"))
    if arch not in _FAMILIES:
        raise ModelError(f"{where}: model_type is {arch!r}, expected {' or '.join(_FAMILIES)}.")
    family, architecture = _FAMILIES[arch], _architecture(config, where)
    task = _TASKS[architecture.removeprefix(family.name)]
    foreign = ForeignTensors(_renamed(tensors), where)
    is_bare = f"{family.prefix}embeddings.word_embeddings.weight" not in foreign
    prefix = "" if is_bare else family.prefix
    pooler = family.pooler.format(prefix=prefix)
    settings = _settings(config, family, where)
    settings["pooled"] = f"{pooler}.weight" in foreign or task == "classify"
    if settings["num_layers"] > len(tensors):
        raise ModelError(f"{where}: describes {settings['num_layers']} layers, found {len(tensors)} tensors.")
    head = {"task": task, "labels": _labels(config, where) if task in ("classify", "tag") else []}
    try:
        ours = from_dict(ENCODERS[arch][0], settings, where)
        weights = _weights(foreign, family, prefix, pooler, ours, head)
        if task == "mask" and _NEXT_SENTENCE in foreign:
            foreign.linear(_NEXT_SENTENCE.removesuffix(".weight"), (2, ours.hidden_size), "")
        foreign.finish()
        model = build_encoder(arch, to_dict(ours), head, where).to(foreign.dtype)
    except ConfigError as error:
        raise ModelError(str(error)) from error
    copy_weights(weights, dict(model.named_parameters()), Path(where))
    return model.eval()


def _architecture(config: Mapping[str, Any], where: str) -> str:
    """The class that wrote the folder; a bare encoder's where it does not say."""
    family = _FAMILIES[str(config["model_type"])]
    named = config.get("architectures") or [f"{family.name}Model"]
    known = [f"{family.name}{suffix}" for suffix in _TASKS]
    if not isinstance(named, list) or len(named) != 1 or named[0] not in known:
        raise ModelError(f"{where}: architectures is {named!r}, expected one of {', '.join(known)}.")
    return named[0]


def _renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of old files as new ones have them: no position numbers, norms with weight and bias."""
    found = {}
    for name, tensor in tensors.items():
        for old, new in ((".gamma", ".weight"), (".beta", ".bias")):
            name = name.removesuffix(old) + new if name.endswith(f"LayerNorm{old}") else name
        if not name.endswith("embeddings.position_ids"):
            found[name] = tensor
    return found


def _settings(config: Mapping[str, Any], family: _Family, where: str) -> dict[str, Any]:
    huggingface.check_keys(config, {*family.settings, *_HARMLESS}, family.plain, where)
    missing = [key for key in family.settings if key not in config]
    if missing:
        raise ModelError(f"{where}: {', '.join(missing)} is missing.")
    settings = {ours: config[foreign] for foreign, ours in family.settings.items()}
    settings["activation"] = huggingface.activation(settings["activation"], where)
    return settings


def _labels(config: Mapping[str, Any], where: str) -> list[str]:
    """The names of the classes, in the order of the logits."""
    names = config.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}  # two is the default of transformers
    ordered = [names.get(str(number)) for number in range(len(names))] if isinstance(names, dict) else [None]
    if not 0 < len(ordered) <= _MAX_LABELS or not all(isinstance(name, str) for name in ordered):
        raise ModelError(f"{where}: id2label must name the classes 0, 1, 2 and so on; found {names!s:.80}.")
    return [str(name) for name in ordered]


def _weights(
    foreign: ForeignTensors, family: _Family, prefix: str, pooler: str, ours: DistilBertConfig, head: Mapping[str, Any]
) -> dict[str, Tensor]:
    """All tensors by our names."""
    size, inner = ours.hidden_size, ours.feed_forward_size
    tables = {
        "word_embeddings": ("embedding", ours.vocab_size),
        "position_embeddings": ("positions", ours.max_length),
        "token_type_embeddings": ("type_embedding", getattr(ours, "num_types", 0)),
    }
    encoder = {
        f"{name}.weight": foreign.take(f"{prefix}embeddings.{there}.weight", (rows, size))
        for there, (name, rows) in tables.items()
        if rows
    }
    encoder |= foreign.norm(f"{prefix}embeddings.LayerNorm", size, "embedding_norm")
    for number in range(ours.num_layers):
        there, here = f"{prefix}{family.layers}.{number}", f"layers.{number}"
        encoder |= foreign.attention([f"{there}.{name}" for name in family.attention], size, f"{here}.attention")
        encoder |= foreign.norm(f"{there}.{family.attention_norm}", size, f"{here}.attention_frame.norm")
        encoder |= foreign.linear(f"{there}.{family.inner}", (inner, size), f"{here}.feed_forward.inner")
        encoder |= foreign.linear(f"{there}.{family.outer}", (size, inner), f"{here}.feed_forward.outer")
        encoder |= foreign.norm(f"{there}.{family.output_norm}", size, f"{here}.feed_forward_frame.norm")
    if ours.pooled:
        encoder |= foreign.linear(pooler, (size, size), "pooler")
    weights = {f"encoder.{name}": tensor for name, tensor in encoder.items()}
    if head["task"] == "mask":
        weights |= foreign.linear(family.transform, (size, size), "head.transform")
        weights |= foreign.norm(family.transform_norm, size, "head.norm")
        weights["head.output.bias"] = bias = foreign.take(family.output_bias, (ours.vocab_size,))
        embedding = weights["encoder.embedding.weight"]
        foreign.take_copy(f"{family.output}.weight", f"{prefix}embeddings.word_embeddings.weight", embedding)
        foreign.take_copy(f"{family.output}.bias", family.output_bias, bias)
    elif head["task"] != "none":
        weights |= foreign.linear("classifier", (len(head["labels"]), size), "head.output")
    return weights
