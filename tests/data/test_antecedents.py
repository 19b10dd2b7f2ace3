"""Files of GAP, WinoMT and Winogender: every row is used or left out for a reason, and a wrong one is named."""

import gzip
import json
import os
from pathlib import Path

import pytest

from regard.data import antecedents
from regard.data.antecedents import ResolvedText
from regard.errors import DataError

HEADER = "ID\tText\tPronoun\tPronoun-offset\tA\tA-offset\tA-coref\tB\tB-offset\tB-coref\tURL"
MARY = "Mary Ann Low met Sue's aunt when she came to Rome."


def gap_row(text: str, pronoun: str, a: str, b: str, a_coref: str, b_coref: str) -> str:
    places = [text.index(f"{name}") for name in (pronoun, a, b)]
    return f"t-1\t{text}\t{pronoun}\t{places[0]}\t{a}\t{places[1]}\t{a_coref}\t{b}\t{places[2]}\t{b_coref}\tnowhere"


ROW = gap_row(MARY, "she", "Mary Ann Low", "Sue", "TRUE", "FALSE")


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def words(resolved: ResolvedText) -> tuple[str, list[str], int]:
    text = resolved.text
    return text[slice(*resolved.pronoun)], [text[slice(*span)] for span in resolved.candidates], resolved.antecedent


def test_gap(tmp_path: Path) -> None:
    path = write(
        tmp_path / "gap.tsv",
        HEADER,
        ROW,
        gap_row(MARY, "she", "Mary Ann Low", "Sue", "FALSE", "FALSE"),
        gap_row("In his tale Émile saw Ivo.", "his", "Ivo", "Émile", "FALSE", "TRUE"),
    )
    found = antecedents.read(path)
    assert found.kind == "GAP"
    assert [words(each) for each in found.texts] == [("she", ["Mary Ann Low", "Sue"], 0), ("his", ["Émile", "Ivo"], 0)]
    assert found.line() == f"{path}, GAP: 2 of 3 rows used; left out: 1 (the pronoun stands for neither name)"
    assert found.to_json() == {
        "name": str(path),
        "kind": "GAP",
        "rows": 3,
        "used": 2,
        "left_out": {"the pronoun stands for neither name": 1},
    }


def test_gap_columns_may_stand_in_any_order_and_in_a_compressed_file(tmp_path: Path) -> None:
    header, row = HEADER.split("\t"), ROW.split("\t")
    path = tmp_path / "gap.tsv.gz"
    lines = ["\t".join(columns[::-1]) + "\r\n" for columns in (header, row)]
    path.write_bytes(gzip.compress("".join(lines).encode()))
    assert [words(each) for each in antecedents.read(path).texts] == [("she", ["Mary Ann Low", "Sue"], 0)]


def test_winomt(tmp_path: Path) -> None:
    path = write(
        tmp_path / "winomt.tsv",
        "female\t1\tThe pilot thanked the road worker because she was in time.\tpilot\tanti",
        "male\t4\tThe pilot thanked the road worker because he was in time.\troad worker\tpro",
        "female\t4\tThe pilot greeted the worker as they asked her.\tworker\tanti",  # "they" is of another gender
        "neutral\t0\tSomeone told the pilot that they would wait.\tsomeone",  # four columns, as first published
        "male\t1\tThe pilot told the vicar that he was late.\tpilot\tpro",  # no row has a vicar as its entity
        "male\t1\tThe pilot told the worker that he lost his key.\tpilot\tpro",
        "male\t4\tThe worker met the pilot when his old pilot left.\tpilot\tpro",
    )
    found = antecedents.read(path)
    assert [words(each) for each in found.texts] == [
        ("she", ["pilot", "road worker"], 0),
        ("he", ["pilot", "road worker"], 1),
        ("her", ["pilot", "worker"], 1),
        ("they", ["Someone", "pilot"], 0),
    ]
    assert (found.kind, found.rows) == ("WinoMT", 7)
    assert found.left_out == {
        "the other candidate is not known": 2,
        "not exactly one pronoun of the row's gender": 1,
    }


