"""BERT, DistilBERT and BigBird as `transformers` stores them: into our encoders, and into our model folder."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from regard.config import from_dict, to_dict
from regard.errors import ConfigError, ModelError
from regard.interop import cards, huggingface, places, pooling
from regard.interop.bert_names import (
    FAMILIES,
    HARMLESS,
    NEXT_SENTENCE,
    TASKS,
    VALUES,
    Family,
    places_of,
    random_blocks_sentence,
)
from regard.interop.bert_tokens import read_tokens
from regard.interop.huggingface import ForeignTensors
from regard.models import ENCODERS, build_encoder
from regard.models.folder import copy_weights, save_encoder
from regard.models.heads import HeadConfig, Task, TaskModel

_MAX_LABELS = 10_000


def import_folder(source: Path, out: Path, origin: str = "") -> list[str]:
    """Make a model folder from one that a BERT, DistilBERT or BigBird class's `save_pretrained` wrote.

    Read are config.json, model.safetensors (or its shards), and tokenizer.json or vocab.txt with
    tokenizer_config.json, and the language that README.md names, all in `source`, and 1_Pooling but for a
    head for texts. Weights are stored in float32.

    What comes back and what is raised: see `regard.interop.import_folder`.
    """
    config, tensors = huggingface.read_folder(source, out)
    model = convert(config, tensors, str(source))
    tokens, warnings = read_tokens(source, vocab_size=model.encoder.config.vocab_size)
    warnings += huggingface.rounding_warnings(tensors)
    if f"{NEXT_SENTENCE}.weight" in tensors and not model.config.next_sentence:
        warnings.append("the head for next sentences was left out: it needs token types and the pooling layer.")
    if model.config.task != "classify":  # which has what its class reads
        pool, doubts = pooling.read(source)
        model.config = replace(model.config, pool=pool)
        warnings += doubts
    family = FAMILIES[config["model_type"]]
    pooler = f"{family.pooler.format(prefix=family.prefix)}.weight"
    if family.idle_pooler and not model.config.next_sentence and pooler in tensors:
        warnings.append("a pooling layer that the model has beside its head, and does not use, was left out.")
    ours = model.encoder.config
    if getattr(ours, "sparse", False) and ours.num_random_blocks:
        warnings.append(random_blocks_sentence(ours.num_random_blocks, ours.block_size))
    weights = {name: parameter.float() for name, parameter in model.named_parameters()}
    language = cards.language_of(source)
    card = cards.imported(source, _architecture(config, str(source)), weights, [language], origin=origin)
    save_encoder(out, model, weights, tokens, card, language=language)
    return warnings


def convert(config: Mapping[str, Any], tensors: Mapping[str, Tensor], where: str = "BERT model") -> TaskModel:
    """Make our encoder, with its head, from a configuration of `transformers` and its tensors.

    Args:
        config: config.json of a BERT, DistilBERT or BigBird class: bare, or for masked words, sequence classification
            or token classification, or for pre-training (masked words and next sentences).
        tensors: by their foreign names. Half precision becomes float32; if any tensor is float64, so is the model.
        where: what they were read from, for messages.

    Returns:
        A model in evaluation mode, with the states and logits of the original.

    Raises:
        ModelError: an unknown class, key or value; a tensor that is missing, unknown, of another shape or not finite.
    """
    kind = str(config.get("model_type"))
    if kind not in FAMILIES:
        raise ModelError(f"{where}: model_type is {kind!r}, expected one of {', '.join(FAMILIES)}.")
    family, architecture = FAMILIES[kind], _architecture(config, where)
    task = TASKS[architecture.removeprefix(family.name)]
    foreign = ForeignTensors(_renamed(tensors, where), where)
    is_bare = f"{family.prefix}embeddings.word_embeddings.weight" not in foreign
    prefix = "" if is_bare else family.prefix
    settings = _settings(config, family, task, where)
    pooler = f"{family.pooler_of(task, prefix)}.weight" in foreign
    told_apart = isinstance(types := settings.get("num_types"), int) and types > 1
    pairs = task == "mask" and pooler and told_apart and f"{NEXT_SENTENCE}.weight" in foreign
    idle = family.pooler.format(prefix=prefix) if family.idle_pooler and task != "none" and not pairs else ""
    settings["pooled"] = task == "classify" or (not idle and pooler)
    if family.arch == "bigbird":  # the class for sequence classification pools otherwise than others that pool
        settings["pool_activation"] = "tanh" if task == "none" or pairs else settings["activation"]
    labels = _labels(config, where) if task in ("classify", "tag") else []
    try:
        head = HeadConfig(task=task, labels=tuple(labels), next_sentence=pairs)
    except ConfigError as error:
        raise ModelError(f"{where}: id2label: {error}. Name the classes in {huggingface.CONFIG_FILE}.") from error
    try:
        ours = from_dict(ENCODERS[family.arch][0], settings, where)
        if ours.num_layers > len(tensors):
            raise ModelError(f"{where}: describes {ours.num_layers} layers, found {len(tensors)} tensors.")
        weights = places.read(places_of(family, prefix, ours, head), foreign)
        if task == "mask":
            original = f"{prefix}embeddings.word_embeddings.weight"
            foreign.take_copy(f"{family.output}.weight", original, weights["encoder.embedding.weight"])
            foreign.take_copy(f"{family.output}.bias", family.output_bias, weights["head.output.bias"])
        unused = {idle: ours.hidden_size} | ({NEXT_SENTENCE: 2} if task == "mask" and not pairs else {})
        for name, outputs in unused.items():
            if f"{name}.weight" in foreign:
                places.Module("", name, (outputs, ours.hidden_size)).read(foreign)
        foreign.finish()
        model = build_encoder(family.arch, to_dict(ours), to_dict(head), where).to(foreign.dtype)
    except ConfigError as error:
        raise ModelError(str(error)) from error
    copy_weights(weights, dict(model.named_parameters()), Path(where))
    return model.eval()


def _architecture(config: Mapping[str, Any], where: str) -> str:
    """The class that wrote the folder; a bare encoder's where it does not say."""
    family = FAMILIES[str(config["model_type"])]
    named = config.get("architectures") or [f"{family.name}Model"]
    known = [f"{family.name}{suffix}" for suffix in TASKS]
    if not isinstance(named, list) or len(named) != 1 or named[0] not in known:
        raise ModelError(f"{where}: architectures is {named!r}, expected one of {', '.join(known)}.")
    return named[0]


