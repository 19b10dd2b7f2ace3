"""GPT-2: our model through the shipped importer gives the numbers of `transformers`, in float64, and its text."""

import json
import math
import warnings
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from regard.decoding import search as search_module
from regard.decoding.options import SearchOptions
from regard.decoding.search import Controls, search
from regard.errors import ModelError
from regard.interop import gpt2, huggingface, import_folder
from regard.models.folder import load_decoder
from regard.models.gpt import GPT, SIZES, GPTConfig
from regard.nn.padded import Padded, pad

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # transformers' own imports
    transformers = pytest.importorskip("transformers")

ODD: dict[str, Any] = {
    "vocab_size": 61,
    "n_embd": 24,
    "n_layer": 3,
    "n_head": 3,
    "n_positions": 40,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
VARIANTS = {
    "inner size of its own": {**ODD, "n_inner": 34},
    "four times inner, one head": {**ODD, "n_head": 1},
    "relu, another epsilon": {**ODD, "activation_function": "relu", "layer_norm_epsilon": 1e-3},
    "exact gelu, one layer": {**ODD, "activation_function": "gelu", "n_layer": 1},
}
LENGTHS = [(12, 12, 12), (12, 7, 1)]


def make_reference(settings: dict[str, Any], head: str = "LMHeadModel", seed: int = 0) -> Any:
    """A random model in float64, every weight and bias drawn."""
    torch.manual_seed(seed)
    model = getattr(transformers, f"GPT2{head}")(transformers.GPT2Config(**settings)).double().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Zero biases would hide a forgotten one; norms with weights around 0 would let biases drown all else.
            parameter.normal_(mean=1.0 if "ln_" in name and name.endswith("weight") else 0.0, std=0.5)
    return model


def through_folder(reference: Any, folder: Path, **options: Any) -> Any:
    """Save as users do, read as the importer does."""
    reference.save_pretrained(folder, **options)
    return gpt2.convert(huggingface.read_config(folder), huggingface.read_tensors(folder))


@torch.no_grad()
def differences(reference: Any, ours: Any, lengths: tuple[int, ...]) -> dict[str, float]:
    """The largest difference at real tokens, of states, attention weights and logits, filling held against us."""
    ids = torch.randint(
        reference.config.vocab_size, (len(lengths), max(lengths)), generator=torch.Generator().manual_seed(1)
    )
    real = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    reference.config._attn_implementation = "eager"
    expected = reference(ids, attention_mask=real.long(), output_hidden_states=True, output_attentions=True)
    tokens = Padded(torch.where(real, ids, 5), torch.tensor(lengths))
    found = ours.forced(tokens, return_weights=True)
    states = ours.states(tokens)
    pairs = {
        "states": (states[real], expected.hidden_states[-1][real]),
        "fused": (ours.output(states)[real], found.logits[real]),
    }
    pairs |= {
        f"attention of text {row}": (
            found.weights["decoder"][row, :, :, :length, :length],
            torch.stack(expected.attentions, dim=1)[row, :, :, :length, :length],
        )
        for row, length in enumerate(lengths)
    }
    if "logits" in expected:
        pairs["logits"] = (found.logits[real], expected.logits[real])
    return {name: float((a - b).abs().max()) for name, (a, b) in pairs.items()}


@pytest.mark.parametrize("lengths", LENGTHS, ids=["no padding", "padding"])
@pytest.mark.parametrize("head", ["LMHeadModel", "Model"])
@pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)
def test_numbers_are_those_of_transformers(tmp_path, settings, head, lengths) -> None:
    reference = make_reference(settings, head)
    found = differences(reference, through_folder(reference, tmp_path), lengths)
    assert max(found.values()) < 1e-10, found
    assert ("logits" in found) == (head == "LMHeadModel")


