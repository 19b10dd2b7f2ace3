"""A run goes on as if nothing had happened, and refuses what is not its own."""

import dataclasses
import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_run
from tiny_run import Child, lines_until, outcome, train

import regard
from regard.data import pairs as pair_data
from regard.errors import CheckpointError, ConfigError, ModelError, StorageError, TrainingError
from regard.models import folder as model_folder
from regard.runs import session
from regard.runs.data import load_pairs, prepare_data
from regard.runs.run import Run
from regard.runs.settings import DataSettings, settings_from
from regard.training import checkpoint


class Killed(BaseException):
    """Ends a run in the middle, as a signal would."""


def dies_at(step: int) -> Any:
    """A listener's `progress` that ends the run when it hears of this step, before anything is saved."""

    def progress(self: Any, progress: Any, *_: Any) -> None:
        self.steps += 1
        if progress.step == step:
            raise Killed

    return progress


@pytest.fixture
def stop_at(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes the next run die at this step."""
    return lambda step: monkeypatch.setattr(tiny_run.Listener, "progress", dies_at(step))


@pytest.fixture(scope="session")
def dead_run(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    out = tmp_path_factory.mktemp("dead") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny_run.Listener, "progress", dies_at(48))
        with pytest.raises(Killed):
            train(out, data)
    return out


@pytest.fixture
def interrupted(tmp_path: Path, dead_run: Path) -> Path:
    """A run that died at step 48; it has checkpoints 40 (the best) and 45."""
    shutil.copytree(dead_run, tmp_path / "run")
    assert checkpoints(tmp_path / "run") == ["step-000040", "step-000045"]
    return tmp_path / "run"


def checkpoints(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "checkpoints").iterdir())


def test_equal_seeds_give_equal_weights(
    tmp_path: Path, data: Path, uninterrupted: dict[str, Any], assert_same_outcome
) -> None:
    train(tmp_path / "again", data)
    assert_same_outcome(tmp_path / "again")
    train(tmp_path / "other", data, seed=2)
    assert outcome(tmp_path / "other")["model"] != uninterrupted["model"]


def test_a_run_folder_holds_what_is_said(tmp_path: Path, data: Path) -> None:
    out = tmp_path / "run"
    train(out, data, max_steps=20, validate_every=10)
    entries = {entry.name for entry in out.iterdir() if not entry.name.startswith(".")}
    assert entries == {"config.toml", "metrics.jsonl", "checkpoints", "best.json", "model", "tokens"}
    assert not [path for path in out.rglob("*") if path.is_symlink() or ".partial" in path.name]
    best = json.loads((out / "best.json").read_text())
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().split("\n") if line]
    validations = [row for row in rows if "dev_chrf" in row]
    assert best in [{key: row[key] for key in best} for row in validations]
    assert best["dev_chrf"] == max(row["dev_chrf"] for row in validations)
    assert [row["step"] for row in rows if "learning_rate" in row] == [7, 14]
    card = (out / "model" / "README.md").read_text()
    assert f"Best of 8 dev pairs at step {best['step']}: chrF {best['dev_chrf']:.1f}" in card


def test_a_run_that_died_goes_on_bit_for_bit(interrupted: Path, data: Path, assert_same_outcome) -> None:
    with (interrupted / "metrics.jsonl").open("a") as log:
        log.write('{"step": 47, "loss": 9}\n{"step": 4')  # of steps that are taken again, and cut short
    listener = train(interrupted, data)
    assert listener.notes == ["going on from step-000045"]
    assert listener.steps == 35
    assert_same_outcome(interrupted)


@pytest.mark.parametrize("arch", ["rnn", "rnnsearch", "gnmt"])
def test_the_other_models_go_on_bit_for_bit(tmp_path: Path, data: Path, stop_at, monkeypatch, arch: str) -> None:
    settings = {"max_steps": 12, "validate_every": 12}
    train(tmp_path / "whole", data, arch, **settings)
    stop_at(8)
    with pytest.raises(Killed):
        train(tmp_path / "parts", data, arch, **settings)
    monkeypatch.undo()
    train(tmp_path / "parts", data, arch, **settings)
    assert outcome(tmp_path / "parts") == outcome(tmp_path / "whole")


@pytest.mark.parametrize("fast", [True, False], ids=["with bfloat16", "without"])
def test_products_are_in_bf16_only_where_the_processor_is_fast_at_them(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, fast: bool
) -> None:
    monkeypatch.setattr(session, "fast_in_bf16", lambda: fast)
    few = {"max_steps": 3, "validate_every": 3}
    listener = train(tmp_path / "bf16", data, bf16_products=True, **few)
    told = [note for note in listener.notes if note.startswith("this processor has no instructions for bfloat16")]
    assert len(told) == (0 if fast else 1)
    train(tmp_path / "float32", data, bf16_products=False, **few)  # the default asks the processor
    weights = [outcome(tmp_path / name)["model"] for name in ("bf16", "float32")]
    assert (weights[0] == weights[1]) is not fast


def test_a_run_teaches_attention_the_alignments_that_are_given(tmp_path: Path, data: Path) -> None:
    rows = [row.split("\t")[0].split() for row in (data / "train.tsv").read_text(encoding="utf-8").splitlines()]
    links = tmp_path / "train.links"  # what no model would do by itself: every word looks at the first
    links.write_text("".join(" ".join(f"0-{k}" for k in range(len(row))) + "\n" for row in rows), encoding="utf-8")
    shares = []
    for alignments in (None, str(links)):
        plain = tiny_run.settings(data, max_steps=160)
        chosen = dataclasses.replace(plain.data, alignments=alignments)
        whole = dataclasses.replace(plain.tokens, dropout=0.0)
        plan = dataclasses.replace(plain.training, guided_alignment=1.0 if alignments else None)
        chosen_settings = dataclasses.replace(plain, data=chosen, tokens=whole, training=plan)
        pairs = [load_pairs(chosen, names, split)[0] for names, split in ((chosen.train, "train"), (chosen.dev, "dev"))]
        folder = tmp_path / f"run-{alignments is not None}"
        Run(folder, chosen_settings, tiny_run.Listener()).train(*pairs)
        model, found = regard.load(folder), []
        for source, target in zip(pairs[1].sources, pairs[1].targets, strict=True):
            weights = model.look(source, target).attention("cross", head=0)[:-1, :-1]
            found.append(weights[:, 0].mean())
        shares.append(np.mean(found))
    assert shares[0] < 0.4 < 0.8 < shares[1], "weight on the linked word, without and with alignments"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"alignments": "x"}, "model": {"arch": "rnn"}}, r"teach attention, and an rnn has none"),
        ({"data": {"alignments": "x"}, "tokens": {"dropout": 0.1}}, r"tokens\.dropout cannot go together"),
        ({"training": {"guided_alignment": 0.1}}, r"guided_alignment does nothing here: no data\.alignments"),
        ({"data": {"alignments": "x"}, "training": {"guided_alignment": 0}}, r"must be above 0 and finite, got 0"),
    ],
)
def test_alignments_that_cannot_be_taught_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        settings_from(changes, DataSettings(train=("a.tsv",)), 100, "", "test")


def test_a_finished_run_says_so_and_stays_as_it_is(tmp_path: Path, data: Path) -> None:
    train(tmp_path, data, max_steps=10)
    before = outcome(tmp_path)
    listener = train(tmp_path, data, max_steps=10)
    longer = "To train longer, give the same command with a larger training.max_steps, and training.warmup_steps=10"
    left = f"already at step 10 of 10: nothing left to train. {longer} as before."
    assert (listener.steps, listener.notes[-1]) == (0, left)
    assert outcome(tmp_path) == before


@pytest.mark.parametrize(
    "limit", [{"max_epochs": 1}, {"patience": 1, "validate_every": 3}, {"max_minutes": 1e-9}], ids=str
)
def test_a_run_that_a_limit_ended_takes_no_further_step(tmp_path: Path, data: Path, limit: dict[str, Any]) -> None:
    """It may have died between its last checkpoint and its model folder."""
    first = train(tmp_path, data, **limit)
    assert 0 < first.steps < 80
    said = {
        "patience": f"stopped: 1 validations without a better dev score (step {first.steps} of 80). ",
        "max_minutes": f"stopped: 1e-09 minutes are over (step {first.steps} of 80). ",
    }
    told = [f"{said[name]}To train longer, raise training.{name} and give" for name in said if name in limit]
    assert [note for note in first.notes if note.startswith("stopped")] == [
        f"{each} the same command." for each in told
    ]
    before = outcome(tmp_path)
    (tmp_path / "model").rename(tmp_path / "gone")
    again = train(tmp_path, data, **limit)
    assert again.steps == 0
    assert f"of 80: nothing left to train (training.{next(iter(limit))} is reached)." in again.notes[-1]
    assert outcome(tmp_path) == before


def test_a_limit_may_be_raised(tmp_path: Path, data: Path, assert_same_outcome) -> None:
    train(tmp_path, data, max_epochs=1, validate_every=1000, save_every=4)
    assert train(tmp_path, data, max_epochs=2, validate_every=1000, save_every=4).steps > 0


def test_more_steps_end_in_the_same_bits_as_if_they_had_been_asked_for_at_once(
    tmp_path: Path, data: Path, assert_same_outcome
) -> None:
    train(tmp_path, data, max_steps=40)
    assert train(tmp_path, data).steps == 40
    assert_same_outcome(tmp_path)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_a_rate_that_has_fallen_to_nothing_does_not_rise_for_more_steps(
    tmp_path: Path, data: Path, schedule: str
) -> None:
    train(tmp_path, data, max_steps=20, schedule=schedule)
    with pytest.raises(CheckpointError, match=r"other settings: training\.max_steps was 20 and is now 40\."):
        train(tmp_path, data, max_steps=40, schedule=schedule)
    again = train(tmp_path, data, max_steps=20, schedule=schedule)
    assert again.notes[-1] == "already at step 20 of 20: nothing left to train."


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"learning_rate": 0.02}, "training.learning_rate was 0.01 and is now 0.02"),
        ({"seed": 3, "beta1": 0.8}, "training.beta1 was 0.9 and is now 0.8; training.seed was 1 and is now 3"),
    ],
    ids=str,
)
def test_other_settings_are_refused_by_name(interrupted: Path, data: Path, changes: dict[str, Any], named: str) -> None:
    before = {path: path.read_bytes() for path in interrupted.rglob("*") if path.is_file()}
    with pytest.raises(
        CheckpointError, match=f"holds a run with other settings: {named}. Use the same settings"
    ) as error:
        train(interrupted, data, **changes)
    assert error.value.exit_status == 2
    assert {path: path.read_bytes() for path in interrupted.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("which", ["train", "dev"])
def test_other_data_is_refused(interrupted: Path, data: Path, which: str) -> None:
    chosen = tiny_run.settings(data)
    parts = {name: load_pairs(chosen.data, getattr(chosen.data, name), name)[0] for name in ("train", "dev")}
    parts[which].targets[0] += " 1"
    what = {"train": "training data", "dev": "dev data"}[which]
    with pytest.raises(CheckpointError, match=f"step-000045: was trained with other {what} .their sha256 differs"):
        Run(interrupted, chosen).train(parts["train"], parts["dev"])


def test_another_process_in_the_folder_is_refused(tmp_path: Path, data: Path) -> None:
    script = f"import fcntl, sys; f = open({str(tmp_path / '.lock')!r}, 'a'); fcntl.flock(f, fcntl.LOCK_EX)"
    holder = subprocess.Popen(
        [sys.executable, "-c", f"{script}; print(flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    with pytest.raises(CheckpointError, match=r"another process is training here. Wait for it, or use another --out"):
        train(tmp_path, data)
    holder.communicate()
    assert train(tmp_path, data, max_steps=5).steps == 5  # the lock went with its process


def test_the_run_itself_holds_the_lock(tmp_path: Path, data: Path, monkeypatch) -> None:
    def progress(self: Any, *_: Any) -> None:
        with pytest.raises(CheckpointError, match="another process is training here"):
            train(tmp_path, data)
        raise Killed

    monkeypatch.setattr(tiny_run.Listener, "progress", progress)
    with pytest.raises(Killed):
        train(tmp_path, data)


DAMAGES = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "flipped": lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\x55"),
    "gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["weights.safetensors", "optimizer.safetensors", "state.json", "manifest.json"])
def test_a_damaged_checkpoint_is_passed_over(interrupted: Path, data: Path, damage: str, name: str) -> None:
    DAMAGES[damage](interrupted / "checkpoints" / "step-000045" / name)
    listener = train(interrupted, data, max_minutes=0.00001)  # which may change
    assert "checkpoints/step-000045: incomplete or damaged; passed over." in listener.notes[0]
    assert listener.notes[1] == "going on from step-000040"


def test_what_follows_a_damaged_checkpoint_is_bit_identical(interrupted: Path, data: Path, assert_same_outcome) -> None:
    DAMAGES["flipped"](interrupted / "checkpoints" / "step-000045" / "average.safetensors")
    train(interrupted, data)
    assert_same_outcome(interrupted)


def test_damaged_checkpoints_do_not_push_out_good_ones(interrupted: Path, data: Path, stop_at) -> None:
    for number in (60, 70):  # later ones, which a failing disk has spoilt
        (interrupted / "checkpoints" / f"step-{number:06d}").mkdir()
    stop_at(53)
    with pytest.raises(Killed):
        train(interrupted, data)
    newest, warnings = checkpoint.newest(interrupted / "checkpoints")
    assert newest is not None
    assert newest.name == "step-000050"
    assert len(warnings) == 2


def test_no_good_checkpoint_at_all_starts_anew(interrupted: Path, data: Path, assert_same_outcome) -> None:
    for number in (40, 45):
        DAMAGES["cut"](interrupted / "checkpoints" / f"step-{number:06d}" / "state.json")
    log = (interrupted / "metrics.jsonl").read_bytes()
    listener = train(interrupted, data)
    assert (listener.steps, len(listener.notes)) == (80, 3)
    assert listener.notes[2].startswith("no complete checkpoint is left: beginning anew")
    assert (interrupted / "metrics.old.jsonl").read_bytes() == log, "nothing is lost in silence"
    assert_same_outcome(interrupted)


def test_a_run_folder_without_its_checkpoints_keeps_its_log(interrupted: Path, data: Path) -> None:
    log = (interrupted / "metrics.jsonl").read_bytes()
    shutil.rmtree(interrupted / "checkpoints")
    listener = train(interrupted, data)
    assert (listener.steps, (interrupted / "metrics.old.jsonl").read_bytes()) == (80, log)


def test_a_lost_best_checkpoint_is_said_and_another_kept(interrupted: Path, data: Path) -> None:
    DAMAGES["flipped"](interrupted / "checkpoints" / "step-000040" / "average.safetensors")
    listener = train(interrupted, data)
    assert "step-000040: the best model so far is incomplete or damaged" in listener.notes[0]
    assert json.loads((interrupted / "best.json").read_text())["step"] == 80
    model_folder.load(interrupted)


def test_torn_folders_are_ignored_and_swept_away(interrupted: Path, data: Path, assert_same_outcome) -> None:
    folder = interrupted / "checkpoints"
    for name in (".step-000047.partial", ".step-000030.removed", ".step-000046.old"):
        (folder / name).mkdir()
        (folder / name / "weights.safetensors").write_bytes(b"half")
    train(interrupted, data)
    assert_same_outcome(interrupted)
    assert all(name.startswith("step-") for name in checkpoints(interrupted))


def test_the_newest_and_the_best_are_kept(tmp_path: Path, data: Path, monkeypatch) -> None:
    scores = iter([5.0, 50.0, 10.0, 20.0])
    monkeypatch.setattr("regard.evaluation.metrics.quick", lambda *_, **__: next(scores, 1.0))
    train(tmp_path, data, max_steps=40, validate_every=10, dev_metric="bleu", keep_checkpoints=2)
    best = json.loads((tmp_path / "best.json").read_text())["step"]
    assert best == 10  # chrF and BLEU are asked for in turn: BLEU was 50 then, and 20 later
    assert checkpoints(tmp_path) == ["step-000010", "step-000035", "step-000040"]


def full_after(monkeypatch: pytest.MonkeyPatch, writes: int, code: int = errno.ENOSPC) -> None:
    """The disk takes so many files, then half of one, then nothing."""
    real, count = Path.write_bytes, [0]

    def write(path: Path, data: bytes) -> int:
        count[0] += 1
        if count[0] > writes:
            real(path, data[: len(data) // 2])
            raise OSError(code, os.strerror(code))
        return real(path, data)

    monkeypatch.setattr(Path, "write_bytes", write)


@pytest.mark.parametrize("writes", range(9))
def test_a_full_disk_leaves_the_checkpoints(interrupted: Path, data: Path, monkeypatch, writes: int) -> None:
    """At every file in turn: config.toml and the log at the start, five of a checkpoint, best.json, the next one's."""
    before = {path: path.read_bytes() for path in (interrupted / "checkpoints").rglob("*") if path.is_file()}
    full_after(monkeypatch, writes)
    with pytest.raises(StorageError, match=r"No space left on device.*intact") as raised:
        train(interrupted, data)
    assert raised.value.exit_status == 1
    assert not [path for path in interrupted.rglob("*") if ".partial" in path.name]
    if writes < 8:  # then 50 is complete and has replaced 45
        assert all(path.read_bytes() == content for path, content in before.items())
    assert checkpoint.newest(interrupted / "checkpoints")[1] == []
    monkeypatch.undo()
    listener = train(interrupted, data, max_minutes=0.00001)
    assert listener.notes[0].startswith("going on from step-0000")


def test_after_a_full_disk_the_run_goes_on_bit_for_bit(tmp_path: Path, data: Path, assert_same_outcome) -> None:
    """A real limit on the size of files, in a process of its own."""
    child = Child(tmp_path / "run", data, "--full")
    assert not lines_until(child.stdout, "never")
    assert child.wait() == 1
    assert "StorageError" in (said := (tmp_path / "stderr").read_text())
    assert "step-000005: could not be saved (File too large)" in said
    assert checkpoints(tmp_path / "run") == []
    train(tmp_path / "run", data)
    assert_same_outcome(tmp_path / "run")


def test_a_full_disk_at_the_log(interrupted: Path, data: Path, monkeypatch, assert_same_outcome) -> None:
    def fsync(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().name == "metrics.jsonl":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    real = os.fsync
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StorageError, match=r"metrics.jsonl: cannot be written .*Checkpoints are intact"):
        train(interrupted, data)
    monkeypatch.undo()
    train(interrupted, data)
    assert_same_outcome(interrupted)


def test_a_read_only_folder_is_a_storage_error(tmp_path: Path, data: Path, monkeypatch) -> None:
    def mkdir(self: Path, *_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(StorageError, match=r"run: cannot be written .Read-only file system.") as raised:
        train(tmp_path / "run", data)
    assert raised.value.exit_status == 1


def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoints(tmp_path: Path, data: Path) -> None:
    settings = {"learning_rate": 1e30, "warmup_steps": 0, "clip_norm": 0.0, "save_every": 1, "validate_every": 1000}
    with pytest.raises(TrainingError, match=r"step \d+: loss is .* weights are unchanged") as raised:
        train(tmp_path, data, **settings)
    assert raised.value.exit_status == 1
    assert checkpoint.newest(tmp_path / "checkpoints")[0] is not None or "step 1:" in str(raised.value)


def test_broken_tokens_and_settings_are_said(interrupted: Path, data: Path) -> None:
    (interrupted / "tokens" / "tokens.json").write_text("{")
    with pytest.raises(ModelError, match=r"tokens.json: cannot be read as JSON"):
        train(interrupted, data)
    (interrupted / "config.toml").write_text("[model")
    with pytest.raises(ConfigError, match=r"config.toml: is not valid TOML"):
        train(interrupted, data)


def test_threads_that_differ_are_said(interrupted: Path, data: Path, monkeypatch) -> None:
    listener = train(interrupted, data, threads=2, max_minutes=0.00001)
    assert any("threads were 1 and are now 2: from here on numbers may differ" in note for note in listener.notes)
    import torch

    torch.set_num_threads(1)


def test_dev_pairs_that_are_trained_on_are_told(data: Path) -> None:
    chosen = tiny_run.settings(data).data
    for dev, told in (("train", "150 of 150"), ("dev", "")):
        notes: list[str] = []
        prepare_data(dataclasses.replace(chosen, dev=(str(data / f"{dev}.tsv"),)), 1, notes.append)
        found = [note for note in notes if "flatter" in note]
        assert found == [f"{told} dev pairs are also among the training pairs: dev scores will flatter."] * bool(told)


def test_the_fingerprint_covers_what_is_learnt(data: Path) -> None:
    chosen = tiny_run.settings(data).data
    pairs = load_pairs(chosen, chosen.train, "train")[0]
    reverse = load_pairs(dataclasses.replace(chosen, reverse=True), chosen.train, "train")[0]
    assert (reverse.sources, reverse.targets) == (pairs.targets, pairs.sources)
    assert pair_data.fingerprint(pairs) != pair_data.fingerprint(reverse)
