"""The mean of several models: what it computes with, what it keeps, what has none."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from tiny_model import SOURCES, make_decoder_folder, make_encoder_folder, make_folder

from regard.data.tokens import Tokens
from regard.errors import DataError, ModelError
from regard.models.averaging import average
from regard.models.folder import LoadedEncoder, LoadedModel, load_any, save_as

KINDS: dict[str, Callable[..., Path]] = {
    "translator": make_folder,
    "encoder": make_encoder_folder,
    "language model": make_decoder_folder,
}
LABELLED: dict[str, Any] = {"task": "classify", "labels": ("no", "yes")}


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(folder / "model.safetensors")


def taught_on(folder: Path, out: Path, seed: int, **facts: Any) -> Path:
    """The model as if it had been taught a little more, with other facts in its configuration or its head's."""
    loaded = load_any(folder)
    torch.manual_seed(seed)
    weights = {name: tensor + 0.01 * torch.randn_like(tensor) for name, tensor in loaded.model.named_parameters()}
    languages = {key: facts.pop(key) for key in list(facts) if key.endswith("language")}
    if facts:
        loaded.model.config = dataclasses.replace(loaded.model.config, **facts)
    save_as(out, dataclasses.replace(loaded, **languages), weights, "# Taught\n")
    return out


@pytest.fixture(params=KINDS)
def three(request: pytest.FixtureRequest, tmp_path: Path) -> list[Path]:
    """A model and two that were taught on from it."""
    first = KINDS[request.param](tmp_path / "a")
    return [first, *(taught_on(first, tmp_path / name, seed) for seed, name in enumerate("bc"))]


def test_weights_are_the_mean_and_all_else_stays(three: list[Path], tmp_path: Path) -> None:
    assert average([str(path) for path in three], tmp_path / "mean") == []
    found, parts = weights_of(tmp_path / "mean"), [weights_of(path) for path in three]
    assert set(found) == set(parts[0])
    for name, tensor in found.items():
        expected = torch.stack([part[name].double() for part in parts]).mean(0).float()
        torch.testing.assert_close(tensor, expected, rtol=2e-7, atol=0)  # one bit of float32
        assert not torch.equal(tensor, parts[0][name])
    assert (tmp_path / "mean" / "config.json").read_bytes() == (three[0] / "config.json").read_bytes()
    names = {path.name for path in three[0].iterdir()}
    assert {path.name for path in (tmp_path / "mean").iterdir()} == names - {"vocab.txt"}
    card = (tmp_path / "mean" / "README.md").read_text()
    for path in three:
        digest = hashlib.sha256((path / "model.safetensors").read_bytes()).hexdigest()
        assert f"- {path}: 0.333 of it  \n  sha256 of its weights: {digest}\n" in card
    load_any(tmp_path / "mean")


def test_a_weight_counts_a_model_so_many_times(three: list[Path], tmp_path: Path) -> None:
    first, second = (str(path) for path in three[:2])
    average([first, first, first, second], tmp_path / "four")
    average([f"{first}:3", second], tmp_path / "two")
    average([first, f"{second}:1000000"], tmp_path / "other")
    found = [weights_of(tmp_path / name) for name in ("four", "two", "other")]
    for name, tensor in found[0].items():
        assert torch.equal(tensor, found[1][name])
        torch.testing.assert_close(found[2][name], weights_of(three[1])[name], rtol=1e-5, atol=1e-5)


def test_the_mean_of_a_model_and_itself_is_the_model(three: list[Path], tmp_path: Path) -> None:
    average([str(three[0])] * 3, tmp_path / "same")
    assert (tmp_path / "same" / "model.safetensors").read_bytes() == (three[0] / "model.safetensors").read_bytes()


