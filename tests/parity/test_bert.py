"""BERT and DistilBERT: our encoders through the shipped importer give the numbers of `transformers`, in float64."""

import json
import os
import warnings
from pathlib import Path

import pytest
import safetensors.torch
import torch

from regard.errors import ModelError
from regard.interop import bert, huggingface, import_folder
from regard.interop.bert_tokens import read_tokens
from regard.models import ENCODERS
from regard.models.folder import load_encoder
from regard.nn.padded import Padded

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # transformers' own imports
    transformers = pytest.importorskip("transformers")

BERT = {
    "vocab_size": 61,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "max_position_embeddings": 19,
    "type_vocab_size": 3,
}
DISTILBERT = {"vocab_size": 61, "dim": 20, "n_layers": 2, "n_heads": 5, "hidden_dim": 36, "max_position_embeddings": 17}
LABELS = {"num_labels": 3, "id2label": {0: "no", 1: "perhaps", 2: "yes"}, "label2id": {"no": 0, "perhaps": 1, "yes": 2}}
HEADS = ("Model", "ForMaskedLM", "ForSequenceClassification", "ForTokenClassification")
VARIANTS = {
    "bert": ("Bert", BERT),
    "bert, relu, another epsilon": ("Bert", {**BERT, "hidden_act": "relu", "layer_norm_eps": 1e-3}),
    "bert, tanh gelu, two types": ("Bert", {**BERT, "hidden_act": "gelu_new", "type_vocab_size": 2}),
    "distilbert": ("DistilBert", DISTILBERT),
    "distilbert, relu": ("DistilBert", {**DISTILBERT, "activation": "relu", "n_heads": 2}),
}
LENGTHS = [(12, 12, 12), (12, 7, 1)]


def make_reference(family: str, head: str, settings: dict, seed: int = 0):
    """A random model in float64, every weight and bias drawn."""
    torch.manual_seed(seed)
    labels = LABELS if "Classification" in head else {}
    config = getattr(transformers, f"{family}Config")(**settings, **labels)
    model = getattr(transformers, f"{family}{head}")(config).double().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Zero biases would hide a forgotten one; norms with weights around 0 would let biases drown all else.
            is_norm = "layernorm.weight" in name.lower() or "layer_norm.weight" in name
            parameter.normal_(mean=1.0 if is_norm else 0.0, std=0.5)
    return model


def through_folder(reference, folder: Path, **options):
    """Save as users do, read as the importer does."""
    reference.save_pretrained(folder, **options)
    return bert.convert(huggingface.read_config(folder), huggingface.read_tensors(folder))


