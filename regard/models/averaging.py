"""One model of several: the mean of their weights.

Models that began as one and were taught with other seeds or settings lie close enough together for their mean to be a
model too, often a better one, that costs what one costs (model soups, Wortsman et al. 2022a); the mean of a model
before and after it was taught more keeps more of what it knew (WiSE-FT, Wortsman et al. 2022b).
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from regard.config import to_dict
from regard.data.pairs import path_and_weight
from regard.data.text_tokens import TextTokens
from regard.data.tokens import Tokens
from regard.errors import ModelError
from regard.formats.languages import card_lines
from regard.models.folder import (
    AnyLoaded,
    LoadedEncoder,
    LoadedModel,
    arch_of,
    card_of,
    check_new,
    digest_of_weights,
    load_any,
    save_as,
)

# Of a matrix with another model's. Of models fine-tuned from one it is .99 and more, of other first weights 0, of the
# same ones after a whole training with other settings .4 to .8 (results/LOG.md).
_LEAST_COSINE = 0.9
_HEAD = "head.output.weight"  # of labels
_SHOWN = 8  # of what differs


def average(models: Sequence[str], out: Path) -> list[str]:
    """Write the model whose weights are the mean of others'.

    Dropout and what else only training knows of is the first model's; the temperature of calibrated probabilities is
    the mean, too.

    Args:
        models: folders, each optionally FOLDER:WEIGHT, which counts it so many times.
        out: the new folder; there must be nothing of that name.

    Returns:
        What makes the mean doubtful, a sentence each.

    Raises:
        ModelError: fewer than two, a folder is broken, or they differ in shape, labels, languages or tokens.
        DataError: a weight is no positive number.
        StorageError: the disk refused.
    """
    if len(models) < 2:
        raise ModelError(f"{', '.join(models) or 'no model'}: the mean is that of two models or more. Name another.")
    check_new(out)
    named = [path_and_weight(model) for model in models]
    shares = [1.0 if weight is None else weight for _, weight in named]
    total = math.fsum(shares)
    first = load_any(named[0][0])
    facts, weights = _facts(named[0][0], first), dict(first.model.named_parameters())
    sums = {name: tensor.detach().double() * shares[0] for name, tensor in weights.items()}
    temperature, warnings = shares[0] * _temperature(first), []
    for (path, _), share in zip(named[1:], shares[1:], strict=True):
        other = load_any(path)
        facts = _agreed(facts, _facts(path, other), named[0][0], path)
        if not _same_tokens(first, other):
            raise ModelError(
                f"{path}: numbers its tokens otherwise than {named[0][0]}; models of one tokenizer have a mean."
            )
        theirs = dict(other.model.named_parameters())
        warnings += _doubts(named[0][0], weights, path, theirs)
        for name, tensor in theirs.items():
            sums[name] += tensor.detach().double() * share
        temperature += share * _temperature(other)
    mean = {name: (sums[name] / total).to(tensor.dtype) for name, tensor in weights.items()}
    parts = [(path, share / total, digest_of_weights(path)) for (path, _), share in zip(named, shares, strict=True)]
    save_as(out, _with_facts(first, facts, temperature / total), mean, _card(out, facts, parts))
    return warnings


def _facts(path: Path, loaded: AnyLoaded) -> dict[str, Any]:
    """What models must have in common, by its name in config.json."""
    model = loaded.model
    facts: dict[str, Any] = {"arch": arch_of(path)}
    config = model.config
    if isinstance(loaded, LoadedEncoder):
        facts |= {f"head.{key}": value for key, value in to_dict(config).items()}
        config = loaded.model.encoder.config
    facts |= {f"model.{key}": value for key, value in to_dict(config).items()}
    if isinstance(loaded, LoadedModel):
        return facts | {"source_language": loaded.source_language, "target_language": loaded.target_language}
    return facts | {"language": loaded.language}


def _agreed(facts: Mapping[str, Any], others: Mapping[str, Any], first: Path, path: Path) -> dict[str, Any]:
    """Both models' facts; a language that only one of them names is that of both."""
    found = {key: (facts.get(key), others.get(key)) for key in {**facts, **others} if _counts(key)}
    if facts["arch"] != others["arch"]:
        found = {"arch": found["arch"]}  # their sizes are not the same things
    unlike = {key: (ours, theirs) for key, (ours, theirs) in found.items() if ours != theirs}
    unlike = {key: both for key, both in unlike.items() if not (key.endswith("language") and "" in both)}
    if unlike:
        shown = [f"{key} is {theirs!r} here, {ours!r} there" for key, (ours, theirs) in unlike.items()]
        more = f"; and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
        raise ModelError(
            f"{path}: is of another kind than {first}, so they have no mean: {'; '.join(shown[:_SHOWN])}{more}."
        )
    return {key: value or others.get(key, value) if key.endswith("language") else value for key, value in facts.items()}


