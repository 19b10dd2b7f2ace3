"""Translators and language models go on with new text, from a shell; and the mistakes people make on the way."""

import json
import re
from pathlib import Path

import pytest

pytest.importorskip("torch")

from command_line import Command, mistake
from tiny_model import SOURCES, TARGETS, make_decoder_folder, make_encoder_folder, make_folder

STEPS = ["--set", "training.max_steps=3", "--set", "training.batch_tokens=200", "--set", "training.threads=1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models, and files of pairs and of text."""
    folder = tmp_path_factory.mktemp("continuing")
    make_folder(folder / "translator", max_length=24)
    make_decoder_folder(folder / "gpt")
    make_encoder_folder(folder / "bert")
    pairs = list(zip(SOURCES, TARGETS, strict=True))
    (folder / "new.tsv").write_text("".join(f"{target}\t{source}\n" for source, target in pairs * 3))
    (folder / "old.tsv").write_text("".join(f"{source}\t{target}\n" for source, target in pairs))
    for side, lines in (("en", SOURCES), ("pt", TARGETS)):
        (folder / f"old.{side}").write_text("".join(f"{line}\n" for line in lines))
    (folder / "new.txt").write_text("\n".join(TARGETS * 20) + "\n")
    (folder / "old.txt").write_text("\n".join(SOURCES) + "\n")
    return folder


def test_a_translator_goes_on(run: Command, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = ["finetune", folder / "translator", folder / "new.tsv", "--task", "translate", "--no-filter"]
    command += ["--reverse", "--from", "en", "--to", "pt", "--dev", folder / "old.tsv"]
    command += ["--old-dev", folder / "old.en", "--old-dev", folder / "old.pt", "--out", out, *STEPS]
    taught = run(*command)
    assert taught.status == 0, taught.err
    assert re.search(r"before: dev chrF \d+\.\d  BLEU .*; old dev chrF \d+\.\d ", taught.err)
    assert re.search(r"step 3  dev chrF .*\n +old dev chrF ", taught.err)
    assert re.search(r"new dev: chrF .*; old dev: chrF \d+\.\d → \d+\.\d, ", taught.err)
    assert f"try: regard translate {out} < text.txt" in taught.err
    assert "read 12" in taught.err
    config = json.loads((out / "model" / "config.json").read_text())
    assert (config["source_language"], config["target_language"]) == ("en", "pt")
    assert run("translate", out, "--max-length", 5, stdin="the cat\n").status == 0
    again = run(*command)
    assert "already at step 3 of 3" in again.err
    assert "before:" not in again.err
    assert re.search(r"new dev: chrF .*; old dev: chrF ", again.err)


def test_a_language_model_goes_on(run: Command, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = ["finetune", folder / "gpt", folder / "new.txt", "--task", "lm", "--documents", "lines"]
    taught = run(*command, "--old-dev", folder / "old.txt", "--out", out, *STEPS)
    assert taught.status == 0, taught.err
    assert re.search(r"before: dev loss .*; old dev loss ", taught.err)
    assert re.search(r"new dev: loss .*; old dev: loss .* → ", taught.err)
    assert f"try: regard generate {out}" in taught.err
    assert run("generate", out, "the", "--max-length", 4).status == 0


def test_a_student_learns_from_a_translator(run: Command, folder: Path, tmp_path: Path) -> None:
    teacher, out = tmp_path / "teacher", tmp_path / "run"
    pairs = [folder / "new.tsv", "--reverse", "--no-filter", "--dev", folder / "old.tsv", "--from", "en", "--to", "pt"]
    sizes = ("hidden_size=32", "num_layers=2", "num_heads=2", "feed_forward_size=48", "dropout=0")
    small = [word for size in sizes for word in ("--set", f"model.{size}")] + ["--set", "tokens.vocab_size=330"]
    by_heart = ["--set", "training.max_steps=80", "--set", "training.learning_rate=0.02"]
    assert run("train", *pairs, "--out", teacher, *small, *STEPS, *by_heart).status == 0
    command = ["distil", teacher, *pairs, "--out", out, *STEPS]
    taught = run(*command)
    assert taught.status == 0, taught.err
    assert "decoder_num_layers 1" in taught.err
    assert "  the teacher's translations: 12 to learn from, 0 left out" in taught.err
    assert re.search(
        r"  dev chrF \d+\.\d, its teacher \d+\.\d; .* times as fast \(.*\); [\d,]+ parameters of ", taught.err
    )
    config = json.loads((out / "model" / "config.json").read_text())
    assert (config["source_language"], config["target_language"]) == ("en", "pt")
    assert config["model"]["decoder_num_layers"] == 1
    assert run("translate", out, "--max-length", 5, stdin="the cat\n").status == 0
    again = run(*command)
    assert "already at step 3 of 3" in again.err
    assert run(*command, "--layers", 2).status == 2


def test_the_mean_of_models_is_a_model(run: Command, folder: Path, tmp_path: Path) -> None:
    taught = tmp_path / "run"
    command = ["finetune", folder / "gpt", folder / "new.txt", "--task", "lm", "--documents", "lines", *STEPS]
    assert run(*command, "--out", taught).status == 0
    found = run("average", folder / "gpt", f"{taught}:2", "--out", tmp_path / "mean")
    assert found.status == 0, found.err
    assert found.err == f"model: {tmp_path / 'mean'}   try: regard evaluate {tmp_path / 'mean'} DATA\n"
    assert run("evaluate", tmp_path / "mean", folder / "old.txt").status == 0
    make_decoder_folder(tmp_path / "other", hidden_size=24)
    mistake(run("average", folder / "gpt", tmp_path / "other", "--out", tmp_path / "no"), 2, "hidden_size is 24 here")
    mistake(run("average", folder / "gpt", taught, "--out", tmp_path / "mean"), 2, "mean: is already there")
    assert not (tmp_path / "no").exists()


def test_mistakes(run: Command, folder: Path, tmp_path: Path) -> None:
    def finetune(model: str, data: str, *more: str) -> list[object]:
        return ["finetune", folder / model, folder / data, "--out", tmp_path / "run", *more]

    out = ["--out", tmp_path / "run"]

    def distil(model: str, *more: str) -> list[object]:
        return ["distil", folder / model, folder / "new.tsv", "--no-filter", "--dev", folder / "new.tsv", *out, *more]

    translate, lm = ["--task", "translate"], ["--task", "lm"]
    pairs, text = ("translator", "new.tsv"), ("gpt", "new.txt")
    for arguments, message in [
        (
            finetune(*pairs, "--task", "guess"),
            "task 'guess' is unknown. Known are classify, pair, regress, tag, transl",
        ),
        (finetune(*pairs, *translate, "--label", "a", "--documents", "lines"), "--label, --documents: says nothing of"),
        (finetune(*pairs, *translate, "--language", "en"), "--language: says nothing of --task translate"),
        (distil("translator", "--language", "en"), "--language: says nothing of the student of a translator"),
        (finetune(*text, *lm, "--from", "en"), "--from: says nothing of --task lm"),
        (finetune(*text, *lm, "--reverse", "--no-filter"), "--reverse, --no-filter: says nothing of --task lm"),
        (finetune("bert", "new.tsv", "--task", "classify", "--old-dev", "x"), "--old-dev: says nothing of --task clas"),
        (finetune("bert", "new.tsv", "--task", "tag", "--to", "pt"), "--to: says nothing of --task tag"),
        (finetune("bert", "new.tsv", *translate), "is an encoder (bert), which writes no text; expected a translator"),
        (finetune("gpt", "new.tsv", *translate), "is a language model (gpt), expected a translator"),
        (finetune("nowhere", "new.tsv", *translate), "nowhere: there is no such folder"),
        (finetune("translator", "new.txt", *lm), "is a translator; --task lm goes on with a language model"),
        (finetune("bert", "new.txt", *lm), "is an encoder; --task lm goes on with a language model"),
        (finetune("nowhere", "new.txt", *lm), "to begin from nothing use `regard pretrain --arch gpt-tiny`"),
        (finetune(*pairs, *translate, "--set", "model.hidden_size=8"), "cannot become 8: a model that goes on keeps"),
        (finetune(*text, *lm, "--set", "model.vocab_size=99"), "model.vocab_size cannot be set"),
        (finetune(*text, *lm, "--set", "tokens.a=1"), "unknown table [tokens]"),
        (finetune(*pairs, *translate, "--old-dev", "no.tsv"), "no.tsv: there is no such file"),
        (finetune(*text, *lm, "--old-dev", "no.txt"), "no.txt: there is no such file"),
        (
            distil("translator", "--label", "a", "--pair"),
            "--label, --pair: says nothing of the student of a translator",
        ),
        (
            distil("translator", "--student", folder / "bert"),
            "--student: says nothing of the student of a translator",
        ),
        (
            distil("bert", "--reverse", "--from", "en"),
            "--from, --reverse, --no-filter: says nothing of the student of an",
        ),
        (distil("gpt"), "is a language model; students learn from encoders and from translators"),
        (distil("nowhere"), "nowhere: there is no such folder"),
        (
            distil("translator", "--layers", "2"),
            "not be smaller. Ask for smaller sizes, such as --set model.hidden_size=8",
        ),
        (distil("translator", "--out", folder / "translator"), "translator: is a model's folder. Name another --out"),
        (distil("translator", "--set", "model.max_length=2"), "none of 12 pairs fits into 2 tokens"),
        (distil("translator", "--set", "distil.temperature=2"), "unknown setting temperature"),
        (
            ["distil", folder / "bert", folder / "new.tsv", *out, "--set", "tokens.vocab_size=9"],
            "unknown table [tokens]",
        ),
        (["train", folder / "new.tsv", "--set", 'data.old_dev=["x"]', "--out", tmp_path / "run"], "nothing to forget"),
    ]:
        found = run(*arguments)
        assert found.status == 2, found.err
        assert "Traceback" not in found.err
        assert message in found.err
        assert not found.out
    assert not (tmp_path / "run" / "checkpoints").exists()
