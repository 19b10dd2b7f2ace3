"""What `regard export` writes of a language model: `transformers` loads it, with equal numbers and equal text."""

import json
import socket
import warnings
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
from command_line import Command
from test_export import load_theirs
from test_gpt2 import differences
from tiny_model import make_byte_tokens, make_decoder, make_decoder_folder
from tokenizers.processors import TemplateProcessing

import regard
from regard.data.byte_tokens import END, ByteTokens
from regard.decoding.options import SearchOptions
from regard.errors import ModelError
from regard.interop import export_folder, export_gpt2, gpt2, huggingface, import_folder
from regard.models import build_decoder
from regard.models.folder import load_decoder, save_decoder
from regard.models.protocol import Decoder

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # transformers' own imports
    transformers = pytest.importorskip("transformers")

ODD: dict[str, Any] = {
    "vocab_size": 61,
    "hidden_size": 24,
    "num_layers": 3,
    "num_heads": 3,
    "feed_forward_size": 34,
    "max_length": 40,
    "embedding_dropout": 0.3,
    "dropout": 0.2,
    "attention_dropout": 0.4,
}
VARIANTS = {
    "inner size of its own": ODD,
    "one head, another epsilon": {**ODD, "num_heads": 1, "norm_epsilon": 1e-3},
    "one layer, as wide inside": {**ODD, "num_layers": 1, "feed_forward_size": 24},
    **{each: {**ODD, "activation": each} for each in ("relu", "gelu", "swish", "tanh")},
}
NO_IDS = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"))
PROMPTS = ["the cat", "a bird sings and", "d", "\n", "café 😀", ""]


def make_model(settings: dict[str, Any]) -> Any:
    """A language model in float64, every number random."""
    torch.manual_seed(0)
    model = build_decoder("gpt", settings).double().eval()
    for name, parameter in model.named_parameters():
        # Zero biases would hide a forgotten one; norms with weights around 0 would let biases drown all else.
        torch.nn.init.normal_(parameter, mean=1.0 if "norm.weight" in name else 0.0, std=0.5)
    return model


def write(model: Any, folder: Path) -> Path:
    config, tensors = export_gpt2.revert(model, NO_IDS)
    huggingface.write_folder(folder, config, tensors, "", lambda folder: None)
    return folder


@pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)
def test_a_language_model_goes_out_and_comes_back(tmp_path, settings) -> None:
    ours = make_model(settings)
    folder = write(ours, tmp_path / "out")
    again = gpt2.convert(huggingface.read_config(folder), huggingface.read_tensors(folder))
    assert again.config == ours.config
    expected = dict(ours.named_parameters())
    assert all(torch.equal(parameter, expected.pop(name)) for name, parameter in again.named_parameters())
    assert not expected

    theirs, missing, unknown = load_theirs("GPT2LMHeadModel", folder)
    assert (missing, unknown) == (set(), set())
    config = theirs.config
    assert (config.embd_pdrop, config.resid_pdrop, config.attn_pdrop) == (0.3, 0.2, 0.4)
    for lengths in ((12, 12, 12), (12, 7, 1)):
        found = differences(theirs, ours, lengths)
        assert max(found.values()) < 1e-10, found
        assert "logits" in found


def test_names_and_shapes_are_those_that_transformers_writes(tmp_path) -> None:
    folder = write(make_model(ODD), tmp_path / "ours")
    load_theirs("GPT2LMHeadModel", folder)[0].save_pretrained(tmp_path / "theirs")
    ours, theirs = (huggingface.read_tensors(tmp_path / name) for name in ("ours", "theirs"))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_one_altered_weight_is_seen(tmp_path) -> None:
    """For every parameter of ours, of key and value each: change numbers, and what is written computes others."""
    ours = make_model(ODD)
    theirs, *_ = load_theirs("GPT2LMHeadModel", write(ours, tmp_path / "out"))
    size = ODD["hidden_size"]
    names = dict(ours.named_parameters())
    assert len(names) == 2 + 14 * 3 + 2
    with torch.no_grad():
        for name, parameter in names.items():
            # Of the key's bias none: it adds the same to a whole row of scores.
            places = [0] if "key_value" not in name else [size] if name.endswith("bias") else [0, size]
            for place in places:
                before = parameter[place].clone()
                parameter[place] += torch.randn_like(before)  # one number for all would be taken out by a norm
                theirs.load_state_dict({**export_gpt2.revert(ours, NO_IDS)[1], **_head(ours)})
                parameter[place] = before
                assert max(differences(theirs, ours, (12, 7, 1)).values()) > 1e-6, (name, place)
    theirs.load_state_dict({**export_gpt2.revert(ours, NO_IDS)[1], **_head(ours)})
    assert max(differences(theirs, ours, (12, 7, 1)).values()) < 1e-10


