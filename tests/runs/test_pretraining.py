"""Pre-training learns what it can, says when it does not, and goes on as if nothing had happened."""

import gzip
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_model import make_encoder_folder
from tiny_run import Listener

import regard
from regard.data.text_tokens import TextTokens
from regard.decoding.options import SearchOptions
from regard.errors import CheckpointError, ConfigError, DataError
from regard.models.folder import load_encoder
from regard.nn.positions import sinusoids
from regard.runs.masked import MaskedLesson
from regard.runs.pretrain_settings import CorpusSettings, ModelSettings, plan_from
from regard.runs.pretraining import Pretraining
from regard.training.checkpoint import read_weights

SETTINGS: dict[str, Any] = {
    "max_steps": 40,
    "batch_tokens": 300,
    "learning_rate": 0.003,
    "validate_every": 20,
    "save_every": 10,
    "threads": 1,
    "average_decay": 0.9,
}


class Killed(BaseException):
    """Ends a run in the middle."""


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sentences in which each word tells the next: to each animal belongs its verb."""
    numbers = random.Random(4)
    animals = {"cat": "purrs", "dog": "barks", "bird": "sings", "cow": "moos"}
    path = tmp_path_factory.mktemp("text") / "text.txt"
    documents = []
    for _ in range(200):
        chosen = [numbers.choice(sorted(animals)) for _ in range(numbers.randint(1, 3))]
        documents.append("\n".join(f"the {animal} {animals[animal]} ." for animal in chosen))
    path.write_text("\n\n".join(documents) + "\n", encoding="utf-8")
    return path


def train(
    out: Path,
    text: Path,
    base: Path | str = "bert-tiny",
    dies_at: int = 0,
    data: Any = (),
    model: Any = (),
    **training: Any,
) -> tuple[dict[str, Any], Listener]:
    class Dying(Listener):
        def progress(self, progress: Any, *_: Any) -> None:
            super().progress(progress)
            if progress.step == dies_at:
                raise Killed

    listener = Dying()
    corpus = CorpusSettings(train=(str(text),), **{"dev_tokens": 100, **dict(data)})
    encoder = ModelSettings(base=str(base), **{"max_length": 20, **dict(model)})
    return Pretraining(out, encoder, {**SETTINGS, **training}, corpus, reporter=listener).train(), listener


def test_it_learns_and_says_so(tmp_path: Path, text: Path) -> None:
    best, listener = train(tmp_path / "run", text, max_steps=250, validate_every=50)
    assert best["dev_loss"] < 0.6 * best["dev_unigram_loss"]
    assert f"it learns: {best['dev_unigram_loss'] - best['dev_loss']:.2f} nats better" in listener.notes[-1]
    model = regard.load(tmp_path / "run")
    guesses = model.fill(["the cat [MASK] .", "the [MASK] barks ."], 1)
    assert [[mask[0].text for mask in masks] for masks in guesses] == [["purrs"], ["dog"]]
    assert "pipeline_tag: fill-mask" in (tmp_path / "run" / "model" / "README.md").read_text()


def test_positions_begin_as_waves(tmp_path: Path, text: Path) -> None:
    train(tmp_path / "run", text, max_steps=1, learning_rate=1e-9)
    found, waves = network(tmp_path / "run").positions.weight, sinusoids(20, 128)
    torch.testing.assert_close(found, waves * (found.norm() / waves.norm()), rtol=0, atol=1e-5)
    assert found.square().mean().sqrt().item() == pytest.approx(0.02, rel=0.1)


def network(run: Path) -> Any:
    """The encoder, or the language model, of a run."""
    model = regard.load(run).engine.model
    return getattr(model, "encoder", model)


@pytest.mark.parametrize("base", ["bert-tiny", "gpt-tiny"])
def test_a_new_model_has_the_sizes_it_is_given(tmp_path: Path, text: Path, base: str) -> None:
    sizes = {"hidden_size": 24, "num_layers": 1, "num_heads": 3}
    train(tmp_path / "run", text, base, model=sizes, max_steps=1)
    model = network(tmp_path / "run")
    config = model.config
    assert (config.hidden_size, config.num_layers, config.num_heads) == (24, 1, 3)
    assert config.feed_forward_size == 96  # it follows the width
    assert len(model.layers) == 1
    train(tmp_path / "wide", text, base, model={**sizes, "feed_forward_size": 7}, max_steps=1)
    assert network(tmp_path / "wide").config.feed_forward_size == 7


def test_wrong_sizes_show_before_a_run_begins_and_a_trained_model_keeps_its_own(tmp_path: Path, text: Path) -> None:
    with pytest.raises(ConfigError, match=r"hidden_size \(25\) must be a multiple of num_heads \(2\)"):
        train(tmp_path / "run", text, model={"hidden_size": 25})
    assert not (tmp_path / "run").exists()
    base = make_encoder_folder(tmp_path / "base", task="mask")
    with pytest.raises(ConfigError, match=r"model.num_layers cannot be set: .*base keeps the sizes that it has"):
        train(tmp_path / "run", text, base, model={"num_layers": 3})


@pytest.fixture(scope="module")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents of two to four sentences, each about one animal: one sentence tells what the next is about."""
    numbers = random.Random(4)
    animals = ("cat", "dog", "bird", "cow")
    path = tmp_path_factory.mktemp("text") / "subjects.txt"
    documents = []
    for _ in range(1_000):
        animal, verbs = numbers.choice(animals), ("sleeps", "eats", "runs")
        documents.append("\n".join(f"the {animal} {numbers.choice(verbs)} ." for _ in range(numbers.randint(2, 4))))
    path.write_text("\n\n".join(documents) + "\n", encoding="utf-8")
    return path


