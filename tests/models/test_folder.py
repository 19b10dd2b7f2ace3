"""Model folders: saved = loaded, and whatever is wrong with one is said as a ModelError."""

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from regard.errors import ConfigError, ModelError, StorageError
from regard.models import build, build_encoder, folder
from regard.nn.padded import pad


@pytest.fixture
def saved(tiny, word_tokens, tmp_path: Path) -> Path:
    model = tiny("rnnsearch", dtype=torch.float32, vocab_size=word_tokens.vocab_size)
    folder.save(
        tmp_path / "model", model, dict(model.named_parameters()), word_tokens, "# card\n", source_language="en"
    )
    return tmp_path / "model"


@torch.no_grad()
def test_saved_is_loaded(tiny, word_tokens, tmp_path: Path, arch: str) -> None:
    model = tiny(arch, dtype=torch.float32, vocab_size=word_tokens.vocab_size)
    path = tmp_path / "run" / "model"
    for _ in range(2):  # the second replaces the first
        folder.save(path, model, dict(model.named_parameters()), word_tokens, "# card\n", target_language="pt-BR")
    for where in (path, tmp_path / "run"):
        loaded = folder.load(where)
        assert not loaded.model.training
        assert (loaded.source_language, loaded.target_language) == ("", "pt-BR")
        assert loaded.model.config == model.config
        source, target = pad([loaded.tokens.encode_source("the cat sees"), [3]]), pad([[2, 7, 8], [2]])
        assert torch.equal(loaded.model.forced(source, target).logits, model.forced(source, target).logits)
        assert loaded.tokens.encode_source("a dog") == word_tokens.encode_source("a dog")
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["model"]
    assert {entry.name for entry in path.iterdir()} == {"README.md", "config.json", "model.safetensors", "tokens.spm"}


def change(path: Path, **changes: Any) -> None:
    config = json.loads((path / "config.json").read_text())
    for key, value in changes.items():
        target, _, name = key.rpartition("__")
        (config[target] if target else config)[name] = value
    (path / "config.json").write_text(json.dumps(config))


@torch.no_grad()
@pytest.mark.parametrize("family", ["rnn", "rnnsearch", "gnmt"])
def test_folders_from_before_token_vectors_were_scaled_are_read_as_they_were_written(
    tiny, word_tokens, tmp_path: Path, family: str
) -> None:
    model = tiny(family, dtype=torch.float32, vocab_size=word_tokens.vocab_size)
    folder.save(tmp_path, model, dict(model.named_parameters()), word_tokens, "# card\n")
    config = json.loads((tmp_path / "config.json").read_text())
    del config["model"]["scaled_embeddings"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    source, target = pad([[4, 5, 3]]), pad([[2, 7, 8]])
    logits = folder.load(tmp_path).model.forced(source, target).logits
    assert torch.equal(logits, model.forced(source, target).logits)
    scaled = tiny(family, dtype=torch.float32, vocab_size=word_tokens.vocab_size, scaled_embeddings=True)
    scaled.load_state_dict(model.state_dict())
    assert not torch.equal(logits, scaled.eval().forced(source, target).logits)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"extra": 1}, "unknown setting extra"),
        ({"format": 2}, "has format 2, this version reads format 1"),
        ({"arch": "$HOME"}, "unknown architecture '\\$HOME'. Known are rnn, rnnsearch, gnmt, transformer"),
        ({"arch": ["rnn"]}, "arch must be text"),
        ({"model": [1]}, "model and tokens must be tables"),
        ({"model__class": "os.system"}, "unknown setting class"),
        ({"model__hidden_size": "$HOME"}, "hidden_size: expected a whole number, found text \\('\\$HOME'\\)"),
        ({"model__hidden_size": True}, "hidden_size: expected a whole number, found true or false"),
        ({"model__hidden_size": -1}, "hidden_size must be at least 1"),
        ({"model__hidden_size": 17}, "has shape .*, expected"),
        ({"model__hidden_size": 100_000}, "has shape .*, expected"),  # 80 GB if it were made before it is compared
        ({"model__hidden_size": 10**12}, "hidden_size is larger than any model has"),
        ({"model__max_length": 10**12}, "max_length is larger than any model has"),
        ({"model__dropout": float("nan")}, "dropout must be at least 0 and below 1, got nan"),
        ({"model__dropout": 10**400}, "dropout is larger than any model has"),
        ({"model__vocab_size": 9}, "expected \\(9, 12\\)"),
        ({"tokens__kind": "../../etc/passwd"}, "unknown kind of tokens '../../etc/passwd'"),
        ({"tokens__kind": "separate"}, "its tokenizer cannot be read"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
def test_a_hostile_configuration_is_a_model_error(saved: Path, changes: dict[str, Any], message: str) -> None:
    change(saved, **changes)
    with pytest.raises(ModelError, match=message):
        folder.load(saved)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "cannot be read as JSON"),
        (b"\xff\xfe", "cannot be read as JSON"),
        (b"[" * 100_000, "cannot be read as JSON"),
        (b"[]", "is not the configuration of a regard model"),
        (b" " * 2_000_000, "has 2,000,000 bytes"),
    ],
    ids=["cut", "not text", "deep", "list", "huge"],
)
def test_a_configuration_that_is_no_configuration(saved: Path, content: bytes, message: str) -> None:
    (saved / "config.json").write_bytes(content)
    with pytest.raises(ModelError, match=message):
        folder.load(saved)