def test_winogender(tmp_path: Path) -> None:
    path = write(
        tmp_path / "winogender.tsv",
        "sentid\tsentence",
        "pilot.guest.0.female.txt\tThe guest saw that the pilot knew her job.",
        "pilot.guest.1.neutral.txt\tThe pilot helped the guest as they fell.",
        "pilot.guest.1.male.txt\tThe pilot helped the visitor as he fell.",
        "pilot.guest.1.male.txt\tThe pilot helped the guest as he lost his way.",
    )
    found = antecedents.read(path)
    assert [words(each) for each in found.texts] == [("her", ["guest", "pilot"], 1), ("they", ["pilot", "guest"], 1)]
    assert (found.kind, found.rows) == ("Winogender", 4)
    assert sorted(found.left_out) == [
        "a person is not named exactly once",
        "not exactly one pronoun of the row's gender",
    ]


def schema(text: str, *candidates: str, answer: str = "") -> str:
    return json.dumps({"text": text, "candidates": candidates, "answer": answer or candidates[0]})


def test_winograd_schemas(tmp_path: Path) -> None:
    path = write(
        tmp_path / "schemas.jsonl",
        schema("The pilot paid the tall guest since [MASK] had won.", "The guest", "The pilot"),  # "the tall guest"
        schema("Since [MASK] had won, Ann's aunt paid Sue.", "Sue", "Ann's aunt", answer="Ann's aunt"),
        schema("A guest paid another guest since [MASK] had won.", "a guest", "another guest"),
        schema("Sue paid Sue's aunt since [MASK] had won.", "Sue's aunt", "Sue"),
        schema("Ann's aunt paid Ben since [MASK] had won.", "Ann's aunt", "aunt"),
    )
    found = antecedents.read(path)
    assert [words(each) for each in found.texts] == [
        ("[MASK]", ["pilot", "guest"], 1),
        ("[MASK]", ["Ann's aunt", "Sue"], 0),
    ]
    assert all(each.masked for each in found.texts)
    assert (found.kind, found.rows) == ("Winograd", 5)
    assert found.left_out == {"a candidate does not stand in the text exactly once": 3}


@pytest.mark.parametrize(
    "line",
    [
        schema("Ann paid Sue since she had won.", "Ann", "Sue"),
        schema("[MASK] and [MASK]", "Ann", "Sue"),
        schema("Ann paid Sue since [MASK] had won.", "Ann", "Sue", answer="Ben"),
        schema("Ann paid Ann since [MASK] had won.", "Ann", "Ann"),
        schema("Ann paid Sue since [MASK] had won.", "Ann", "Sue", "Ben"),
        '{"text": "Ann paid Sue since [MASK] had won.", "candidates": 3, "answer": "Ann"}',
    ],
)
def test_a_wrong_schema_is_named(tmp_path: Path, line: str) -> None:
    path = write(tmp_path / "a.jsonl", schema("Ann paid Sue since [MASK] had won.", "Ann", "Sue"), line)
    with pytest.raises(DataError, match=r'a\.jsonl, line 2: found .*a "text" with one \[MASK\], two different "candid'):
        antecedents.read(path)


@pytest.mark.parametrize("line", ["[" * 100_000, "3", "", '{"en": "the cat", "pt": "o gato"}'])
def test_other_json_lines_are_no_schemas(tmp_path: Path, line: str) -> None:
    assert antecedents.kind(write(tmp_path / "a.jsonl", line)) is None


