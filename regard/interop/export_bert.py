"""Our encoders as folders that `transformers` loads: BERT, DistilBERT and BigBird, bare or with a head."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from regard.data.text_tokens import TextTokens
from regard.errors import ModelError
from regard.interop import cards, huggingface, places, pooling
from regard.interop.bert_names import (
    FAMILIES,
    PRETRAINING,
    TASKS,
    VALUES,
    Family,
    places_of,
    random_blocks_sentence,
)
from regard.interop.bert_tokens import write_tokens
from regard.models import ENCODERS
from regard.models.folder import load_encoder
from regard.models.heads import TaskModel


def export_folder(source: Path, out: Path) -> list[str]:
    """Write an encoder's folder as `save_pretrained` would: its states and logits there are those here.

    What comes back and what is raised: see `regard.interop.export_folder`.
    """
    loaded = load_encoder(source)
    config, tensors, warnings = revert(loaded.model, str(source))
    tokens, limit = loaded.tokens, loaded.model.encoder.config.max_length
    if tokens is None:
        warnings.append("this model has no tokenizer, so none was written.")
    config |= _special_ids(tokens)
    reads_types = hasattr(loaded.model.encoder.config, "num_types")

    def write_more(folder: Path) -> None:
        if tokens is not None:
            write_tokens(folder, tokens, max_length=limit, reads_types=reads_types)
        if loaded.model.config.pool == "mean":  # no head for texts: `_check` refuses it
            pooling.write_mean(folder, loaded.model.encoder.config.hidden_size)

    suffix = config["architectures"][0].removeprefix(FAMILIES[config["model_type"]].name)
    name = f"AutoModel{suffix.removeprefix('Model')}"
    use = [
        f"    from transformers import {name}, AutoTokenizer",
        f"    model = {name}.from_pretrained({json.dumps(source.resolve().name)})",
    ]
    card = cards.exported(source, config["architectures"][0], [loaded.language], use=use)
    huggingface.write_folder(out, config, tensors, card, write_more)
    return warnings


def revert(model: TaskModel, where: str = "encoder") -> tuple[dict[str, Any], dict[str, Tensor], list[str]]:
    """The opposite of `bert.convert`.

    Returns:
        config.json and tensors of a class of `transformers`, and what is not quite as it was.

    Raises:
        ModelError: a setting has a value that the class does not know.
    """
    ours, head = model.encoder.config, model.config
    kind, family = next(
        (kind, family) for kind, family in FAMILIES.items() if type(model.encoder) is ENCODERS[family.arch][1]
    )
    suffix = next(suffix for suffix, task in TASKS.items() if task == head.task)
    _check(family, model, f"{where}: cannot be written as {family.name}{suffix}")
    prefix = "" if head.task == "none" else family.prefix
    warnings = []
    if head.next_sentence and getattr(ours, "pool_activation", "tanh") != "tanh":
        head = replace(head, next_sentence=False)
        warnings.append(
            f"the head for next sentences was left out: it reads a pooling layer with {ours.pool_activation}, and "
            f"{family.name}ForPreTraining has tanh."
        )
    if head.next_sentence:
        suffix = PRETRAINING
    elif head.task in ("mask", "tag") and ours.pooled:
        ours = replace(ours, pooled=False)
        warnings.append("the pooling layer, which the head does not use, was left out.")
    if family.idle_pooler and head.task != "none" and not head.next_sentence:
        warnings.append(
            f"{family.name}{suffix} has a pooling layer beside its head and does not use it; transformers will say "
            "that it made a new one."
        )
    elif head.task == "none" and not ours.pooled and family.arch != "distilbert":
        warnings.append(
            "there is no pooling layer: transformers makes a new one, and pooled outputs will mean nothing."
        )
    if head.temperature != 1:
        warnings.append(
            f"the temperature {head.temperature:.3f} of calibrated probabilities was left out: transformers has no "
            "such setting."
        )
    if getattr(ours, "sparse", False) and ours.num_random_blocks:
        warnings.append(random_blocks_sentence(ours.num_random_blocks, ours.block_size))
    config: dict[str, Any] = {"architectures": [family.name + suffix], "model_type": kind, "initializer_range": 0.02}
    for foreign, name in family.settings.items():
        value = getattr(ours, name)
        config[foreign] = (
            next(there for there, here in VALUES[name].items() if here == value) if name in VALUES else value
        )
    if head.labels:
        config["id2label"] = {str(number): label for number, label in enumerate(head.labels)}
        config["label2id"] = {label: number for number, label in enumerate(head.labels)}
        config["seq_classif_dropout" if family.arch == "distilbert" else "classifier_dropout"] = head.dropout
    if head.task == "classify":
        config["problem_type"] = "regression" if len(head.labels) == 1 else "single_label_classification"
    tensors = places.write(places_of(family, prefix, ours, head), dict(model.named_parameters()))
    return config, tensors, warnings


def _check(family: Family, model: TaskModel, where: str) -> None:
    """Refuse what the foreign class cannot express, all of it in one message."""
    ours, task = model.encoder.config, model.config.task
    fixed = dict(family.fixed)
    if not getattr(ours, "sparse", True):
        fixed = {}  # nothing is global or near where all attend to all
    if family.arch == "bigbird" and ours.pooled and task in ("none", "classify"):
        fixed["pool_activation"] = "tanh" if task == "none" else ours.activation
    wrong = [
        f"{name} is {getattr(ours, name)}, expected {value}"
        for name, value in fixed.items()
        if getattr(ours, name) != value
    ]
    if task == "classify" and model.config.pool != "first":
        wrong.append(f"pool is {model.config.pool}, expected first")
    if wrong:
        raise ModelError(f"{where}: {'; '.join(wrong)}. The class knows no other value.")


def _special_ids(tokens: TextTokens | None) -> dict[str, int | None]:
    """All of them are said, if only to say that there is none: what a class takes else may be no id of this model."""
    roles = {"pad_token_id": "pad", "cls_token_id": "start", "sep_token_id": "end"}
    known = {} if tokens is None else {role: tokens.id_of(role) for role in tokens.special}
    return {**{key: known.get(role) for key, role in roles.items()}, "bos_token_id": None, "eos_token_id": None}
