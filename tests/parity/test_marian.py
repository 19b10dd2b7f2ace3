"""MarianMT: our Transformer through the shipped importer gives the numbers of `transformers`, in float64."""

import io
import json
import warnings
from pathlib import Path

import pytest
import safetensors.torch
import sentencepiece
import torch

import regard
from regard.decoding.options import SearchOptions
from regard.decoding.search import Controls, search
from regard.errors import ConfigError, ModelError
from regard.interop import huggingface, marian
from regard.models.folder import load
from regard.models.transformer import TransformerConfig
from regard.nn.padded import pad

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # transformers' own imports
    transformers = pytest.importorskip("transformers")

VOCAB_SIZE, PAD_ID, EOS_ID = 51, 50, 0
ODD = {
    "vocab_size": VOCAB_SIZE,
    "d_model": 24,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "encoder_attention_heads": 3,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 56,
    "decoder_ffn_dim": 40,
    "max_position_embeddings": 19,
    "activation_function": "swish",
    "scale_embedding": True,
    "pad_token_id": PAD_ID,
    "decoder_start_token_id": PAD_ID,
    "eos_token_id": EOS_ID,
    "forced_eos_token_id": None,
}
VARIANTS = {
    "as OPUS-MT": {},
    "unscaled, gelu": {"scale_embedding": False, "activation_function": "gelu"},
    "relu, odd width": {"activation_function": "relu", "d_model": 15, "decoder_attention_heads": 5},
    "gelu by tanh": {"activation_function": "gelu_new"},
    "sides apart": {"share_encoder_decoder_embeddings": False},
    "nothing shared": {"share_encoder_decoder_embeddings": False, "tie_word_embeddings": False},
    "output apart": {"tie_word_embeddings": False},
    "another start": {"decoder_start_token_id": 7},
}


def make_reference(seed: int = 0, **changes):
    """A random MarianMTModel in float64: every parameter and the bias of the logits drawn, positions left alone."""
    torch.manual_seed(seed)
    model = transformers.MarianMTModel(transformers.MarianConfig(**{**ODD, **changes})).double().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "embed_positions" not in name:
                # Zero biases would hide a forgotten one; norms with weights around 0 would let biases drown all else.
                parameter.normal_(mean=1.0 if "norm.weight" in name else 0.0, std=0.5)
        model.final_logits_bias.normal_(std=0.5)
        if changes.get("tie_word_embeddings") is False and model.config.share_encoder_decoder_embeddings:
            for side in (model.model.encoder, model.model.decoder):  # transformers 5 leaves them untied
                side.embed_tokens.weight.copy_(model.model.shared.weight)
    return model


def through_folder(reference, folder: Path):
    """Save as users do, read as the importer does."""
    reference.save_pretrained(folder)
    return marian.convert(huggingface.read_config(folder), huggingface.read_tensors(folder))


def both_logits(reference, ours, source_lengths=(9, 4, 1), target_lengths=(6, 8, 3)):
    """Logits of both at real target positions, (positions, V)."""
    generator = torch.Generator().manual_seed(1)
    start = reference.config.decoder_start_token_id

    def draw(length):
        return torch.randint(1, VOCAB_SIZE - 1, (length,), generator=generator).tolist()

    source = pad([[*draw(length - 1), EOS_ID] for length in source_lengths], pad_id=PAD_ID)
    target = pad([[start, *draw(length - 1)] for length in target_lengths], pad_id=PAD_ID)
    with torch.inference_mode():
        expected = reference(
            input_ids=source.ids,
            attention_mask=source.real().long(),
            decoder_input_ids=target.ids,
            decoder_attention_mask=target.real().long(),
        ).logits
        found = ours.forced(source, target).logits
    assert found.dtype == torch.float64
    return found[target.real()], expected[target.real()]


@pytest.mark.parametrize("lengths", [((9, 4, 1), (6, 8, 3)), ((5, 5), (7, 7)), ((19,), (19,))], ids=str)
@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS.keys())
def test_logits_match_transformers(changes, lengths, tmp_path):
    reference = make_reference(**changes)
    ours = through_folder(reference, tmp_path)
    found, expected = both_logits(reference, ours, *lengths)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    assert ours.config.positions == "sinusoidal"


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan")])
def test_an_embedding_scale_is_a_positive_number(scale):
    with pytest.raises(ConfigError, match="embedding_scale must be above 0 and finite"):
        TransformerConfig(vocab_size=9, embedding_scale=scale)


def test_encoder_states_match_transformers_as_every_decoder_layer_sees_them(tmp_path):
    reference = make_reference()
    ours = through_folder(reference, tmp_path)
    source = pad([[3, 4, 5, 6, EOS_ID], [9, EOS_ID]], pad_id=PAD_ID)
    with torch.inference_mode():
        states = reference.model.encoder(source.ids, attention_mask=source.real().long()).last_hidden_state
        state = ours.start(source)
    for layer, cache in zip(reference.model.decoder.layers, state.caches, strict=True):
        for project, found in zip((layer.encoder_attn.k_proj, layer.encoder_attn.v_proj), cache.memory, strict=True):
            with torch.inference_mode():
                expected = project(states)  # (B, S, hidden)
            found = found.transpose(1, 2).flatten(2)  # from (B, H, S, D)
            torch.testing.assert_close(found[source.real()], expected[source.real()], rtol=0, atol=1e-10)


