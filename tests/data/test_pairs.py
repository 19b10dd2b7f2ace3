"""What DATA means, the filters with their reasons, fingerprints."""

import dataclasses
import json
import os
import sys
import types
from collections import Counter
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regard.data.filters import REASONS, Filters, RowFilter, has_control_characters, main_script
from regard.data.pairs import (
    DataSource,
    PairSet,
    check_apart,
    draw_world,
    fingerprint,
    load,
    parse_data,
    read,
)
from regard.errors import ConfigError, DataError
from regard.formats import Row

ENGLISH = ["one house is red", "two dogs sleep here", "three birds sing now", "four ships sail away"]
PORTUGUESE = ["uma casa é vermelha", "dois cães dormem aqui", "três aves cantam agora", "quatro navios partem"]


def write(folder: Path, name: str, lines: Iterable[str]) -> Path:
    path = folder / name
    path.write_bytes("".join(line + "\n" for line in lines).encode())
    return path


def reasons(pairs: Iterable[tuple[str, str]], filters: Filters | None = None) -> list[str | None]:
    """The verdict on each pair; that read = used + skipped is checked on the way."""
    row_filter = RowFilter(filters or Filters(), ["a"])
    found = [reason for _, _, reason in row_filter.apply((0, Row(n, *pair)) for n, pair in enumerate(pairs, 1))]
    total = row_filter.report.total
    assert (total.read, total.used) == (len(found), found.count(None))
    assert total.skipped == Counter(reason for reason in found if reason)
    return found


# Word alignments


def test_links_stay_with_their_pairs(tmp_path: Path):
    path = write(tmp_path, "a.tsv", ["a b c\td e f", "\tno source", "g h i\tj k l", "m n o\tp q r"])
    links = write(tmp_path, "a.links", ["2-0 0-1 1?1", "not links of a pair", "", "1-1"])
    pairs, report = load([str(path)], alignments=links)
    assert (report.total.read, pairs.sources) == (4, ["a b c", "g h i", "m n o"])
    assert pairs.links == ["0-1 2-0", "", "1-1"], "in order, sure ones alone"
    assert pairs.select(numpy.array([2, 0])).links == ["1-1", "0-1 2-0"]
    assert pairs.turned().links == ["0-2 1-0", "", "1-1"]
    assert pairs.turned().sources == pairs.targets
    plain, _ = load([str(path)])
    assert plain.links is None
    assert fingerprint(plain) != fingerprint(pairs) != fingerprint(dataclasses.replace(pairs, links=["", "", "1-1"]))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["0-0"], r"a\.links: ends before .*a\.tsv:2\. The file needs a line of links for each row"),
        (["0-0", "0-0", "0-0"], r"a\.links: has more than 2 lines\. The file needs a line of links for each row"),
        (["0-0", "0:1"], r"a\.links, line 2: '0:1' is not a link; expected i-j"),
        (["2-3", "0-0"], r"a\.links, line 1: the link 2-3, but .*a\.tsv:1 has 3 and 3 words"),
    ],
)
def test_links_of_other_data_are_refused(tmp_path: Path, lines: list[str], message: str):
    path = write(tmp_path, "a.tsv", ["a b c\td e f", "g h i\tj k l"])
    with pytest.raises(DataError, match=message):
        load([str(path)], alignments=write(tmp_path, "a.links", lines))


# What DATA means


def test_data_of_every_kind(tmp_path: Path):
    en, pt = str(tmp_path / "a.en"), str(tmp_path / "a.pt")
    sources = parse_data(
        [en, f"{pt}:0.5", "b.tsv.gz:3", "c.tmx", "world:7", "world", "world-dev:5", "world:2000000", "d.PO"]
    )
    assert [(source.name, source.weight) for source in sources] == [
        (f"{en} + {pt}", 0.5),
        ("b.tsv.gz", 3.0),
        ("c.tmx", 1.0),
        ("world:7", 1.0),
        ("world:20000", 1.0),
        ("world-dev:5", 1.0),
        ("world:2000000", 1.0),
        ("d.PO", 1.0),
    ]


def test_a_file_whose_name_ends_like_a_weight(tmp_path: Path):
    path = write(tmp_path, "a.tsv:2", ["x\ty"])
    assert parse_data([str(path)]) == [DataSource((path,))]
    assert parse_data([f"{path}:3"]) == [DataSource((path,), weight=3.0)]
    assert load([str(path)], filters=Filters.none())[0].targets == ["y"]