def _renamed(tensors: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """The tensors of old files as new ones have them: no position numbers, norms with weight and bias."""
    found = {}
    for name, tensor in tensors.items():
        for old, new in ((".gamma", ".weight"), (".beta", ".bias")):
            name = name.removesuffix(old) + new if name.endswith(f"LayerNorm{old}") else name
        if name in found:
            raise ModelError(f"{where}: {name} is there twice, under its old name and its new one.")
        if not name.endswith("embeddings.position_ids"):
            found[name] = tensor
    return found


def _settings(config: Mapping[str, Any], family: Family, task: Task, where: str) -> dict[str, Any]:
    """Our settings, save whether there is a pooling layer, which the tensors tell."""
    huggingface.check_keys(config, {*family.settings, *HARMLESS}, family.plain, where)
    missing = [key for key in family.settings if key not in config]
    if missing:
        raise ModelError(f"{where}: {', '.join(missing)} is missing.")
    names, kind = config.get("id2label"), config.get("problem_type")
    num_labels = len(names) if isinstance(names, dict) and names else 2  # two if nothing is said
    if task == "classify" and kind not in (None, "regression" if num_labels == 1 else "single_label_classification"):
        raise ModelError(
            f"{where}: problem_type is {kind!r} with {num_labels} labels; a head tells one class of several, or "
            "predicts one number."
        )
    settings = {ours: config[foreign] for foreign, ours in family.settings.items()}
    for foreign, ours in family.settings.items():
        if ours in VALUES:
            if str(config[foreign]) not in VALUES[ours]:
                raise ModelError(
                    f"{where}: {foreign} is {config[foreign]!r}, expected one of {', '.join(VALUES[ours])}."
                )
            settings[ours] = VALUES[ours][str(config[foreign])]
    return settings


def _labels(config: Mapping[str, Any], where: str) -> list[str]:
    """The names of the classes, in the order of the logits."""
    names = config.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}  # two is the default of transformers
    ordered = [names.get(str(number)) for number in range(len(names))] if isinstance(names, dict) else [None]
    if not 0 < len(ordered) <= _MAX_LABELS or not all(isinstance(name, str) for name in ordered):
        raise ModelError(f"{where}: id2label must name the classes 0, 1, 2 and so on; found {names!s:.80}.")
    return [str(name) for name in ordered]
