"""Opening and splitting files, hostile ones too."""

import gzip
import lzma
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regard.errors import DataError, MissingDependencyError
from regard.formats import files
from regard.formats.files import MAX_LINE_BYTES, kind_suffix, one_line, read_lines, text_lines


def write(folder: Path, data: bytes, name: str = "a.txt") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"a\nb\n", ["a", "b"]),
        (b"a\nb", ["a", "b"]),
        (b"\n\na\n", ["", "", "a"]),
        (b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n", ["a", "\ufeffb"]),
        (b"a\r\nb\r\r\nc\rd\r", ["a", "b\r", "c\rd\r"]),
        ("a\u2028b\u0085c\vd\fe\x1cf\n".encode(), ["a\u2028b\u0085c\vd\fe\x1cf"]),
        (b"nul \x00 inside\n", ["nul \x00 inside"]),
    ],
    ids=["plain", "no last LF", "empty lines", "BOM", "CRLF and lone CR", "other line ends", "NUL"],
)
def test_lines_end_at_lf_only(tmp_path: Path, data: bytes, lines: list[str]):
    assert list(read_lines(write(tmp_path, data))) == lines


@settings(max_examples=60, deadline=None)
@given(
    lines=st.lists(
        st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=20), min_size=1
    )
)
def test_any_text_survives_any_block_size(tmp_path_factory: pytest.TempPathFactory, lines: list[str]):
    path = write(tmp_path_factory.mktemp("lines"), "".join(line + "\n" for line in lines).encode())
    expected = [lines[0].removeprefix("\ufeff"), *lines[1:]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "BLOCK_BYTES", 4)
        assert list(read_lines(path)) == expected


def test_a_very_long_line_is_none_and_its_neighbours_are_whole(tmp_path: Path):
    long = b"x" * (MAX_LINE_BYTES + 1)
    path = write(tmp_path, b"a\n" + long + b"\nb\n" + b"y" * MAX_LINE_BYTES + b"\n" + long * 3)
    assert [line if line is None else line[:1] for line in read_lines(path)] == ["a", None, "b", "y", None]
    with pytest.raises(DataError, match=r"a\.txt, line 2: longer than 1,000,000 bytes"):
        list(text_lines(path))


def test_bad_utf8_is_told_by_line_and_byte(tmp_path: Path):
    good = "é\n".encode() * 200_000  # several blocks
    path = write(tmp_path, b"\xef\xbb\xbf" + good + b"caf\xe9\n")
    with pytest.raises(DataError) as caught:
        list(read_lines(path))
    message = str(caught.value)
    assert message.startswith(f"{path}, line 200,001: byte 0xe9 at offset {3 + len(good) + 3:,} is not UTF-8. ")
    assert "iconv -f LATIN1 -t UTF-8" in message


def test_utf16_is_recognised(tmp_path: Path):
    with pytest.raises(DataError, match="iconv -f UTF-16"):
        list(read_lines(write(tmp_path, "olá".encode("utf-16"))))


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", gzip.compress(b"")], ids=["nothing", "BOM", "gzip of nothing"])
def test_an_empty_file_is_an_error(tmp_path: Path, data: bytes):
    with pytest.raises(DataError, match=r"a\.txt: the file is empty"):
        list(read_lines(write(tmp_path, data)))


def test_missing_file_and_folder(tmp_path: Path):
    with pytest.raises(DataError, match=r"nowhere\.tsv: there is no such file"):
        list(read_lines(tmp_path / "nowhere.tsv"))
    with pytest.raises(DataError, match="this is a folder"):
        list(read_lines(tmp_path))


def compress(kind: str, data: bytes) -> bytes:
    if kind == "zst":
        return pytest.importorskip("zstandard").ZstdCompressor(write_checksum=True).compress(data)
    return {"gz": gzip.compress, "xz": lzma.compress}[kind](data)


TEXT = "".join(f"line {number} é\n" for number in range(50_000))