PAIRS = {"next_sentence": True}


def test_next_sentences_are_learnt_beside_masked_words(tmp_path: Path, subjects: Path) -> None:
    data = {"dev_tokens": 600}
    best, listener = train(
        tmp_path / "run",
        subjects,
        data=data,
        model={**PAIRS, "dropout": 0.0},
        max_steps=900,
        validate_every=900,
        learning_rate=0.001,
    )
    # Of two documents drawn by chance a quarter are about the same animal: 87 can be known.
    assert best["dev_next_accuracy"] > 75
    assert f"and {best['dev_next_accuracy']:.0f} % of the next sentences" in listener.notes[-1]
    model = load_encoder(tmp_path / "run").model
    assert model.config.next_sentence
    again, _ = train(
        tmp_path / "more", subjects, tmp_path / "run", data=data, model=PAIRS, max_steps=1, learning_rate=1e-9
    )
    assert again["dev_next_accuracy"] > 75  # the head went on too
    plain, _ = train(tmp_path / "plain", subjects, tmp_path / "run", max_steps=1, learning_rate=1e-9)
    assert "dev_next_accuracy" not in plain
    assert load_encoder(tmp_path / "plain").model.next_sentence is None
    assert plain["dev_loss"] < 0.7 * plain["dev_unigram_loss"]


def test_a_run_that_began_before_there_were_next_sentences_goes_on(tmp_path: Path, subjects: Path) -> None:
    train(tmp_path / "run", subjects, max_steps=1)
    assert "next_sentence" not in (tmp_path / "run" / "config.toml").read_text()


def test_next_sentences_go_on_bit_for_bit(tmp_path: Path, subjects: Path) -> None:
    train(tmp_path / "whole", subjects, model=PAIRS)
    with pytest.raises(Killed):
        train(tmp_path / "parts", subjects, dies_at=33, model=PAIRS)
    train(tmp_path / "parts", subjects, model=PAIRS)
    for name in ("checkpoints/step-000040/weights", "checkpoints/step-000040/optimizer", "model/model"):
        whole, parts = ((tmp_path / run / f"{name}.safetensors").read_bytes() for run in ("whole", "parts"))
        assert whole == parts, name