def _counts(key: str) -> bool:
    """Whether a fact has a say in what the finished model computes."""
    return not key.endswith(("dropout", "noise", ".temperature"))


def _same_tokens(first: AnyLoaded, other: AnyLoaded) -> bool:
    ours, theirs = first.tokens, other.tokens
    if isinstance(ours, Tokens) and isinstance(theirs, Tokens):
        return ours.same_as(theirs)
    if isinstance(ours, TextTokens) and isinstance(theirs, TextTokens):
        return ours.same_as(theirs)
    return ours is theirs  # none, or of two kinds


def _temperature(loaded: AnyLoaded) -> float:
    return loaded.model.config.temperature if isinstance(loaded, LoadedEncoder) else 1.0


def _doubts(first: Path, ours: Mapping[str, Tensor], path: Path, theirs: Mapping[str, Tensor]) -> list[str]:
    """Say which matrices of two models are far apart; vectors, such as the scales of norms, are alike in any two."""
    matrices = [name for name, tensor in ours.items() if tensor.ndim > 1]
    cosines = {name: _cosine(ours[name].detach(), theirs[name].detach()) for name in matrices}
    far = sorted((name for name in matrices if cosines[name] < _LEAST_COSINE), key=lambda name: cosines[name])
    if not far:
        return []
    rest = f" and {len(far) - 1} of {len(matrices) - 1} others are" if len(far) > 1 else " is"
    why = "a head that began with random weights of its own" if far == [_HEAD] else "models that did not begin as one"
    return [
        f"{path}: {far[0]}{rest} far from those of {first} (cosine {round(cosines[far[0]], 2) + 0.0:.2f}; of models "
        f"taught further from one it is 0.99), as of {why}. Such a mean may do nothing well: evaluate it."
    ]


def _cosine(one: Tensor, other: Tensor) -> float:
    product, squares = (one.double() * other.double()).sum(), one.double().norm() * other.double().norm()
    return float(product / squares) if squares > 0 else 1.0


def _with_facts(loaded: AnyLoaded, facts: Mapping[str, Any], temperature: float) -> AnyLoaded:
    if isinstance(loaded, LoadedModel):
        languages = {key: facts[key] for key in ("source_language", "target_language")}
        return dataclasses.replace(loaded, **languages)
    if isinstance(loaded, LoadedEncoder):
        loaded.model.config = dataclasses.replace(loaded.model.config, temperature=temperature)
    return dataclasses.replace(loaded, language=facts["language"])


def _card(out: Path, facts: Mapping[str, Any], parts: Sequence[tuple[Path, float, str]]) -> str:
    """README.md of a mean."""
    languages = card_lines([value for key, value in facts.items() if key.endswith("language")])
    said = ["The mean of the weights of these models, for whose data and licences see their cards:", ""]
    said += [f"- {path}: {share:.3f} of it  \n  sha256 of its weights: {digest}" for path, share, digest in parts]
    return card_of(out, ["library_name: regard", *languages], said)
