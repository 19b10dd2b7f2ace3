"""Labelled texts: which column is what, what is skipped and why, and dev sets that share no text with train."""

import re
from pathlib import Path

import numpy as np
import pytest

from regard.data.columns import Columns
from regard.data.labelled import LabelTask, TagSpan, fingerprint, hold_out, load, num_shared, read_texts
from regard.errors import ConfigError, DataError

NONE = Columns()


def written(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


@pytest.mark.parametrize(
    ("name", "text", "columns"),
    [
        ("a.tsv", "good\tfine film\nbad\tdull\n", NONE),
        ("a.tsv", "Sentence\tid\tLabel\nfine film\t1\tgood\ndull\t2\tbad\n", NONE),
        ("a.csv", "stars,review\ngood,fine film\nbad,dull\n", Columns(label="stars", text=("review",))),
        ("a.tsv", "x\tfine\tgood\tfilm\ny\t\tbad\tdull\n", Columns(label="3", text=("2", "4"))),
        ("a.jsonl", '{"text": "fine film", "label": "good"}\n{"label": "bad", "text": "dull"}\n', NONE),
        ("a.jsonl", '{"t": "fine\\nfilm", "l": "good"}\n{"l": "bad", "t": "dull"}\n', Columns(label="l", text=("t",))),
    ],
)
def test_columns_by_place_by_name_and_by_habit(tmp_path: Path, name: str, text: str, columns: Columns) -> None:
    found = load([written(tmp_path, name, text)], "classify", columns)
    assert (found.texts, found.labels) == (["fine film", "dull"], ["good", "bad"])
    assert found.names() == ["bad", "good"]


def test_pairs_of_texts(tmp_path: Path) -> None:
    plain = written(tmp_path, "a.tsv", "1\tone\ttwo\n0\tthree\tfour\n")
    headed = written(tmp_path, "b.csv", "sentence1,sentence2,label\none,two,1\nthree,four,0\n")
    for path in (plain, headed):
        found = load([path], "pair", NONE)
        assert (found.texts, found.labels) == ([("one", "two"), ("three", "four")], ["1", "0"])
    assert load([plain], "classify", NONE).texts == ["one", "three"]
    turned = Columns(label="1", text=("3",), other="2")
    assert load([plain], "regress", turned).texts == [("two", "one"), ("four", "three")]


@pytest.mark.parametrize(
    ("task", "first"),
    [
        ("classify", "label,review"),
        ("classify", "Review,Sentiment"),
        ("classify", "id,review,stars"),
        ("pair", "premise,hypothesis,label"),
    ],
)
def test_a_heading_that_we_do_not_know_is_no_text(tmp_path: Path, task: LabelTask, first: str) -> None:
    rest = ",x" * (first.count(",") - 1)
    path = written(tmp_path, "a.csv", f"{first}\nfine film,good{rest}\ndull,bad{rest}\n")
    with pytest.raises(DataError, match=r"line 1: this looks like a heading.*--text.*or by their numbers"):
        load([path], task, NONE)
    by_number = Columns(label="2", text=("1",), other="3" if task == "pair" else "")
    assert len(load([path], task, by_number)) == 3, "who counts columns has seen them"


def test_what_was_read_from_where_is_told(tmp_path: Path) -> None:
    plain = written(tmp_path, "a.tsv", "good\tfine film\nbad\tdull\n")
    headed = written(tmp_path, "b.csv", "id,stars,review\n1,5,fine film\n")
    assert load([plain], "classify", NONE).what() == (
        "label from column 1, text from column 2; 2 different labels: bad, good"
    )
    named = load([headed], "classify", Columns(label="stars", text=("review",)))
    assert named.what() == "label from column 2, text from column 3; 1 different labels: 5"
    many = written(tmp_path, "c.tsv", "".join(f"l{number}\ta b\n" for number in range(10)))
    assert (
        load([many], "classify", NONE).what().endswith("10 different labels: l0, l1, l2, l3, l4, l5, l6, l7 and 2 more")
    )


def test_texts_that_dev_shares_with_train_are_counted(tmp_path: Path) -> None:
    train = load([written(tmp_path, "a.tsv", "x\tA fine film.\ty\nz\tdull\ty\n")], "classify", NONE)
    dev = load([written(tmp_path, "b.tsv", "z\ta fine film\ty\nz\tother\ty\nx\tdull!\ty\n")], "classify", NONE)
    assert num_shared(train, dev) == 2
    as_pairs = [load([str(tmp_path / name)], "pair", NONE) for name in ("a.tsv", "b.tsv")]
    assert num_shared(*as_pairs) == 2
    assert num_shared(as_pairs[0], dev) == 0, "a pair is another text than its first half"


def test_labels_that_are_numbers_keep_their_order(tmp_path: Path) -> None:
    rows = "".join(f'{{"label": {label}, "text": "a"}}\n' for label in (10, 9, 2.5, 10))
    assert load([written(tmp_path, "a.jsonl", rows)], "classify", NONE).names() == ["2.5", "9", "10"]


def test_the_order_of_labels_is_always_the_same(tmp_path: Path) -> None:
    """Also with "nan", which is no number to sort by: a set is in another order in each process."""
    labels = ["nan", "1", "2", "10", "3", "NaN", "no"]
    rows = "".join(f"{label}\ttext {number}\n" for number, label in enumerate(labels))
    found = load([written(tmp_path, "a.tsv", rows)], "classify", Columns(label="1", text=("2",)))
    assert found.names() == ["1", "2", "3", "10", "NaN", "nan", "no"]


def test_what_is_skipped_is_counted(tmp_path: Path) -> None:
    first = written(tmp_path, "a.tsv", "1\ta\n1\t \n\tb\n2\tc\n")
    second = written(tmp_path, "b.tsv", "2\td\n")
    found = load([first, f"{second}:2.5"], "classify", NONE)
    assert found.texts == ["a", "c", "d"]
    assert found.weights.tolist() == [1, 1, 2.5]
    assert found.line() == "read 5 rows, used 3, skipped 2 (empty 2)"
    with pytest.raises(DataError, match=r"no text with a label \(\{'empty': 1\}\)"):
        load([written(tmp_path, "c.tsv", "1\t\n")], "classify", NONE)


@pytest.mark.parametrize(
    ("name", "text", "task", "columns", "message"),
    [
        ("a.tsv", "1\ta\n2\n", "classify", NONE, r"a\.tsv, line 2: found 1 columns, expected 2 as in the first row"),
        ("a.jsonl", '{"label": 1, "text": "a"}\n{"label": 1}\n', "classify", NONE, "line 2: 1 keys; the key 'text'"),
        ("a.jsonl", '{"label": 1, "text": 2}\n', "classify", NONE, "line 1: the text is 2, a string was expected"),
        ("a.jsonl", '{"label": [], "text": "a"}\n', "classify", NONE, r"line 1: the label is \[\]"),
        (
            "a.jsonl",
            '{"stars": 1, "text": "a"}\n',
            "classify",
            NONE,
            "no label or no text column can be told; there",
        ),
        ("a.csv", "x,y\n1,a\n", "classify", Columns(label="z", text=("y",)), "no column 'z'; there are 'x', 'y'. Name"),
        ("a.csv", "label,text\n1,a\n", "pair", NONE, "no label or no text column.*--label and --text and --other"),
        ("a.tsv", "1\ta\nnan\tb\n", "regress", NONE, r"a\.tsv, line 2: the label 'nan' is no finite number"),
        ("a.tsv", "good\ta\n", "regress", NONE, "line 1: the label 'good' is no finite number, as --task regress"),
        ("a.csv", "label,text\n1,a, b\n", "classify", NONE, "line 2: found 3 columns, expected 2 as in the first row"),
        ("a.tsv", "1\ta\n2\tb\tc\n", "classify", NONE, "line 2: found 3 columns, expected 2 as in the first row"),
        ("a.csv", "label;text\n1;a, b\n", "classify", NONE, "line 1: 'label;text' is one column; in .csv commas part"),
        ("a.csv", "label;text\n1;a\n", "classify", Columns(label="label", text=("text",)), "parted by semicolons"),
        (
            "a.csv",
            "label\ttext\n1\ta\n",
            "classify",
            NONE,
            "parted by tabs. Save the file with commas, or name it .tsv",
        ),
        (
            "a.jsonl",
            '{"tokens": ["a", "b"], "ner_tags": [0, 3]}\n',
            "tag",
            NONE,
            r"line 1: 'ner_tags' are numbers \(\[0, 3\]\), names were expected, such as 'B-PER'",
        ),
        ("a.jsonl", '{"tokens": ["a"], "tags": []}\n', "tag", NONE, "line 1: no 'tokens' and 'tags' that are lists"),
    ],
)
def test_what_cannot_be_used_is_told(
    tmp_path: Path, name: str, text: str, task: LabelTask, columns: Columns, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        load([written(tmp_path, name, text)], task, columns)


def test_columns_are_names_or_numbers() -> None:
    with pytest.raises(ConfigError, match="columns 1, text: give names only, or numbers only"):
        Columns(label="1", text=("text",))
    for zero in ("0", "00"):
        with pytest.raises(ConfigError, match="columns are counted from 1"):
            Columns(label=zero)


def test_tags_keep_the_characters_they_stand_on(tmp_path: Path) -> None:
    conll = written(tmp_path, "a.conll", "New York\tB-LOC\nis\tO\n\nup\tO\n")
    lists = written(tmp_path, "a.jsonl", '{"tokens": ["New York", "is"], "ner_tags": ["B-LOC", "O"]}\n')
    for path, count in ((conll, 2), (lists, 1)):
        found = load([path], "tag", NONE)
        assert (found.texts[0], len(found)) == ("New York is", count)
        assert found.labels[0] == (TagSpan(0, 8, "B-LOC"), TagSpan(9, 11, "O"))
        assert found.names() == ["B-LOC", "O"]


def test_keys_of_words_and_tags_are_those_that_were_named(tmp_path: Path) -> None:
    line = '{"tokens": ["a", "b"], "pos_tags": ["DET", "NOUN"], "ner_tags": ["O", "O"]}\n'
    path = written(tmp_path, "a.jsonl", line)
    assert load([path], "tag", NONE).names() == ["O"]
    assert load([path], "tag", Columns(label="pos_tags", text=("tokens",))).names() == ["DET", "NOUN"]
    conll = written(tmp_path, "a.conll", "a DET\n")
    for name, columns, told in (
        (path, Columns(label="upos"), "no column 'upos'; there are 'tokens', 'pos_tags', 'ner_tags'"),
        (path, Columns(text=("words",)), "no column 'words'"),
        (path, Columns(other="pos_tags"), "Expected one --label and one --text"),
        (path, Columns(text=("tokens", "pos_tags")), "Expected one --label and one --text"),
        (conll, Columns(label="2"), "Expected no column"),
    ):
        with pytest.raises(DataError, match=told):
            load([name], "tag", columns)


def test_a_row_without_the_second_text_that_was_asked_for_is_left_out(tmp_path: Path) -> None:
    path = written(tmp_path, "a.tsv", "label\ttext\tcontext\nx\tfirst\t\ny\tsecond\tits context\n")
    rows = load([path], "classify", Columns(label="label", text=("text",), other="context"))
    assert (rows.texts, rows.labels, rows.skipped) == ([("second", "its context")], ["y"], {"empty": 1})


def test_labels_are_of_one_line(tmp_path: Path) -> None:
    rows = written(tmp_path, "a.csv", '"very\ngood",a\n"so\tso",b\n')
    assert load([rows], "classify", NONE).labels == ["very good", "so so"]
    lists = written(tmp_path, "a.jsonl", '{"words": ["a"], "tags": ["B-\\nX\\tY"]}\n')
    assert load([lists], "tag", NONE).names() == ["B- X Y"]


@pytest.mark.parametrize(
    ("name", "text", "columns", "expected"),
    [
        ("a.tsv", "Label\tSentence\n1\ta b\n0\t\n", NONE, [(2, "a b"), (3, "")]),
        ("a.csv", "text\na\n", NONE, [(2, "a")]),
        ("a.csv", 'a; b\n\n"c,\nd"\ne\n', NONE, [(1, "a; b"), (3, "c, d"), (5, "e")]),
        ("a.csv", "x;y\n", Columns(text=("1",)), [(1, "x;y")]),
        ("a.tsv", "a\tb\tc\n", Columns(text=("3", "1")), [(1, "c a")]),
        ("a.csv", "title,body\na,b\n", Columns(text=("title", "body")), [(2, "a b")]),
        ("a.jsonl", '{"label": 3, "sentence": "a"}\n{"sentence": "b"}\n', NONE, [(1, "a"), (2, "b")]),
        ("a.jsonl", '{"t": "a"}\n', Columns(text=("t",)), [(1, "a")]),
    ],
)
def test_texts_without_labels(
    tmp_path: Path, name: str, text: str, columns: Columns, expected: list[tuple[int, str]]
) -> None:
    assert list(read_texts(Path(written(tmp_path, name, text)), columns, pair=False)) == expected


@pytest.mark.parametrize(
    ("name", "text", "columns"),
    [
        ("a.tsv", "a\tb\n", NONE),
        ("a.csv", "label,sentence2,sentence1\n1,b,a\n", NONE),
        ("a.tsv", "1\tb\ta\n", Columns(text=("3",), other="2")),
        ("a.jsonl", '{"p": "a", "h": "b"}\n', Columns(text=("p",), other="h")),
    ],
)
def test_pairs_without_labels(tmp_path: Path, name: str, text: str, columns: Columns) -> None:
    found = read_texts(Path(written(tmp_path, name, text)), columns, pair=True)
    assert [pair for _, pair in found] == [("a", "b")]


@pytest.mark.parametrize(
    ("name", "text", "columns", "pair", "message"),
    [
        ("a.tsv", "1\ta\n", NONE, False, r"a\.tsv, line 1: it cannot be told which column is the text; found 2: '1'"),
        ("a.tsv", "1\ta\n", NONE, False, r"Name the text with --text, each by its name in the heading or by number"),
        ("a.csv", "Review\na\n", NONE, False, r"which column is the text; found 1: 'Review'"),
        ("a.csv", "premise,hypothesis\na,b\n", NONE, True, r"found 2: 'premise', 'hypothesis'"),
        ("a.tsv", "1\ta\tb\n", NONE, True, r"which columns are the two texts; found 3.*with --text and --other"),
        ("a.tsv", "a\n", NONE, True, r"which columns are the two texts; found 1"),
        ("a.tsv", "a\tb\n", Columns(text=("1",)), True, r"which columns are the two texts"),
        ("a.csv", "x,y\na,b\n", Columns(text=("z",)), False, r"no column 'z'; found 2: 'x', 'y'"),
        ("a.csv", "x,text\na,b\n", Columns(other="z"), True, r"no column 'z'"),
        (
            "a.jsonl",
            '{"review": "a"}\n',
            NONE,
            False,
            r"found 1: 'review'\. Name the text with --text, each by its key",
        ),
        ("a.jsonl", '{"words": ["a"]}\n', NONE, False, r"found 1: 'words'\..*For tags of lists of words give --words"),
        (
            "a.jsonl",
            '{"text": ["a"]}\n',
            NONE,
            False,
            r"a string was expected\. For tags of a list of words give --words",
        ),
        ("a.csv", "text;label\na;1\n", NONE, False, r"parted by semicolons"),
        ("a.csv", "text;label\na;1\n", Columns(text=("text",)), False, r"parted by semicolons"),
        ("a.tsv", "a\tb\n", Columns(text=("3",)), False, r"at least 3 columns were expected.*with --text and --other"),
        ("a.csv", "text\na\nb, c\n", NONE, False, r"a\.csv, line 3: found 2 columns, expected 1 as in the first row"),
        ("a.jsonl", '{"text": null}\n', NONE, False, r"line 1: the text is None, a string was expected"),
        ("a.jsonl", '{"text": "\\ud83d"}\n', NONE, False, r"line 1: a row with half a character cannot be used"),
    ],
)
def test_texts_that_cannot_be_told_are_refused(
    tmp_path: Path, name: str, text: str, columns: Columns, pair: bool, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        list(read_texts(Path(written(tmp_path, name, text)), columns, pair=pair))


@pytest.mark.parametrize(
    ("line", "columns"),
    [
        ('{"tokens": ["EU", " rejects"], "ner_tags": ["B-ORG", "O"]}', NONE),
        ('{"id": 1, "text": "The EU", "words": ["EU", "rejects"]}', NONE),
        ('{"split": ["EU", "rejects"], "text": "The EU"}', Columns(text=("split",))),
        ('{"text": "EU rejects"}', NONE),
    ],
)
def test_words_to_be_tagged(tmp_path: Path, line: str, columns: Columns) -> None:
    assert list(read_texts(Path(written(tmp_path, "a.jsonl", line)), columns, pair=False, words=True)) == [
        (1, "EU rejects")
    ]


@pytest.mark.parametrize("word", ["New York", "a\\u00a0\\tb", ""])
def test_what_is_no_word_is_not_tagged(tmp_path: Path, word: str) -> None:
    path = written(tmp_path, "a.jsonl", f'{{"words": ["a"]}}\n{{"words": ["in", "{word}"]}}\n')
    with pytest.raises(DataError, match=r"a\.jsonl, line 2: word 2 is .*words without spaces were expected"):
        list(read_texts(Path(path), NONE, pair=False, words=True))


def test_dev_shares_no_text_with_train(tmp_path: Path) -> None:
    rows = "".join(f"{number % 2}\tText {number % 90}{'!' if number > 89 else ''}\n" for number in range(120))
    found = load([written(tmp_path, "a.tsv", rows)], "classify", NONE)
    train, dev, dropped = hold_out(found, 10, 1)
    assert len(train) + len(dev) + dropped == 120
    assert 5 <= len(dev) <= 10
    bare = [{re.sub("!", "", str(text)).lower() for text in part.texts} for part in (train, dev)]
    assert not bare[0] & bare[1]
    assert hold_out(found, 10, 1)[1].texts == dev.texts != hold_out(found, 10, 2)[1].texts


def test_a_fingerprint_sees_every_change(tmp_path: Path) -> None:
    found = load([written(tmp_path, "a.tsv", "1\ta\tb\n2\tc\td\n")], "pair", NONE)
    prints = {fingerprint(found), fingerprint(found.select(np.array([1, 0]))), fingerprint(found.select(np.array([0])))}
    found.labels[0] = "3"
    prints.add(fingerprint(found))
    found.weights[0] = 2
    assert len(prints | {fingerprint(found)}) == 5