def test_next_sentences_want_an_encoder_of_pairs_and_two_documents(tmp_path: Path, subjects: Path) -> None:
    for base in ("distilbert", make_encoder_folder(tmp_path / "base", task="mask", pooled=False)):
        with pytest.raises(ConfigError, match=r"next_sentence: .* needs token types and a pooling layer"):
            train(tmp_path / "run", subjects, base, model=PAIRS)
    with pytest.raises(ConfigError, match="next_sentence reads two texts: max_length must be at least 8, got 7"):
        ModelSettings(base="bert-tiny", max_length=7, next_sentence=True)
    data = {"documents": "files", "dev": (str(subjects),)}
    with pytest.raises(DataError, match="the training text has 1 documents"):
        train(tmp_path / "one", subjects, model=PAIRS, data=data)


def test_a_language_model_learns_to_go_on(tmp_path: Path, text: Path) -> None:
    best, listener = train(
        tmp_path / "run", text, "gpt-tiny", model={"vocab_size": 300}, max_steps=200, validate_every=50
    )
    assert best["dev_loss"] < 0.4 * best["dev_unigram_loss"]
    assert best["dev_character_loss"] < best["dev_loss"]  # a token is a character or more
    assert best["dev_perplexity"] == pytest.approx(2.718281828 ** best["dev_loss"])
    assert "it learns:" in listener.notes[-1]
    model = regard.load(tmp_path / "run")
    found = model.generate("the cat", SearchOptions(beam_size=1, max_length=8))
    assert found.text.startswith(" purrs .")
    scored = model.score("the cat purrs .")
    assert scored.log_prob > model.score("the cat moos .").log_prob
    assert "pipeline_tag: text-generation" in (tmp_path / "run" / "model" / "README.md").read_text()
    again, _ = train(tmp_path / "more", text, tmp_path / "run", max_steps=1, learning_rate=1e-9, average_decay=0.0)
    assert again["dev_loss"] == pytest.approx(best["dev_loss"], rel=0.2)


@pytest.mark.parametrize("dies_at", [7, 33])
def test_a_language_model_goes_on_bit_for_bit(tmp_path: Path, text: Path, dies_at: int) -> None:
    small = {"vocab_size": 260}
    train(tmp_path / "whole", text, "gpt-tiny", model=small)
    with pytest.raises(Killed):
        train(tmp_path / "parts", text, "gpt-tiny", dies_at=dies_at, model=small)
    train(tmp_path / "parts", text, "gpt-tiny", model=small)
    for name in ("checkpoints/step-000040/weights", "checkpoints/step-000040/optimizer", "model/model"):
        whole, parts = ((tmp_path / run / f"{name}.safetensors").read_bytes() for run in ("whole", "parts"))
        assert whole == parts, name


def test_a_run_that_learns_nothing_is_told(tmp_path: Path, text: Path) -> None:
    _, listener = train(tmp_path / "run", text, learning_rate=1e-9)
    assert "it guesses no better than by how often words occur" in listener.notes[-1]
    assert "(now 1e-09)" in listener.notes[-1]