def test_all_that_does_not_fit_is_named_at_once(saved: Path) -> None:
    path = saved / "model.safetensors"
    tensors = safetensors.torch.load_file(path)
    tensors["output.bias"][3] = torch.nan
    tensors["surplus"] = tensors.pop("cell.token_gates.bias")
    tensors["initial.bias"] = tensors["initial.bias"][:-1].clone()
    tensors["readout.bias"] = tensors["readout.bias"].long()
    safetensors.torch.save_file(tensors, path)
    with pytest.raises(ModelError) as raised:
        folder.load(saved)
    for problem in (
        "output.bias holds numbers that are not finite",
        "cell.token_gates.bias is missing",
        "surplus is unknown",
        "initial.bias has shape (15,), expected (16,)",
        "readout.bias holds torch.int64, expected floating point",
    ):
        assert problem in str(raised.value)


class Bomb:
    """Leaves a trace when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return sys.setswitchinterval, (0.005,)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokens.spm"])
def test_a_pickle_in_disguise_is_refused_unread(saved: Path, name: str) -> None:
    events: list[str] = []
    active = [True]
    sys.addaudithook(lambda event, _: events.append(event) if active[0] and event.startswith("pickle.") else None)
    pickle.loads(pickle.dumps(Bomb()))
    assert events, "the hook hears unpickling"
    events.clear()
    folder.load(saved)
    (saved / name).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ModelError, match="cannot be read"):
        folder.load(saved)
    torch.save({"weight": torch.ones(2)}, saved / name)
    with pytest.raises(ModelError, match="cannot be read"):
        folder.load(saved)
    active[0] = False
    assert events == []


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokens.spm"])
@pytest.mark.parametrize("damage", ["gone", "cut", "empty", "zeros"])
def test_a_damaged_file_is_a_model_error(saved: Path, name: str, damage: str) -> None:
    path = saved / name
    data = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes({"cut": data[: len(data) // 2], "empty": b"", "zeros": bytes(len(data))}[damage])
    with pytest.raises(ModelError):
        folder.load(saved)


def test_folders_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no such folder"):
        folder.load(tmp_path / "absent")
    with pytest.raises(ModelError, match=r"no config.json here"):
        folder.load(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(ModelError, match=r"this run has not finished.*Give the command that began it again"):
        folder.load(tmp_path)


def test_a_tokenizer_larger_than_the_model(saved: Path, tiny, word_tokens) -> None:
    model = tiny("rnn", dtype=torch.float32, vocab_size=word_tokens.vocab_size - 1)
    folder.save(saved, model, dict(model.named_parameters()), word_tokens, "")
    with pytest.raises(ModelError, match=r"its tokenizer has [0-9]+ tokens, config.json says"):
        folder.load(saved)


def test_a_full_disk_leaves_the_old_model(saved: Path, tiny, word_tokens, monkeypatch) -> None:
    before = (saved / "model.safetensors").read_bytes()
    model = tiny("rnn", dtype=torch.float32)

    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StorageError, match=r"model: could not be saved \(No space left on device\)"):
        folder.save(saved, model, dict(model.named_parameters()), word_tokens, "")
    monkeypatch.undo()
    assert (saved / "model.safetensors").read_bytes() == before
    assert [entry.name for entry in saved.parent.iterdir()] == ["model"]


def test_a_name_that_cannot_be_given_leaves_the_old_model(saved: Path, tiny, word_tokens, monkeypatch) -> None:
    model, rename = tiny("rnn", dtype=torch.float32), Path.rename

    def refused(self: Path, target: Path) -> Path:
        if self.name.endswith(".partial"):
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(StorageError, match="model: could not be saved"):
        folder.save(saved, model, dict(model.named_parameters()), word_tokens, "")
    assert [entry.name for entry in saved.parent.iterdir()] == ["model"]
    assert folder.load(saved)


def test_a_model_that_lost_its_name_to_a_kill_is_not_dropped(saved: Path, tiny, word_tokens, monkeypatch) -> None:
    model = tiny("rnn", dtype=torch.float32)
    before = (saved / "model.safetensors").read_bytes()
    saved.rename(saved.with_name(".model.old"))  # killed before the new one had the name

    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StorageError):
        folder.save(saved, model, dict(model.named_parameters()), word_tokens, "")
    assert (saved / "model.safetensors").read_bytes() == before


def test_build_refuses_what_it_does_not_know() -> None:
    with pytest.raises(
        ConfigError, match=r"x: unknown architecture 'lstm'. Known are rnn, rnnsearch, gnmt, transformer"
    ):
        build("lstm", {}, "x")
    with pytest.raises(ConfigError, match=r"hidden_size \(10\) must be a multiple of num_heads \(4\)"):
        build("transformer", {"vocab_size": 9, "hidden_size": 10, "num_heads": 4})
    with pytest.raises(ConfigError, match="next_sentence stands beside a head for masked words, not one for 'tag'"):
        build_encoder("bert", {}, {"task": "tag", "labels": ["a", "b"], "next_sentence": True}, "x")
    small = {"hidden_size": 8, "num_layers": 1, "num_heads": 1, "vocab_size": 20}
    for arch, settings in (("distilbert", {}), ("bert", {"pooled": False}), ("bert", {"num_types": 1})):
        with pytest.raises(ConfigError, match="to tell next sentences the encoder needs token types and its pooling"):
            build_encoder(arch, {**small, **settings}, {"task": "mask", "next_sentence": True}, "x")
    with pytest.raises(ConfigError, match="num_layers must be at least 2"):
        build("gnmt", {"vocab_size": 9, "num_layers": 1})


def test_loading_imports_no_compiler_and_draws_no_numbers(saved: Path) -> None:
    """To draw weights on the meta device would import torch._dynamo and sympy: a second for nothing."""
    code = (
        "import sys, torch; from pathlib import Path; from regard.models import folder; state = torch.get_rng_state(); "
        f"folder.load(Path({str(saved)!r})); "
        "assert torch.equal(state, torch.get_rng_state()); "
        "assert not {'torch._dynamo', 'sympy'} & set(sys.modules), 'a compiler was imported'"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
