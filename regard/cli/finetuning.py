"""Commands that teach an encoder: pretrain on running text, finetune for a task, distil into a smaller one."""

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
        str, typer.Option(help="Size to begin from nothing with (bert-mini, gpt-tiny...); or a model folder.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder; an existing one is gone on with.")],
    dev: Annotated[list[str] | None, typer.Option(help="Development text; else a part is held out.")] = None,
    documents: Annotated[str, typer.Option(help="What a document is: paragraphs, lines or files.")] = "",
    config: Annotated[Path | None, typer.Option("--config", "-c", help="TOML file of settings.")] = None,
    settings: SetOption = None,
) -> None:
    """Pre-train on running text, an encoder by masked words, a language model by what comes next.

    Says in words whether anything is being learnt.

    Example: regard pretrain text.txt.gz --arch bert-mini --out runs/encoder
    """
    from regard.config import from_dict
    from regard.progress import ConsoleReporter
    from regard.runs.pretrain_settings import CorpusSettings, ModelSettings
    from regard.runs.pretraining import Pretraining

    tables, where = tables_of(config, settings)
    said = {"dev": dev, "documents": documents}
    given = {**tables.get("data", {}), **{key: value for key, value in said.items() if value}, "train": corpus}
    data = from_dict(CorpusSettings, given, f"{where}, [data]")
    model = from_dict(ModelSettings, {**tables.get("model", {}), "base": arch}, f"{where}, [model]")
    with ConsoleReporter() as reporter:
        best = Pretraining(out, model, tables.get("training", {}), data, where, reporter).train()
    reporter.note(
        f"best: step {best['step']:,}, {best['dev_loss']:.3f} nats a token (guessing by frequency: "
        f"{best['dev_unigram_loss']:.3f})"
    )
    reads = "dev_accuracy" in best
    use = f"finetune {out} labelled.tsv --task classify --out runs/mine" if reads else f'generate {out} "Once"'
    reporter.note(f"model: {out / 'model'}   try: regard {use}")


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


def distil(
    teacher: Annotated[
        Path, typer.Argument(metavar="TEACHER", help="Model folder or run folder of the larger encoder.")
    ],
    data: Annotated[
        list[str], typer.Argument(metavar="DATA...", help="What it was taught with: labelled texts, or running text.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder; an existing one is gone on with.")],
    layers: Annotated[int, typer.Option(help="Of the student; 0: half the teacher's.")] = 0,
    dev: Annotated[list[str] | None, typer.Option(help="Development DATA; else a part is held out.")] = None,
    pair: Annotated[bool, typer.Option("--pair", help="Each row has two texts.")] = False,
    label: LabelOption = "",
    text: TextOption = None,
    other: OtherOption = "",
    config: Annotated[Path | None, typer.Option("--config", "-c", help="TOML file of settings.")] = None,
    settings: SetOption = None,
) -> None:
    """Teach a student with fewer layers what a larger encoder knows: a task, or masked words.

    Example: regard distil runs/reviews reviews.tsv --out runs/small
    """
    from regard.config import from_dict
    from regard.models.folder import load_encoder
    from regard.progress import ConsoleReporter
    from regard.runs.data import prepare_labelled
    from regard.runs.finetune_settings import HeadSettings, LabelledData
    from regard.runs.finetuning import Finetuning
    from regard.runs.pretrain_settings import CorpusSettings, ModelSettings
    from regard.runs.pretraining import Pretraining
    from regard.training.distil import DistilSettings

    tables, where = tables_of(config, settings, "distil")
    chosen = {**tables.get("distil", {}), **({"layers": layers} if layers else {})}
    student = from_dict(DistilSettings, chosen, f"{where}, [distil]")
    head = load_encoder(teacher).model.config
    model = {**tables.get("model", {}), "base": str(teacher)}
    reporter = ConsoleReporter()
    if head.task == "mask":
        given = {**tables.get("data", {}), **({"dev": dev} if dev else {}), "train": data}
        corpus = from_dict(CorpusSettings, given, f"{where}, [data]")
        masked = from_dict(ModelSettings, model, f"{where}, [model]")
        with reporter:
            best = Pretraining(out, masked, tables.get("training", {}), corpus, where, reporter, student).train()
    else:
        single = "regress" if len(head.labels) == 1 else "classify"
        task = "tag" if head.task == "tag" else "pair" if pair or other else single
        said = {"dev": dev, "label": label, "text": text, "other": other}
        given = {**tables.get("data", {}), **{key: value for key, value in said.items() if value}, "train": data}
        labelled = from_dict(LabelledData, given, f"{where}, [data]")
        settings_of_head = from_dict(HeadSettings, {**model, "task": task}, f"{where}, [model]")
        run = Finetuning(out, settings_of_head, tables.get("training", {}), labelled, where, reporter, student)
        train_rows, dev_rows = prepare_labelled(labelled, run.task, run.seed, reporter.note)
        with reporter:
            best = run.train(train_rows, dev_rows)
    scores = ", ".join(f"{key[4:]} {value:.4g}" for key, value in best.items() if key.startswith("dev_"))
    reporter.note(f"best: step {best['step']:,}, dev {scores}")
    reporter.note(f"model: {out / 'model'}")


def tables_of(config: Path | None, settings: list[str] | None, *more: str) -> tuple[dict[str, dict[str, Any]], str]:
    """The settings a person gave, and where they stand."""
    tables, where = read_tables(config, settings)
    known = ("model", "training", "data", *more)
    if unknown := sorted(set(tables) - set(known)):
        listed = ", ".join(f"[{name}]" for name in known)
        raise ConfigError(f"{where}: unknown table [{unknown[0]}]. Known are {listed}.")
    return tables, where