def save_with_positions(reference, folder: Path) -> None:
    """As old versions of transformers did: positions are in the file too."""
    reference.save_pretrained(folder)
    tensors = huggingface.read_tensors(folder)
    for side in ("encoder", "decoder"):
        name = f"model.{side}.embed_positions.weight"
        tensors[name] = reference.state_dict()[name].clone()
    safetensors.torch.save_file(tensors, folder / huggingface.WEIGHTS_FILE)


@pytest.mark.parametrize("sides", [(), ("encoder",), ("decoder",), ("encoder", "decoder")], ids=str)
def test_position_tables_in_the_file(sides, tmp_path):
    reference = make_reference()
    with torch.no_grad():
        for side in sides:
            getattr(reference.model, side).embed_positions.weight.normal_(std=0.5)
    save_with_positions(reference, tmp_path)
    reloaded = transformers.MarianMTModel.from_pretrained(tmp_path, dtype=torch.float64).eval()
    ours = marian.convert(huggingface.read_config(tmp_path), huggingface.read_tensors(tmp_path))
    found, expected = both_logits(reloaded, ours)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    assert ours.config.positions == ("trainable" if sides else "sinusoidal")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_half_precision_becomes_float32_exactly_and_positions_are_known_again(dtype, tmp_path):
    reference = make_reference().to(dtype)
    save_with_positions(reference, tmp_path)
    ours = marian.convert(huggingface.read_config(tmp_path), huggingface.read_tensors(tmp_path))
    assert {parameter.dtype for parameter in ours.parameters()} == {torch.float32}
    assert ours.config.positions == "sinusoidal"
    assert torch.equal(ours.source_embedding.weight, reference.model.shared.weight.float())


def test_positions_stay_sinusoidal_beyond_the_configured_length(tmp_path):
    """Why sinusoids are recognised and not just copied: ours have no end."""
    ours = through_folder(make_reference(), tmp_path)
    source = pad([[5] * 30], pad_id=PAD_ID)
    assert ours.forced(source, source).logits.isfinite().all()


ALTERED = [
    "final_logits_bias",
    "model.shared.weight",
    "model.encoder.layers.1.self_attn.q_proj.weight",
    "model.encoder.layers.0.self_attn.v_proj.bias",
    "model.encoder.layers.0.fc1.bias",
    "model.encoder.layers.1.final_layer_norm.bias",
    "model.decoder.layers.2.self_attn.out_proj.bias",
    "model.decoder.layers.0.self_attn_layer_norm.weight",
    "model.decoder.layers.1.encoder_attn.k_proj.weight",
    "model.decoder.layers.1.encoder_attn.v_proj.weight",
    "model.decoder.layers.2.encoder_attn_layer_norm.bias",
    "model.decoder.layers.0.fc2.weight",
]


def test_one_altered_number_in_any_tensor_is_seen(tmp_path):
    reference = make_reference()
    reference.save_pretrained(tmp_path)
    config, tensors = huggingface.read_config(tmp_path), huggingface.read_tensors(tmp_path)
    for name in ALTERED:
        altered = tensors[name].clone()
        altered.flatten()[1] += 1e-2
        found, expected = both_logits(reference, marian.convert(config, {**tensors, name: altered}))
        assert (found - expected).abs().max() > 1e-8, name  # a hundred times what the other tests allow


@pytest.fixture(scope="module")
def taught():
    """A reference that learned a little: random weights would say one word for ever, or nothing."""
    torch.manual_seed(1)
    model = transformers.MarianMTModel(transformers.MarianConfig(**ODD, init_std=0.2, dropout=0.0)).double().train()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    eos = torch.full((16, 1), EOS_ID)
    for _ in range(60):
        words = torch.randint(1, 9, (16, 6))
        loss = model(torch.cat([words, eos], 1), labels=torch.cat([words + 10, eos], 1)).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


@pytest.mark.parametrize("max_length", [5, 15], ids=["cut", "finished"])
def test_greedy_search_matches_generate(taught, max_length, tmp_path):
    ours = through_folder(taught, tmp_path)
    generator = torch.Generator().manual_seed(2)
    sources = [[*torch.randint(1, 9, (n,), generator=generator).tolist(), EOS_ID] for n in (7, 3, 5, 1, 7, 2)]
    source = pad(sources, pad_id=PAD_ID)
    made = taught.generate(
        input_ids=source.ids,
        attention_mask=source.real().long(),
        num_beams=1,
        do_sample=False,
        max_new_tokens=max_length,
        bad_words_ids=[[PAD_ID]],
    )
    expected = [tuple(number for number in row if number not in (EOS_ID, PAD_ID)) for row in made.tolist()]
    options = SearchOptions(beam_size=1, max_length=max_length)
    found = search(ours, source, options, Controls(bos_id=PAD_ID, eos_id=EOS_ID, pad_id=PAD_ID))
    assert [best[0].ids for best in found] == expected
    assert len(set(expected)) > 4  # not one constant answer
    finished = [best[0].finished for best in found]
    assert any(finished) if max_length == 15 else not all(finished)


