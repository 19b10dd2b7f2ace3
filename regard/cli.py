"""The command line: parse, call one function, print. Words for people go to stderr, results to stdout."""

import json
import os
import signal
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import regard
from regard.errors import ConfigError, InputError, MissingDependencyError, RegardError, Stopped, StorageError
from regard.streams import file_chunks, pair_up, stdin_chunks, writer

if TYPE_CHECKING:
    from regard.look.weights import Look, Matrix

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
    # Results are UTF-8 whatever the locale says, and lines end at LF.
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
    try:
        app(arguments, prog_name="regard", standalone_mode=True)
    except Exception as error:
        told = _told(error)
        if debug or told is None:
            raise
        _say(f"regard: {told}" if isinstance(told, Stopped) else f"regard: error: {told}")
        sys.exit(told.exit_status)


def _told(error: Exception) -> RegardError | None:
    """What a person is told of an error; None: it is a mistake of ours, and the traceback is what helps."""
    if isinstance(error, RegardError):
        return error
    if isinstance(error, ModuleNotFoundError) and error.name in _EXTRAS:
        return MissingDependencyError(error.name, _EXTRAS[error.name], "This command")
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "not enough memory" in str(error)):
        return RegardError("out of memory. Use smaller batches, for example --set training.batch_tokens=1000.")
    if isinstance(error, OSError) and error.strerror:  # a disk or a pipe that nothing nearer has explained
        if error.filename is None:  # of stdout, most likely: Python must not try again at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return StorageError(f"{error.filename or 'standard output'}: {error.strerror}.")
    return None


_EXTRAS = {"torch": "train", "sacrebleu": "eval", "sacremoses": "eval", "matplotlib": "plot"}


@app.callback(invoke_without_command=True)
def _common(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show an error's traceback; goes anywhere on the line.")
    ] = False,
) -> None:
    del debug  # `main` has looked for it
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
    from regard.evaluation.metrics import make_metric
    from regard.progress import ConsoleReporter
    from regard.runs.data import prepare_data
    from regard.runs.run import Run
    from regard.runs.settings import settings_from

    tables, where = _tables(config, settings)
    data_settings = _data_settings(
        tables,
        where,
        train=data,
        dev=dev,
        source_language=source_language,
        target_language=target_language,
        reverse=reverse,
        filter=False if no_filter else None,
    )
    checked = settings_from(tables, data_settings, 1, arch, where)  # a mistake shows before the data is read
    make_metric(checked.training.dev_metric)  # and so does a missing library
    reporter = ConsoleReporter()
    train_pairs, dev_pairs = prepare_data(data_settings, checked.training.seed, reporter.note)
    complete = settings_from(tables, data_settings, len(train_pairs), arch, where)
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
    if not sample and (temperature, top_k, top_p) != (1.0, 0, 1.0):
        raise ConfigError("--temperature, --top-k and --top-p need --sample: a search for the best draws nothing.")
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
        _say(f"{lines:,} line{'s' if lines > 1 else ''} · flagged: {flagged}{more}")


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

    edges, options = _edges(lengths), SearchOptions(beam_size=beam, length_penalty=length_penalty)
    with writer(out) if out else nullcontext() as write:  # opened first: a mistake shows before the long work
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
    typer.echo(json.dumps(report.to_json(), ensure_ascii=False, indent=1) if as_json else "\n".join(report.lines()))