def test_the_first_steps_read_short_stretches(tmp_path: Path, text: Path) -> None:
    """And one that died among them goes on to the same bits, to the long ones too."""
    lengths: dict[int, set[int]] = {}

    class Watching(MaskedLesson):
        def loss(self, model: Any, batch: Any) -> Any:
            lengths.setdefault(len(lengths), set(batch.tokens.lengths.tolist()))
            return super().loss(model, batch)

    short = {"short_length": 8, "short_share": 0.5}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("regard.runs.pretraining.MaskedLesson", Watching)
        train(tmp_path / "whole", text, model=short)
    longest = [max(lengths[step]) for step in range(40)]
    first_long = next(step for step, length in enumerate(longest) if length > 8)
    assert 15 <= first_long <= 28, "stretches are a little shorter than they may be"
    assert max(longest) == 14, "three sentences and two special tokens"
    with pytest.raises(Killed):
        train(tmp_path / "died", text, model=short, dies_at=12)
    train(tmp_path / "died", text, model=short)
    ours, theirs = (read_weights(tmp_path / name / "model" / "model.safetensors") for name in ("whole", "died"))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"max_epochs": 0}, {"max_epochs": 50}),
        ({"max_epochs": 50}, {"max_epochs": 0}),
        ({"schedule": "constant"}, {"schedule": "constant", "warmup_steps": 4, "max_steps": 60}),
    ],
    ids=["passes counted", "no longer", "more steps"],
)
def test_a_run_goes_on_in_the_order_in_which_it_began(
    tmp_path: Path, text: Path, first: dict[str, Any], then: dict[str, Any]
) -> None:
    """Short stretches (of 20 tokens, if nothing is said) come first, but not where passes over the text are counted."""
    with pytest.raises(Killed):
        train(tmp_path / "run", text, model={"max_length": 40}, dies_at=12, **first)
    with pytest.raises(CheckpointError, match="the text would come in another order"):
        train(tmp_path / "run", text, model={"max_length": 40}, **then)
    best, _ = train(tmp_path / "run", text, model={"max_length": 40}, **first)
    assert best["step"] >= 20