def test_one_altered_weight_is_seen(tmp_path) -> None:
    """For every tensor of the folder, and of the fused one for each of its parts: change numbers, and ours differ."""
    reference = make_reference(ODD)
    reference.save_pretrained(tmp_path)
    tensors, config = huggingface.read_tensors(tmp_path), huggingface.read_config(tmp_path)
    size = ODD["n_embd"]
    assert len(tensors) == 2 + 12 * 3 + 2
    for name, tensor in tensors.items():
        # Of query, key and value side by side, each; of the key's bias none: it adds the same to a whole row of scores.
        places = [0] if "c_attn" not in name else [0, 2 * size] if name.endswith("bias") else [0, size, 2 * size]
        for place in places:
            altered = tensor.clone()
            altered[..., place] += 0.5
            ours = gpt2.convert(config, {**tensors, name: altered})
            assert max(differences(reference, ours, (12, 7, 1)).values()) > 1e-6, (name, place)


def test_half_precision_and_shards_are_read(tmp_path) -> None:
    reference = make_reference(ODD).half()
    ours = through_folder(reference, tmp_path, max_shard_size="20KB")
    assert (tmp_path / huggingface.INDEX_FILE).is_file()
    assert next(ours.parameters()).dtype == torch.float32
    assert max(differences(reference.float(), ours, (12, 7, 1)).values()) < 1e-3


def test_old_files_are_read(tmp_path) -> None:
    """Hub files have bare names, masks as tensors, a copy of the embedding, and the context under another name too."""
    reference = make_reference(ODD)
    reference.save_pretrained(tmp_path)
    config = huggingface.read_config(tmp_path) | {"n_ctx": 40, "task_specific_params": {"text-generation": {}}}
    tensors = {n.removeprefix("transformer."): tensor for n, tensor in huggingface.read_tensors(tmp_path).items()}
    for number in range(3):
        tensors[f"h.{number}.attn.bias"] = torch.ones(1, 1, 40, 40, dtype=torch.uint8).tril()
        tensors[f"h.{number}.attn.masked_bias"] = torch.tensor(-1e4)
    tensors["lm_head.weight"] = tensors["wte.weight"].clone()
    assert max(differences(reference, gpt2.convert(config, tensors), (12, 7, 1)).values()) < 1e-10
    tensors["lm_head.weight"][3, 3] += 1e-3
    with pytest.raises(ModelError, match=r"lm_head.weight differs from wte.weight, expected a copy of it"):
        gpt2.convert(config, tensors)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx is True, expected False"),
        ({"scale_attn_weights": False}, "scale_attn_weights is False, expected True"),
        ({"reorder_and_upcast_attn": True}, "reorder_and_upcast_attn is True, expected False"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings is False, expected True"),
        ({"add_cross_attention": True}, "add_cross_attention is True, expected False"),
        ({"activation_function": "mish"}, "the activation is 'mish', expected one of gelu, gelu_new"),
        ({"architectures": ["GPT2ForSequenceClassification"]}, "expected one of GPT2LMHeadModel, GPT2Model"),
        ({"n_head": 7}, r"hidden_size \(24\) must be a multiple of num_heads \(7\)"),
        ({"n_layer": 4}, "h.3.ln_1.weight is missing"),
        ({"n_layer": 2}, "h.2.attn.c_attn.weight with shape .* is unknown, expected no such tensor"),
        ({"n_layer": 10**9}, "describes 1000000000 layers, found"),
        ({"n_layer": "3"}, "num_layers: expected a whole number"),
        ({"n_embd": None}, "hidden_size: expected a whole number"),
        ({"n_ctx": 39}, "n_ctx is 39, n_positions 40"),
        ({"n_positions": 39}, r"wpe.weight has shape \(40, 24\), expected \(39, 24\)"),
        ({"n_inner": 95}, r"c_fc.weight has shape \(24, 96\), expected \(24, 95\)"),
        ({"new_trick": 1}, r"unknown setting new_trick \(1\)"),
        ({"auto_map": {"AutoModel": "m.M"}}, "auto_map asks for code"),
    ],
    ids=str,
)
def test_what_is_not_known_is_refused(tmp_path, changes, message) -> None:
    make_reference(ODD).save_pretrained(tmp_path)
    config = huggingface.read_config(tmp_path) | changes
    with pytest.raises(ModelError, match=message):
        gpt2.convert(config, huggingface.read_tensors(tmp_path))


