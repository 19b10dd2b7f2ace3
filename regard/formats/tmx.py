"""Translation memories in TMX 1.1 to 1.4, streamed: files of gigabytes need no more memory than small ones.

Reads with expat, fetches nothing, and refuses files that declare entities of their own (a few lines of nested entities
can stand for gigabytes of text).
"""

from array import array
from collections.abc import Iterator
from pathlib import Path
from xml.parsers import expat

from regard.errors import DataError
from regard.formats.files import MAX_LINE_BYTES, TOO_LONG, Row, one_line, read_blocks
from regard.formats.languages import best_match, choose_pair

_CODE_TAGS = frozenset({"bpt", "ept", "ph", "it", "ut"})  # they hold native markup, such as "<b>", not text
_MAX_DEPTH = 200
_MAX_TAG_BYTES = 16 << 20


def read_pairs(path: Path, source_language: str | None = None, target_language: str | None = None) -> Iterator[Row]:
    """The pair of every unit; line breaks inside a segment become spaces.

    Inline codes are dropped, the text of <hi> and <sub> is kept. A unit with only one of the two languages gives a row
    with an empty side; one with neither gives none. Of several variants in a unit the best match (see
    `languages.best_match`), then the first, is taken. If languages are not given, the source is the header's srclang
    (or else the first language of the first unit that has two), and the target the first other one there.

    Raises:
        DataError: the file cannot be read (see `read_blocks`), is not well-formed XML, not TMX, declares or uses
            entities beyond XML's five, or has no unit with both languages.
    """
    reader = _Reader(path, source_language, target_language)
    num_bytes = 0
    for block in read_blocks(path):
        reader.feed(block)
        num_bytes += len(block)
        yield from reader.take()
        if num_bytes - reader.parser.CurrentByteIndex > _MAX_TAG_BYTES:
            raise DataError(
                f"{path}, line {reader.parser.CurrentLineNumber:,}: one tag or comment of more than "
                f"{_MAX_TAG_BYTES >> 20} MiB. A TMX file was expected. Check how it was made."
            )
    reader.feed(b"", final=True)
    yield from reader.take()
    reader.check_found()