@app.command()
def look(
    model: Annotated[Path, typer.Argument(help="Model folder or run folder.")],
    text: Annotated[
        list[str] | None,
        typer.Argument(metavar="TEXT...", help="A sentence, or several for a page; none: stdin's lines."),
    ] = None,
    target: Annotated[str, typer.Option(help="Its translation; none: the model's own.")] = "",
    kind: Annotated[str, typer.Option(help="cross (to the source), encoder or decoder.")] = "cross",
    layer: Annotated[int | None, typer.Option(help="From 1, or from the end if negative; none: their mean.")] = None,
    head: Annotated[int | None, typer.Option(help="From 1, or from the end if negative; none: their mean.")] = None,
    pieces: Annotated[bool, typer.Option("--pieces", help="Sub-word pieces, not words.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Page: .html; picture: .png, .svg, .pdf; none: in the terminal.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what the model attends to while it translates a sentence.

    Example: regard look runs/mine "The cat sleeps because it is tired." --out cat.html
    """
    import regard.api
    from regard.look import page, style

    is_page = out is not None and out.suffix.lower() in (".html", ".htm")
    if out is not None and not is_page:
        style.check(out)  # a mistake shows before the long work
    if layer == 0 or head == 0:
        raise ConfigError("--layer and --head count from 1; leave them out for the mean.")
    texts = text or [line for chunk in stdin_chunks() for line in chunk if line.strip()]
    if not texts or (len(texts) > 1 and (not is_page or target)):
        raise InputError(
            f"found {len(texts)} sentences. One is looked at, or several in a page (--out look.html) without --target."
        )
    translator = regard.api.load(model)
    looks = [translator.look(each, target or None) for each in texts]
    chosen = {"layer": _from_zero(layer), "head": _from_zero(head)}
    if out is not None and is_page:
        carried = page.write_page(looks, out, kind=kind, **chosen)
        if carried:
            layers = "; ".join(
                f"{name} {', '.join(str(each + 1) for each in each_kind)}" for name, each_kind in carried.items()
            )
            _say(f"not all layers fit into one page; it carries {layers}. Choose another with --kind and --layer.")
        _say(f"page: {out}")
        return
    matrix = looks[0].matrix(kind, **chosen, pieces=pieces)
    if out is not None:
        _draw(matrix, looks[0].model, out)
    if as_json:
        typer.echo(json.dumps(_look_json(looks[0], matrix), ensure_ascii=False))
    elif out is None:
        _print_matrix(looks[0], matrix)


def _draw(matrix: "Matrix", model: str, out: Path) -> None:
    from regard.look.matrix import draw_matrix

    draw_matrix(
        matrix.weights,
        matrix.columns,
        matrix.rows,
        out,
        special_source=matrix.special_columns,
        special_target=matrix.special_rows,
        title=f"{model}: {matrix.title}" if model else matrix.title,
        note=matrix.note,
    )
    _say(f"picture: {out}")


def _print_matrix(found: "Look", matrix: "Matrix") -> None:
    import shutil

    from regard.look.terminal import matrix_lines

    typer.echo(f"{found.source_text}\n{found.target_text}\n")
    colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    width = shutil.get_terminal_size().columns if colours else 10_000
    typer.echo("\n".join(matrix_lines(matrix, width=width, colours=colours)))


def _from_zero(number: int | None) -> int | None:
    """Layers and heads count from 1 for people, from 0 in Python; negative ones from the end for both."""
    return number - 1 if number is not None and number > 0 else number


@app.command()
def compare(
    data: DataArgument,
    arch: Annotated[list[str], typer.Option(help="An architecture; repeat it for several.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the runs, tables and picture.")],
    minutes: Annotated[
        float | None, typer.Option(help="Training time of each (10 if nothing is said); 0: the steps decide.")
    ] = None,
    dev: Annotated[list[str] | None, typer.Option(help="Development DATA (repeat for two aligned files).")] = None,
    test: Annotated[list[str] | None, typer.Option(help="Test DATA (repeat for two aligned files).")] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="TOML file of settings.")] = None,
    settings: SetOption = None,
    lengths: Annotated[str, typer.Option(help="Edges of the source-length buckets, in words.")] = "10,20,30,40,50",
    source_language: FromOption = "",
    target_language: ToOption = "",
    reverse: ReverseOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train several architectures on the same data for the same time, and compare them.

    Example: regard compare my.en my.pt --arch rnn --arch rnnsearch --arch transformer --out compared
    """
    from regard.compare import draw, report_lines, run, to_json
    from regard.look import style
    from regard.progress import ConsoleReporter

    edges, picture = _edges(lengths), out / "compare.png"
    style.check(picture)
    tables, where = _tables(config, settings)
    training = tables.setdefault("training", {})
    if minutes is not None or "max_minutes" not in training:
        training["max_minutes"] = 10.0 if minutes is None else minutes
    data_settings = _data_settings(
        tables,
        where,
        train=data,
        dev=dev,
        source_language=source_language,
        target_language=target_language,
        reverse=reverse,
    )
    with ConsoleReporter() as reporter:
        contestants = run(arch, tables, data_settings, test or [], edges, out, reporter)
    rows = json.dumps(to_json(contestants), ensure_ascii=False, indent=1)
    with writer(out / "compare.json") as write:
        write(rows)
    draw(contestants, picture, f"{' '.join(data)}; BLEU with 95 % bootstrap intervals.")
    typer.echo(rows if as_json else "\n".join(report_lines(contestants)))
    _say(f"picture: {picture}")


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the runs and pictures.")] = Path("demo"),
) -> None:
    """See it work: three small translators learn the built-in corpus in five minutes, without any network.

    Example: regard demo --out demo
    """
    import torch

    from regard import demo as demonstration
    from regard.progress import Bars

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    typer.echo(f"regard {regard.__version__}  ·  {cores} cores  ·  torch {torch.__version__}")
    with Bars() as bars:
        demonstration.run(out, typer.echo, bars.show)


@app.command("import")
def import_model(
    source: Annotated[Path, typer.Argument(help="Folder written by transformers (MarianMT).")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Model folder to write.")],
) -> None:
    """Bring in a model that Hugging Face transformers saved.

    Example: regard import opus-mt-en-pt --out models/en-pt
    """
    from regard.interop.marian import import_folder

    for warning in import_folder(source, out):
        _say(f"regard: warning: {warning}")
    _say(f"model: {out}")


def _tables(config: Path | None, settings: list[str] | None) -> tuple[dict[str, dict[str, Any]], str]:
    """The settings a person gave: a file's, with single values put over them; and where they stand, for messages."""
    from regard.config import parse_setting, read_toml

    tables: dict[str, dict[str, Any]] = read_toml(config) if config else {}
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise ConfigError(f"{config}: {name} stands outside any table. Put it under [model] or another.")
    for text in settings or []:
        section, key, value = parse_setting(text)
        tables.setdefault(section, {})[key] = value
    given = [str(config)] if config else []
    return tables, " and ".join([*given, "--set"] if settings else given) or "settings"


def _data_settings(
    tables: dict[str, dict[str, Any]], where: str, *, train: list[str], dev: list[str] | None, **options: object
) -> Any:
    """The [data] table, taken out of the others, with what the command line says put over it."""
    from regard.config import from_dict
    from regard.runs.settings import DataSettings

    said = {key: value for key, value in options.items() if value or (key, value) == ("filter", False)}
    if dev:
        said["dev"] = dev
    return from_dict(DataSettings, {**tables.pop("data", {}), **said, "train": train}, f"{where}, [data]")


def _edges(lengths: str) -> tuple[int, ...]:
    try:
        edges = tuple(int(edge) for edge in lengths.split(","))
    except ValueError as error:
        raise ConfigError(f"--lengths {lengths}: expected whole numbers with commas, such as 10,20,30.") from error
    if any(low >= high for low, high in zip((0, *edges), edges, strict=False)):
        raise ConfigError(f"--lengths {lengths}: the numbers must ascend from 1 or more, such as 10,20,30.")
    return edges


def _look_json(found: "Look", matrix: "Matrix") -> dict[str, Any]:
    return {
        "source": found.source_text,
        "target": found.target_text,
        "attention": matrix.title,
        "rows": list(matrix.rows),
        "columns": list(matrix.columns),
        "weights": [[round(float(weight), 6) for weight in row] for row in matrix.weights],
        "log_probs": list(found.log_probs),
    }


def _result_json(result: Any) -> str:
    row = {
        "source": result.source,
        "text": result.text,
        "score": result.score,
        "flags": list(result.flags),
        "alternatives": [{"text": item.text, "score": item.score} for item in result.alternatives],
    }
    return json.dumps(row, ensure_ascii=False)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
