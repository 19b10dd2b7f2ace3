"""Configurations are closed and typed, and TOML brings them back as they were."""

import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from regard.config import from_dict, parse_setting, read_toml, to_dict, to_toml
from regard.errors import ConfigError
from regard.runs.settings import DataSettings, settings_from
from regard.training.plan import TrainingPlan


@dataclass(frozen=True, kw_only=True)
class Example:
    """One field of each kind."""

    count: int
    rate: float = 0.5
    name: str = "x"
    on: bool = False
    kind: Literal["a", "b"] = "a"
    names: tuple[str, ...] = ()
    limit: float | None = None


def test_values_are_checked_and_converted() -> None:
    found = from_dict(Example, {"count": 3, "rate": 2, "names": ["y", "z"], "limit": 1}, "x.toml")
    assert found == Example(count=3, rate=2.0, names=("y", "z"), limit=1.0)
    assert isinstance(found.rate, float)
    assert from_dict(Example, to_dict(found), "x.toml") == found


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"count": 1, "colour": 2, "$HOME": 3},
            r"x.toml: unknown setting \$HOME, colour. Known settings are count, kind",
        ),
        ({}, "x.toml: setting count is missing"),
        ({"count": "3"}, r"x.toml, count: expected a whole number, found text \('3'\)"),
        ({"count": True}, r"x.toml, count: expected a whole number, found true or false \(True\)"),
        ({"count": 3.0}, r"x.toml, count: expected a whole number, found a number \(3.0\)"),
        ({"count": 1, "rate": "fast"}, "x.toml, rate: expected a number, found text"),
        ({"count": 1, "rate": True}, "x.toml, rate: expected a number, found true or false"),
        ({"count": 1, "rate": 10**400}, "x.toml, rate: is too large for a number"),
        ({"count": 1, "on": 1}, "x.toml, on: expected true or false, found a whole number"),
        ({"count": 1, "kind": "c"}, "x.toml, kind: expected one of a, b, found 'c'"),
        ({"count": 1, "kind": ["a"]}, "x.toml, kind: expected one of a, b"),
        ({"count": 1, "names": "y"}, "x.toml, names: expected a list, found text"),
        ({"count": 1, "names": [1]}, "x.toml, names: expected text, found a whole number"),
        ({"count": 1, "name": None}, "x.toml, name: expected text, found NoneType"),
        ([1], "x.toml: expected a table of settings"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_does_not_fit_is_said(values: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_dict(Example, values, "x.toml")


values = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=3),
)


@given(table=st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), values, max_size=4))
@example(table={"a": 'quote " backslash \\ \x7f \x00 \x1b \u2028 \x85 😀 $HOME %s'})
@example(table={"a": 1e300, "b": 1e-9, "c": math.inf, "d": 5e-324, "e": -0.0, "f": 1e16})
@settings(max_examples=150, deadline=None)
def test_toml_brings_values_back(table: dict[str, Any]) -> None:
    assert tomllib.loads(to_toml({"section": table})) == {"section": table}


def test_toml_leaves_out_what_it_has_no_word_for() -> None:
    assert to_toml({"a": {"x": None, "y": 1}, "b": {}}) == "[a]\ny = 1\n\n[b]\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[a", "is not valid TOML"),
        (b"\xff", "is not valid TOML"),
        (b"a = " + b"1" * 5_000, "is not valid TOML"),
        (b"a = " + b"[" * 3_000, "is not valid TOML"),
        (None, "cannot be read"),
    ],
)
def test_files_that_are_no_toml(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "x.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=rf"x.toml: .*{message}"):
        read_toml(tmp_path / "x.toml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("training.seed=2", ("training", "seed", 2)),
        ("training.learning_rate = 1e-3", ("training", "learning_rate", 0.001)),
        ("training.schedule=cosine", ("training", "schedule", "cosine")),
        ('training.schedule="cosine"', ("training", "schedule", "cosine")),
        ("a.b=c=d", ("a", "b", "c=d")),
        ("a.on=true", ("a", "on", True)),
        ("a.names=['x', 'y']", ("a", "names", ["x", "y"])),
        ("a.b=1\nc = 2", ("a", "b", "1\nc = 2")),
    ],
)
def test_single_settings(text: str, expected: tuple[str, str, Any]) -> None:
    assert parse_setting(text) == expected