def test_pickles_are_refused(tmp_path) -> None:
    reference = make_reference(ODD)
    reference.config.save_pretrained(tmp_path)
    torch.save(reference.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"has its weights in pytorch_model.bin, not in safetensors. Pickled weights"):
        import_folder(tmp_path, tmp_path / "ours")


def test_a_folder_keeps_the_numbers(tmp_path) -> None:
    reference = make_reference(ODD).float()
    reference.save_pretrained(tmp_path / "theirs")
    said = import_folder(tmp_path / "theirs", tmp_path / "ours")
    assert any("no tokenizer" in warning for warning in said)
    loaded = load_decoder(tmp_path / "ours")
    assert loaded.tokens is None
    assert max(differences(reference, loaded.model, (12, 7, 1)).values()) < 1e-3
    assert {path.name for path in (tmp_path / "ours").iterdir()} == {"README.md", "config.json", "model.safetensors"}
    assert "A GPT2LMHeadModel, imported" in (tmp_path / "ours" / "README.md").read_text()
    config = json.loads((tmp_path / "ours" / "config.json").read_text())
    assert config["model"]["embedding_dropout"] == reference.config.embd_pdrop


# Parameters


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("gpt2-small", {}),
        ("gpt2-medium", {"n_embd": 1_024, "n_layer": 24, "n_head": 16}),
        ("gpt2-large", {"n_embd": 1_280, "n_layer": 36, "n_head": 20}),
        ("gpt2-xl", {"n_embd": 1_600, "n_layer": 48, "n_head": 25}),
    ],
)
def test_gpt2_has_as_many_parameters_as_transformers(name: str, sizes: dict[str, int]) -> None:
    with torch.device("meta"):
        ours = GPT(SIZES[name])
        theirs = transformers.GPT2Model(transformers.GPT2Config(**sizes))
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    assert SIZES["gpt2-small"] == GPTConfig()


@pytest.mark.parametrize(
    ("name", "parameters", "layers", "width"),  # Brown et al. 2020, table 2.1; of 13B the width that its heads make
    [
        ("gpt3-small", 125e6, 12, 768),
        ("gpt3-medium", 350e6, 24, 1_024),
        ("gpt3-large", 760e6, 24, 1_536),
        ("gpt3-xl", 1.3e9, 24, 2_048),
        ("gpt3-2.7b", 2.7e9, 32, 2_560),
        ("gpt3-6.7b", 6.7e9, 32, 4_096),
        ("gpt3-13b", 13.0e9, 40, 5_120),
        ("gpt3-175b", 175.0e9, 96, 12_288),
    ],
)
def test_gpt3_has_as_many_parameters_as_the_paper_says(name: str, parameters: float, layers: int, width: int) -> None:
    config = SIZES[name]
    assert (config.num_layers, config.hidden_size, config.max_length) == (layers, width, 2_048)
    assert config.feed_forward_size == 4 * width
    with torch.device("meta"):
        found = sum(p.numel() for p in GPT(config).parameters())
    # The table rounds freely: 350M is 356M. A layer or a factor amiss would be 2.5 % at least.
    assert found == pytest.approx(parameters, rel=0.02)


# Writing


PROMPTS = [[5, 6, 7, 8, 9, 10, 11, 12], [13], [20, 21, 22, 20, 21], [3, 3, 3, 3, 3, 3], [40, 41]]


def their_text(reference: Any, prompt: list[int], **settings: Any) -> list[int]:
    """Greedy, from one prompt."""
    ids = torch.tensor([prompt])
    found = reference.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=16, pad_token_id=0, **settings
    )
    written = found[0, len(prompt) :].tolist()
    return written[: written.index(0)] if 0 in written else written


