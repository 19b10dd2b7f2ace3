"""Foreign folders are read as data: what is unknown, unsafe or unfitting is refused by name. No `transformers` here."""

import json
import pickle
from pathlib import Path

import pytest
import safetensors.torch
import torch

from regard.data.tokens import Tokens
from regard.errors import ModelError
from regard.interop import huggingface, marian
from regard.models.folder import load

# As Helsinki-NLP/opus-mt-en-de and transformers 4 write it, with small sizes: nothing of it may be refused.
CONFIG = {
    "_name_or_path": "/tmp/Helsinki-NLP/opus-mt-en-de",
    "_num_labels": 3,
    "activation_dropout": 0.0,
    "activation_function": "swish",
    "add_bias_logits": False,
    "add_final_layer_norm": False,
    "architectures": ["MarianMTModel"],
    "attention_dropout": 0.0,
    "bad_words_ids": [[11]],
    "bos_token_id": 0,
    "classif_dropout": 0.0,
    "classifier_dropout": 0.0,
    "d_model": 6,
    "decoder_attention_heads": 3,
    "decoder_ffn_dim": 5,
    "decoder_layerdrop": 0.0,
    "decoder_layers": 1,
    "decoder_start_token_id": 11,
    "decoder_vocab_size": 12,
    "dropout": 0.1,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 7,
    "encoder_layerdrop": 0.0,
    "encoder_layers": 1,
    "eos_token_id": 0,
    "forced_eos_token_id": 0,
    "gradient_checkpointing": False,
    "id2label": {"0": "LABEL_0"},
    "init_std": 0.02,
    "is_encoder_decoder": True,
    "label2id": {"LABEL_0": 0},
    "max_length": 512,
    "max_position_embeddings": 8,
    "model_type": "marian",
    "normalize_before": False,
    "normalize_embedding": False,
    "num_beams": 4,
    "num_hidden_layers": 1,
    "pad_token_id": 11,
    "scale_embedding": True,
    "share_encoder_decoder_embeddings": True,
    "static_position_embeddings": True,
    "torch_dtype": "float16",
    "transformers_version": "4.34.0.dev0",
    "use_cache": True,
    "vocab_size": 12,
}
VOCABULARY = {"</s>": 0, "<unk>": 1, "▁a": 2, "▁b": 3, "<pad>": 11}


def make_tensors() -> dict[str, torch.Tensor]:
    """Random tensors that fit CONFIG."""
    generator = torch.Generator().manual_seed(0)
    shapes: dict[str, tuple[int, ...]] = {"final_logits_bias": (1, 12), "model.shared.weight": (12, 6)}
    for side, inner, blocks in (("encoder", 7, ["self_attn"]), ("decoder", 5, ["self_attn", "encoder_attn"])):
        layer = f"model.{side}.layers.0"
        for name in [f"{block}.{part}_proj" for block in blocks for part in ("q", "k", "v", "out")]:
            shapes |= {f"{layer}.{name}.weight": (6, 6), f"{layer}.{name}.bias": (6,)}
        for name in [f"{block}_layer_norm" for block in [*blocks, "final"]]:
            shapes |= {f"{layer}.{name}.weight": (6,), f"{layer}.{name}.bias": (6,)}
        shapes |= {f"{layer}.fc1.weight": (inner, 6), f"{layer}.fc1.bias": (inner,)}
        shapes |= {f"{layer}.fc2.weight": (6, inner), f"{layer}.fc2.bias": (6,)}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def write_json(path: Path, values: object) -> None:
    path.write_text(json.dumps(values), encoding="utf-8")


@pytest.fixture(scope="module")
def sentencepiece_model() -> bytes:
    return Tokens.train(["a b", "b a"], ["a", "b"], 270)._models[0]


@pytest.fixture
def folder(tmp_path, sentencepiece_model) -> Path:
    """A complete folder that can be imported."""
    folder = tmp_path / "opus"
    folder.mkdir()
    write_json(folder / "config.json", CONFIG)
    write_json(folder / "vocab.json", VOCABULARY)
    write_json(folder / "tokenizer_config.json", {"source_lang": "en", "target_lang": "de", "separate_vocabs": False})
    for side in ("source", "target"):
        (folder / f"{side}.spm").write_bytes(sentencepiece_model)
    safetensors.torch.save_file(make_tensors(), folder / "model.safetensors")
    return folder


def change(folder: Path, name: str, **values: object) -> None:
    write_json(folder / name, {**json.loads((folder / name).read_text(encoding="utf-8")), **values})


def refusal(folder: Path) -> str:
    """The message with which an import ends; nothing may be left behind."""
    out = folder.parent / "out"
    with pytest.raises(ModelError) as caught:
        marian.import_folder(folder, out)
    assert not out.exists()
    return str(caught.value)