@pytest.mark.parametrize("value", ["1" * 5_000, "[" * 3_000], ids=["long", "deep"])
def test_single_settings_that_break_the_parser(value: str) -> None:
    with pytest.raises(ConfigError, match=r"--set training\.seed: cannot be read"):
        parse_setting(f"training.seed={value}")


@pytest.mark.parametrize("text", ["seed=2", "training.seed", ".seed=2", "training.=2", ""])
def test_single_settings_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match=r"expected section.key=value, for example training.learning_rate=0.001"):
        parse_setting(text)


@pytest.mark.parametrize(
    ("tables", "arch", "message"),
    [
        ({"trainning": {}}, "", r"x.toml: unknown table \[trainning\]. Known are \[model\], \[tokens\]"),
        ({"training": {"sed": 1}}, "", r"x.toml, \[training\]: unknown setting sed"),
        ({"model": {"arch": "lstm"}}, "", "unknown architecture 'lstm'"),
        ({"model": {"vocab_size": 7}}, "rnn", r"x.toml, \[model\]: vocab_size stands in \[tokens\]"),
        ({"model": {"num_heads": 2}}, "rnn", r"x.toml, \[model\]: unknown setting num_heads"),
        ({"tokens": {"vocab_size": "many"}}, "", r"x.toml, \[tokens\], vocab_size: expected a whole number"),
        ({"training": 3}, "", r"x.toml: training must be a table of settings, \[training\], found 3"),
        ({"model": {"arch": ["rnn"]}}, "", "unknown architecture"),
        ({"data": {"dev_pairs": -1}}, "", r"\[data\]: data.dev_pairs must be at least 1, got -1"),
        (
            {"training": {"dev_metric": "accuracy"}},
            "",
            "dev_metric 'accuracy' says nothing of a translation. Known are",
        ),
        ({"training": {"layer_decay": 0.9}}, "", r"x.toml, \[training\]: layer_decay does nothing here: the layers"),
        ({"training": {"unfreeze_steps": 9}}, "gnmt", r"unfreeze_steps does nothing here"),
        ({"model": {"decoder_num_layers": -1}}, "", "decoder_num_layers must not be negative, got -1"),
    ],
    ids=str,
)
def test_settings_of_a_run_are_closed(tables: Any, arch: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        settings_from(tables, DataSettings(train=("x",)), 100, arch, "x.toml")


@pytest.mark.parametrize("arch", ["rnn", "rnnsearch", "gnmt"])
def test_new_recurrent_models_read_scaled_token_vectors_unless_told_otherwise(arch: str) -> None:
    data = DataSettings(train=("x",))
    assert settings_from({}, data, 100, arch, "x").model["scaled_embeddings"] is True
    told = settings_from({"model": {"scaled_embeddings": False}}, data, 100, arch, "x")
    assert told.model["scaled_embeddings"] is False


def test_usual_settings_follow_the_data_the_width_and_the_steps() -> None:
    data = DataSettings(train=("x",))

    def plan(pairs: int, arch: str = "transformer", **training: Any) -> TrainingPlan:
        return settings_from({"training": training}, data, pairs, arch, "x").training

    assert [plan(pairs).learning_rate for pairs in (20_000, 200_000, 2_000_000)] == [0.005, 0.0025, 0.00125]
    assert plan(2_000_000, learning_rate=0.004).learning_rate == 0.004
    assert plan(2_000_000, "rnn").learning_rate == plan(20_000, "rnn").learning_rate
    assert plan(20_000).warmup_steps == 2_000
    assert plan(20_000, max_steps=500).warmup_steps == 50
    assert plan(20_000, max_steps=500, warmup_steps=400).warmup_steps == 400
    assert [plan(pairs).patience for pairs in (20_000, 200_000)] == [10, 0]
    sizes = [settings_from({}, data, pairs, "", "x").tokens.vocab_size for pairs in (100, 10_000, 40_000, 60_000)]
    assert sizes == [500, 2_500, 8_000, 16_000]
    assert plan(20_000, dev_metric="loss").dev_metric == "loss"


def test_settings_of_a_run_come_back_from_toml() -> None:
    complete = settings_from({"training": {"seed": 5}}, DataSettings(train=("a", 'b"ü')), 100, "gnmt", "x")
    tables = tomllib.loads(complete.to_toml())
    data = from_dict(DataSettings, tables.pop("data"), "x")
    assert settings_from(tables, data, 10**6, "", "x") == complete
