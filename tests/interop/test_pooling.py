"""What a folder of `sentence-transformers` says about reading whole texts."""

import json
from pathlib import Path
from typing import Any

import pytest

from regard.errors import ModelError
from regard.interop import pooling


def write(folder: Path, said: Any) -> Path:
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(said))
    return folder


OLD = {"word_embedding_dimension": 384, "pooling_mode_cls_token": False, "pooling_mode_max_tokens": False}


@pytest.mark.parametrize(
    ("said", "pool"),
    [
        ({**OLD, "pooling_mode_mean_tokens": True}, "mean"),
        ({**OLD, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "first"),
        ({"embedding_dimension": 384, "pooling_mode": "mean", "include_prompt": True}, "mean"),
        ({"embedding_dimension": 384, "pooling_mode": "cls"}, "first"),
        ({"pooling_mode": ["mean"]}, "mean"),
        ({"word_embedding_dimension": 384}, "mean"),  # what is not said is a mean there
    ],
)
def test_the_mean_and_the_first_token_are_known(tmp_path: Path, said: dict[str, Any], pool: str) -> None:
    assert pooling.read(write(tmp_path, said)) == (pool, [])


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({**OLD, "pooling_mode_max_tokens": True}, "read by max,"),
        ({"pooling_mode": "lasttoken"}, "read by lasttoken,"),
        ({**OLD, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}, "read by cls and mean,"),
    ],
)
def test_another_way_is_told(tmp_path: Path, said: dict[str, Any], named: str) -> None:
    pool, (doubt,) = pooling.read(write(tmp_path, said))
    assert pool == "first"
    assert named in doubt


def test_a_plain_folder_says_nothing(tmp_path: Path) -> None:
    assert pooling.read(tmp_path) == ("first", [])


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (["mean"], "holds list, expected a table"),
        ({**OLD, "pooling_mode_median": True}, r"unknown setting pooling_mode_median \(True\)"),
        ({"pooling_mode": "median"}, "pooling_mode is 'median', expected cls, max, mean"),
        ({"pooling_mode": [7]}, "pooling_mode is 7, expected cls"),
        ({"pooling_mode": {"mean": True}}, "pooling_mode is {'mean': True}, expected cls"),
        ({"pooling_mode": [["mean"]]}, r"pooling_mode is \['mean'\], expected cls"),
    ],
)
def test_a_broken_file_is_refused_by_name(tmp_path: Path, said: Any, message: str) -> None:
    with pytest.raises(ModelError, match=f"1_Pooling/config.json: {message}"):
        pooling.read(write(tmp_path, said))