def test_a_run_folder_is_its_model(three: list[Path], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    three[1].rename(tmp_path / "run" / "model")
    assert average([str(three[0]), str(tmp_path / "run")], tmp_path / "mean") == []


def test_what_only_training_knows_may_differ_and_temperatures_have_a_mean(tmp_path: Path) -> None:
    first = make_encoder_folder(tmp_path / "a", **LABELLED)
    taught_on(first, tmp_path / "b", 1, dropout=0.5, temperature=2.0, language="pt")
    average([str(first), f"{tmp_path / 'b'}:3"], tmp_path / "mean")
    mean = load_any(tmp_path / "mean")
    assert isinstance(mean, LoadedEncoder)
    assert (mean.model.config.dropout, mean.model.config.temperature, mean.language) == (0.1, 1.75, "pt")


def test_the_languages_that_one_of_them_names_are_those_of_both(tmp_path: Path) -> None:
    first = make_folder(tmp_path / "a")
    taught_on(first, tmp_path / "b", 1, source_language="en", target_language="pt")
    taught_on(first, tmp_path / "c", 1, source_language="en")
    average([str(tmp_path / name) for name in "abc"], tmp_path / "mean")
    mean = load_any(tmp_path / "mean")
    assert isinstance(mean, LoadedModel)
    assert (mean.source_language, mean.target_language) == ("en", "pt")


def test_models_that_did_not_begin_as_one_are_told(tmp_path: Path) -> None:
    for seed in range(2):
        make_folder(tmp_path / str(seed), seed=seed)
    (warning,) = average([str(tmp_path / "0"), str(tmp_path / "1")], tmp_path / "mean")
    assert re.search(r"1: [\w.]+ and \d+ of \d+ others are far from those of .*0 [(]cosine -?0[.]", warning)
    assert "as of models that did not begin as one" in warning
    assert (tmp_path / "mean" / "model.safetensors").exists()


def test_heads_that_did_not_begin_as_one_are_told(tmp_path: Path) -> None:
    """As of an encoder that was fine-tuned twice with other seeds."""
    first = make_encoder_folder(tmp_path / "a", **LABELLED)
    loaded = load_any(first)
    weights = dict(loaded.model.named_parameters())
    other = {**weights, "head.output.weight": -weights["head.output.weight"]}
    save_as(tmp_path / "b", loaded, other, "# Made up\n")
    (warning,) = average([str(first), str(tmp_path / "b")], tmp_path / "mean")
    assert re.search(r"b: head.output.weight is far from those of .*a [(]cosine -1.00; .* as of a head that", warning)


def test_models_without_a_mean(tmp_path: Path) -> None:
    a = make_folder(tmp_path / "a")
    taught_on(a, tmp_path / "pt", 1, target_language="pt")
    taught_on(a, tmp_path / "de", 1, target_language="de")
    make_folder(tmp_path / "deeper", num_layers=3, feed_forward_size=20)
    make_folder(tmp_path / "rnn", arch="rnn")
    loaded = load_any(a)
    assert isinstance(loaded, LoadedModel)
    other_tokens = dataclasses.replace(loaded, tokens=Tokens.train(SOURCES * 3, SOURCES * 3, loaded.tokens.vocab_size))
    save_as(tmp_path / "tokens", other_tokens, dict(loaded.model.named_parameters()), "# Made up\n")
    make_encoder_folder(tmp_path / "no-yes", **LABELLED)
    make_encoder_folder(tmp_path / "yes-no", task="classify", labels=("yes", "no"))
    make_encoder_folder(tmp_path / "masked", task="mask")
    gpt = make_decoder_folder(tmp_path / "gpt")
    broken = weights_of(gpt)
    next(iter(broken.values()))[0] = float("nan")
    taught_on(gpt, tmp_path / "nan", 1)
    safetensors.torch.save_file(broken, tmp_path / "nan" / "model.safetensors")
    for names, message in [
        ([], "no model: the mean is that of two models or more"),
        (["a"], "a: the mean is that of two models or more"),
        (["a", "deeper"], "deeper: is of another kind .* model.num_layers is 3 here, 2 there; model.feed_forward_s"),
        (["a", "rnn"], "arch is 'rnn' here, 'transformer' there[.]$"),
        (["a", "gpt"], "arch is 'gpt' here, 'transformer' there[.]$"),
        (["pt", "a", "de"], "target_language is 'de' here, 'pt' there[.]$"),
        (["a", "tokens"], "tokens: numbers its tokens otherwise than .*a; "),
        (["no-yes", "yes-no"], r"head.labels is \['yes', 'no'\] here, \['no', 'yes'\] there[.]$"),
        (["masked", "no-yes"], "head.task is 'classify' here, 'mask' there"),
        (["a", "nowhere"], "nowhere: there is no such folder"),
        (["gpt", "nan"], "numbers that are not finite"),
    ]:
        with pytest.raises(ModelError, match=message):
            average([str(tmp_path / name) for name in names], tmp_path / "mean")
    with pytest.raises(ModelError, match=r"pt: is already there[.] Name a folder that does not exist yet"):
        average([str(a), str(tmp_path / "pt")], tmp_path / "pt")
    with pytest.raises(DataError, match="the weight is -1"):
        average([str(a), f"{tmp_path / 'pt'}:-1"], tmp_path / "mean")
    assert not (tmp_path / "mean").exists()
    assert json.loads((tmp_path / "pt" / "config.json").read_text())["target_language"] == "pt"