@pytest.mark.parametrize(
    ("dev", "test", "same"),
    [
        (["a.tsv"], ["a.tsv"], True),
        (["a.tsv"], ["b.tsv", "./a.tsv:2"], True),
        (["a.tsv"], ["b.tsv"], False),
        (["missing.tsv"], ["missing.tsv"], False),  # that it is missing is for its reader to say
        (["world:9"], ["world:9"], False),  # dev and test of the corpus
        (["world-test:9"], ["world-test:90"], True),
        (["world:9"], ["world-dev:90"], True),
        (["world-test"], ["world:5"], True),
        (["a.tsv"], ["world:5"], False),
        ([], ["a.tsv"], False),
    ],
)
def test_what_is_chosen_on_is_not_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dev: list[str], test: list[str], same: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.tsv", "b.tsv"):
        (tmp_path / name).write_text("a\tb\n")
    with pytest.raises(DataError, match="what is chosen on would be measured too") if same else nullcontext():
        check_apart(dev, test)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "No data was named"),
        (["missing"], "missing: there is no such file"),
        (["a.en"], r"a\.en: a plain text file without a partner"),
        (["a.en", "b.tsv"], r"a\.en: a plain text file without a partner"),
        (["a.en", "world"], r"a\.en: a plain text file without a partner"),
        (["a.en:2", "a.pt"], r"a\.en:2: a weight on the first of two .* write a\.en OTHER:2\."),
        (["a.tsv:0"], r"a\.tsv:0: the weight is 0\. It must be a positive number"),
        (["a.tsv:-1"], "the weight is -1"),
        (["a.tsv:nan"], "the weight is nan"),
        (["a.tsv:inf"], "the weight is inf"),
        (["a.tsv:1e39"], "the weight is 1e39. It must be a positive number from 1e-06 to 1,000,000"),
        (["a.tsv:1e-50"], "the weight is 1e-50"),
        (["."], "a plain text file without a partner"),
        ([f"{'a' * 300}:0"], "the weight is 0"),
        (["world:0"], "world:0: '0' is not a number of pairs"),
        (["world:many"], "'many' is not a number of pairs"),
        (["world-test:"], "world-test:: '' is not a number of pairs. world-test:N takes"),
        (["world-mine:3"], "world-mine:3: a weight on the first of two aligned files"),
    ],
)
def test_data_that_means_nothing(arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "a.en", ENGLISH)
    with pytest.raises(DataError, match=message):
        parse_data(arguments)


def test_load_keeps_order_weights_and_places(tmp_path: Path):
    en, pt = write(tmp_path, "a.en", ENGLISH), write(tmp_path, "a.pt", ["", *PORTUGUESE[1:]])
    tsv = write(tmp_path, "b.tsv", ["Hi\tOi", "two dogs sleep here\tdois cães dormem aqui"])
    pairs, report = load([str(en), f"{pt}:2", f"{tsv}:0.5"])
    assert pairs.sources == [*ENGLISH[1:], "Hi"]
    assert pairs.weights.tolist() == [2, 2, 2, 0.5]
    assert pairs.weights.dtype == numpy.float32
    assert [pairs.where(index) for index in (0, 3)] == [f"{en}:2", f"{tsv}:1"]
    assert pairs[3].target == "Oi"
    assert report.lines() == [
        "read 6 · used 4 · skipped 2: duplicate 1, empty 1",
        f"  {en} + {pt}: read 4 · used 3 · skipped 1: empty 1",
        f"  {tsv}: read 2 · used 1 · skipped 1: duplicate 1",
    ]
    assert json.loads(json.dumps(report.to_json()))["total"]["skipped"] == {"empty": 1, "duplicate": 1}


def test_load_says_when_nothing_is_left(tmp_path: Path):
    with pytest.raises(DataError, match=r"no pair can be used \(read 2 · used 0 · skipped 2: empty 2\)"):
        load([str(write(tmp_path, "a.tsv", ["\tx", "y\t "]))])


def test_missing_files_are_told_when_read():
    with pytest.raises(DataError, match=r"nowhere\.tsv: there is no such file"):
        list(read(parse_data(["nowhere.tsv:2"])))