def test_compressed_text_gets_as_many_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(TextTokens, "train_wordpiece", lambda texts, size, **_: asked.append(size) or 1 / 0)
    line = b"the cat purrs .\n"
    (tmp_path / "a.txt").write_bytes(line * (11 * 2**20 // len(line)))
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress((tmp_path / "a.txt").read_bytes(), 1))
    for name in ("a.txt", "a.txt.gz"):
        with pytest.raises(ZeroDivisionError):
            train(tmp_path / f"run-{name}", tmp_path / name, model={"vocab_size": 0})
    assert asked == [16_000, 16_000]


def test_a_run_that_died_goes_on_bit_for_bit(tmp_path: Path, text: Path) -> None:
    train(tmp_path / "whole", text, model={"whole_words": True})
    for step in (7, 33):
        with pytest.raises(Killed):
            train(tmp_path / "parts", text, dies_at=step, model={"whole_words": True})
    _, listener = train(tmp_path / "parts", text, model={"whole_words": True})
    assert "going on from step-000030" in listener.notes
    for name in ("checkpoints/step-000040/weights", "checkpoints/step-000040/optimizer", "model/model"):
        whole, parts = ((tmp_path / run / f"{name}.safetensors").read_bytes() for run in ("whole", "parts"))
        assert whole == parts, name


def test_a_model_goes_on_with_its_tokenizer(tmp_path: Path, text: Path) -> None:
    base = make_encoder_folder(tmp_path / "base", task="mask", pool="mean")
    best, _ = train(tmp_path / "run", text, base, max_steps=1, learning_rate=1e-12, average_decay=0.0)
    before, after = (read_weights(folder / "model.safetensors") for folder in (base, tmp_path / "run" / "model"))
    assert all((before[name] - after[name]).abs().max() < 1e-6 for name in before)
    assert load_encoder(tmp_path / "run").tokens.vocab_size == load_encoder(base).tokens.vocab_size
    assert load_encoder(tmp_path / "run").model.config.pool == "mean", "for a head for texts after it"
    headless = make_encoder_folder(tmp_path / "headless")
    again, _ = train(tmp_path / "new-head", text, headless, max_steps=1)
    assert again["dev_loss"] != best["dev_loss"]


def test_dev_text_that_is_the_training_text_is_told(tmp_path: Path, text: Path) -> None:
    told = "dev is the training text itself: its scores will flatter."
    for name, dev in (("same", {"dev": (str(text),)}), ("apart", {})):
        _, listener = train(tmp_path / name, text, data=dev, max_steps=1)
        assert (told in listener.notes) == bool(dev)


def test_dev_text_of_its_own(tmp_path: Path, text: Path) -> None:
    (tmp_path / "dev.txt").write_text("the cat purrs .\n\nthe dog barks .\n")
    best, listener = train(tmp_path / "run", text, data={"dev": (str(tmp_path / "dev.txt"),)}, max_steps=2)
    assert "dev: 8 in 2" in " ".join(listener.notes)
    assert best["step"] == 2
    (tmp_path / "dev.txt").write_text("the cat moos .\n")
    with pytest.raises(CheckpointError, match="other dev data"):
        train(tmp_path / "run", text, data={"dev": (str(tmp_path / "dev.txt"),)}, max_steps=2)


def test_a_mistaken_text_leaves_the_folder_to_the_right_one(tmp_path: Path, text: Path) -> None:
    run, empty = tmp_path / "run", tmp_path / "empty.txt"
    with pytest.raises(DataError, match="nofile: there is no such file"):
        train(run, tmp_path / "nofile")
    assert not (run / "config.toml").exists()
    empty.write_text("\n\n")
    with pytest.raises(DataError, match="no words"):
        train(run, empty)
    with pytest.raises(Killed):
        train(run, text, model={"vocab_size": 40, "lowercase": False}, dies_at=1)
    best, _ = train(run, text, max_steps=1)
    assert best["step"] == 1
    whole, _ = train(tmp_path / "whole", text, max_steps=1)
    assert best == whole  # nothing is left of what was given up: its tokenizer, its ids
    with pytest.raises(CheckpointError, match=r"data\.train was"):
        train(run, empty)


def test_passes_that_end_a_run_long_before_its_rate_has_fallen_are_told(tmp_path: Path, text: Path) -> None:
    best, listener = train(tmp_path / "run", text, max_epochs=1, max_steps=5_000)
    (said,) = (note for note in listener.notes if "max_epochs" in note)
    expected = int(said.rsplit("=", 1)[1])
    assert f"after about {expected:,} steps" in said
    assert "falls until step 5,000" in said
    assert best["step"] == expected > 1
    _, listener = train(tmp_path / "told", text, max_epochs=1, max_steps=expected)
    assert not any("max_epochs" in note for note in listener.notes)
    _, listener = train(tmp_path / "level", text, max_epochs=1, max_steps=5_000, schedule="constant")
    assert not any("max_epochs" in note for note in listener.notes), "a rate that never falls"


def test_how_much_is_read_at_once_is_said_and_follows_the_size(tmp_path: Path, text: Path) -> None:
    def notes(base: Path | str, max_epochs: int = 0, **model: Any) -> str:
        listener, corpus = Listener(), CorpusSettings(train=(str(text),), dev_tokens=100)
        out = tmp_path / f"run-{len(list(tmp_path.iterdir()))}"
        chosen = ModelSettings(base=str(base), **model)
        Pretraining(
            out, chosen, {**SETTINGS, "max_steps": 1, "max_epochs": max_epochs}, corpus, reporter=listener
        ).train()
        lengths.append(network(out).config.max_length)
        return "\n".join(listener.notes)

    lengths: list[int] = []
    small = {"hidden_size": 16, "num_layers": 1, "num_heads": 2}
    said = notes("bert-tiny", **small)
    assert "bert-tiny reads 128 tokens at once, and never more; to begin with another number: --set model.max_" in said
    assert "20 tokens at once in the first 15 % of the steps" in said
    assert "tokens at once" not in notes("bert-tiny", max_length=30, **small)
    assert "20 tokens" not in notes("bert-tiny", short_share=0.0, **small)
    assert "20 tokens" not in notes("bert-tiny", max_epochs=1, **small), "a pass is one over all of the text"
    assert "8 tokens at once in the first 50 %" in notes(
        "bert-tiny", max_length=30, short_length=8, short_share=0.5, **small
    )
    said = notes("bigbird-tiny", **small)
    assert "bigbird-tiny reads 4,096 tokens at once" in said
    assert "A document that is a paragraph or a line seldom fills it" in said
    assert "gpt2-small reads 1,024 tokens at once" in notes("gpt2-small", vocab_size=300, **small)
    assert lengths == [128, 30, 128, 128, 30, 4_096, 1_024]
    base = make_encoder_folder(tmp_path / "base", task="mask", max_length=200)
    assert f"reads 128 tokens at once of the 200 that {base} takes; --set model.max_length=200" in notes(base)
    assert ModelSettings(base="gpt3-small").with_length().max_length == 2_048


def test_a_folder_named_like_a_size_is_gone_on_with_in_small_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert plan_from({}, ModelSettings(base="bert-mini"), "here").learning_rate == 1e-3
    Path("bert-mini").mkdir()
    assert plan_from({}, ModelSettings(base="bert-mini"), "here").learning_rate == 1e-4


def test_what_does_not_fit_is_refused(tmp_path: Path, text: Path) -> None:
    with pytest.raises(ConfigError, match=r"bert-huge: is no model folder, and no size .*bert-tiny"):
        train(tmp_path / "run", text, "bert-huge")
    with pytest.raises(ConfigError, match=r"training\.dev_metric 'bleu'; pre-training is judged by its loss"):
        train(tmp_path / "run", text, dev_metric="bleu")
    for idle in ({"label_smoothing": 0.1}, {"layer_decay": 0.9}, {"unfreeze_steps": 5}, {"dev_beam_size": 4}):
        with pytest.raises(ConfigError, match=f"{next(iter(idle))} does nothing here"):
            train(tmp_path / "run", text, **idle)
    with pytest.raises(ConfigError, match="mask_share must be above 0 and below 1"):
        train(tmp_path / "run", text, model={"mask_share": 1.0})
    for wrong in ({"short_length": 7}, {"short_share": 1.1}):
        with pytest.raises(ConfigError, match=r"short_length must be at least 8 and model\.short_share from 0 to 1"):
            train(tmp_path / "run", text, model=wrong)
    for idle, training, why in (
        ({"short_length": 16}, {}, "max_length, here 20, is twice their length or more"),
        ({"short_share": 0.3}, {}, "max_length, here 20, is twice their length or more"),
        ({"short_share": 0.3}, {"max_epochs": 2}, "max_epochs counts passes over all of the text"),
        ({"short_length": 10, "short_share": 0.0}, {}, "short_share is 0"),
    ):
        with pytest.raises(ConfigError, match=rf"\[model\]: {next(iter(idle))} does nothing here: .*{why}"):
            train(tmp_path / "run", text, model=idle, **training)
    train(tmp_path / "run", text, max_steps=1)
    other = tmp_path / "other.txt"
    other.write_text(text.read_text() + "the cow moos .\n")
    assert not (tmp_path / "run" / "tokens" / "other").exists()
    with pytest.raises(CheckpointError, match=r"data\.train was"):
        train(tmp_path / "run", other, max_steps=1)


@pytest.mark.parametrize(
    ("base", "idle"),
    [
        ("gpt-tiny", {"lowercase": False}),
        ("gpt-tiny", {"mask_share": 0.3}),
        ("gpt-tiny", {"whole_words": True}),
        ("gpt-tiny", {"next_sentence": True}),
        ("gpt-tiny", {"short_share": 0.3}),
        ("folder", {"vocab_size": 100}),
        ("folder", {"lowercase": False}),
        ("folder", {"dropout": 0.2}),
        ("folder", {"short_length": 16}),
    ],
)
def test_settings_that_would_do_nothing_are_refused(tmp_path: Path, base: str, idle: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=rf"\[model\]: {next(iter(idle))} does nothing here"):
        ModelSettings(base=str(tmp_path) if base == "folder" else base, **idle)