@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_greedy_text_is_that_of_transformers(tmp_path, penalty: float) -> None:
    """With a cache, and all prompts side by side."""
    reference = make_reference(ODD)
    ours = through_folder(reference, tmp_path)
    options = SearchOptions(beam_size=1, max_length=16, repetition_penalty=penalty)
    found = search(ours, pad(PROMPTS, multiple_of=8), options, Controls(bos_id=None, eos_id=0))
    for prompt, (hypothesis,) in zip(PROMPTS, found, strict=True):
        assert list(hypothesis.ids) == their_text(reference, prompt, repetition_penalty=penalty)
    # A model without training soon says one thing over and over, unless that costs.
    assert len({hypothesis.ids for (hypothesis,) in found}) >= (3 if penalty == 1 else len(PROMPTS))
    assert any(len(hypothesis.ids) == 16 for (hypothesis,) in found)


@pytest.mark.parametrize("beam_size", [3])
def test_beams_are_those_of_transformers(tmp_path, beam_size: int) -> None:
    reference = make_reference(ODD)
    ours = through_folder(reference, tmp_path)
    options = SearchOptions(beam_size=beam_size, max_length=8, min_length=8, length_penalty=0)
    found = search(ours, pad(PROMPTS, multiple_of=8), options, Controls(bos_id=None, eos_id=0))
    for prompt, (hypothesis,) in zip(PROMPTS, found, strict=True):
        ids = torch.tensor([prompt])
        theirs = reference.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            num_beams=beam_size,
            pad_token_id=0,
            max_new_tokens=8,
            min_new_tokens=8,
            length_penalty=0.0,
        )
        assert list(hypothesis.ids) == theirs[0, len(prompt) :].tolist()


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.6},
        {"top_k": 7},
        {"top_p": 0.8},
        {"top_k": 20, "top_p": 0.5, "temperature": 1.7},
        {"repetition_penalty": 1.3, "top_k": 12},
        {"repetition_penalty": 0.7, "top_p": 0.9, "temperature": 0.4},
    ],
    ids=str,
)
def test_what_is_drawn_from_is_what_the_processors_of_transformers_leave(settings: dict[str, Any]) -> None:
    torch.manual_seed(2)
    logits = 3 * torch.randn(5, 61, dtype=torch.float64)
    processors = transformers.LogitsProcessorList()
    if "repetition_penalty" in settings:
        processors.append(transformers.RepetitionPenaltyLogitsProcessor(settings["repetition_penalty"]))
    if "temperature" in settings:
        processors.append(transformers.TemperatureLogitsWarper(settings["temperature"]))
    if "top_k" in settings:
        processors.append(transformers.TopKLogitsWarper(settings["top_k"]))
    if "top_p" in settings:
        processors.append(transformers.TopPLogitsWarper(settings["top_p"]))
    source = pad(PROMPTS)
    whole = torch.where(source.real(), source.ids, source.ids[:, :1])  # what fills it up must not count
    expected = processors(whole, logits.clone()).softmax(-1)

    options = SearchOptions(sample=True, **settings)
    filled = Padded(torch.where(source.real(), source.ids, 50), source.lengths)
    seen = search_module._Seen(filled, Controls(bos_id=None, eos_id=0), options, 5, 1, 61)
    kept = search_module._kept_probabilities(seen.penalize(logits), options)
    torch.testing.assert_close(kept / kept.sum(-1, keepdim=True), expected, rtol=0, atol=1e-12)
    assert math.isclose(float(expected.sum()), 5)


# Tokenizers are held to those of transformers in tests/interop/test_gpt2_tokens.py.


def test_a_sharded_folder_that_lacks_a_shard(tmp_path) -> None:
    make_reference(ODD).save_pretrained(tmp_path, max_shard_size="20KB")
    index = json.loads((tmp_path / huggingface.INDEX_FILE).read_text())
    shard = sorted(set(index["weight_map"].values()))[1]
    tensors = safetensors.torch.load_file(tmp_path / shard)
    tensors.pop(next(iter(tensors)))
    safetensors.torch.save_file(tensors, tmp_path / shard)
    with pytest.raises(ModelError, match=r"does not fit model.safetensors.index.json"):
        import_folder(tmp_path, tmp_path / "ours")