def test_the_built_in_corpus_gets_count_split_and_seed(monkeypatch: pytest.MonkeyPatch):
    def generate(split: str, count: int, *, seed: int, same_gender_share: float):
        assert same_gender_share == 0
        return (types.SimpleNamespace(source=f"{split} {seed}", target=f"number {n}") for n in range(count))

    monkeypatch.setitem(
        sys.modules, "regard.data.world", types.SimpleNamespace(generate=generate, SAME_GENDER_SHARE=0.4)
    )
    monkeypatch.setattr("regard.data.world", sys.modules["regard.data.world"], raising=False)
    pairs, _ = load(["world:3"], split="dev", seed=5)
    assert pairs.sources == ["dev 5"] * 3
    assert pairs.where(2) == "world:3"


def test_the_built_in_corpus_is_drawn_with_its_gold_where_it_stands_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    drawn = draw_world(["world:12"], "test")
    assert drawn is not None
    loaded, _ = load(["world:12"], filters=Filters.none(), split="test")
    ours = PairSet.of_world(drawn)
    assert (fingerprint(ours), ours.where(11)) == (fingerprint(loaded), loaded.where(11))
    write(tmp_path, "world:3", ["a\tb"])
    monkeypatch.chdir(tmp_path)
    assert draw_world(["world:12", "world:12"], "test") is draw_world(["a.tsv"], "test") is None
    assert draw_world(["world:3"], "test") is None, "a file of that name"


def test_the_data_may_name_a_split_of_the_built_in_corpus() -> None:
    for split in ("train", "dev", "test"):
        expected = draw_world(["world:5"], split)
        named, _ = load([f"world-{split}:5"], filters=Filters.none(), split="test" if split == "dev" else "dev")
        assert draw_world([f"world-{split}:5"], "test" if split == "dev" else "dev") == expected
        assert named.where(4) == f"world-{split}:5"
        same = load(["world:5"], filters=Filters.none(), split=split)[0]
        assert named.sources == same.sources


# Filters


def test_each_reason_by_name():
    long_side = "a word or two more than the other side could ever need to say that it is so"
    pairs = [
        ("good morning to you", "bom dia para você"),
        ("", "nada"),
        ("\u3000 ", "nada"),
        ("x" * 1_000_000, "comprido"),
        ("w " * 251, "muitas"),
        (long_side, "sim"),
        ("the very same text", "the very same text"),
        ("bad \x00 byte", "mau"),
        ("decoded \ufffd wrongly", "mal"),
        ("good morning to you", "bom dia para você"),
    ]
    expected = [None, "empty", "empty", "too long", "too long", "length ratio", "identical"]
    assert reasons(pairs) == [*expected, "control characters", "control characters", "duplicate"]


def test_without_filters_all_that_has_two_sides_is_used():
    pairs = [("a b c d", "a b c d")] * 2 + [("x" * 10_000, "y"), ("\x00", "z"), ("", "z")]
    assert reasons(pairs, Filters.none()) == [None] * 4 + ["empty"]


def test_unusable_rows_pass_no_setting():
    row_filter = RowFilter(Filters.none(), ["a"])
    rows = [(0, Row(1, "", "", "too long")), (0, Row(2, "a\ufffd", "b", "control characters"))]
    assert [reason for *_, reason in row_filter.apply(rows)] == ["too long", "control characters"]


def test_a_ratio_in_one_measure_alone_is_no_reason():
    pairs = [
        ("the weather will be fine in the whole country tomorrow, with a light wind", "明天全国天气晴朗，有微风"),
        ("a b c d e f g h i j k l", "alpha bravo charlie delta echo foxtrot golf hotel india juliett kilogramme lima"),
        ("अ" * 30, "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"),
    ]
    assert reasons(pairs) == [None] * 3


def test_names_numbers_and_code_may_stay_as_they_are():
    assert reasons([("Paris", "Paris"), ("New York", "New York"), ("1 2 3 4 5", "1 2 3 4 5"), ("!", "!")]) == [None] * 4


@pytest.mark.parametrize(
    "pair",
    [
        ("{n} the twenty-first of march nineteen hundred and ninety-nine after noon", "1999-03-21 {n}"),
        ("{n}", "{n} one hundred and twenty-three million four hundred and fifty-six thousand seven hundred and ten"),
        ("mississippi{n}", "M IH S IH S IH P IY M IH S IH S IH P IY {n}"),
        ("c o p y t h i s {n}", "c o p y t h i s {n}"),
    ],
    ids=["dates", "numbers", "sounds", "copying"],
)
def test_tasks_that_are_not_translation_lose_nothing(pair: tuple[str, str]):
    pairs = [(pair[0].format(n=n), pair[1].format(n=n)) for n in range(300)]
    assert set(reasons(pairs)) == {None}


