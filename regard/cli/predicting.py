"""The command that uses an encoder: predict."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from regard.cli.options import JsonOption, OutOption, refuse_options
from regard.errors import ConfigError, InputError, TextError
from regard.streams import file_chunks, pair_up, stdin_chunks, writer

if TYPE_CHECKING:
    from regard.api import Model, Prediction


def predict(
    model: Annotated[Path, typer.Argument(help="Model folder or run folder of an encoder.")],
    files: Annotated[list[Path] | None, typer.Argument(help="Text files; none: standard input.")] = None,
    out: OutOption = "",
    pair: Annotated[bool, typer.Option("--pair", help="Each line is two texts with a tab between.")] = False,
    fill: Annotated[bool, typer.Option("--fill", help="Guess the words that the lines have as [MASK].")] = False,
    calibrated: Annotated[
        bool, typer.Option("--calibrated", help="Probabilities as often right as they say, by fine-tuning's dev set.")
    ] = False,
    count: Annotated[int | None, typer.Option(help="With --fill, how many guesses a mask (5).")] = None,
    as_json: JsonOption = False,
) -> None:
    """Label texts, or fill in masked words, one line in, one line out.

    Classes come with their probability after a tab; tagged words as word/LABEL; guesses of one mask with commas, of
    several with " | ".

    Example: regard predict models/sentiment < reviews.txt > labels.tsv
    """
    import regard.api
    from regard.label_scoring import reads_pairs

    if fill and (pair or calibrated):
        raise ConfigError("--fill reads single texts and gives plain probabilities; leave out --pair and --calibrated.")
    if not fill:
        refuse_options("predict without --fill", {"count": count is not None})
    if count is not None and count < 1:
        raise ConfigError(f"--count {count}: expected at least 1.")
    ways = pair_up(files or [], out)
    loaded = regard.api.load(model)
    if isinstance(loaded, regard.api.Encoder) and not fill:
        pair = reads_pairs(loaded, pair or None)

    def results(chunk: list[str]) -> list[str]:
        if fill:
            return _filled(loaded, chunk, count or 5, as_json)
        return _labelled(loaded, chunk, pair, calibrated, as_json)

    for source, target in ways:
        number = 0  # of the lines before the chunk
        with writer(target) as write:
            for chunk in stdin_chunks() if source is None else file_chunks(source):
                wrong = None
                try:
                    lines = results(chunk)
                except TextError as error:
                    wrong, lines = error, results(chunk[: error.row])  # those before it are as good as ever
                for line in lines:
                    write(line)
                sys.stdout.flush()
                if wrong is not None:
                    where = "standard input" if source is None else source
                    raise InputError(f"{where}, line {number + wrong.row + 1:,}: {wrong}") from wrong
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


def _labelled(model: "Model", chunk: list[str], pair: bool, calibrated: bool, as_json: bool) -> list[str]:
    texts: list[str | tuple[str, str]] = list(chunk)
    if pair:
        halves = [line.split("\t") for line in chunk]
        for row, half in enumerate(halves):
            if len(half) != 2:
                raise TextError(f"{chunk[row][:60]!r} is not two texts with one tab between.", row)
        texts = [(first, second) for first, second in halves]
    found = model.predict(texts, calibrated=calibrated)
    return [_line(text, each, as_json) for text, each in zip(chunk, found, strict=True)]


def _line(text: str, found: "Prediction", as_json: bool) -> str:
    if as_json:
        if isinstance(found, float):
            row: dict = {"value": found}
        else:
            row = {"words": [asdict(word) for word in found]} if isinstance(found, list) else asdict(found)
        return json.dumps({"text": text, **row}, ensure_ascii=False)
    if isinstance(found, float):
        return f"{found:.6g}"
    if isinstance(found, list):
        return " ".join(f"{word.text}/{word.label}" for word in found)
    return f"{found.label}\t{found.probability:.4f}"