SENTENCES = {
    "source": ["the cat sees a house .", "A dog runs home!", "we have three houses, and a cat", "houses are big"],
    "target": ["o gato vê uma casa .", "Um cão corre para casa!", "temos três casas e um gato", "as casas são grandes"],
}


def train_sentencepiece(lines: list[str]) -> bytes:
    """As Marian's are: with sentencepiece's own normalisation, unlike ours."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines * 4),
        model_writer=model,
        vocab_size=60,
        hard_vocab_limit=False,
        minloglevel=2,
        num_threads=1,
    )
    return model.getvalue()


@pytest.fixture(scope="module")
def opus(tmp_path_factory) -> Path:
    """A whole folder, as OPUS-MT's: model in float32, tokenizer, generation settings."""
    files, folder = tmp_path_factory.mktemp("files"), tmp_path_factory.mktemp("opus-mt-en-pt")
    vocabulary = {"</s>": 0, "<unk>": 1}
    for side, lines in SENTENCES.items():
        model = train_sentencepiece(lines)
        (files / f"{side}.spm").write_bytes(model)
        processor = sentencepiece.SentencePieceProcessor()
        processor.load_from_serialized_proto(model)
        for number in range(3, processor.vocab_size()):
            vocabulary.setdefault(processor.id_to_piece(number), len(vocabulary))
    vocabulary["<pad>"] = len(vocabulary)
    (files / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    tokenizer = transformers.MarianTokenizer(
        str(files / "source.spm"),
        str(files / "target.spm"),
        str(files / "vocab.json"),
        source_lang="en",
        target_lang="pt",
    )
    tokenizer.save_pretrained(folder)
    transformers.MarianTokenizer.from_pretrained(folder).save_pretrained(folder)  # as a second owner would
    pad_id = vocabulary["<pad>"]
    reference = make_reference(
        vocab_size=len(vocabulary), pad_token_id=pad_id, decoder_start_token_id=pad_id, forced_eos_token_id=0
    )
    with torch.no_grad():
        for name, parameter in reference.named_parameters():
            parameter.mul_(0.1 if name.endswith("bias") else 1.0)  # let the source have a say
    reference.generation_config.num_beams = 4
    reference.generation_config.bad_words_ids = [[pad_id]]
    reference.float().save_pretrained(folder)
    return folder


TEXTS = [
    "the cat sees a dog.",
    "  we  have Zebras  ",
    "a “cat” … — home ½ ﬁ",
    "ﾃﾞ \u200d 東京 🙂",
    "A",
    "houses,\tand tab",
]


def test_ids_are_those_of_the_marian_tokenizer(opus, tmp_path):
    tokenizer = transformers.MarianTokenizer.from_pretrained(opus)
    marian.import_folder(opus, tmp_path / "model")
    tokens = load(tmp_path / "model").tokens
    for text in TEXTS:
        assert tokens.encode_source(text) == tokenizer(text).input_ids, text
        assert [*tokens.encode_target(text), tokens.eos_id] == tokenizer(text_target=text).input_ids, text
    ids = tokens.encode_target("o gato corre para casa !")
    assert tokens.decode([*ids, tokens.eos_id, tokens.pad_id]) == tokenizer.decode(ids, skip_special_tokens=True)
    # Control words in text stay text: the one place where we differ on purpose.
    assert tokens.encode_source("the </s> cat").count(tokens.eos_id) == 1


def test_imported_folder_translates_like_generate(opus, tmp_path):
    notes = marian.import_folder(opus, tmp_path / "model")
    assert notes == ["search settings are not part of a model and were left out: num_beams 4."]
    model = regard.load(tmp_path / "model")
    reference = transformers.MarianMTModel.from_pretrained(opus).eval()
    tokenizer = transformers.MarianTokenizer.from_pretrained(opus)
    batch = tokenizer(SENTENCES["source"], return_tensors="pt", padding=True)
    made = reference.generate(**batch, num_beams=1, do_sample=False, max_new_tokens=9, forced_eos_token_id=None)
    found = model.translate(SENTENCES["source"], SearchOptions(beam_size=1, max_length=9))
    for translation, row in zip(found, made.tolist(), strict=True):
        control = {tokenizer.pad_token_id, tokenizer.eos_token_id}
        assert list(translation.pieces[0]) == [number for number in row if number not in control]
    assert len({translation.text for translation in found}) > 2
    assert isinstance(model.translate("the cat").text, str)  # beam search of the defaults runs too
    config = json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))
    assert (config["source_language"], config["target_language"]) == ("en", "pt")
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert "licence are those of the original" in card
    assert '- "pt"' in card


def test_an_existing_folder_is_never_replaced(opus, tmp_path):
    with pytest.raises(ModelError, match="is already there"):
        marian.import_folder(opus, tmp_path)
    with pytest.raises(ModelError, match="is already there"):
        marian.import_folder(opus, opus)
