"""`regard.load(folder)` and what its result can do."""

import copy
import dataclasses
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from tiny_model import SOURCES, TARGETS, make_encoder, make_encoder_folder, make_folder, make_text_tokens

import regard
from regard import SearchOptions
from regard.api import Encoder
from regard.engines.encoder import EncoderEngine
from regard.errors import InputError, ModelError, RegardError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("api") / "model")


@pytest.fixture(scope="module")
def model(folder: Path) -> regard.Model:
    return regard.load(folder)


def test_public_names_are_listed_and_there() -> None:
    assert sorted(regard.__all__) == ["Model", "RegardError", "SearchOptions", "__version__", "load"]
    assert all(hasattr(regard, name) for name in regard.__all__)
    with pytest.raises(AttributeError, match="module 'regard' has no attribute 'translate'"):
        _ = regard.translate  # type: ignore[attr-defined]


def test_import_is_light() -> None:
    code = (
        "import sys, regard; sys.exit(bool({'torch', 'sentencepiece', 'matplotlib', 'sacrebleu'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_one_text_gives_one_result_and_several_a_list(model: regard.Model) -> None:
    one = model.translate(SOURCES[0])
    assert one.source == SOURCES[0]
    assert one.text
    several = model.translate(tuple(SOURCES))
    assert [result.source for result in several] == SOURCES
    assert several[0].text == one.text
    assert model.translate([]) == []
    assert model.translate("").text == ""


def test_options_reach_the_search(model: regard.Model) -> None:
    short = model.translate(SOURCES[0], SearchOptions(beam_size=3, n_best=3, max_length=2))
    assert len(short.alternatives) == 3
    assert short.text == short.alternatives[0].text
    assert len(short.pieces[0]) <= 2
    scores = [alternative.score for alternative in short.alternatives]
    assert scores == sorted(scores, reverse=True)
    draws = [model.translate(SOURCES[0], SearchOptions(sample=True, seed=seed)).text for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_a_run_folder_means_its_model(folder: Path, tmp_path: Path, model: regard.Model) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model").symlink_to(folder)
    assert regard.load(str(tmp_path / "run")).translate(SOURCES[0]).text == model.translate(SOURCES[0]).text


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no such folder"):
        regard.load(tmp_path / "missing")
    with pytest.raises(RegardError, match=r"no config\.json here"):
        regard.load(tmp_path)


def test_looking_belongs_to_the_translation_and_changes_nothing(model: regard.Model) -> None:
    before = model.translate(SOURCES[0])
    found = model.look(SOURCES[0])
    assert model.translate(SOURCES[0]) == before
    assert found.target_text == before.text.strip()
    assert set(found.weights) == {"cross", "encoder", "decoder"}
    for kind, weights in found.weights.items():
        rows, columns = found.sides(kind)
        assert weights.shape == (2, 2, len(rows.pieces), len(columns.pieces))
        np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)
    assert found.source.words == (*SOURCES[0].split(), "</s>")
    assert found.read.words[0] == "<s>"
    assert found.target.words[-1] == "</s>"
    assert found.model == "model"
    assert len(found.target.pieces) == len(before.pieces[0]) + 1 == len(found.log_probs)
    hypothesis = model.engine.search([model.engine.tokens.encode_source(SOURCES[0])], SearchOptions())[0][0]
    np.testing.assert_allclose(found.log_probs[: len(hypothesis.log_probs)], hypothesis.log_probs, atol=1e-5)


def test_a_translation_shows_what_the_model_attended_to(model: regard.Model) -> None:
    drawn = model.translate(f"{SOURCES[0]} ", SearchOptions(sample=True, seed=3))
    found = drawn.look()
    assert found.target_ids == drawn.pieces[0] != model.look(SOURCES[0]).target_ids, "this one, not the likeliest"
    attention = drawn.attention("decoder", layer=-1)
    np.testing.assert_array_equal(attention, found.attention("decoder", layer=-1))
    assert drawn.attention().shape == (len(found.target.words), len(found.source.words))
    assert drawn._repr_html_() == found._repr_html_()
    assert "look" not in repr(drawn)


def test_a_copy_of_a_translation_has_no_model_in_it(model: regard.Model) -> None:
    found = model.translate(SOURCES[0])
    assert len(pickle.dumps(found)) < 2_000
    for copied in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):
        assert copied == found
        with pytest.raises(InputError, match=r"this translation knows no model\. Load one with regard\.load"):
            copied.look()
        assert copied._repr_html_() is None
    assert dataclasses.asdict(found)["text"] == found.text


@pytest.mark.parametrize("source", ["", "the cat sees the dog. " * 20])
def test_a_translation_without_one_attention_says_so(model: regard.Model, source: str) -> None:
    found = model.translate(source)
    with pytest.raises(ModelError, match="attention needs one sentence that the model takes whole"):
        found.look()
    assert found._repr_html_() is None, "a notebook shows its text"


