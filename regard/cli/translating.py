"""Commands that use a translator and judge it: translate, evaluate."""

import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regard.cli.options import (
    DataArgument,
    Float32Option,
    FromOption,
    JsonOption,
    LabelOption,
    OtherOption,
    OutOption,
    ReverseOption,
    SplitLongOption,
    TextOption,
    ToOption,
    length_edges,
    refuse_options,
    say,
)
from regard.errors import ConfigError
from regard.streams import file_chunks, pair_up, refuse_overwriting, stdin_chunks, writer

if TYPE_CHECKING:
    from regard.decoding.options import SearchOptions

_LENGTHS = "10,20,30,40,50"


def translate(
    model: Annotated[Path, typer.Argument(help="Model folder or run folder.")],
    files: Annotated[list[Path] | None, typer.Argument(help="Text files; none: standard input.")] = None,
    out: OutOption = "",
    beam: Annotated[int, typer.Option(help="Beam size; 1 is greedy.")] = 5,
    length_penalty: Annotated[float, typer.Option(help="Higher prefers longer (Wu et al. 2016).")] = 0.6,
    n_best: Annotated[int, typer.Option(help="Translations a line; more than one needs --json.")] = 1,
    min_length: Annotated[int, typer.Option(help="Fewest tokens of a translation.")] = 0,
    max_length: Annotated[int, typer.Option(help="Most tokens of a translation; 0: follows the source.")] = 0,
    sample: Annotated[
        bool, typer.Option("--sample", help="Draw translations instead of searching for the best.")
    ] = False,
    temperature: Annotated[float, typer.Option(help="Of --sample.")] = 1.0,
    top_k: Annotated[int, typer.Option(help="Of --sample; 0: all tokens.")] = 0,
    top_p: Annotated[float, typer.Option(help="Of --sample.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of --sample.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Translate text, one line in, one line out.

    Example: regard translate runs/mine < text.en > text.pt
    """
    import regard.api
    from regard.decoding.options import SearchOptions

    if n_best > 1 and not as_json:
        raise ConfigError(f"--n-best {n_best} needs --json: in plain text one line in is one line out.")
    if not sample and (temperature, top_k, top_p, seed) != (1.0, 0, 1.0, 1):
        raise ConfigError(
            "--temperature, --top-k, --top-p and --seed need --sample: a search for the best draws nothing."
        )
    usual = SearchOptions()
    if sample and beam != usual.beam_size:
        raise ConfigError(f"--beam {beam} is of a search for the best, and --sample draws. Leave one of them out.")
    options = SearchOptions(
        beam_size=beam if sample or beam < 1 else max(beam, n_best),
        length_penalty=length_penalty,
        n_best=n_best,
        min_length=min_length,
        max_length=max_length,
        sample=sample,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
    )
    if not as_json:  # JSON has scores
        _check_penalty(options)
    ways = pair_up(files or [], out)
    translator = regard.api.load(model)
    counts: dict[str, int] = {}
    lines = 0
    for source, target in ways:
        with writer(target) as write:
            for chunk in stdin_chunks() if source is None else file_chunks(source):
                for result in translator.translate(chunk, options):
                    lines += 1
                    for flag in result.flags:
                        counts[flag] = counts.get(flag, 0) + 1
                    write(_result_json(result) if as_json else result.text)
                sys.stdout.flush()  # who types a line, or pipes one, sees it translated
    flagged = ", ".join(f"{flag.replace('_', ' ')} {count:,}" for flag, count in sorted(counts.items()))
    if flagged:
        more = "" if as_json else " (see them with --json)"
        say(f"{lines:,} line{'s' if lines > 1 else ''} · flagged: {flagged}{more}")


def _check_penalty(options: "SearchOptions") -> None:
    """Refuse a length penalty where no hypotheses of different lengths compete."""
    if not options.searches and options.length_penalty != type(options)().length_penalty:
        raise ConfigError("--length-penalty compares what a beam finds, and here is none. Leave it out.")


def _result_json(result: Any) -> str:
    row = {
        "source": result.source,
        "text": result.text,
        "score": result.score,
        "flags": list(result.flags),
        "alternatives": [{"text": item.text, "score": item.score} for item in result.alternatives],
    }
    return json.dumps(row, ensure_ascii=False)


def evaluate(
    model: Annotated[Path, typer.Argument(help="Model folder or run folder.")],
    data: DataArgument,
    against: Annotated[Path | None, typer.Option(help="Another model, for a paired test.")] = None,
    paper: Annotated[
        str, typer.Option(metavar="LANG", help="Also the literature's BLEU (lower-cased, Moses) for cs, de, en or fr.")
    ] = "",
    lengths: Annotated[str, typer.Option(help="Edges of the source-length buckets, in words.")] = _LENGTHS,
    beam: Annotated[int, typer.Option(help="Beam size; 1 is greedy.")] = 5,
    length_penalty: Annotated[float, typer.Option(help="Higher prefers longer.")] = 0.6,
    source_language: FromOption = "",
    target_language: ToOption = "",
    reverse: ReverseOption = False,
    label: LabelOption = "",
    text: TextOption = None,
    other: OtherOption = "",
    pair: Annotated[bool, typer.Option("--pair", help="Each row of an encoder's DATA has two texts.")] = False,
    split_long: SplitLongOption = False,
    float32: Float32Option = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the translations (or labels) here.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Score a model: BLEU, chrF, TER with signatures and 95 % intervals, by source length; paired test.

    An encoder with a task is scored on labelled texts: accuracy, F1, Matthews; F1 of entities; correlations. A language
    model is scored on running text: loss a token and a character, perplexity a word.

    Example: regard evaluate runs/mine test.en test.pt --against runs/other
    """
    import regard.api
    from regard.data.columns import Columns
    from regard.data.pairs import files_of
    from regard.decoding.options import SearchOptions
    from regard.label_scoring import evaluate_encoder
    from regard.scoring import evaluate_models
    from regard.text_scoring import evaluate_text

    usual = SearchOptions()
    edges, options = length_edges(lengths), SearchOptions(beam_size=beam, length_penalty=length_penalty)
    kind = regard.api.kind_of(model)
    labels = {"label": label, "text": text, "other": other, "pair": pair, "split_long": split_long, "float32": float32}
    translations = {
        "against": against,
        "paper": paper,
        "lengths": lengths != _LENGTHS,
        "beam": beam != usual.beam_size,
        "length_penalty": length_penalty != usual.length_penalty,
        "source_language": source_language,
        "target_language": target_language,
        "reverse": reverse,
    }
    if kind is not regard.api.Encoder:
        refuse_options(kind.kind, labels)
    if kind is not regard.api.Translator:
        refuse_options(kind.kind, translations)
    _check_penalty(options)
    if kind is regard.api.LanguageModel:
        refuse_options(f"{kind.kind}, whose text is scored and not written", {"out": out})
        _tell(evaluate_text(model, data), as_json)
        return
    if out is not None:
        refuse_overwriting(out, files_of(data))
    with writer(out) if out else nullcontext() as write:  # opened first: a mistake shows before the long work
        if kind is regard.api.Encoder:
            columns = Columns(label=label, text=tuple(text or ()), other=other)
            report = evaluate_encoder(
                model, data, columns, pair=pair or bool(other) or None, split_long=split_long, float32=float32
            )
        else:
            report = evaluate_models(
                model,
                data,
                against=against,
                paper_language=paper,
                edges=edges,
                options=options,
                source_language=source_language,
                target_language=target_language,
                reverse=reverse,
            )
        if write is not None:
            for line in report.outputs:
                write(line)
    if out is not None and (reasons := {reason: count for reason, count in sorted(report.skipped.items()) if count}):
        listed = ", ".join(f"{reason} {count:,}" for reason, count in reasons.items())
        say(
            f"{out}: {len(report.outputs):,} lines; {sum(reasons.values()):,} of the data that cannot be used were "
            f"left out ({listed})."
        )
    _tell(report, as_json)


def _tell(report: Any, as_json: bool) -> None:
    typer.echo(json.dumps(report.to_json(), ensure_ascii=False, indent=1) if as_json else "\n".join(report.lines()))
