"""TSV, JSONL and plain pairs, and which reader a name gets."""

import json
from pathlib import Path

import pytest

from regard import formats
from regard.errors import DataError
from regard.formats import Row

LONG = "x" * 1_000_001


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def read(*paths: Path, source: str | None = None, target: str | None = None) -> list[Row]:
    return list(formats.read_pairs(paths, source, target))


def test_plain_pairs(tmp_path: Path):
    en, pt = write(tmp_path, "a.en", f"one\n\n{LONG}\nfour"), write(tmp_path, "a.pt", "um\ndois\ntrês\nquatro\n")
    rows = [Row(1, "one", "um"), Row(2, "", "dois"), Row(3, "", "", "too long"), Row(4, "four", "quatro")]
    assert read(en, pt) == rows


@pytest.mark.parametrize(("extra", "swap"), [(1, False), (1, True), (3, True)])
def test_unequal_line_counts_name_both_files_and_the_first_line_alone(tmp_path: Path, extra: int, swap: bool):
    short, long = write(tmp_path, "short.en", "a\nb\n"), write(tmp_path, "long.pt", "a\nb\n" + f"{LONG}\n" * extra)
    paths = [long, short] if swap else [short, long]
    with pytest.raises(DataError) as caught:
        read(*paths)
    message = str(caught.value)
    lines = {short: 2, long: 2 + extra}
    assert message.startswith(f"{paths[0]} has {lines[paths[0]]} lines, {paths[1]} has {lines[paths[1]]}. ")
    assert f"Line 3 of {long} is the first without a partner" in message


def test_tsv(tmp_path: Path):
    path = write(tmp_path, "a.tsv", f'"Hi"\t"Oi"\tthird\r\n\tempty\n{LONG}\t{LONG}\nx\ty\u2028z\n')
    expected = [Row(1, '"Hi"', '"Oi"'), Row(2, "", "empty"), Row(3, "", "", "too long"), Row(4, "x", "y\u2028z")]
    assert read(path) == expected


@pytest.mark.parametrize(("line", "found"), [("no tab", "no tab in 'no tab'"), ("", "an empty line")])
def test_tsv_line_without_two_columns(tmp_path: Path, line: str, found: str):
    with pytest.raises(DataError, match=rf"a\.tsv, line 2: {found}\. Each line must be a source, a tab and a target"):
        read(write(tmp_path, "a.tsv", f"a\tb\n{line}\nc\td\n"))


def test_jsonl_shapes(tmp_path: Path):
    lines = [{"src": "a", "tgt": "b"}, {"source": "c", "target": "d\ne"}, {"translation": {"en": "f", "pt": "g"}}]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    assert read(write(tmp_path, "a.jsonl", text)) == [Row(1, "a", "b"), Row(2, "c", "d e"), Row(3, "f", "g")]


def test_jsonl_languages_are_those_asked_for_or_those_of_the_first_line(tmp_path: Path):
    lines = [{"en": "a", "pt-BR": "b"}, {"pt-BR": "d", "en": "c"}]
    path = write(tmp_path, "a.jsonl", "".join(json.dumps({"translation": line}) + "\n" for line in lines))
    assert read(path) == [Row(1, "a", "b"), Row(2, "c", "d")]
    assert read(path, source="pt", target="en") == [Row(1, "b", "a"), Row(2, "d", "c")]
    assert read(path, target="EN") == [Row(1, "b", "a"), Row(2, "d", "c")]
    with pytest.raises(DataError, match=r"line 1: .*'en', 'pt-BR', en and fr expected.*--from and --to"):
        read(path, source="en", target="fr")


def test_jsonl_half_surrogates_are_unusable_and_whole_ones_are_not(tmp_path: Path):
    text = '{"src": "a\\ud800b", "tgt": "c"}\n{"src": "\\ud83d\\ude00", "tgt": "d"}\n'
    rows = read(write(tmp_path, "a.jsonl", text))
    assert rows == [Row(1, "a\ufffdb", "c", "control characters"), Row(2, "😀", "d")]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('["a", "b"]', "a list"),
        ('"text"', "a string"),
        ("7", "a number"),
        ("null", "null"),
        ("{", "not JSON"),
        ("", "an empty line"),
        ('{"src": "a"}', "an object with the keys 'src'"),
        ("{}", "an object with no keys"),
        ('{"src": "a", "tgt": 3}', "the target is a number"),
        ('{"source": null, "target": "b"}', "the source is null"),
        ('{"translation": {"en": "a"}}', "the keys 'en', exactly two languages expected"),
        ("[" * 100_000, "not JSON"),
        ('{"src": ' + "9" * 5000 + "}", "not JSON"),
    ],
)
def test_jsonl_errors_say_what_was_found(tmp_path: Path, line: str, found: str):
    path = write(tmp_path, "a.jsonl", f'{{"src": "a", "tgt": "b"}}\n{line}\n')
    with pytest.raises(DataError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}, line 2: ")
    assert found in str(caught.value)
    assert len(str(caught.value)) < 700


def test_kind_is_told_by_the_name(tmp_path: Path):
    names = {
        "a.tsv": "tsv",
        "a.JSONL.xz": "jsonl",
        "a.tmx.gz": "tmx",
        "a.po": "po",
        "a.pt": "plain",
        "a.tsv:2": "tsv",
        ".": "plain",
        "/": "plain",
        "": "plain",
    }
    assert {name: formats.kind(tmp_path / name) for name in names} == names
    with pytest.raises(DataError, match="a plain text file holds one side only"):
        read(write(tmp_path, "a.pt", "x\n"))
