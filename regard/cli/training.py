"""Commands that make translators: audit, train, compare, demo, import; and export, which gives models away."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import regard
from regard.cli.options import (
    ConfigOption,
    DataArgument,
    FromOption,
    JsonOption,
    NoFilterOption,
    ReverseOption,
    SetOption,
    ToOption,
    check_run_folder,
    data_table,
    length_edges,
    read_tables,
    say,
)
from regard.errors import ConfigError
from regard.streams import writer

if TYPE_CHECKING:  # torch takes a while
    from regard.data.pairs import PairSet
    from regard.models.folder import LoadedModel
    from regard.progress import ConsoleReporter
    from regard.runs.settings import Settings


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


def train(
    data: DataArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder; an existing one is gone on with.")],
    arch: Annotated[str, typer.Option(help="rnn, rnnsearch, gnmt or transformer (the default).")] = "",
    config: ConfigOption = None,
    settings: SetOption = None,
    dev: Annotated[list[str] | None, typer.Option(help="Development DATA (repeat for two aligned files).")] = None,
    source_language: FromOption = "",
    target_language: ToOption = "",
    reverse: ReverseOption = False,
    no_filter: NoFilterOption = False,
    alignments: Annotated[
        Path | None, typer.Option(help="Word links, a line for each row of DATA (0-0 1-2), that attention is taught.")
    ] = None,
) -> None:
    """Train a translator on your own pairs; the same command goes on after an interruption.

    Example: regard train my.en my.pt --from en --to pt-BR --out runs/mine
    """
    from regard.evaluation.metrics import make_metric
    from regard.progress import ConsoleReporter
    from regard.runs.data import prepare_data
    from regard.runs.settings import DataSettings, settings_from

    check_run_folder(out)
    tables, where = read_tables(config, settings)
    data_settings = data_table(
        DataSettings,
        tables,
        where,
        train=data,
        dev=dev,
        source_language=source_language,
        target_language=target_language,
        reverse=reverse,
        filter=False if no_filter else None,
        alignments=str(alignments) if alignments else None,
    )
    checked = settings_from(tables, data_settings, 1, arch, where)  # a mistake shows before the data is read
    make_metric("chrf")  # and so does a missing library
    reporter = ConsoleReporter()
    train_pairs, dev_pairs = prepare_data(data_settings, checked.training.seed, reporter.note)
    complete = settings_from(tables, data_settings, len(train_pairs), arch, where)
    train_translator(out, complete, reporter, train_pairs, dev_pairs)


def compare(
    data: DataArgument,
    arch: Annotated[list[str], typer.Option(help="An architecture; repeat it for several.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the runs, tables and picture.")],
    minutes: Annotated[
        float | None, typer.Option(help="Training time of each (10 if nothing is said); 0: the steps decide.")
    ] = None,
    dev: Annotated[list[str] | None, typer.Option(help="Development DATA (repeat for two aligned files).")] = None,
    test: Annotated[list[str] | None, typer.Option(help="Test DATA (repeat for two aligned files).")] = None,
    config: ConfigOption = None,
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
    from regard.runs.settings import DataSettings

    check_run_folder(out)
    edges, picture = length_edges(lengths), out / "compare.png"
    style.check(picture)
    tables, where = read_tables(config, settings)
    training = tables.setdefault("training", {})
    if minutes is not None or "max_minutes" not in training:
        training["max_minutes"] = 10.0 if minutes is None else minutes
    data_settings = data_table(
        DataSettings,
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
    say(f"picture: {picture}")


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the runs and pictures.")] = Path("demo"),
) -> None:
    """See it work: three small translators learn the built-in corpus in five minutes, without any network.

    Example: regard demo --out demo
    """
    import torch

    from regard import demo as demonstration
    from regard.progress import Bars

    typer.echo(f"regard {regard.__version__}  ·  {demonstration.num_cores()} cores  ·  torch {torch.__version__}")
    with Bars() as bars:
        demonstration.run(out, typer.echo, bars.show)


def import_model(
    source: Annotated[
        str, typer.Argument(help="Folder written by transformers, or hf:OWNER/NAME[@REVISION] to fetch one.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Model folder to write.")],
) -> None:
    """Bring in a model that Hugging Face transformers saved.

    Example: regard import opus-mt-en-pt --out models/en-pt
    """
    import tempfile

    from regard.interop import hub, import_folder
    from regard.models.folder import check_new

    if source.startswith(hub.PREFIX) and not Path(source).exists():
        check_new(out)
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".fetched-") as name:
            folder = Path(name) / source.removeprefix(hub.PREFIX).replace("/", "-")
            hub.fetch(source, folder)
            warnings = import_folder(folder, out, source)
    else:
        warnings = import_folder(Path(source), out)
    for warning in warnings:
        say(f"regard: warning: {warning}")
    say(f"model: {out}")


def export_model(
    model: Annotated[Path, typer.Argument(help="Model folder or run folder.")],
    to: Annotated[str, typer.Option("--to", help="hf: a folder that Hugging Face transformers loads.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")],
) -> None:
    """Write a model for another program; the numbers it computes there are those it computes here.

    Encoders and language models as they are; of translators those that MarianMT can express: a Transformer trained with
    --set model.norm_place=post.

    Example: regard export models/sentiment --to hf --out sentiment-hf
    """
    from regard.interop import export_folder

    if to != "hf":
        raise ConfigError(f"--to {to}: expected hf.")
    for warning in export_folder(model, out):
        say(f"regard: warning: {warning}")
    say(f"folder: {out}")


def train_translator(
    out: Path,
    settings: "Settings",
    reporter: "ConsoleReporter",
    train_pairs: "PairSet",
    dev_pairs: "PairSet",
    *,
    base: "LoadedModel | None" = None,
    old_pairs: "PairSet | None" = None,
) -> None:
    """Run a translator's training, and say what came of it; arguments as `runs.run.Run`."""
    from regard.runs.run import Run

    reporter.settings(settings)
    with reporter:
        best = Run(out, settings, reporter, base).train(train_pairs, dev_pairs, old_pairs)
    reporter.note(f"best: step {best['step']:,}, dev chrF {best['dev_chrf']:.1f}, BLEU {best['dev_bleu']:.1f}")
    reporter.note(f"model: {out / 'model'}   try: regard translate {out} < text.txt")
