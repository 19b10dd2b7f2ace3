"""What `regard export` writes: `transformers` loads it, with equal numbers, and it comes back as it was."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import Command
from test_bert import LABELS, differences, next_sentence_difference
from test_bigbird import differences as sparse_differences
from test_bigbird import expected_of, make_tokenizer, ours_for_theirs
from test_marian import both_logits, make_reference
from tiny_model import SOURCES, make_encoder_folder, make_folder

import regard
from regard.errors import ModelError
from regard.interop import bert, export_bert, export_folder, export_marian, huggingface, import_folder, marian
from regard.models import build, build_encoder
from regard.models.folder import load, load_encoder

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # transformers' own imports
    transformers = pytest.importorskip("transformers")
    from transformers.models.big_bird.modeling_big_bird import BigBirdBlockSparseAttention

SIZES: dict[str, Any] = {"vocab_size": 61, "hidden_size": 24, "num_layers": 2, "num_heads": 3, "feed_forward_size": 40}
ENCODERS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("bert", {"max_length": 19, "num_types": 3, "activation": "relu", "norm_epsilon": 1e-3}),
    "distilbert": ("distilbert", {"max_length": 17, "activation": "gelu_tanh"}),
    "bigbird": ("bigbird", {"max_length": 64, "num_types": 3, "block_size": 4, "num_random_blocks": 1}),
    "bigbird, full": ("bigbird", {"max_length": 64, "sparse": False, "scaled_embeddings": True, "activation": "gelu"}),
}
TASKS = {
    "none": "Model",
    "mask": "ForMaskedLM",
    "classify": "ForSequenceClassification",
    "tag": "ForTokenClassification",
}
PIPELINES = {"mask": "fill-mask", "classify": "text-classification", "tag": "token-classification"}


def make_encoder(arch: str, task: str, settings: dict[str, Any]):
    """A random encoder in float64, as a folder of `transformers` can hold it."""
    torch.manual_seed(0)
    pooled = task == "classify" or (task == "none" and arch != "distilbert")
    values = {**SIZES, **settings, "pooled": pooled}
    if arch == "bigbird":
        values["pool_activation"] = "tanh" if task == "none" else values.get("activation", "gelu_tanh")
    labels = list(LABELS["id2label"].values()) if task in ("classify", "tag") else []
    model = build_encoder(arch, values, {"task": task, "labels": labels, "dropout": 0.2}).double().eval()
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter, mean=1.0 if "norm.weight" in name else 0.0, std=0.5)
    return model


def load_theirs(name: str, folder: Path) -> tuple[Any, set[str], set[str]]:
    """The model, and the names of tensors that it lacked and that it did not know."""
    model, info = getattr(transformers, name).from_pretrained(folder, dtype=torch.float64, output_loading_info=True)
    return model.eval(), set(info["missing_keys"]), set(info["unexpected_keys"])


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(("arch", "settings"), ENCODERS.values(), ids=ENCODERS)
def test_an_encoder_goes_out_and_comes_back(tmp_path, monkeypatch, arch, settings, task) -> None:
    monkeypatch.setattr(BigBirdBlockSparseAttention, "_bigbird_block_rand_mask_with_head", ours_for_theirs)
    ours = make_encoder(arch, task, settings)
    config, tensors, said = export_bert.revert(ours)
    huggingface.write_folder(tmp_path / "out", config, tensors, "", lambda folder: None)

    again = bert.convert(huggingface.read_config(tmp_path / "out"), huggingface.read_tensors(tmp_path / "out"))
    assert again.encoder.config == ours.encoder.config
    assert (again.config.task, again.config.labels) == (ours.config.task, ours.config.labels)
    expected = dict(ours.named_parameters())
    assert all(torch.equal(parameter, expected.pop(name)) for name, parameter in again.named_parameters())
    assert not expected

    theirs, missing, unknown = load_theirs(config["architectures"][0], tmp_path / "out")
    lacks_pooler = arch == "bigbird" and task in ("mask", "tag", "classify")
    assert {name.rpartition(".")[0] for name in missing} == ({"bert.pooler"} if lacks_pooler else set())
    assert not unknown
    if arch == "bigbird":
        assert any("a pooling layer beside its head" in each for each in said) == lacks_pooler
        lengths = (64, 33, 28, 1)
        found = sparse_differences(expected_of(theirs, lengths), theirs.config, ours, lengths)
    else:
        found = differences(theirs, ours, (12, 7, 1))
    assert max(found.values()) < 1e-10, found
    assert ("logits" in found) == (task != "none")
    if ours.config.labels:
        assert theirs.config.id2label == LABELS["id2label"]


@pytest.mark.parametrize("task", ["mask", "tag"])
@pytest.mark.parametrize("arch", ["bert", "distilbert"])
def test_a_pooling_layer_that_no_head_uses_stays_here(tmp_path, arch: str, task: str) -> None:
    torch.manual_seed(0)
    head = {"task": task, "labels": ["a", "b"] if task == "tag" else []}
    ours = build_encoder(arch, {**SIZES, "max_length": 19, "pooled": True}, head).double().eval()
    config, tensors, said = export_bert.revert(ours)
    assert "the pooling layer, which the head does not use, was left out." in said
    huggingface.write_folder(tmp_path / "out", config, tensors, "", lambda folder: None)
    theirs, missing, unknown = load_theirs(config["architectures"][0], tmp_path / "out")
    assert (missing, unknown) == (set(), set())
    assert max(differences(theirs, ours, (12, 7, 1)).values()) < 1e-10


@pytest.mark.parametrize("arch", ["bert", "bigbird"])
def test_next_sentences_go_out_and_come_back(tmp_path, arch: str) -> None:
    sizes = {**SIZES, "max_length": 32, "num_types": 2, "pooled": True}
    if arch == "bigbird":
        sizes |= {"sparse": False, "pool_activation": "tanh"}
    torch.manual_seed(0)
    ours = build_encoder(arch, sizes, {"task": "mask", "next_sentence": True}).double().eval()
    config, tensors, said = export_bert.revert(ours)
    assert config["architectures"] == [f"{'Bert' if arch == 'bert' else 'BigBird'}ForPreTraining"]
    assert not any("left out" in each for each in said)
    huggingface.write_folder(tmp_path / "out", config, tensors, "", lambda folder: None)
    again = bert.convert(huggingface.read_config(tmp_path / "out"), huggingface.read_tensors(tmp_path / "out"))
    assert again.config == ours.config
    assert again.encoder.config == ours.encoder.config
    expected = dict(ours.named_parameters())
    assert all(torch.equal(parameter, expected.pop(name)) for name, parameter in again.named_parameters())
    assert not expected
    theirs, missing, unknown = load_theirs(config["architectures"][0], tmp_path / "out")
    assert (missing, unknown) == (set(), set())
    assert next_sentence_difference(theirs, ours, (12, 7, 1)) < 1e-10


def test_next_sentences_over_another_pooling_layer_stay_here() -> None:
    sizes = {**SIZES, "max_length": 32, "pooled": True}
    ours = build_encoder("bigbird", sizes, {"task": "mask", "next_sentence": True})
    config, tensors, said = export_bert.revert(ours)
    assert config["architectures"] == ["BigBirdForMaskedLM"]
    assert not any("seq_relationship" in name or "pooler" in name for name in tensors)
    assert any("next sentences was left out: it reads a pooling layer with gelu_tanh" in each for each in said)


@pytest.mark.parametrize("arch", ["bert", "distilbert", "bigbird"])
def test_pipelines_say_what_regard_predicts(run: Command, tmp_path, arch) -> None:
    texts = ["the cat sees the dog", "a bird sings."]
    for task, name in PIPELINES.items():
        labels = () if task == "mask" else ("no", "perhaps", "yes")
        settings = {"pooled": task == "classify"}
        folder = make_encoder_folder(tmp_path / task, task=task, labels=labels, arch=arch, **settings)
        out = tmp_path / f"{task}-hf"
        found = run("export", folder, "--to", "hf", "--out", out)
        assert (found.status, found.out) == (0, ""), found.err
        ours, theirs = regard.load(folder, float32=True), transformers.pipeline(name, model=str(out))
        tokenizer = transformers.AutoTokenizer.from_pretrained(out)
        for text in [*texts, "unseen é", ""]:
            assert tokenizer(text)["input_ids"] == ours.engine.tokens.encode(text).ids
        if task == "mask":
            (guesses,) = ours.fill(["the [MASK] sees the dog"], 4)[0]
            expected = theirs("the [MASK] sees the dog", top_k=4)
            assert [guess.text for guess in guesses] == [row["token_str"].replace(" ", "") for row in expected]
            assert [guess.probability for guess in guesses] == pytest.approx([e["score"] for e in expected], abs=1e-5)
        for text, said in zip(texts, [] if task == "mask" else ours.predict(texts), strict=False):
            if task == "classify":
                expected = {row["label"]: row["score"] for row in theirs(text, top_k=None)}
                assert said.probabilities == pytest.approx(expected, abs=1e-5)
            else:
                pieces = {row["start"]: row for row in theirs(text)}
                assert [word.label for word in said] == [pieces[word.first]["entity"] for word in said]
        twin = tmp_path / f"{task}-back"
        import_folder(out, twin)
        assert load_encoder(twin).tokens.special == load_encoder(folder).tokens.special
        mine, back = load_encoder(folder).model.state_dict(), load_encoder(twin).model.state_dict()
        assert mine.keys() == back.keys()
        assert all(torch.equal(mine[key], back[key]) for key in mine)


def test_a_bigbird_tokenizer_goes_out_as_it_came(tmp_path) -> None:
    model = make_encoder("bigbird", "mask", {"max_length": 64, "block_size": 4}).float()
    config, tensors, _ = export_bert.revert(model)
    huggingface.write_folder(tmp_path / "theirs", config, tensors, "", make_tokenizer)
    import_folder(tmp_path / "theirs", tmp_path / "ours")
    export_folder(tmp_path / "ours", tmp_path / "again")
    first, again = (transformers.AutoTokenizer.from_pretrained(tmp_path / name) for name in ("theirs", "again"))
    for text in ("the cats sees the dog.", "a  dog", "the [MASK] sees", "[SEP]"):
        assert again(text)["input_ids"] == first(text)["input_ids"], text
    assert again.pad_token_id == first.pad_token_id
    assert huggingface.read_config(tmp_path / "again")["pad_token_id"] == first.pad_token_id


def test_how_sentence_transformers_reads_a_text_goes_out_and_comes_back(tmp_path) -> None:
    folder = make_encoder_folder(tmp_path / "ours", task="none", labels=(), pool="mean")
    export_folder(folder, tmp_path / "theirs")
    modules = json.loads((tmp_path / "theirs" / "modules.json").read_text())
    assert [module["path"] for module in modules] == ["", "1_Pooling"]
    pooling = huggingface.read_json(tmp_path / "theirs" / "1_Pooling" / "config.json")
    assert pooling["word_embedding_dimension"] == load_encoder(folder).model.encoder.config.hidden_size
    assert [key for key, value in pooling.items() if value is True] == ["pooling_mode_mean_tokens"]
    assert import_folder(tmp_path / "theirs", tmp_path / "back") == []
    assert load_encoder(tmp_path / "back").model.config.pool == "mean"
    export_folder(make_encoder_folder(tmp_path / "plain", task="none", labels=()), tmp_path / "plain-theirs")
    assert not (tmp_path / "plain-theirs" / "modules.json").exists()


@pytest.mark.parametrize(
    ("arch", "task", "settings", "message"),
    [
        ("bigbird", "mask", {"num_global_blocks": 4}, "as BigBirdForMaskedLM: num_global_blocks is 4, expected 2"),
        ("bigbird", "mask", {"num_window_blocks": 5}, "num_window_blocks is 5, expected 3"),
        ("bigbird", "classify", {"pool_activation": "tanh"}, "pool_activation is tanh, expected gelu_tanh"),
        ("bigbird", "none", {"pool_activation": "relu"}, "pool_activation is relu, expected tanh"),
        ("distilbert", "mask", {"norm_epsilon": 1e-3}, "norm_epsilon is 0.001, expected 1e-12"),
    ],
)
def test_what_transformers_cannot_express_is_refused(arch, task, settings, message) -> None:
    labels = ["a", "b"] if task == "classify" else []
    with torch.device("meta"):
        model = build_encoder(arch, {**SIZES, "pooled": True, **settings}, {"task": task, "labels": labels})
    with pytest.raises(ModelError, match=message):
        export_bert.revert(model)


def test_nothing_is_overwritten(tmp_path) -> None:
    folder = make_encoder_folder(tmp_path / "bert")
    before = (folder / "config.json").read_text()
    with pytest.raises(ModelError, match="is already there"):
        export_folder(folder, folder)
    assert (folder / "config.json").read_text() == before


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"activation_function": "gelu_new"},
        {"scale_embedding": False, "share_encoder_decoder_embeddings": False, "tie_word_embeddings": False},
    ],
)
def test_marian_goes_out_and_comes_back(tmp_path, changes) -> None:
    reference = make_reference(**changes)
    reference.save_pretrained(tmp_path / "theirs")
    read = [huggingface.read_config(tmp_path / "theirs"), huggingface.read_tensors(tmp_path / "theirs")]
    ours = marian.convert(*read)
    ids = {key: read[0][key] for key in ("pad_token_id", "eos_token_id", "decoder_start_token_id")}
    config, tensors = export_marian.revert(ours, ids)
    huggingface.write_folder(tmp_path / "out", config, tensors, "", lambda folder: None)
    again = marian.convert(huggingface.read_config(tmp_path / "out"), huggingface.read_tensors(tmp_path / "out"))
    assert again.config == ours.config
    mine, back = ours.state_dict(), again.state_dict()
    assert all(torch.equal(mine[key], back[key]) for key in mine)
    theirs, missing, unknown = load_theirs("MarianMTModel", tmp_path / "out")
    assert (missing, unknown) == (set(), set())
    found, expected = both_logits(theirs, ours)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    known, _ = both_logits(reference, ours)
    torch.testing.assert_close(found, known, rtol=0, atol=1e-10)


def test_a_translator_of_ours_goes_out_as_marian(run: Command, tmp_path) -> None:
    folder = make_folder(tmp_path / "ours", norm_place="post")
    found = run("export", folder, "--to", "hf", "--out", tmp_path / "hf")
    assert found.status == 0, found.err
    ours = load(folder)
    theirs, missing, _ = load_theirs("MarianMTModel", tmp_path / "hf")
    assert not missing
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")
    for text in [*SOURCES, "unseen é", "two  spaces"]:
        assert tokenizer(text)["input_ids"] == ours.tokens.encode_source(text), text
    found, expected = both_logits(theirs, ours.model.double())
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    import_folder(tmp_path / "hf", tmp_path / "back")
    back = regard.load(tmp_path / "back")
    assert [each.text for each in back.translate(SOURCES)] == [
        each.text for each in regard.load(folder).translate(SOURCES)
    ]


@pytest.mark.parametrize(
    ("arch", "settings", "message"),
    [
        ("gnmt", {"hidden_size": 12, "num_layers": 2}, "is a GNMT; of translators transformers has the Transformer"),
        ("transformer", {"positions": "trainable"}, "norm_place is pre, expected post; positions is trainable"),
        ("transformer", {"norm_place": "post", "encoder_windows": (3,)}, r"encoder_windows is \(3,\), expected None"),
        (
            "transformer",
            {"norm_place": "post", "last_layer_reads_words": True, "decoder_window": 3},
            "last_layer_reads_words is True, expected None or False; decoder_window is 3, expected None",
        ),
        ("transformer", {"norm_place": "post", "embedding_scale": 2.0}, "embedding_scale is 2.0, expected None or 1.0"),
    ],
)
def test_a_translator_that_is_no_marian_is_refused(arch, settings, message) -> None:
    with torch.device("meta"):
        model = build(arch, {"vocab_size": 9, **settings})
    with pytest.raises(ModelError, match=message):
        export_marian.revert(model, {})