def test_a_configuration_as_opus_mt_has_it_is_taken(folder, tmp_path):
    notes = marian.import_folder(folder, tmp_path / "out")
    assert notes == ["search settings are not part of a model and were left out: num_beams 4."]
    loaded = load(tmp_path / "out")
    assert (loaded.source_language, loaded.target_language) == ("en", "de")
    assert (loaded.tokens.bos_id, loaded.tokens.pad_id, loaded.tokens.eos_id) == (11, 11, 0)
    tensors = make_tensors()
    assert torch.equal(loaded.model.source_embedding.weight, tensors["model.shared.weight"])
    keys = tensors["model.decoder.layers.0.encoder_attn.k_proj.weight"]
    assert torch.equal(loaded.model.decoder[0].cross_attention.key_value.weight[:6], keys)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"auto_map": {"AutoModel": "modeling_evil.Evil"}}, "auto_map asks for code"),
        ({"_target_": "os.system"}, "_target_ asks for code"),
        ({"trust_remote_code": True}, "trust_remote_code asks for code"),
        ({"_attn_implementation_internal": "somebody/kernel"}, "unknown setting _attn_implementation_internal"),
        ({"rope_theta": 10000, "attention_bias": False}, "unknown setting attention_bias (False), rope_theta (10000)"),
        ({"quantization_config": {"bits": 4}}, "quantization_config is {'bits': 4}, expected None"),
        ({"tie_encoder_decoder": True}, "tie_encoder_decoder is True, expected False"),
        ({"architectures": ["MarianForCausalLM"]}, "architectures is ['MarianForCausalLM']"),
        ({"is_decoder": True}, "is_decoder is True"),
        ({"normalize_embedding": True}, "normalize_embedding is True, expected False"),
        (
            {"normalize_before": True, "add_final_layer_norm": True},
            "add_final_layer_norm is True, expected False; norm",
        ),
        ({"static_position_embeddings": False}, "static_position_embeddings is False, expected True"),
        ({"forced_bos_token_id": 3}, "forced_bos_token_id is 3, expected None"),
        ({"activation_function": "mish"}, "activation_function is 'mish', expected one of gelu, gelu_new"),
        ({"decoder_vocab_size": 13}, "decoder_vocab_size is 13, expected vocab_size (12)"),
        ({"num_hidden_layers": 2}, "num_hidden_layers is 2, expected encoder_layers (1)"),
        ({"decoder_layers": 0}, "decoder_layers is 0, expected at least 1"),
        ({"encoder_layers": 10**9, "num_hidden_layers": 10**9}, "expected several for each layer"),
        ({"max_position_embeddings": 10**12}, "max_position_embeddings is 1000000000000, expected at most 65536"),
        ({"vocab_size": 10**12, "decoder_vocab_size": 10**12}, "has shape (12, 6), expected (1000000000000, 6)"),
        ({"decoder_attention_heads": 4}, "decoder_attention_heads is 4, expected a divisor of d_model (6)"),
        ({"decoder_start_token_id": 12}, "decoder_start_token_id is 12, expected an id from 0 to 11"),
        ({"dropout": 1.5}, "dropout is 1.5"),
        ({"scale_embedding": "yes"}, "scale_embedding: expected true or false"),
        ({"d_model": None}, "d_model: expected a whole number"),
        ({"eos_token_id": [0, 1]}, "eos_token_id: expected a whole number"),
        ({"model_type": "bart"}, "model_type is 'bart', expected 'marian'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_configuration_may_not_say(folder, values, named):
    change(folder, "config.json", **values)
    message = refusal(folder)
    assert named in message
    assert str(folder) in message


def test_a_missing_key_is_named(folder):
    write_json(folder / "config.json", {key: value for key, value in CONFIG.items() if key != "encoder_ffn_dim"})
    assert "setting encoder_ffn_dim is missing" in refusal(folder)


def altered(changes: dict[str, torch.Tensor | None]) -> dict[str, torch.Tensor]:
    """The tensors that fit CONFIG, some replaced or (None) taken out."""
    tensors = make_tensors()
    for name, value in changes.items():
        if value is None:
            del tensors[name]
        else:
            tensors[name] = value
    return tensors


Q_PROJ = "model.encoder.layers.0.self_attn.q_proj.weight"


@pytest.mark.parametrize(
    ("tensors", "named"),
    [
        (altered({Q_PROJ: None}), f"{Q_PROJ} is missing, expected shape (6, 6)"),
        (altered({Q_PROJ: torch.ones(6, 7)}), f"{Q_PROJ} has shape (6, 7), expected (6, 6)"),
        (
            altered({Q_PROJ: torch.ones(6, 6, dtype=torch.int8)}),
            f"{Q_PROJ} holds torch.int8, expected floating point",
        ),
        (altered({Q_PROJ: torch.full((6, 6), torch.nan)}), f"{Q_PROJ} holds numbers that are not finite"),
        (altered({"model.adapter.weight": torch.ones(2)}), "model.adapter.weight with shape (2,) is unknown"),
        (altered({"lm_head.weight": torch.ones(12, 6)}), "lm_head.weight differs from model.shared.weight"),
        (altered({"final_logits_bias": None}), "final_logits_bias is missing, expected shape (1, 12)"),
        (altered({"model.shared.weight": None}), "model.shared.weight is missing"),
        (altered({"model.encoder.embed_positions.weight": torch.ones(9, 6)}), "has shape (9, 6), expected (8, 6)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_tensor_is_taken_or_named(tensors, named):
    with pytest.raises(ModelError) as caught:
        marian.convert(CONFIG, tensors)
    assert named in str(caught.value)


def test_all_problems_come_in_one_message():
    tensors = altered({Q_PROJ: None, "final_logits_bias": None, "stranger": torch.ones(1)})
    with pytest.raises(ModelError, match=r"final_logits_bias.*q_proj.*stranger"):
        marian.convert(CONFIG, tensors)


@pytest.mark.parametrize("kept", ["lm_head", "model.encoder.embed_tokens", "model.decoder.embed_tokens"])
def test_whichever_name_of_a_tied_matrix_was_stored(kept):
    tensors = make_tensors()
    embedding = tensors.pop("model.shared.weight")
    model = marian.convert(CONFIG, {**tensors, f"{kept}.weight": embedding})
    assert torch.equal(model.source_embedding.weight, embedding)
    assert model.output.weight is model.source_embedding.weight


def test_embeddings_whose_use_depends_on_the_version_of_transformers_are_refused():
    tensors = altered({"lm_head.weight": torch.ones(12, 6), "model.encoder.embed_tokens.weight": torch.ones(12, 6)})
    with pytest.raises(ModelError, match=r"embed_tokens\.weight differs from model\.shared\.weight"):
        marian.convert({**CONFIG, "tie_word_embeddings": False}, tensors)


def split_in_shards(folder: Path) -> dict[str, object]:
    """Two shards and their index, as transformers writes large models; returns the index."""
    tensors = huggingface.read_tensors(folder)
    (folder / "model.safetensors").unlink()
    places: dict[str, str] = {}
    for number, names in enumerate((list(tensors)[::2], list(tensors)[1::2]), 1):
        file = f"model-{number:05}-of-00002.safetensors"
        safetensors.torch.save_file({name: tensors[name] for name in names}, folder / file)
        places |= dict.fromkeys(names, file)
    index = {"metadata": {"total_size": 1}, "weight_map": places}
    write_json(folder / "model.safetensors.index.json", index)
    return index


def test_shards_are_joined(folder):
    whole = huggingface.read_tensors(folder)
    split_in_shards(folder)
    joined = huggingface.read_tensors(folder)
    assert joined.keys() == whole.keys()
    assert all(torch.equal(joined[name], whole[name]) for name in whole)


@pytest.mark.parametrize("place", ["../outside.safetensors", "/etc/passwd", "a\\b.safetensors", "x.bin", ""])
def test_an_index_cannot_point_elsewhere(folder, place):
    index = split_in_shards(folder)
    safetensors.torch.save_file({Q_PROJ: torch.ones(6, 6)}, folder.parent / "outside.safetensors")
    index["weight_map"][Q_PROJ] = place
    write_json(folder / "model.safetensors.index.json", index)
    assert f"names {place!r}, expected the name of a .safetensors file" in refusal(folder)


def test_index_and_shards_must_agree(folder):
    index = split_in_shards(folder)
    index["weight_map"]["stranger"] = index["weight_map"][Q_PROJ]
    write_json(folder / "model.safetensors.index.json", index)
    assert "stranger is only in one of them" in refusal(folder)
    write_json(folder / "model.safetensors.index.json", {"weight_map": ["a"]})
    assert "weight_map must be a table" in refusal(folder)


class Trap:
    """Unpickling this would leave a file behind."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors", "model.pt"])
@pytest.mark.parametrize("as_zip", [True, False])
def test_pickles_are_never_opened(folder, name, as_zip):
    sprung = folder.parent / "sprung"
    (folder / "model.safetensors").unlink()
    if as_zip:
        torch.save(Trap(sprung), folder / name)
    else:
        (folder / name).write_bytes(pickle.dumps(Trap(sprung)))
    message = refusal(folder)
    assert name in message
    assert "call save_pretrained, which writes model.safetensors" in message
    assert not sprung.exists()


def test_a_folder_without_weights_says_what_is_there(folder):
    (folder / "model.safetensors").rename(folder / "tf_model.h5")
    assert "no model.safetensors here, found config.json, source.spm, target.spm, tf_model.h5" in refusal(folder)


def test_a_damaged_file_is_refused(folder):
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[:-10])
    assert "cannot be read as safetensors" in refusal(folder)
    (folder / "config.json").write_text("[1]", encoding="utf-8")
    assert "holds list, expected a table" in refusal(folder)
    (folder / "config.json").write_text("{", encoding="utf-8")
    assert "cannot be read as JSON" in refusal(folder)
    (folder / "config.json").unlink()
    assert "no config.json here" in refusal(folder)
    assert "there is no such folder" in refusal(folder / "nowhere")


def test_missing_tokenizer_files_are_named(folder):
    (folder / "source.spm").unlink()
    (folder / "vocab.json").unlink()
    assert "its tokenizer's source.spm, vocab.json is not here" in refusal(folder)


@pytest.mark.parametrize(
    ("file", "values", "named"),
    [
        ("vocab.json", {"▁c": 3}, "two pieces have the same id"),
        ("vocab.json", {"▁c": 12}, "expected ids from 0 to 11"),
        ("vocab.json", {"▁c": "4"}, "expected ids from 0 to 11"),
        ("vocab.json", {"<pad>": 10}, "<pad> has id 10, config.json says 11"),
        ("tokenizer_config.json", {"separate_vocabs": True}, "separate_vocabs is True, expected False"),
        ("tokenizer_config.json", {"sp_model_kwargs": {"enable_sampling": True}}, "sp_model_kwargs is"),
        ("tokenizer_config.json", {"eos_token": {"content": "<end>"}}, "eos_token is {'content': '<end>'}"),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": "evil.Evil"}}, "unknown setting auto_map"),
        ("tokenizer_config.json", {"tokenizer_class": "T5Tokenizer"}, "tokenizer_class is 'T5Tokenizer'"),
        ("tokenizer_config.json", {"added_tokens_decoder": {"12": {"content": "<x>"}}}, "added tokens <x> (id 12)"),
        ("added_tokens.json", {"<x>": 12}, "added tokens <x> (id 12)"),
        ("generation_config.json", {"decoder_start_token_id": 4}, "decoder_start_token_id is 4, config.json says 11"),
        ("generation_config.json", {"forced_bos_token_id": 4}, "forced_bos_token_id is 4"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_tokenizer_and_generation_files_may_not_say(folder, file, values, named):
    if not (folder / file).exists():
        write_json(folder / file, {})
    change(folder, file, **values)
    assert named in refusal(folder)


def test_paths_in_tokenizer_config_are_not_followed(folder, tmp_path, sentencepiece_model):
    change(folder, "tokenizer_config.json", name_or_path="/etc", special_tokens_map_file="../../outside.json")
    marian.import_folder(folder, tmp_path / "out")
    assert (tmp_path / "out" / "source.spm").read_bytes() == sentencepiece_model
    change(folder, "tokenizer_config.json", target_vocab_file="/etc/passwd")
    with pytest.raises(ModelError, match="target_vocab_file is '/etc/passwd', expected None"):
        marian.import_folder(folder, tmp_path / "other")


def test_a_file_that_is_no_sentencepiece_model_is_refused(folder):
    (folder / "target.spm").write_bytes(b"not a model")
    assert "cannot be read as sentencepiece" in refusal(folder)


def test_what_is_not_quite_as_it_was_is_said(folder, tmp_path):
    change(folder, "config.json", decoder_layerdrop=0.1, share_encoder_decoder_embeddings=False, num_beams=1)
    change(folder, "vocab.json", **{">>deu<<": 4, ">>fra<<": 5})
    change(folder, "tokenizer_config.json", source_lang="en\n- x: y")
    write_json(folder / "generation_config.json", {"repetition_penalty": 1.2, "max_length": 512})
    tensors = make_tensors()
    embedding = tensors.pop("model.shared.weight").double()
    tensors |= {f"model.{side}.embed_tokens.weight": embedding.clone() for side in ("encoder", "decoder")}
    tensors["model.decoder.embed_positions.weight"] = torch.ones(8, 6)
    safetensors.torch.save_file(tensors, folder / "model.safetensors")
    notes = marian.import_folder(folder, tmp_path / "out")
    expected = ["repetition_penalty 1.2", "2 codes of target languages (>>deu<<, >>fra<<)", "is no language tag",
                "float64 weights", "became trainable positions", "decoder_layerdrop", "share a matrix"]  # fmt: skip
    assert len(notes) == len(expected)
    for words, note in zip(expected, notes, strict=True):
        assert words in note
        assert note.endswith(".")
    loaded = load(tmp_path / "out")
    assert torch.equal(loaded.model.target_positions.weight, torch.ones(8, 6))
    assert loaded.source_language == ""
    assert next(loaded.model.parameters()).dtype == torch.float32
