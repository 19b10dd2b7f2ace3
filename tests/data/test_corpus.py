"""Running text becomes documents of ids: nothing is lost, nothing is crossed, and dev is apart."""

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_model import make_text_tokens

from regard.data import corpus as corpora
from regard.data.byte_tokens import ByteTokens
from regard.data.corpus import Corpus, Documents
from regard.errors import ConfigError, DataError

TEXT = "the cat\nsees the dog\n\n\n \nthe bird sings\n"


def encoded(
    tmp_path: Path, text: str, documents: Documents = "paragraphs", name: str = "a.txt"
) -> tuple[Corpus, list[str]]:
    """The corpus, and its documents as text."""
    tokens = make_text_tokens(tmp_path)
    (tmp_path / name).write_text(text, encoding="utf-8")
    paths = [tmp_path / name]
    found = corpora.encode(corpora.read_parts(paths, documents), tokens, tmp_path / "ids", corpora.fingerprint(paths))
    return found, [tokens.decode(found.ids[first:end].tolist()) for first, end in found.spans]


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        ("paragraphs", ["the cat sees the dog", "the bird sings"]),
        ("lines", ["the cat", "sees the dog", "the bird sings"]),
        ("files", ["the cat sees the dog the bird sings"]),
    ],
)
def test_documents(tmp_path: Path, documents: Documents, expected: list[str]) -> None:
    assert encoded(tmp_path, TEXT, documents)[1] == expected


def test_json_lines_are_documents(tmp_path: Path) -> None:
    rows = "".join(
        json.dumps({"id": n, "text": text}) + "\n" for n, text in enumerate(["the cat\n\nsees", "", "a dog"])
    )
    assert encoded(tmp_path, rows, name="a.jsonl")[1] == ["the cat sees", "a dog"]
    with pytest.raises(DataError, match=r'b\.jsonl, line 2: no "text" that is a string'):
        encoded(tmp_path, '{"text": "a"}\n{"body": "b"}\n', name="b.jsonl")


def test_a_long_document_comes_in_parts_and_stays_one(tmp_path: Path) -> None:
    text = "the cat sees the dog\n" * 2_345
    paths = [tmp_path / "long.txt"]
    paths[0].write_text(text + "\nthe bird\n")
    parts = list(corpora.read_parts(paths, "paragraphs"))
    assert len(parts) > 4
    assert "".join(part.text for part in parts[:-1]) + "\n" == text
    found, shown = encoded(tmp_path, paths[0].read_text())
    assert (len(found), shown[1]) == (2, "the bird")
    assert found.lengths[0] == 5 * 2_345


def test_a_whole_file_keeps_its_empty_lines_and_gets_its_frame(tmp_path: Path) -> None:
    text = "\n\n a\n\n\nb  c\n" + "\n".join("\n" * (number % 3) + f"line {number}" for number in range(1_500))
    (tmp_path / "a.txt").write_text(text)
    parts = list(corpora.read_parts([tmp_path / "a.txt"], "files"))
    assert len(parts) > 4
    assert "".join(part.text for part in parts) == text.lstrip("\n")
    assert [part.ends for part in parts] == [False] * (len(parts) - 1) + [True]
    tokens = ByteTokens.train([text], 300)
    found = corpora.encode(parts, tokens, tmp_path / "ids", "", before=[7, 8], after=[9])
    ids = found.ids.tolist()
    assert (ids[:2], ids[-1], found.spans.tolist()) == ([7, 8], 9, [[0, len(ids)]])
    assert tokens.decode(ids[2:-1]) == text.lstrip("\n")
    empty = [corpora.Part("", ends=True), corpora.Part("ab", ends=True), corpora.Part("", ends=True)]
    assert corpora.encode(empty, tokens, tmp_path / "ids", "", before=[7], after=[9]).spans.shape == (1, 2)


def test_what_is_stored_is_found_again_and_belongs_to_its_files(tmp_path: Path) -> None:
    found, _ = encoded(tmp_path, TEXT)
    print_ = corpora.fingerprint([tmp_path / "a.txt"])
    again = corpora.stored(tmp_path / "ids", print_)
    assert again is not None
    assert (again.ids.tolist(), again.spans.tolist()) == (found.ids.tolist(), found.spans.tolist())
    (tmp_path / "a.txt").write_text(TEXT + ".")
    assert corpora.stored(tmp_path / "ids", corpora.fingerprint([tmp_path / "a.txt"])) is None
    (tmp_path / "ids" / "ids.bin").write_bytes(b"\0\0")  # cut short
    assert corpora.stored(tmp_path / "ids", print_) is None
    (tmp_path / "ids" / "corpus.json").unlink()  # it is written last
    assert corpora.stored(tmp_path / "ids", print_) is None


def test_a_dev_part_is_set_aside(tmp_path: Path) -> None:
    found = encoded(tmp_path, "the cat sees the dog\n\n" * 400)[0]
    train, dev = corpora.split(found, 60, 1)
    assert 50 <= dev.num_tokens <= 65
    assert train.num_tokens + dev.num_tokens == found.num_tokens
    assert not {tuple(span) for span in train.spans} & {tuple(span) for span in dev.spans}
    assert corpora.split(found, 60, 1)[1].spans.tolist() == dev.spans.tolist()
    assert corpora.split(found, 60, 2)[1].spans.tolist() != dev.spans.tolist()
    assert corpora.split(found, 10**9, 1)[1].num_tokens == pytest.approx(found.num_tokens / 20, abs=5)


def test_of_one_document_the_end_is_set_aside(tmp_path: Path) -> None:
    found = encoded(tmp_path, "the cat sees the dog\n" * 400, "files")[0]
    train, dev = corpora.split(found, 60, 1)
    assert dev.spans.tolist() == [[1940, 2000]]
    assert train.spans.tolist() == [[0, 1940]]
    assert corpora.first_tokens(dev, 25).spans.tolist() == [[1940, 1965]]


def test_too_little_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="10 tokens are too few to hold some out"):
        corpora.split(encoded(tmp_path, "the cat sees the dog\n" * 2)[0], 60, 1)
    with pytest.raises(DataError, match="the corpus holds no text"):
        encoded(tmp_path, " \n \n")
    with pytest.raises(ConfigError, match=r"documents: 'pages' is unknown\. Known are paragraphs, lines, files"):
        corpora.check_documents("pages")


def test_first_tokens() -> None:
    found = Corpus(np.arange(30, dtype=np.uint16), np.array([[0, 10], [10, 12], [12, 30]]))
    assert corpora.first_tokens(found, 11).spans.tolist() == [[0, 10], [10, 11]]
    assert corpora.first_tokens(found, 12).spans.tolist() == [[0, 10], [10, 12]]
    assert corpora.first_tokens(found, 99).spans.tolist() == found.spans.tolist()