def _head(model: Any) -> dict[str, Any]:
    """The tied output, which `load_state_dict` wants and no file has."""
    return {"lm_head.weight": model.embedding.weight}


def make_writer(folder: Path, tokens: ByteTokens | None = None, **settings: Any) -> Path:
    """The folder of a model that says many things; ids that its tokenizer lacks are likely ones."""
    tokens = tokens or make_byte_tokens()
    model = make_model({**ODD, "vocab_size": tokens.vocab_size, "max_length": 64, **settings}).float()
    save_decoder(folder, model, dict(model.named_parameters()), tokens, "# Made up\n")
    return folder


@pytest.mark.parametrize("penalty", [1.0, 1.3])
@pytest.mark.parametrize("settings", [{}, {"vocab_size": 312}], ids=["as many ids as tokens", "ids without a token"])
def test_text_of_transformers_is_that_of_regard(run: Command, monkeypatch, tmp_path, settings, penalty) -> None:
    """Through the shell's command and the pipeline, with no network, token for token."""
    folder, out = make_writer(tmp_path / "ours", **settings), tmp_path / "hf"
    found = run("export", folder, "--to", "hf", "--out", out)
    assert (found.status, found.out, found.err) == (0, "", f"folder: {out}\n")
    assert (out / huggingface.GENERATION_FILE).is_file() == bool(settings)
    monkeypatch.setattr(socket, "socket", None)

    ours = regard.load(folder)
    writer = transformers.pipeline("text-generation", model=str(out))
    end = writer.tokenizer.eos_token_id
    assert end == writer.model.config.eos_token_id == ours.engine.tokens.id_of("end")
    options = SearchOptions(beam_size=1, max_length=20, repetition_penalty=penalty)
    greedy = {"do_sample": False, "max_new_tokens": 20, "repetition_penalty": penalty}
    written = ours.generate(PROMPTS, options)
    for prompt, said in zip(PROMPTS, written, strict=True):
        ids = writer.tokenizer(prompt)["input_ids"]
        assert ids == ours.engine.tokens.encode_prompt(prompt)
        (theirs,) = writer(prompt, return_tensors=True, **greedy)
        # What stands before an empty prompt is the start; of the end, where there is one, only ours says nothing.
        expected = theirs["generated_token_ids"][len(ids) or 1 :]
        assert list(said.ids) == (expected[: expected.index(end)] if end in expected else expected)
        (text,) = writer(prompt, return_full_text=False, **greedy)
        assert text["generated_text"].removeprefix(END) == said.text
    assert len({said.ids for said in written}) > 3


def test_an_id_without_a_token_would_be_written(tmp_path) -> None:
    """That the file on searching is needed: without it transformers writes what no text stands for."""
    export_folder(make_writer(tmp_path / "ours", vocab_size=312), tmp_path / "hf")
    silent = json.loads((tmp_path / "hf" / huggingface.GENERATION_FILE).read_text())["suppress_tokens"]
    tokens = load_decoder(tmp_path / "ours").tokens
    assert tokens is not None
    assert silent == list(range(tokens.vocab_size, 312))
    (tmp_path / "hf" / huggingface.GENERATION_FILE).unlink()
    theirs, *_ = load_theirs("GPT2LMHeadModel", tmp_path / "hf")
    ids = torch.arange(1, 200)[:, None]
    found = theirs.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=5, pad_token_id=0)
    assert set(found.flatten().tolist()) & set(silent)


def special_tokens(folder: Path) -> ByteTokens:
    """A tokenizer with a start, which it puts before a text, an end and a filling of its own."""
    make_byte_tokens().save(folder)
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    names = ["<s>", "</s>", "<pad>"]
    tokenizer.add_special_tokens(names)
    tokenizer.post_processor = TemplateProcessing(  # type: ignore[misc]
        single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
    )
    return ByteTokens(tokenizer, dict(zip(("start", "end", "pad"), names, strict=True)))


