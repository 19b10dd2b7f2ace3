"""Commands that teach an encoder: pretrain on running text, finetune for a task."""

from pathlib import Path
from typing import Annotated, Any

import typer

from regard.cli.options import LabelOption, OtherOption, SetOption, TextOption, read_tables
from regard.errors import ConfigError


def pretrain(
    corpus: Annotated[
        list[str],
        typer.Argument(metavar="CORPUS...", help='Text files, or JSON lines with "text".'),
    ],
    arch: Annotated[
        str, typer.Option(help="Size to begin from nothing with, such as bert-mini; or a model folder to go on with.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder; an existing one is gone on with.")],
    dev: Annotated[list[str] | None, typer.Option(help="Development text; else a part is held out.")] = None,
    documents: Annotated[
        str, typer.Option(help="What a document is: paragraphs (parted by empty lines), lines or files.")
    ] = "",
    config: Annotated[Path | None, typer.Option("--config", "-c", help="TOML file of settings.")] = None,
    settings: SetOption = None,
) -> None:
    """Pre-train an encoder on running text by masked words, and say whether it learns.

    Example: regard pretrain text.txt.gz --arch bert-mini --out runs/encoder
    """
    from regard.config import from_dict
    from regard.progress import ConsoleReporter
    from regard.runs.pretraining import CorpusSettings, EncoderSettings, Pretraining

    tables, where = tables_of(config, settings)
    said = {"dev": dev, "documents": documents}
    given = {**tables.get("data", {}), **{key: value for key, value in said.items() if value}, "train": corpus}
    data = from_dict(CorpusSettings, given, f"{where}, [data]")
    model = from_dict(EncoderSettings, {**tables.get("model", {}), "base": arch}, f"{where}, [model]")
    with ConsoleReporter() as reporter:
        best = Pretraining(out, model, tables.get("training", {}), data, where, reporter).train()
    reporter.note(
        f"best: step {best['step']:,}, {best['dev_loss']:.3f} nats a masked token (guessing by frequency: "
        f"{best['dev_unigram_loss']:.3f}), {best['dev_accuracy']:.1f} % right"
    )
    reporter.note(f"model: {out / 'model'}   try: regard finetune {out} labelled.tsv --task classify --out runs/mine")


def finetune(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="Model folder, or a size to begin from nothing: bert-tiny, bert-mini..."),
    ],
    data: Annotated[
        list[str], typer.Argument(metavar="DATA...", help="TSV, CSV or JSONL with labels; for tags also CoNLL files.")
    ],
    task: Annotated[str, typer.Option(help="classify, pair (of texts), regress (a number) or tag (words).")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder; an existing one is gone on with.")],
    dev: Annotated[list[str] | None, typer.Option(help="Development DATA; else a part is held out.")] = None,
    label: LabelOption = "",
    text: TextOption = None,
    other: OtherOption = "",
    config: Annotated[Path | None, typer.Option("--config", "-c", help="TOML file of settings.")] = None,
    settings: SetOption = None,
) -> None:
    """Teach an encoder a task from labelled texts; the same command goes on after an interruption.

    Example: regard finetune models/minilm reviews.tsv --task classify --out runs/reviews
    """
    from regard.config import from_dict
    from regard.progress import ConsoleReporter
    from regard.runs.data import prepare_labelled
    from regard.runs.finetune_settings import HeadSettings, LabelledData
    from regard.runs.finetuning import Finetuning

    tables, where = tables_of(config, settings)
    said = {"dev": dev, "label": label, "text": text, "other": other}
    given = {**tables.get("data", {}), **{key: value for key, value in said.items() if value}, "train": data}
    labelled = from_dict(LabelledData, given, f"{where}, [data]")
    head = from_dict(HeadSettings, {**tables.get("model", {}), "base": model, "task": task}, f"{where}, [model]")
    reporter = ConsoleReporter()
    run = Finetuning(out, head, tables.get("training", {}), labelled, where, reporter)
    train_rows, dev_rows = prepare_labelled(labelled, run.task, run.seed, reporter.note)
    with reporter:
        best = run.train(train_rows, dev_rows)
    scores = ", ".join(f"{key[4:]} {value:.4g}" for key, value in best.items() if key.startswith("dev_"))
    reporter.note(f"best: step {best['step']:,}, dev {scores}")
    pair = " --pair" if task == "pair" else ""
    reporter.note(f"model: {out / 'model'}   try: regard predict {out}{pair} < text.txt")


def tables_of(config: Path | None, settings: list[str] | None) -> tuple[dict[str, dict[str, Any]], str]:
    """The settings a person gave, and where they stand."""
    tables, where = read_tables(config, settings)
    if unknown := sorted(set(tables) - {"model", "training", "data"}):
        raise ConfigError(f"{where}: unknown table [{unknown[0]}]. Known are [model], [training], [data].")
    return tables, where