@pytest.mark.parametrize("kind", ["gz", "xz", "zst"])
@pytest.mark.parametrize("named", [True, False], ids=["by suffix", "by content"])
def test_compressed_files_read_as_they_are(tmp_path: Path, kind: str, named: bool):
    two_members = compress(kind, TEXT.encode()) + compress(kind, b"end\n")
    path = write(tmp_path, two_members, f"a.txt.{kind}" if named else "a.txt")
    assert list(read_lines(path)) == [*TEXT.split("\n")[:-1], "end"]


@pytest.mark.parametrize("kind", ["gz", "xz", "zst"])
def test_cut_off_and_damaged_compressed_files(tmp_path: Path, kind: str):
    whole = compress(kind, TEXT.encode())
    with pytest.raises(DataError, match="ends before its end mark, the file is cut off"):
        list(read_lines(write(tmp_path, whole[: len(whole) // 2], f"cut.txt.{kind}")))
    damaged = bytearray(whole)
    damaged[len(whole) // 2 : len(whole) // 2 + 40] = bytes(40)
    with pytest.raises(DataError, match=r"bad\.txt.*(is damaged|cut off|not UTF-8)"):
        list(read_lines(write(tmp_path, bytes(damaged), f"bad.txt.{kind}")))
    with pytest.raises(DataError, match="the content is not"):
        list(read_lines(write(tmp_path, b"plain text\n", f"plain.txt.{kind}")))


@pytest.mark.parametrize("kind", ["gz", "xz", "zst"])
def test_a_second_part_is_read_or_refused_never_passed_over(tmp_path: Path, kind: str):
    first, second = compress(kind, TEXT.encode()), compress(kind, b"end\n" * 1000)
    damaged = bytearray(second)
    damaged[len(second) // 2] ^= 0xFF
    for rest in (second[:-3], bytes(damaged), b"junk"):
        with pytest.raises(DataError, match=r"is damaged|cut off"):
            list(read_lines(write(tmp_path, first + rest, f"a.txt.{kind}")))
    if kind == "xz":
        lines = list(read_lines(write(tmp_path, first + bytes(8) + second + bytes(4), "padded.txt.xz")))
        assert len(lines) == 51_000, "streams may have padding between them"


def test_a_zst_with_a_large_window_is_not_called_damaged(tmp_path: Path):
    zstandard = pytest.importorskip("zstandard")
    wide = zstandard.ZstdCompressionParameters(window_log=28)
    data = zstandard.ZstdCompressor(compression_params=wide).compressobj().compress(b"")
    compressor = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    data = compressor.compress(b"a line\n") + compressor.flush()
    with pytest.raises(DataError, match=r"a\.zst: compressed with a window above 128 MiB\. Compress it again"):
        list(read_lines(write(tmp_path, data, "a.zst")))


def test_bad_utf8_in_a_compressed_file_counts_decompressed_bytes(tmp_path: Path):
    with pytest.raises(DataError, match="line 2: byte 0xff at offset 3 of the decompressed file"):
        list(read_lines(write(tmp_path, gzip.compress(b"a\nb\xff"), "a.txt.gz")))


def test_a_bomb_does_not_fill_the_memory(tmp_path: Path):
    zstandard = pytest.importorskip("zstandard")
    path = write(tmp_path, zstandard.ZstdCompressor().compress(bytes(100 << 20)), "bomb.zst")
    assert list(read_lines(path)) == [None]
    assert max(map(len, files.read_blocks(path))) <= files.BLOCK_BYTES


def test_zst_without_the_library_is_a_missing_dependency(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(
        MissingDependencyError, match=r"needs zstandard\. Install it with: pip install 'regard\[documents\]'"
    ):
        list(read_lines(write(tmp_path, b"\x28\xb5\x2f\xfd rest", "a.zst")))


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("a.tsv", ".tsv"), ("a.TSV.gz", ".tsv"), ("a.po.zst", ".po"), ("a", ""), ("a.gz", ""), ("train.en.xz", ".en")],
)
def test_kind_suffix(name: str, suffix: str):
    assert kind_suffix(Path("folder.tmx") / name) == suffix


def test_one_line_folds_line_breaks_only():
    assert one_line("a  b\tc ") == "a  b\tc "
    assert one_line(" a \n\t b\r\nc\n") == "a b c"
