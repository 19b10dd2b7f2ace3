"""Translation memories, well-formed and hostile."""

import gzip
from pathlib import Path

import pytest

from regard.errors import DataError
from regard.formats import Row, tmx
from regard.formats.languages import best_match

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<tmx version="1.4"><header srclang="en"/><body>\n'
TAIL = "</body></tmx>\n"


def unit(**segments: str) -> str:
    variants = (f'<tuv xml:lang="{tag.replace("_", "-")}"><seg>{text}</seg></tuv>' for tag, text in segments.items())
    return f"<tu>{''.join(variants)}</tu>\n"


def read(folder: Path, text: str | bytes, source: str | None = None, target: str | None = None) -> list[Row]:
    path = folder / "a.tmx"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(tmx.read_pairs(path, source, target))


def test_units_by_language_and_line(tmp_path: Path):
    body = unit(pt_BR="um", en_US="one", fr="un") + unit(en="two") + unit(fr="trois") + unit(en="four", pt="quatro")
    text = HEAD + body + TAIL
    assert read(tmp_path, text, "en", "pt") == [Row(3, "one", "um"), Row(4, "two", ""), Row(6, "four", "quatro")]
    assert read(tmp_path, text, "PT-br", "EN") == [Row(3, "um", "one"), Row(4, "", "two"), Row(6, "quatro", "four")]


def test_languages_not_given_are_srclang_and_the_first_other(tmp_path: Path):
    body = unit(pt_BR="um", en_US="one") + unit(en_US="two", pt_BR="dois")
    assert read(tmp_path, HEAD + body + TAIL) == [Row(3, "one", "um"), Row(4, "two", "dois")]
    everything = HEAD.replace('"en"', '"*all*"') + body + TAIL
    assert read(tmp_path, everything) == [Row(3, "um", "one"), Row(4, "dois", "two")]
    assert read(tmp_path, HEAD + body + TAIL, target="en") == [Row(3, "um", "one"), Row(4, "dois", "two")]


def test_languages_are_settled_by_a_unit_that_has_them(tmp_path: Path):
    body = unit(fr="f1", de="d1") + unit(en="e2", fr="f2") + unit(en="e3", fr="f3")
    assert read(tmp_path, HEAD + body + TAIL, source="en") == [
        Row(3, "", ""), Row(4, "e2", "f2"), Row(5, "e3", "f3")
    ]  # fmt: skip
    body = unit(fr="f1", en="e1", pt="p1") + unit(en="e2", pt="p2")
    assert read(tmp_path, HEAD + body + TAIL, target="pt") == [Row(3, "e1", "p1"), Row(4, "e2", "p2")]


def test_units_before_the_languages_are_settled_are_counted(tmp_path: Path):
    body = unit(en="one") + unit(ja="san") + unit(en="two", pt="dois") + unit(en="three")
    assert read(tmp_path, HEAD + body + TAIL) == [Row(3, "", ""), Row(5, "two", "dois"), Row(6, "three", "")]


@pytest.mark.parametrize("encoding", ["shift_jis", "utf-7", "hex", "nonsense"])
def test_an_encoding_that_cannot_be_read_is_said(tmp_path: Path, encoding: str):
    text = (HEAD + unit(en="a", pt="b") + TAIL).replace("UTF-8", encoding)
    with pytest.raises(DataError, match=r"a\.tmx, line 1: its encoding cannot be read|a\.tmx, line 1, column"):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("wanted", "tags", "position"),
    [
        ("pt-BR", ["pt", "pt-BR"], 1),
        ("pt", ["pt-BR", "pt"], 1),
        ("pt_br", ["PT-BR"], 0),
        ("pt-BR", ["pt-PT", "pt"], 1),
        ("pt-BR", ["pt-PT"], None),
        ("pt-BR", ["pt", "pt-BR-1990"], 1),
        ("zh-Hant-TW", ["zh", "zh-Hant"], 1),
        ("en", ["eng", "en-GB", "en-US"], 1),
    ],
)
def test_best_match(wanted: str, tags: list[str], position: int | None):
    assert best_match(wanted, tags) == position


