"""Gettext catalogues, well-formed and hostile."""

from pathlib import Path

import pytest

from regard.errors import DataError
from regard.formats import Row, po

HEAD = 'msgid ""\nmsgstr ""\n"Language: pt\\n"\n\n'
CATALOGUE = (
    HEAD
    + r"""
# a comment, "quoted"
#: file.c:3
#, c-format
msgctxt "menu"
msgid "Open"
msgstr "Abrir"

#, c-format, fuzzy
msgid "Close"
msgstr "Cl"

msgid "Untranslated"
msgstr ""
#~ msgid "Old"
#~ msgstr "Velho"

#| msgid "File"
msgid "%d file"
msgid_plural "%d files"
msgstr[0] "%d ficheiro"
msgstr[1] "%d ficheiros"
msgstr[2] "%d de ficheiros"
msgid ""
"Long text,\n"
"second \"line\", "
"caf\303\251 \\n\t\x41." " End\n"
msgstr "Texto "
"longo"
msgctxt "empty"
msgid ""
msgstr "contexto"
"""
)


def read(folder: Path, text: str) -> list[Row]:
    path = folder / "a.po"
    path.write_bytes(text.encode())
    return list(po.read_pairs(path))


def test_catalogue(tmp_path: Path):
    expected = [
        (9, "Open", "Abrir"),
        (23, "%d file", "%d ficheiro"),
        (23, "%d files", "%d ficheiros"),
        (28, 'Long text, second "line", café \\n\tA. End', "Texto longo"),
        (34, "", "contexto"),
    ]
    assert [tuple(row[:3]) for row in read(tmp_path, CATALOGUE)] == expected
    assert read(tmp_path, CATALOGUE.replace("\n", "\r\n")) == read(tmp_path, CATALOGUE)


def test_one_form_only(tmp_path: Path):
    text = HEAD + 'msgid "a file"\nmsgid_plural "files"\nmsgstr[0] "ファイル"\n'
    assert read(tmp_path, text) == [Row(5, "a file", "ファイル")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('msgid "a"\nmsgstr "b', r"line 6: '\"b' is not a text in quotes"),
        ('msgid "a"b"\nmsgstr "c"', r"line 5: .* is not a text in quotes"),
        ('msgid "a\\"\nmsgstr "c"', "line 5: .* is not a text in quotes"),
        ('msgid "a\\q"\nmsgstr "c"', r"line 5: the escape '\\\\q' means nothing"),
        ('msgid "\\377"\nmsgstr "c"', "line 5: the escape .* means nothing"),
        ('msgid "\\777"\nmsgstr "c"', "line 5: the escape .* means nothing"),
        ('msgid "a"\nhello\nmsgstr "c"', "line 6: 'hello' is not PO"),
        ('"a"\nmsgid "b"', None),
        ('msgid "a"\nmsgid "b"\nmsgstr "c"', "line 6: a second msgid"),
        ('msgid "a"\nmsgstr "b"\nmsgstr "c"', "line 7: a second msgstr"),
        ('#\nmsgstr "b"', "line 6: msgstr without msgid"),
        ('msgid "a"\nmsgstr[0] "b"', "line 6: msgstr.0. does not fit"),
        ('msgid "a"\nmsgid_plural "b"\nmsgstr "c"', "line 7: msgstr does not fit"),
        ('msgid "a"\n\nmsgctxt "b"\nmsgstr "c"', "line 7: msgctxt must come before"),
        ('msgid "a"\n', "line 5: the entry has no msgstr"),
        ('msgid "a"\nmsgstr ""\n', "no entry is translated"),
        (f'msgid "{"x" * 1_000_001}"\nmsgstr "b"', "line 5: longer than 1,000,000 bytes"),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, text: str, message: str | None):
    if message is None:  # a text in quotes right after the header goes on with it
        text, message = '#\n"a"\n', "line 6: '\"a\"' is not PO"
    with pytest.raises(DataError, match=rf"a\.po[,:] {message}"):
        read(tmp_path, HEAD + text)


def test_a_huge_message_is_too_long(tmp_path: Path):
    rows = read(tmp_path, HEAD + 'msgid ""\n' + f'"{"x" * 70}"\n' * 20_000 + 'msgstr "b"\nmsgid "c"\nmsgstr "d"\n')
    assert [(row.target, row.unusable) for row in rows] == [("", "too long"), ("d", None)]


def test_an_obsolete_entry_takes_its_flags_with_it(tmp_path: Path):
    text = HEAD + '#, fuzzy\n#~ msgid "old"\n#~ msgstr "alt"\n\nmsgid "new"\nmsgstr "neu"\n'
    assert [(row.source, row.target) for row in read(tmp_path, text)] == [("new", "neu")]