@pytest.mark.parametrize(
    "line", ["the cat\to gato", "Text\tTexto", "male\t1", "a plain line", HEADER.replace("\t", ",")]
)
def test_other_files_are_none_of_these(tmp_path: Path, line: str) -> None:
    path = write(tmp_path / "pairs.tsv", line)
    assert antecedents.kind(path) is None
    with pytest.raises(
        DataError, match=r"pairs\.tsv, line 1: this is neither GAP, WinoMT, Winogender nor Winograd\. Expected are"
    ):
        antecedents.read(path)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            [HEADER.replace("\tA-offset", "").replace("B-coref", "B")],
            "line 1: this header of GAP lacks A-offset, B-coref",
        ),
        ([HEADER, ROW, ROW + "\tmore"], "line 3: 12 columns; the header has 11"),
        ([HEADER, ROW, ""], "line 3: 1 columns; the header has 11"),
        (
            [HEADER, ROW.replace("\t33\t", "\t32\t")],
            "line 2: at Pronoun-offset 32 the text has ' sh'; Pronoun is 'she'",
        ),
        ([HEADER, ROW.replace("\t33\t", "\t999\t")], "line 2: at Pronoun-offset 999 the text has ''"),
        ([HEADER, ROW.replace("\t33\t", "\t-9\t")], "line 2: Pronoun-offset is '-9'; a number of characters was"),
        ([HEADER, ROW.replace("TRUE", "yes")], "line 2: A-coref is 'yes'; TRUE or FALSE was expected"),
        ([HEADER, ROW.replace("FALSE", "TRUE")], "line 2: A-coref and B-coref are both TRUE"),
        (
            [HEADER, gap_row(MARY, "she", "Mary Ann Low", "Ann", "TRUE", "FALSE")],
            "line 2: pronoun and names overlap; three places were expected",
        ),
        (
            ["male\t1\tThe pilot said he slept.\tpilot", "man\t1\tx\ty"],
            "line 2: 4 columns, the first 'man'; male, female",
        ),
        (["male\t1\tThe pilot said he slept."], "line 1: 3 columns, the first 'male'"),
        (
            ["male\t2\tThe pilot said he slept.\tpilot"],
            "line 1: word 2 of the sentence should be the entity 'pilot'; there",
        ),
        (
            ["male\t9\tThe pilot said he slept.\tpilot"],
            "line 1: word 9 of the sentence should be the entity 'pilot'; there",
        ),
        (
            ["sentid\tsentence", "pilot.guest.2.male.txt\tHe slept."],
            "line 2: sentid is 'pilot.guest.2.male.txt'; something",
        ),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, lines: list[str], message: str) -> None:
    path = write(tmp_path / "wrong.tsv", *lines)
    with pytest.raises(DataError) as raised:
        antecedents.read(path)
    assert str(raised.value).startswith(f"{path}, {message}")
    assert "\n" not in str(raised.value)


def test_bad_utf8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gap.tsv"
    path.write_bytes(f"{HEADER}\n{ROW}\n".encode() + b"t-2\tCaf\xe9\n")
    with pytest.raises(DataError, match=r"gap\.tsv, line 3: byte 0xe9 at offset \d+ is not UTF-8"):
        antecedents.read(path)


@pytest.mark.parametrize(
    ("name", "rows", "left_out"),
    [
        ("gap-development", 2_000, {"the pronoun stands for neither name": 201}),
        ("gap-validation", 454, {"the pronoun stands for neither name": 62}),
        (
            "winomt",
            1_941,
            {"the other candidate is not known": 55, "not exactly one pronoun of the row's gender": 35},
        ),
        ("winogender", 367, {}),
    ],
)
def test_real_files(name: str, rows: int, left_out: dict[str, int]) -> None:
    folder = Path(os.environ.get("REGARD_DATA") or Path(__file__).parents[2].parent / "shared" / "data")
    path = folder / "coref" / f"{name}.tsv.gz"
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    found = antecedents.read(path)
    lines = gzip.decompress(path.read_bytes()).decode().removesuffix("\n").split("\n")
    assert len(found.texts) + sum(found.left_out.values()) == found.rows == len(lines) - (name != "winomt") == rows
    assert found.left_out == left_out
    for resolved in found.texts:
        pronoun, candidates, antecedent = words(resolved)
        assert pronoun.isalpha()
        assert antecedent in (0, 1)
        assert len(candidates) == 2
        assert candidates[0] != candidates[1]