def test_what_is_looked_at_has_its_languages(model: regard.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    for side, language in (("source", "en"), ("target", "pt-BR")):
        monkeypatch.setattr(model.engine, f"{side}_language", language)
    found = model.look(SOURCES[0], TARGETS[0])
    assert (found.source_language, found.target_language) == ("en", "pt-BR")


def test_looking_at_a_given_translation(model: regard.Model) -> None:
    found = model.look(SOURCES[0], TARGETS[0])
    assert found.target_text == TARGETS[0]
    assert found.target.words == (*TARGETS[0].split(), "</s>")
    again = model.look(f"  {SOURCES[0]}\t", f" {TARGETS[0]} ")
    assert again.source == found.source, "white space around is left out, as in translating"
    np.testing.assert_array_equal(again.attention(), found.attention())


@pytest.mark.parametrize("source", ["", "  ", "the cat sees the dog " * 20])
@pytest.mark.parametrize("target", [None, "o gato"])
def test_looking_needs_one_whole_sentence(model: regard.Model, source: str, target: str | None) -> None:
    with pytest.raises(ModelError, match="attention needs one sentence that the model takes whole; this text has"):
        model.look(source, target)


def test_looking_needs_a_translation_that_fits(model: regard.Model) -> None:
    with pytest.raises(ModelError, match=r"takes whole; this one has \d+ tokens, at most 47 were expected"):
        model.look(SOURCES[0], "o gato vê o cão " * 20)
    longest = next(text for n in range(60, 0, -1) if len(model.engine.tokens.encode_target(text := "x" * n)) == 47)
    assert len(model.look(SOURCES[0], longest).target.pieces) == 48


@pytest.mark.parametrize("arch", ["rnnsearch", "gnmt"])
def test_recurrent_models_have_one_head(tmp_path: Path, arch: str) -> None:
    found = regard.load(make_folder(tmp_path / arch, arch)).look(SOURCES[0], TARGETS[0])
    assert set(found.weights) == {"cross"}
    assert found.weights["cross"].shape[:2] == (1, 1)
    np.testing.assert_allclose(found.attention().sum(axis=-1), 1, atol=1e-5)


def test_the_rnn_has_no_attention(tmp_path: Path) -> None:
    message = "^rnn: a model of type RNN has no attention to its source: what it knows .* Take one that attends"
    with pytest.raises(ModelError, match=message):
        regard.load(make_folder(tmp_path / "rnn", "rnn")).look(SOURCES[0])


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> regard.Model:
    return regard.load(make_encoder_folder(tmp_path_factory.mktemp("api") / "bert"))


def test_an_encoder_shows_what_it_attends_to(encoder: regard.Model) -> None:
    found = encoder.look("The cat sings to birds.")
    assert found.source.words == ("[CLS]", "The", "cat", "sings", "to", "birds", ".", "[SEP]")
    assert found.source.special == (True, *[False] * 6, True)
    assert found.weights["encoder"].shape == (2, 2, len(found.source.pieces), len(found.source.pieces))
    rows = found.attention(layer=1, head=0)
    assert rows.shape == (8, 8)
    np.testing.assert_allclose(rows.sum(axis=-1), 1, atol=1e-6)
    matrix = found.matrix()
    assert matrix.rows == matrix.columns == found.source.words
    assert matrix.title.startswith("encoder self-attention")


def test_an_encoder_is_shown_reading_its_mask(encoder: regard.Model) -> None:
    tokens = encoder.engine.tokens
    for text, words in (
        ("the [MASK] sees.", ("the", "[MASK]", "sees", ".")),
        ("[MASK] [MASK]s", ("[MASK]", "[MASK]", "s")),
        ("[MASK]", ("[MASK]",)),
        ("the dog sees [MASK]", ("the", "dog", "sees", "[MASK]")),
    ):
        found = encoder.look(text)
        assert found.source.words == ("[CLS]", *words, "[SEP]")
        assert found.source.special == (True, *[False] * len(words), True)
        assert found.source.pieces == tuple(tokens.pieces(tokens.encode_masked(text).ids))
        weights = encoder.engine.attention([tokens.encode_masked(text).ids])[0]["encoder"]
        np.testing.assert_array_equal(found.weights["encoder"], weights)


def test_an_encoder_without_masks_reads_the_letters(tmp_path: Path) -> None:
    tokens = make_text_tokens(tmp_path)
    del tokens.special["mask"]
    model = Encoder(EncoderEngine(make_encoder(tokens), tokens))
    assert len(model.look("the [MASK]").source.pieces) > 4


def test_an_encoder_refuses_what_it_cannot_do(encoder: regard.Model) -> None:
    for message, call in (
        ("bert: is an encoder; it cannot translate", lambda: encoder.translate("the cat")),
        ("it cannot attend to a translation", lambda: encoder.look("the cat", "o gato")),
        ("it cannot say what a word's absence changes", lambda: encoder.effects(encoder.look("the cat"))),
        ("this text has 0 tokens, from 1 to 41 were", lambda: encoder.look(" ")),
        ("this text has 60 tokens, from 1 to 41 were", lambda: encoder.look("cat " * 60)),
    ):
        with pytest.raises(ModelError, match=message):
            call()
    with pytest.raises(RegardError, match="no attention of kind 'cross'; it has: encoder"):
        encoder.look("the cat").attention("cross")
