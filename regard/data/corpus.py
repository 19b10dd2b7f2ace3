"""Running text for pre-training: files to documents to ids, streamed, kept on disk in the run's folder.

Documents are parted by empty lines, or are lines, or whole files; each object of a JSON lines file is one ("text").
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from regard.config import one_of
from regard.data.text_tokens import TextTokens
from regard.errors import DataError
from regard.formats.files import kind_suffix, read_blocks, text_lines
from regard.formats.tables import read_records
from regard.storage import storing

Documents = Literal["paragraphs", "lines", "files"]
_IDS_FILE, _STARTS_FILE, _FACTS_FILE = "ids.bin", "starts.npy", "corpus.json"
_PART_LINES = 500  # of a long document that are encoded together


@dataclass(frozen=True)
class Corpus:
    """Documents as ids; the ids stay on disk."""

    ids: np.ndarray  # uint16 or uint32, of all documents, without special tokens
    spans: np.ndarray  # int64, (documents, 2): where each begins and ends in the ids

    def __len__(self) -> int:
        return len(self.spans)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each document."""
        return self.spans[:, 1] - self.spans[:, 0]

    @property
    def num_tokens(self) -> int:
        return int(self.lengths.sum())


class Part(NamedTuple):
    """Some lines of a document."""

    text: str
    ends: bool  # whether the document ends with it


def check_documents(documents: str) -> Documents:
    """The way of telling documents apart, if it is one.

    Raises:
        ConfigError: it is none.
    """
    return one_of(documents, get_args(Documents), "documents:")


def read_parts(paths: Sequence[Path], documents: Documents) -> Iterator[Part]:
    """The text of all files, document by document, in parts that fit into memory. Nothing is left out but empty lines.

    Raises:
        DataError: a file cannot be read as text, or a JSON line has no text.
    """
    for path in paths:
        if kind_suffix(path) == ".jsonl":
            yield from _json_documents(path)
            continue
        lines: list[str] = []
        begun = False  # in a whole file empty lines count, once there is text
        for _, line in text_lines(path):
            empty = not line.strip()
            if documents != "files" and lines and (empty or documents == "lines"):
                yield Part("\n".join(lines), ends=True)
                lines = []
            elif len(lines) == _PART_LINES:
                yield Part("\n".join([*lines, ""]), ends=False)
                lines = []
            begun = begun or not empty
            if not empty or (documents == "files" and begun):
                lines.append(line)
        yield Part("\n".join(lines), ends=True)


def fingerprint(paths: Sequence[Path]) -> str:
    """sha256 over the files' bytes, decompressed, in their order.

    Raises:
        DataError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        size = 0
        for block in read_blocks(path):
            digest.update(block)
            size += len(block)
        digest.update(size.to_bytes(8, "little"))  # so that no file can run into the next
    return digest.hexdigest()


def encode(
    parts: Iterable[Part],
    tokens: TextTokens,
    folder: Path,
    sha256: str,
    *,
    before: Sequence[int] = (),
    after: Sequence[int] = (),
) -> Corpus:
    """Encode documents into files of a folder, and open them.

    Args:
        sha256: the `fingerprint` of what the parts come from.
        before, after: ids around each document.

    Raises:
        DataError: there is no text.
        StorageError: the disk refused.
    """
    kind = np.dtype(np.uint16 if tokens.vocab_size <= 1 << 16 else np.uint32)
    starts, total = [0], 0
    begun = False  # a document, that is
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _FACTS_FILE).unlink(missing_ok=True)  # it is written last: without it the folder does not count
        with (folder / _IDS_FILE).open("wb") as file:
            for batch in _batches(parts):
                for part, ids in zip(batch, tokens.encode_bare([part.text for part in batch]), strict=True):
                    begins, begun = bool(ids) and not begun, begun or bool(ids)
                    ends = part.ends and begun
                    framed = [*(before if begins else ()), *ids, *(after if ends else ())]
                    file.write(np.array(framed, dtype=kind).tobytes())
                    total += len(framed)
                    if ends:
                        starts.append(total)
                        begun = False
        np.save(folder / _STARTS_FILE, np.array(starts, dtype=np.int64))
        if len(starts) == 1:
            raise DataError("the corpus holds no text.")
        facts = {"files": sha256, "type": kind.name, "vocab_size": tokens.vocab_size}
        (folder / _FACTS_FILE).write_text(json.dumps(facts), encoding="utf-8")
    found = stored(folder, sha256)
    assert found is not None
    return found


def stored(folder: Path, sha256: str) -> Corpus | None:
    """What `encode` left in a folder for these files; None if there is no such thing."""
    try:
        facts: dict[str, Any] = json.loads((folder / _FACTS_FILE).read_bytes())
        if facts["files"] != sha256:
            return None
        starts = np.load(folder / _STARTS_FILE, allow_pickle=False)
        ids = np.memmap(folder / _IDS_FILE, dtype=np.dtype(facts["type"]), mode="r")
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None
    if len(starts) < 2 or starts[-1] != len(ids):
        return None
    return Corpus(ids, np.stack([starts[:-1], starts[1:]], axis=1))


def split(corpus: Corpus, dev_tokens: int, seed: int) -> tuple[Corpus, Corpus]:
    """Set some documents aside, about `dev_tokens` tokens and a twentieth of all at most; of few long ones, an end.

    Raises:
        DataError: the corpus is too small.
    """
    wanted = min(dev_tokens, corpus.num_tokens // 20)
    if wanted < 10:
        raise DataError(
            f"{corpus.num_tokens:,} tokens are too few to hold some out for dev. Give a dev file with --dev."
        )
    order = np.random.default_rng(seed).permutation(len(corpus))
    taken = np.zeros(len(corpus), dtype=bool)
    taken[order[: int(np.searchsorted(np.cumsum(corpus.lengths[order]), wanted)) + 1]] = True
    if corpus.lengths[taken].sum() <= 2 * wanted:
        return Corpus(corpus.ids, corpus.spans[~taken]), Corpus(corpus.ids, corpus.spans[taken])
    longest = int(corpus.lengths.argmax())  # at least `wanted`, or one more document could not have gone so far
    train = corpus.spans.copy()
    train[longest, 1] -= wanted
    dev = np.array([[train[longest, 1], corpus.spans[longest, 1]]])
    return Corpus(corpus.ids, train[train[:, 1] > train[:, 0]]), Corpus(corpus.ids, dev)


def first_tokens(corpus: Corpus, count: int) -> Corpus:
    """The first documents, as many tokens as asked for; the last document may be cut."""
    before = np.cumsum(corpus.lengths) - corpus.lengths
    spans = corpus.spans[before < count].copy()
    spans[-1, 1] = min(spans[-1, 1], spans[-1, 0] + count - before[len(spans) - 1])
    return Corpus(corpus.ids, spans)


def _json_documents(path: Path) -> Iterator[Part]:
    for record in read_records(path):
        text = record.values.get("text") if isinstance(record.values, dict) else None
        if record.unusable or not isinstance(text, str):
            found = f"a line {record.unusable}" if record.unusable else 'no "text" that is a string'
            raise DataError(f"{path}, line {record.line:,}: {found}. Each line must be an object with its text.")
        yield Part(text, ends=True)


def _batches(parts: Iterable[Part]) -> Iterator[list[Part]]:
    """Parts together, about a megabyte each time."""
    batch: list[Part] = []
    size = 0
    for part in parts:
        batch.append(part)
        size += len(part.text)
        if size > 1 << 20:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
