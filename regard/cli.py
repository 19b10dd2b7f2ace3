"""The command line: parse, call one function, print. Words for people go to stderr, results to stdout."""

import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

import regard
from regard.errors import ConfigError, DataError, InputError, MissingDependencyError, RegardError

app = typer.Typer(
    add_completion=True,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Teach a small model one job on text, see what it attends to, and run it on an ordinary machine.",
)

DataArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="DATA...",
        help="Two line-aligned files, or TSV, JSONL, TMX, PO files (each optionally FILE:WEIGHT), or world[:N].",
    ),
]
FromOption = Annotated[str, typer.Option("--from", help="Source language (BCP-47), where names or files need it.")]
ToOption = Annotated[str, typer.Option("--to", help="Target language (BCP-47).")]
ReverseOption = Annotated[bool, typer.Option("--reverse", help="Translate from the second side to the first.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print results as JSON, for machines.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="a.b=c", help="One setting, such as training.seed=2.")
]


def main() -> None:
    """Run the command line; a caller's mistake ends with one sentence and its exit status, never a traceback."""
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `regard ... | head` ends quietly
    try:
        app(arguments, standalone_mode=True)
    except RegardError as error:
        if debug:
            raise
        _say(f"regard: error: {error}")
        sys.exit(error.exit_status)
    except ModuleNotFoundError as error:
        extra = {"torch": "train", "sacrebleu": "eval", "sacremoses": "eval", "matplotlib": "plot"}.get(
            error.name or ""
        )
        if debug or extra is None:
            raise
        missing = MissingDependencyError(str(error.name), extra, "This command")
        _say(f"regard: error: {missing}")
        sys.exit(missing.exit_status)
    except MemoryError:
        _say("regard: error: out of memory. Use smaller batches: --set training.batch_tokens=..., or --batch-tokens.")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


@app.callback(invoke_without_command=True)
def _common(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(regard.__version__)
        raise typer.Exit


@app.command()
def audit(
    data: DataArgument,
    dev: Annotated[list[str] | None, typer.Option(help="Development DATA (repeat for two aligned files).")] = None,
    test: Annotated[list[str] | None, typer.Option(help="Test DATA (repeat for two aligned files).")] = None,
    source_language: FromOption = "",
    target_language: ToOption = "",
    as_json: JsonOption = False,
) -> None:
    """Count what can be used and what is skipped and why; find overlap between train, dev and test.

    Example: regard audit memory.tmx.gz messages.po --test test.tsv
    """
    from regard.data.audit import audit as run_audit

    report = run_audit(
        data,
        dev or None,
        test or None,
        source_language=source_language or None,
        target_language=target_language or None,
    )
    typer.echo(json.dumps(report.to_json(), ensure_ascii=False, indent=1) if as_json else "\n".join(report.lines()))


@app.command()
def train(
    data: DataArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder; an existing one is gone on with.")],
    arch: Annotated[str, typer.Option(help="rnn, rnnsearch, gnmt or transformer (the default).")] = "",
    config: Annotated[Path | None, typer.Option("--config", "-c", help="TOML file of settings.")] = None,
    settings: SetOption = None,
    dev: Annotated[list[str] | None, typer.Option(help="Development DATA (repeat for two aligned files).")] = None,
    source_language: FromOption = "",
    target_language: ToOption = "",
    reverse: ReverseOption = False,
    no_filter: Annotated[bool, typer.Option("--no-filter", help="Use every pair, even one that looks wrong.")] = False,
) -> None:
    """Train a translator on your own pairs; the same command goes on after an interruption.

    Example: regard train my.en my.pt --from en --to pt-BR --out runs/mine
    """
    from regard.config import parse_setting, read_toml
    from regard.progress import ConsoleReporter
    from regard.runs.data import prepare_data
    from regard.runs.run import Run
    from regard.runs.settings import DataSettings, settings_from

    tables: dict[str, dict[str, Any]] = read_toml(config) if config else {}
    for text in settings or []:
        section, key, value = parse_setting(text)
        tables.setdefault(section, {})[key] = value
    given = tables.pop("data", {})
    data_settings = DataSettings(
        train=tuple(data),
        dev=tuple(dev or given.pop("dev", ())),
        dev_pairs=given.pop("dev_pairs", 1_000),
        source_language=source_language or given.pop("source_language", ""),
        target_language=target_language or given.pop("target_language", ""),
        reverse=reverse or given.pop("reverse", False),
        filter=not no_filter and given.pop("filter", True),
    )
    tables["data"] = given
    reporter = ConsoleReporter()
    seed = tables.get("training", {}).get("seed", 1)
    train_pairs, dev_pairs = prepare_data(data_settings, seed, reporter.note)
    complete = settings_from(tables, data_settings, len(train_pairs), arch, str(config or "--set"))
    reporter.settings(complete)
    with reporter:
        best = Run(out, complete, reporter).train(train_pairs, dev_pairs)
    reporter.note(f"best: step {best['step']:,}, dev chrF {best['dev_chrf']:.1f}, BLEU {best['dev_bleu']:.1f}")
    reporter.note(f"model: {out / 'model'}   try: regard translate {out} < text.txt")


@app.command()
def translate(
    model: Annotated[Path, typer.Argument(help="Model folder or run folder.")],
    files: Annotated[list[Path] | None, typer.Argument(help="Text files; none: standard input.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File (folder for several inputs); else stdout.")
    ] = None,
    beam: Annotated[int, typer.Option(help="Beam size; 1 is greedy.")] = 5,
    length_penalty: Annotated[float, typer.Option(help="Higher prefers longer (Wu et al. 2016).")] = 0.6,
    n_best: Annotated[int, typer.Option(help="Translations a line, in JSON.")] = 1,
    min_length: Annotated[int, typer.Option(help="Fewest tokens of a translation.")] = 0,
    max_length: Annotated[int, typer.Option(help="Most tokens of a translation; 0: follows the source.")] = 0,
    sample: Annotated[
        bool, typer.Option("--sample", help="Draw translations instead of searching for the best.")
    ] = False,
    temperature: Annotated[float, typer.Option(help="Of --sample.")] = 1.0,
    top_k: Annotated[int, typer.Option(help="Of --sample; 0: all tokens.")] = 0,
    top_p: Annotated[float, typer.Option(help="Of --sample.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of --sample.")] = 1,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Translate text, one line in, one line out.

    Example: regard translate runs/mine < text.en > text.pt
    """
    import regard.api
    from regard.decoding.options import SearchOptions

    options = SearchOptions(
        beam_size=max(beam, n_best) if not sample else beam,
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
    translator = regard.api.load(model, device=device)
    counts: dict[str, int] = {}
    lines = 0
    for name, source_lines, write in _streams(files or [], out):
        for chunk in _chunks(source_lines, 2_000):
            for result in translator.translate(chunk, options):
                lines += 1
                for flag in result.flags:
                    counts[flag] = counts.get(flag, 0) + 1
                write(_result_json(result) if as_json else result.text)
        del name
    flagged = ", ".join(f"{flag.replace('_', ' ')} {count:,}" for flag, count in sorted(counts.items()))
    if flagged:
        _say(f"{lines:,} lines · flagged: {flagged} (see them with --json)")


@app.command()
def evaluate(
    model: Annotated[Path, typer.Argument(help="Model folder or run folder.")],
    data: DataArgument,
    against: Annotated[Path | None, typer.Option(help="Another model, for a paired test.")] = None,
    paper: Annotated[
        str, typer.Option(metavar="LANG", help="Also the literature's BLEU (lower-cased, Moses) for cs, de, en or fr.")
    ] = "",
    lengths: Annotated[str, typer.Option(help="Edges of the source-length buckets, in words.")] = "10,20,30,40,50",
    beam: Annotated[int, typer.Option(help="Beam size; 1 is greedy.")] = 5,
    length_penalty: Annotated[float, typer.Option(help="Higher prefers longer.")] = 0.6,
    source_language: FromOption = "",
    target_language: ToOption = "",
    reverse: ReverseOption = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the translations here.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Score a model: BLEU, chrF, TER with signatures and 95 % intervals, by source length; paired test.

    Example: regard evaluate runs/mine test.en test.pt --against runs/other
    """
    from regard.decoding.options import SearchOptions
    from regard.scoring import evaluate_models

    try:
        edges = tuple(int(edge) for edge in lengths.split(","))
    except ValueError as error:
        raise ConfigError(f"--lengths {lengths}: expected whole numbers with commas, such as 10,20,30.") from error
    report = evaluate_models(
        model,
        data,
        against=against,
        paper_language=paper,
        edges=edges,
        options=SearchOptions(beam_size=beam, length_penalty=length_penalty),
        source_language=source_language,
        target_language=target_language,
        reverse=reverse,
    )
    if out:
        _write_lines(out, report.outputs)
    typer.echo(json.dumps(report.to_json(), ensure_ascii=False, indent=1) if as_json else "\n".join(report.lines()))


def _result_json(result: Any) -> str:
    row = {
        "source": result.source,
        "text": result.text,
        "score": result.score,
        "flags": list(result.flags),
        "alternatives": [{"text": item.text, "score": item.score} for item in result.alternatives],
    }
    return json.dumps(row, ensure_ascii=False)


def _streams(files: list[Path], out: Path | None) -> Iterator[tuple[str, Iterator[str], Callable[[str], None]]]:
    """Each input with its lines and where its results go."""

    several = len(files) > 1
    for path in files or [None]:
        target = None
        if out is not None:
            target = out / path.name if several and path is not None else out
        lines = _stdin_lines() if path is None or str(path) == "-" else _file_lines(path)
        with _writer(target) as write:
            yield str(path or "stdin"), lines, write


@contextmanager
def _writer(path: Path | None) -> Iterator[Callable[[str], None]]:
    """A function that writes a line to stdout, or to a file that appears complete or not at all."""
    if path is None:
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
        yield lambda line: print(line)
        return
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            yield lambda line: print(line, file=file)
        partial.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}).") from error
    finally:
        partial.unlink(missing_ok=True)


def _file_lines(path: Path) -> Iterator[str]:
    from regard.formats.files import MAX_LINE_BYTES, read_lines

    for number, line in enumerate(read_lines(path), start=1):
        if line is None:
            raise DataError(
                f"{path}, line {number}: has more than {MAX_LINE_BYTES:,} bytes. Break it into lines first."
            )
        yield line


def _write_lines(path: Path, lines: list[str]) -> None:
    with _writer(path) as write:
        for line in lines:
            write(line)


def _stdin_lines() -> Iterator[str]:
    """Lines of standard input; they end at LF only."""
    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            yield line.removesuffix(b"\n").decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                f"standard input, line {number}: byte {error.start + 1} of the line is not UTF-8. "
                "Convert the text first, for example with iconv."
            ) from error


def _chunks(lines: Iterator[str], size: int) -> Iterator[list[str]]:
    chunk: list[str] = []
    for line in lines:
        chunk.append(line)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