def test_special_tokens_go_out_and_come_back(tmp_path) -> None:
    tokens = special_tokens(tmp_path)
    assert export_folder(make_writer(tmp_path / "ours", tokens), tmp_path / "hf") == []
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")
    config = transformers.AutoConfig.from_pretrained(tmp_path / "hf")
    for role, name in (("start", "bos"), ("end", "eos"), ("pad", "pad")):
        assert getattr(theirs, f"{name}_token_id") == getattr(config, f"{name}_token_id") == tokens.id_of(role)
    assert theirs.unk_token == "</s>"
    assert theirs.model_max_length == config.n_positions == 64
    for text in PROMPTS:
        assert (
            theirs(text)["input_ids"]
            == tokens.encode(text).ids
            == [tokens.id_of("start"), *tokens.encode(text).ids[1:]]
        )
        assert theirs.decode(tokens.encode(text).ids, skip_special_tokens=True) == text
    assert import_folder(tmp_path / "hf", tmp_path / "back") == []
    back = load_decoder(tmp_path / "back")
    assert back.tokens is not None
    assert back.tokens.special == tokens.special
    assert [back.tokens.encode(text) for text in PROMPTS] == [tokens.encode(text) for text in PROMPTS]
    written = (regard.load(tmp_path / name).generate(PROMPTS, SearchOptions(max_length=9)) for name in ("ours", "back"))
    assert [each.ids for each in next(written)] == [each.ids for each in next(written)]


def test_search_settings_of_others_are_told_of(tmp_path) -> None:
    """Ours come back without a word; more than those are named."""
    export_folder(make_decoder_folder(tmp_path / "ours", vocab_size=312), tmp_path / "hf")
    assert import_folder(tmp_path / "hf", tmp_path / "back") == []
    path = tmp_path / "hf" / huggingface.GENERATION_FILE
    search = json.loads(path.read_text())
    path.write_text(json.dumps({**search, "suppress_tokens": [5, *search["suppress_tokens"]]}))
    (said,) = import_folder(tmp_path / "hf", tmp_path / "again")
    assert "search settings are not part of a model and were left out: suppress_tokens [5, " in said


def test_a_model_without_a_tokenizer_goes_out_with_a_warning(run: Command, tmp_path) -> None:
    model = make_decoder(make_byte_tokens())
    save_decoder(tmp_path / "ours", model, dict(model.named_parameters()), None, "")
    found = run("export", tmp_path / "ours", "--to", "hf", "--out", tmp_path / "hf")
    assert found.status == 0
    assert found.err.startswith("regard: warning: this model has no tokenizer, so none was written.\n")
    assert {path.name for path in (tmp_path / "hf").iterdir()} == {"README.md", "config.json", "model.safetensors"}
    theirs, missing, _ = load_theirs("GPT2LMHeadModel", tmp_path / "hf")
    assert not missing
    assert (theirs.config.bos_token_id, theirs.config.eos_token_id) == (None, None)


def test_a_band_is_refused(run: Command, tmp_path) -> None:
    folder = make_decoder_folder(tmp_path / "ours", attention_window=3)
    found = run("export", folder, "--to", "hf", "--out", tmp_path / "hf")
    assert (found.status, found.out) == (2, "")
    assert found.err == (
        f"regard: error: {folder}: cannot be written as GPT2LMHeadModel: attention_window is 3, expected 0. "
        "In GPT-2 every layer sees all tokens before; train without the band.\n"
    )
    assert not (tmp_path / "hf").exists()


def test_another_kind_of_language_model_is_refused() -> None:
    with pytest.raises(ModelError, match=r"is a Decoder, expected a GPT; nothing else is written as GPT-2"):
        export_gpt2.revert(Decoder(), NO_IDS)


def test_nothing_is_overwritten(run: Command, tmp_path) -> None:
    folder = make_decoder_folder(tmp_path / "ours")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    found = run("export", folder, "--to", "hf", "--out", folder)
    assert found.status == 2
    assert "is already there" in found.err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