class _Reader:
    """The state between two expat events."""

    def __init__(self, path: Path, source_language: str | None, target_language: str | None):
        self.path = path
        self.source_language, self.target_language = source_language, target_language
        self.header_language: str | None = None
        self.rows: list[Row] = []
        self.languages: dict[str, None] = {}  # all that were met, for the message when nothing fits
        self.num_pairs = 0
        # Lines of units before the languages were settled, by the languages they have: 8 bytes each.
        self.undecided: dict[tuple[str, ...], array[int]] = {}
        self.depth = 0
        self.line = 0  # of the unit
        self.variants: list[tuple[str, str, bool]] = []  # language, text, too long
        self.language = ""
        self.keeps: list[bool] | None = None  # in a segment: is text kept, for it and each element open inside it
        self.parts: list[str] = []
        self.size = 0

        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.text
        self.parser.EntityDeclHandler = self.declared_entity
        self.parser.SkippedEntityHandler = self.skipped_entity

    def feed(self, block: bytes, *, final: bool = False) -> None:
        try:
            self.parser.Parse(block, final)
        except expat.ExpatError as error:
            raise DataError(
                f"{self.path}, line {error.lineno:,}, column {error.offset + 1:,} "
                f"(byte {self.parser.ErrorByteIndex:,}): {expat.ErrorString(error.code)}. "
                f"Well-formed XML in the encoding it declares was expected. Repair the file or export it again."
            ) from error
        except (LookupError, ValueError) as error:  # of an encoding that expat leaves to Python
            raise self.error(f"its encoding cannot be read ({error})", "UTF-8 or UTF-16 was expected") from error

    def take(self) -> list[Row]:
        rows, self.rows = self.rows, []
        return rows

    def check_found(self) -> None:
        if self.num_pairs:
            return
        wanted = " and ".join(tag for tag in (self.source_language, self.target_language) if tag) or "two languages"
        languages = ", ".join(list(self.languages)[:20]) or "none"
        raise DataError(
            f"{self.path}: no unit has text in {wanted}. Languages in the file: {languages}. "
            f"Name two of them with --from and --to."
        )

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth == 1 and tag != "tmx":
            raise self.error(f"the outermost element is <{tag[:40]}>", "<tmx> was expected")
        if self.depth > _MAX_DEPTH:
            raise self.error(f"elements nested more than {_MAX_DEPTH} deep", "a TMX file was expected")
        if self.keeps is not None:
            self.keeps.append(tag == "sub" or (self.keeps[-1] and tag not in _CODE_TAGS))
        elif tag == "seg":
            self.keeps, self.parts, self.size = [True], [], 0
        elif tag == "tuv":
            self.language = attributes.get("xml:lang") or attributes.get("lang") or ""
        elif tag == "tu":
            self.line = self.parser.CurrentLineNumber
            self.variants = []
        elif tag == "header":
            language = attributes.get("srclang", "")
            self.header_language = None if language.lower() in ("", "*all*") else language

    def end(self, tag: str) -> None:
        self.depth -= 1
        if self.keeps is not None:
            self.keeps.pop()
            if not self.keeps:
                self.keeps = None
                self.end_segment()
        elif tag == "tu":
            self.end_unit()

    def text(self, text: str) -> None:
        if self.keeps is not None and self.keeps[-1]:
            self.size += len(text)
            if self.size <= MAX_LINE_BYTES:  # here in characters
                self.parts.append(text)

    def end_segment(self) -> None:
        if len(self.languages) < 1000:
            self.languages[self.language] = None
        wanted = [tag for tag in (self.source_language, self.target_language) if tag]
        if len(wanted) == 2 and all(best_match(tag, [self.language]) is None for tag in wanted):
            return
        too_long = self.size > MAX_LINE_BYTES
        self.variants.append((self.language, "" if too_long else one_line("".join(self.parts)), too_long))

    def end_unit(self) -> None:
        tags = [language for language, _, _ in self.variants]
        if self.source_language is None or self.target_language is None:
            if not self.decide(tags):
                self.undecided.setdefault(tuple(tags), array("q")).append(self.line)
                return
            wanted = (self.source_language or "", self.target_language or "")
            for languages, lines in self.undecided.items():
                if any(best_match(tag, languages) is not None for tag in wanted):  # they had one of the two
                    self.rows += [Row(line, "", "") for line in lines]
            self.rows.sort()
            self.undecided.clear()
        source = best_match(self.source_language or "", tags)
        both = choose_pair(tags, self.source_language, self.target_language)
        if both is not None:
            self.num_pairs += 1
            (_, source_text, source_long), (_, target_text, target_long) = (self.variants[side] for side in both)
            self.rows.append(Row(self.line, source_text, target_text, TOO_LONG if source_long or target_long else None))
        elif self.variants:
            _, text, too_long = self.variants[source or 0]
            sides = (text, "") if source is not None else ("", text)
            self.rows.append(Row(self.line, *sides, TOO_LONG if too_long else None))

    def decide(self, tags: list[str]) -> bool:
        """Settle the languages that were not given by this unit, if it has two."""
        distinct = list(dict.fromkeys(tags))
        places = range(len(distinct))
        likely = self.source_language or self.header_language  # the header may name what the units do not have
        source = None if likely is None else best_match(likely, distinct)
        target = None if self.target_language is None else best_match(self.target_language, distinct)
        missing = (self.source_language and source is None) or (self.target_language and target is None)
        if missing or len(distinct) < 2:
            return False
        if source is None or source == target:
            source = next(place for place in places if place != target)
        if target is None:
            target = next(place for place in places if place != source)
        self.source_language = self.source_language or distinct[source]
        self.target_language = self.target_language or distinct[target]
        return True

    def declared_entity(self, name: str, *_: object) -> None:
        raise self.error(f"it declares the entity {name[:40]!r}", "TMX needs no entities of its own")

    def skipped_entity(self, name: str, _: object) -> None:
        raise self.error(f"it uses the undefined entity {name[:40]!r}", "XML has only amp, lt, gt, quot and apos")

    def error(self, found: str, expected: str) -> DataError:
        line = self.parser.CurrentLineNumber
        return DataError(f"{self.path}, line {line:,}: {found}; {expected}. Repair the file or export it again.")
