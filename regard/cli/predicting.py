"""The command that uses an encoder: predict."""

import json
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from regard.cli.options import (
    Float32Option,
    JsonOption,
    OtherOption,
    OutOption,
    SplitLongOption,
    TextOption,
    refuse_options,
)
from regard.errors import ConfigError, InputError, TextError
from regard.formats.files import kind_suffix
from regard.formats.tables import SUFFIXES
from regard.streams import file_chunks, in_chunks, pair_up, stdin_chunks, writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from regard.api import Model, Prediction
    from regard.data.columns import Columns
    from regard.data.labelled import Text


def predict(
    model: Annotated[Path, typer.Argument(help="Model folder or run folder of an encoder.")],
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Text files, or tables (TSV, CSV, JSONL) with a text a row; none: standard input."),
    ] = None,
    out: OutOption = "",
    text: TextOption = None,
    other: OtherOption = "",
    pair: Annotated[
        bool, typer.Option("--pair", help="Each line is two texts with a tab between; each row of a table has two.")
    ] = False,
    fill: Annotated[bool, typer.Option("--fill", help="Guess the words that the lines have as [MASK].")] = False,
    words: Annotated[
        bool,
        typer.Option(
            "--words", help="Words are what stands between spaces, or lists in JSON lines; each gets one tag."
        ),
    ] = False,
    calibrated: Annotated[
        bool, typer.Option("--calibrated", help="Probabilities as often right as they say, by fine-tuning's dev set.")
    ] = False,
    split_long: SplitLongOption = False,
    float32: Float32Option = False,
    count: Annotated[int | None, typer.Option(help="With --fill, how many guesses a mask (5).")] = None,
    as_json: JsonOption = False,
) -> None:
    """Label texts, or fill in masked words, one line or row in, one line out.

    Classes come with their probability after a tab; tagged words as word/LABEL, with --json also the entities that they
    mark; guesses of one mask with commas, of several with " | ".

    A file that ends in .tsv, .csv or .jsonl is a table: the text is in the column "text", "sentence" or "sentence1", in
    the only one, or where --text says (of a pair also "other", "text_pair", "sentence2", or --other).

    Example: regard predict models/sentiment < reviews.txt > labels.tsv
    """
    import regard.api
    from regard.data.columns import Columns
    from regard.label_scoring import reads_pairs

    if fill and (pair or other or words or calibrated or split_long):
        raise ConfigError(
            "--fill reads single texts whole and gives plain probabilities; leave out --pair, --other, --words, "
            "--calibrated and --split-long."
        )
    if words and (pair or other):
        raise ConfigError("--words is of single texts; leave out --pair and --other.")
    if not fill:
        refuse_options("predict without --fill", {"count": count is not None})
    if count is not None and count < 1:
        raise ConfigError(f"--count {count}: expected at least 1.")
    ways = pair_up(files or [], out)
    if not any(_is_table(source) for source, _ in ways):
        refuse_options("lines of text", {"text": text, "other": other})
    columns = Columns(text=tuple(text or ()), other=other)
    loaded = regard.api.load(model, float32=float32)
    if isinstance(loaded, regard.api.Encoder) and not fill:
        pair = reads_pairs(loaded, pair or bool(other) or None)

    labels_of = partial(loaded.predict, calibrated=calibrated, split=words, split_long=split_long)

    def results(texts: "list[Text]") -> list[str]:
        if fill:
            return _filled(loaded, [each for each in texts if isinstance(each, str)], count or 5, as_json)
        return _labelled(labels_of, texts, pair, as_json)

    for source, target in ways:
        with writer(target) as write:
            for rows in _chunks(source, columns, pair, words):
                lines, wrong = _as_far_as_good([each for _, each in rows], results)
                for line in lines:
                    write(line)
                sys.stdout.flush()
                if wrong is not None:
                    where = "standard input" if source is None else source
                    raise InputError(f"{where}, line {rows[wrong.row][0]:,}: {wrong}") from wrong


def _as_far_as_good(
    texts: "list[Text]", results: "Callable[[list[Text]], list[str]]"
) -> tuple[list[str], TextError | None]:
    """The results of the texts before the first wrong one, and what is wrong with it; None: nothing is."""
    wrong = None
    while True:
        try:
            return results(texts), wrong
        except TextError as error:  # the first of its kind; one of another kind may stand before it
            texts, wrong = texts[: error.row], error


def _is_table(source: Path | None) -> bool:
    return source is not None and kind_suffix(source) in SUFFIXES


def _chunks(source: Path | None, columns: "Columns", pair: bool, words: bool) -> "Iterator[list[tuple[int, Text]]]":
    """The texts of an input, many together, each with the number of the line where it begins."""
    from regard.data.labelled import read_texts

    if source is not None and _is_table(source):
        yield from in_chunks(read_texts(source, columns, pair=pair, words=words))
        return
    number = 1
    for chunk in stdin_chunks() if source is None else file_chunks(source):
        yield list(enumerate(chunk, number))
        number += len(chunk)


def _filled(model: "Model", chunk: list[str], count: int, as_json: bool) -> list[str]:
    found = model.fill(chunk, count)
    if as_json:
        return [
            json.dumps(
                {"text": text, "masks": [[asdict(guess) for guess in mask] for mask in masks]}, ensure_ascii=False
            )
            for text, masks in zip(chunk, found, strict=True)
        ]
    return [" | ".join(", ".join(guess.text for guess in mask) for mask in masks) for masks in found]


def _labelled(
    labels_of: "Callable[[list[Text]], Sequence[Prediction]]", texts: "list[Text]", pair: bool, as_json: bool
) -> list[str]:
    asked = [_halves(text, row) if pair and isinstance(text, str) else text for row, text in enumerate(texts)]
    found = labels_of(asked)
    shown = (text if isinstance(text, str) else "\t".join(text) for text in texts)
    return [_line(text, each, as_json) for text, each in zip(shown, found, strict=True)]


def _halves(line: str, row: int) -> tuple[str, str]:
    halves = line.split("\t")
    if len(halves) != 2:
        raise TextError(f"{line[:60]!r} is not two texts with one tab between.", row)
    return halves[0], halves[1]


def _line(text: str, found: "Prediction", as_json: bool) -> str:
    if as_json:
        if isinstance(found, float):
            row: dict = {"value": found}
        elif isinstance(found, list):
            from regard.prediction import entities

            marked = [asdict(entity) for entity in entities(text, found)]
            row = {"words": [asdict(word) for word in found], "entities": marked}
        else:
            row = asdict(found)
        return json.dumps({"text": text, **row}, ensure_ascii=False)
    if isinstance(found, float):
        return f"{found:.6g}"
    if isinstance(found, list):
        return " ".join(f"{word.text}/{word.label}" for word in found)
    return f"{found.label}\t{found.probability:.4f}"
