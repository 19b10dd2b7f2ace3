"""CSV, TSV, JSON lines and CoNLL columns as they come, and errors that say where."""

import gzip
from pathlib import Path

import pytest

from regard.errors import DataError
from regard.formats.tables import Record, Sentence, read_records, read_sentences


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_csv_keeps_quotes_commas_and_line_breaks(tmp_path: Path) -> None:
    text = 'label,text\r\n1,"a, ""b""\nc"\r\n\r\n2,\tplain \x0b\x85\n'
    found = list(read_records(written(tmp_path, "a.csv", text)))
    assert found == [
        Record(1, ["label", "text"]),
        Record(2, ["1", 'a, "b"\nc']),
        Record(5, ["2", "\tplain \x0b\x85"]),
    ]


def test_tsv_has_no_quoting(tmp_path: Path) -> None:
    path = written(tmp_path, "a.tsv.gz", gzip.compress(b'1\t"a\tb"\n\n2\tc'))
    assert list(read_records(path)) == [Record(1, ["1", '"a', 'b"']), Record(2, [""]), Record(3, ["2", "c"])]


def test_json_lines(tmp_path: Path) -> None:
    assert list(read_records(written(tmp_path, "a.jsonl", '{"label": 1, "text": "a\\nb"}\n'))) == [
        Record(1, {"label": 1, "text": "a\nb"})
    ]


def test_half_a_character_makes_a_line_unusable(tmp_path: Path) -> None:
    text = '{"text": "broken \\ud83d emoji"}\n{"text": "whole \\ud83d\\ude00"}\n{"\\udc00": 1}\n'
    found = list(read_records(written(tmp_path, "a.jsonl", text)))
    assert [record.unusable for record in found] == ["with half a character", None, "with half a character"]
    assert found[1].values == {"text": "whole 😀"}


def test_white_space_within_a_word_stays(tmp_path: Path) -> None:
    text = "10\u00a0000 B-NUM\na\u3000b O\nx  NN\tI\r\n"
    (sentence,) = read_sentences(written(tmp_path, "a.conll", text))
    assert (sentence.words, sentence.tags) == (["10\u00a0000", "a\u3000b", "x  NN"], ["B-NUM", "O", "I"])


def test_a_line_too_long_to_hold_is_said(tmp_path: Path) -> None:
    path = written(tmp_path, "a.tsv", "1\ta\n1\t" + "b" * 1_000_001 + "\n2\tc\n")
    assert [(record.line, record.unusable) for record in read_records(path)] == [(1, None), (2, "too long"), (3, None)]
    with pytest.raises(DataError, match=r"a.csv, line 2: longer than 1,000,000 bytes"):
        list(read_records(written(tmp_path, "a.csv", path.read_bytes())))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", 'a,b\n1,"never closed\n2,c\n', r"a\.csv, line 2: not CSV \(unexpected end of data\)"),
        ("a.csv", '"a";"b"\n', r"a\.csv, line 1: not CSV .*columns are parted by commas"),
        ("a.csv", 'a,b\n1,"x"y\n', r"a\.csv, line 2: not CSV .*Repair the row, or use \.tsv"),
        ("a.jsonl", '{"a": 1}\n[1]\n', r"a\.jsonl, line 2: '\[1\]' is no JSON object"),
        ("a.jsonl", '{"a": 1\n', r"a\.jsonl, line 1: not JSON"),
        ("a.jsonl", '{"a": 1}\n\n', r"a\.jsonl, line 2: an empty line"),
        ("a.tsv", b"1\ta\n2\t\xff\n", r"a\.tsv, line 2: byte 0xff at offset 6 is not UTF-8"),
        (
            "a.txt",
            "1\ta\n",
            r"a\.txt: a table of labelled texts was expected.* \.csv, \.tsv, \.jsonl",
        ),
        ("a.csv", "", r"a\.csv: the file is empty"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(read_records(written(tmp_path, name, content)))


def test_sentences_of_words_and_tags(tmp_path: Path) -> None:
    text = "-DOCSTART- -X- O O\n\n# sent_id = 1\n# text = EU rejects\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n"
    text += "\n \nNew York\tB-LOC\r\n.\tO"
    assert list(read_sentences(written(tmp_path, "a.conll", text))) == [
        Sentence(5, ["EU", "rejects"], ["B-ORG", "O"]),
        Sentence(9, ["New York", "."], ["B-LOC", "O"]),
    ]
    with pytest.raises(DataError, match=r"a\.conll, line 2: 'alone' is not a word and its tag"):
        list(read_sentences(written(tmp_path, "a.conll", "EU\tO\nalone\n")))