def differences(reference, ours, lengths: tuple[int, ...]) -> dict[str, float]:
    """The largest difference at real tokens, of states, attention weights and logits, filling held against us."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(reference.config.vocab_size, (len(lengths), max(lengths)), generator=generator)
    real = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    inputs = {"input_ids": ids, "attention_mask": real.long()}
    types = None
    if hasattr(reference.config, "type_vocab_size"):
        types = torch.randint(reference.config.type_vocab_size, ids.shape, generator=generator)
        inputs["token_type_ids"] = types
    reference.config._attn_implementation = "eager"
    tokens = Padded(torch.where(real, ids, 5), torch.tensor(lengths))
    with torch.no_grad():
        expected = reference(**inputs, output_hidden_states=True, output_attentions=True)
        found = ours.encoder.encode(tokens, types, return_weights=True)
        plain = ours.encoder.encode(tokens, types)
        pairs = {
            "states": (found.states[real], expected.hidden_states[-1][real]),
            "fused": (plain.states[real], found.states[real]),
        }
        pairs |= {
            f"attention of text {row}": (
                found.weights[row, :, :, :length, :length],
                torch.stack(expected.attentions, dim=1)[row, :, :, :length, :length],
            )
            for row, length in enumerate(lengths)
        }
        if expected.get("pooler_output") is not None:
            pairs["pooled"] = (ours.encoder.pool(found.states), expected.pooler_output)
        if "logits" in expected:
            logits = ours(tokens, types)
            per_token = logits.dim() == 3
            pairs["logits"] = (logits[real], expected.logits[real]) if per_token else (logits, expected.logits)
    return {name: float((a - b).abs().max()) for name, (a, b) in pairs.items()}


@pytest.mark.parametrize("lengths", LENGTHS, ids=["no padding", "padding"])
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(("family", "settings"), VARIANTS.values(), ids=VARIANTS)
def test_numbers_are_those_of_transformers(tmp_path, family, settings, head, lengths) -> None:
    reference = make_reference(family, head, settings)
    ours = through_folder(reference, tmp_path)
    found = differences(reference, ours, lengths)
    assert max(found.values()) < 1e-10, found
    assert ("logits" in found) == (head != "Model")
    assert ("pooled" in found) == (family == "Bert" and head == "Model")


@pytest.mark.parametrize("family", ["Bert", "DistilBert"])
def test_one_altered_weight_is_seen(tmp_path, family: str) -> None:
    """For every tensor of the folder: change one number in it, and the numbers differ."""
    for head in HEADS[1:]:
        folder = tmp_path / head
        reference = make_reference(family, head, BERT if family == "Bert" else DISTILBERT)
        reference.save_pretrained(folder)
        tensors, config = huggingface.read_tensors(folder), huggingface.read_config(folder)
        for name, tensor in tensors.items():
            altered = tensor.clone()
            # Not a position or token that the inputs may not have.
            altered.view(-1)[0] += 0.5
            if "word_embeddings" in name:
                altered[:, 0] += 0.5
            if name.endswith(("key.bias", "k_lin.bias")):
                continue  # adds the same to a row of scores whatever the key: softmax takes it out
            ours = bert.convert(config, {**tensors, name: altered})
            assert max(differences(reference, ours, (12, 7, 1)).values()) > 1e-6, name


def test_half_precision_and_shards_are_read(tmp_path) -> None:
    reference = make_reference("Bert", "ForMaskedLM", BERT).half()
    ours = through_folder(reference, tmp_path, max_shard_size="20KB")
    assert (tmp_path / huggingface.INDEX_FILE).is_file()
    assert next(ours.parameters()).dtype == torch.float32
    assert max(differences(reference.float(), ours, (12, 7, 1)).values()) < 1e-4


def test_pretraining_class_and_old_names(tmp_path) -> None:
    """Old hub files have gamma and beta, position numbers and the head for next sentences, called for masked words."""
    reference = make_reference("Bert", "ForPreTraining", BERT)
    reference.save_pretrained(tmp_path / "new")
    tensors = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in huggingface.read_tensors(tmp_path / "new").items()
    }
    tensors["bert.embeddings.position_ids"] = torch.arange(19)[None]
    config = huggingface.read_config(tmp_path / "new") | {"architectures": ["BertForMaskedLM"]}
    ours = bert.convert(config, tensors)
    ids = torch.randint(61, (2, 9))
    with torch.no_grad():
        expected = reference(ids)
        found = ours(Padded(ids, torch.tensor([9, 9])))
        torch.testing.assert_close(found, expected.prediction_logits, rtol=0, atol=1e-10)
    (tmp_path / "old").mkdir()
    safetensors.torch.save_file(tensors, tmp_path / "old" / "model.safetensors")
    (tmp_path / "old" / "config.json").write_text(json.dumps(config))
    said = import_folder(tmp_path / "old", tmp_path / "ours")
    assert load_encoder(tmp_path / "ours").model.next_sentence is not None
    assert not any("next sentences" in warning for warning in said)
    assert any("no tokenizer" in warning and "beside the weights and import again" in warning for warning in said)
    assert any("float64" in warning for warning in said)


@pytest.mark.parametrize("lengths", LENGTHS, ids=["no padding", "padding"])
def test_next_sentences_are_told_as_there(tmp_path, lengths) -> None:
    reference = make_reference("Bert", "ForPreTraining", BERT)
    ours = through_folder(reference, tmp_path)
    found = next_sentence_difference(reference, ours, lengths)
    assert found < 1e-10
    tensors, config = huggingface.read_tensors(tmp_path), huggingface.read_config(tmp_path)
    for name in ("cls.seq_relationship.weight", "cls.seq_relationship.bias", "bert.pooler.dense.weight"):
        altered = tensors[name].clone()
        altered.view(-1)[0] += 0.5
        assert next_sentence_difference(reference, bert.convert(config, {**tensors, name: altered}), lengths) > 1e-6


def next_sentence_difference(reference, ours, lengths: tuple[int, ...]) -> float:
    """The largest difference of the logits that tell whether one text follows another."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(reference.config.vocab_size, (len(lengths), max(lengths)), generator=generator)
    types = torch.randint(2, ids.shape, generator=generator)
    real = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    with torch.no_grad():
        expected = reference(ids, attention_mask=real.long(), token_type_ids=types).seq_relationship_logits
        states = ours.encoder.encode(Padded(ids, torch.tensor(lengths)), types).states
        return float((ours.next_sentence(ours.encoder.pool(states)) - expected).abs().max())


def test_a_head_for_next_sentences_that_cannot_be_used_is_left_out(tmp_path) -> None:
    for name, changes in (("no types", {"type_vocab_size": 1}), ("no pooler", {})):
        reference = make_reference("Bert", "ForPreTraining", {**BERT, **changes})
        config = {**reference.config.to_dict(), "architectures": ["BertForPreTraining"]}
        kept = {
            key: value
            for key, value in reference.float().state_dict().items()
            if name == "no types" or "pooler" not in key
        }
        huggingface.write_folder(tmp_path / name, config, kept, "", lambda folder: None)
        said = import_folder(tmp_path / name, tmp_path / f"{name}, ours")
        assert any("next sentences was left out" in warning for warning in said)
        assert load_encoder(tmp_path / f"{name}, ours").model.next_sentence is None