def test_inline_codes_are_dropped_and_text_in_them_kept(tmp_path: Path):
    source = (
        'Press <bpt i="1">&lt;b&gt;</bpt>the <hi>red</hi> key<ept i="1">&lt;/b&gt;</ept>'
        '<ph>{img <sub>, a cat</sub>}</ph> &amp;\n  <it pos="begin">x<hi>y</hi></it><ut>z</ut>go &#x20AC;'
    )
    rows = read(tmp_path, HEAD + unit(en=source, pt="<![CDATA[a <b> c]]>") + TAIL)
    assert rows == [Row(3, "Press the red key, a cat & go €", "a <b> c")]


def test_encodings_that_expat_knows(tmp_path: Path):
    text = (HEAD + unit(en="café", pt="chá") + TAIL).replace("UTF-8", "UTF-16")
    assert read(tmp_path, text.encode("utf-16")) == [Row(3, "café", "chá")]
    assert read(tmp_path, gzip.compress(text.replace("UTF-16", "ISO-8859-1").encode("latin-1"))) == [
        Row(3, "café", "chá")
    ]


def test_an_external_dtd_is_named_but_not_fetched(tmp_path: Path):
    text = (HEAD + unit(en="a", pt="b") + TAIL).replace(
        "<tmx", '<!DOCTYPE tmx SYSTEM "http://127.0.0.1:1/tmx14.dtd"><tmx'
    )
    assert read(tmp_path, text) == [Row(3, "a", "b")]
    with pytest.raises(DataError, match="undefined entity 'nbsp'"):
        read(tmp_path, text.replace("<seg>a", "<seg>a&nbsp;"))


def test_entities_of_its_own_are_refused(tmp_path: Path):
    laughs = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(9))
    text = HEAD.replace("<tmx", f'<!DOCTYPE tmx [<!ENTITY l0 "ha">{laughs}]><tmx') + unit(en="&l9;", pt="b") + TAIL
    with pytest.raises(DataError, match=r"a\.tmx, line 2: it declares the entity 'l0'"):
        read(tmp_path, text)
    stolen = HEAD.replace("<tmx", '<!DOCTYPE tmx [<!ENTITY f SYSTEM "file:///etc/passwd">]><tmx')
    with pytest.raises(DataError, match="it declares the entity 'f'"):
        read(tmp_path, stolen + unit(en="&f;", pt="b") + TAIL)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + "<tu><tuv></tu>" + TAIL, r"line 3, column 12 \(byte \d+\): mismatched tag"),
        (HEAD + unit(en="a", pt="b"), "no element found"),
        (HEAD + unit(en="a &nbsp; b", pt="b") + TAIL, "undefined entity"),
        (
            (HEAD + unit(en="a", pt="caf\u00e9") + TAIL).encode("latin-1"),
            r"line 3, .*not well-formed \(invalid token\)",
        ),
        (HEAD + unit(en="a\x00", pt="b") + TAIL, "not well-formed"),
        (HEAD + unit(en="&#xD800;", pt="b") + TAIL, "reference to invalid character number"),
        ("just text\n", "syntax error"),
        ("<html/>", "the outermost element is <html>"),
        (HEAD + "<tu>" * 300, "nested more than 200 deep"),
        (HEAD + TAIL, r"no unit has text in two languages\. Languages in the file: none"),
        (HEAD + unit(en="a", fr="b") + TAIL, r"no unit has text in en and pt\. Languages in the file: en, fr"),
    ],
)
def test_errors_name_the_file_and_the_trouble(tmp_path: Path, text: str | bytes, message: str):
    with pytest.raises(DataError, match=rf"a\.tmx[,:].*{message}"):
        read(tmp_path, text, *(("en", "pt") if "two languages" not in message else ()))


def test_huge_segments_are_too_long_and_huge_tags_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rows = read(tmp_path, HEAD + unit(en="x" * 3_000_000, pt="b") + unit(en="c", pt="d") + TAIL)
    assert rows == [Row(3, "", "b", "too long"), Row(4, "c", "d")]
    monkeypatch.setattr(tmx, "_MAX_TAG_BYTES", 1 << 20)
    with pytest.raises(DataError, match="one tag or comment of more than 1 MiB"):
        read(tmp_path, HEAD + "<!--" + "x" * 3_000_000)