def test_a_rule_that_is_off_is_reported(tmp_path: Path):
    lines = [f"the same text {n}\tthe same text {n}" for n in range(60)]
    _, report = load([str(write(tmp_path, "a.tsv", lines))])
    assert report.remarks == [f"{tmp_path}/a.tsv: the two sides are often identical, so such pairs are kept"]
    assert report.lines()[-1] == report.remarks[0]


def test_wrong_script_from_the_habits_of_each_file():
    good = [(f"text number {n}", f"текст номер {n}") for n in range(90)]
    bad = [("текст", "текст два"), ("text", "text two"), ("123", "456"), ("см. text", "см. text"), ("µ", "№ 5")]
    # A side goes only if most of its letters are foreign: of "см. text" four in six are Latin.
    assert reasons(bad + good)[:5] == ["wrong script", "wrong script", None, "wrong script", None]
    mixed = [(f"text number {n}", f"текст номер {n}" if n % 2 else f"tekst broj {n}") for n in range(90)]
    assert set(reasons(mixed)) == {None}


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Größe — “œuvre”", "LATIN"),
        ("日本語のテキスト", "CJK"),
        ("Ｆｕｌｌ", "LATIN"),
        ("한국어", "HANGUL"),
        ("12 ½ ℝ", None),
    ],
)
def test_main_script(text: str, script: str | None):
    assert main_script([text] * 50) == script
    assert main_script([text] * 49) is None


def test_control_characters():
    for character in "\x00\n\x0b\r\x1f\x7f\x85\x9f\ud800\udfff\ufdd0\ufffd\ufffe\uffff\U0001fffe\U0010ffff":
        assert has_control_characters(f"a{character}b"), hex(ord(character))
    for character in "\t \u00a0\u00ad\u200b\u2028\ufeff\ue000😀é":
        assert not has_control_characters(f"a{character}b"), hex(ord(character))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=30), st.text(max_size=30)), max_size=30), st.booleans())
def test_read_is_used_plus_skipped_and_reasons_are_known(pairs: list[tuple[str, str]], filtered: bool):
    assert set(reasons(pairs, Filters() if filtered else Filters.none())) <= {None, *REASONS}


def test_filters_check_their_values():
    with pytest.raises(ConfigError, match=r"max_words is 0\. It must be at least 1"):
        Filters(max_words=0)


# Comparing


def test_fingerprint_sees_every_change(tmp_path: Path):
    def loaded(*rows: str) -> PairSet:
        return load([str(write(tmp_path, "a.tsv", rows))], filters=Filters.none())[0]

    pairs = loaded("a\td", "bc\te")
    heavier = dataclasses.replace(pairs, weights=pairs.weights * 2)
    others = [loaded("ab\td", "c\te"), pairs.select(numpy.array([1, 0])), loaded("a\td"), heavier]
    prints = [fingerprint(each) for each in (pairs, *others)]
    assert len(set(prints)) == 5
    assert fingerprint(loaded("a\td", "bc\te")) == prints[0]


# Real data


def data_file(name: str) -> str:
    folder = Path(os.environ.get("REGARD_DATA") or Path(__file__).parents[2].parent / "shared" / "data")
    if not (folder / name).is_file():
        pytest.skip(f"{folder / name} is absent")
    return str(folder / name)


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (["tatoeba/en-pt.train.tsv.gz"], "read 9,297 · used 9,296 · skipped 1: identical 1"),
        (["multi30k/train.en.gz", "multi30k/train.de.gz"], "read 29,000 · used 28,997 · skipped 3: duplicate 3"),
        (["documents/tmx/tico19.en-pt-BR.tmx.gz"], "read 3,071 · used 3,069 · skipped 2: duplicate 1, too long 1"),
        (["documents/django-po/core.pt_BR.po"], "read 363 · used 346 · skipped 17: duplicate 17"),
    ],
)
def test_real_files(names: list[str], line: str):
    pairs, report = load([data_file(name) for name in names], source_language="en")
    assert report.lines() == [line]
    assert len(pairs) == report.total.used