@pytest.mark.parametrize(
    ("arch", "settings", "reference"),
    [
        ("bert", {}, ("Bert", {})),
        (
            "bert",
            {"hidden_size": 1024, "num_layers": 24, "num_heads": 16, "feed_forward_size": 4096},
            (
                "Bert",
                {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096},
            ),
        ),
        ("distilbert", {}, ("DistilBert", {})),
    ],
    ids=["base", "large", "distilbert"],
)
def test_our_defaults_have_as_many_parameters(arch, settings, reference) -> None:
    config_class, model_class = ENCODERS[arch]
    family, values = reference
    with torch.device("meta"):
        ours = model_class(config_class(**settings))
        theirs = getattr(transformers, f"{family}Model")(getattr(transformers, f"{family}Config")(**values))
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"position_embedding_type": "relative_key"}, "position_embedding_type is 'relative_key', expected 'absolute'"),
        ({"is_decoder": True}, "is_decoder is True, expected False"),
        ({"hidden_act": "mish"}, "hidden_act is 'mish', expected one of gelu, gelu_new"),
        ({"hidden_act": ["gelu"]}, r"hidden_act is \['gelu'\], expected one of gelu, gelu_new"),
        ({"architectures": ["BertForQuestionAnswering"]}, "expected one of BertModel, BertForMaskedLM"),
        ({"architectures": ["Bert", "Model"]}, r"architectures is \['Bert', 'Model'\]"),
        ({"num_attention_heads": 7}, r"hidden_size \(24\) must be a multiple of num_heads \(7\)"),
        ({"num_hidden_layers": 4}, "encoder.layer.3.attention.self.query.weight is missing"),
        ({"num_hidden_layers": 10**9}, "describes 1000000000 layers, found"),
        ({"num_hidden_layers": -2}, "BERT model: num_layers must be at least 1, got -2"),
        ({"hidden_size": "24"}, "hidden_size: expected a whole number"),
        ({"type_vocab_size": 2}, r"token_type_embeddings.weight has shape \(3, 24\), expected \(2, 24\)"),
        ({"new_trick": 1}, r"unknown setting new_trick \(1\)"),
        ({"auto_map": {"AutoModel": "m.M"}}, "auto_map asks for code"),
        ({"vocab_size": None}, "vocab_size: expected a whole number"),
    ],
)
def test_what_is_not_known_is_refused(tmp_path, changes, message) -> None:
    make_reference("Bert", "Model", BERT).save_pretrained(tmp_path)
    config = huggingface.read_config(tmp_path) | changes
    with pytest.raises(ModelError, match=message):
        bert.convert(config, huggingface.read_tensors(tmp_path))


def test_labels_must_be_named(tmp_path) -> None:
    make_reference("Bert", "ForTokenClassification", BERT).save_pretrained(tmp_path)
    config, tensors = huggingface.read_config(tmp_path), huggingface.read_tensors(tmp_path)
    for names in (
        {"0": "a", "2": "b", "1": "c", "7": "d"},
        {"0": "a", "1": 4},
        ["a"],
        5,
        {"0": "a", "1": "a", "2": "b"},
    ):
        with pytest.raises(
            ModelError, match=r"there: (id2label: two labels have the same name, 'a'|id2label must name)"
        ):
            bert.convert({**config, "id2label": names}, tensors, "there")
    for name in ("", " ", "per\nhaps", "per\thaps", "perhaps\r", "no"):
        names = {"0": "no", "1": name, "2": "yes"}
        with pytest.raises(ModelError, match=r"^somewhere: id2label: .*Name the classes in config.json"):
            bert.convert({**config, "id2label": names}, tensors, "somewhere")
    assert bert.convert(config, tensors).config.labels == ("no", "perhaps", "yes")


def test_a_folder_keeps_the_numbers(tmp_path) -> None:
    reference = make_reference("Bert", "ForSequenceClassification", BERT).float()
    reference.save_pretrained(tmp_path / "theirs")
    import_folder(tmp_path / "theirs", tmp_path / "ours")
    loaded = load_encoder(tmp_path / "ours")
    assert max(differences(reference, loaded.model, (12, 7, 1)).values()) < 1e-4
    assert loaded.model.config.labels == ("no", "perhaps", "yes")
    assert loaded.tokens is None


@pytest.mark.skipif(
    "REGARD_MINILM" not in os.environ, reason="REGARD_MINILM names no trained weights; see bench/minilm.py"
)
def test_trained_weights_give_the_states_of_transformers() -> None:
    folder = Path(os.environ["REGARD_MINILM"])
    tensors = huggingface.read_tensors(folder)
    doubled = {name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    ours = bert.convert(huggingface.read_config(folder), doubled)
    reference = transformers.AutoModel.from_pretrained(folder, dtype=torch.float64).eval()
    found = differences(reference, ours, (200, 57, 9, 1))
    assert max(found.values()) < 1e-10, found
    tokens, _ = read_tokens(folder, vocab_size=ours.encoder.config.vocab_size)
    assert tokens is not None
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    for text in (
        "The hare hid behind the bush because it was tall.",
        "São Paulo's 1,000 naïve cafés… 東京",
        "",
        "[SEP]",
    ):
        assert tokens.encode(text).ids == theirs(text, split_special_tokens=True)["input_ids"], text
