"""Commands that teach a model more: pretrain on running text, finetune for a task or on new text, distil, average."""

from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from regard.cli.options import (
    ConfigOption,
    DocumentsOption,
    FromOption,
    LabelOption,
    LanguageOption,
    NoFilterOption,
    OtherOption,
    ReverseOption,
    SetOption,
    SplitLongOption,
    TextOption,
    ToOption,
    check_run_folder,
    data_table,
    read_tables,
    refuse_options,
    say,
)
from regard.cli.training import train_translator
from regard.errors import ModelError


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
    language: LanguageOption = "",
    documents: DocumentsOption = "",
    config: ConfigOption = None,
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

    check_run_folder(out)
    tables, where = tables_of(config, settings)
    data = data_table(CorpusSettings, tables, where, train=corpus, dev=dev, language=language, documents=documents)
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
        typer.Argument(
            metavar="MODEL",
            help="Model folder; for labels also a size to begin from nothing: bert-tiny, bert-mini...",
        ),
    ],
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA...",
            help="TSV, CSV or JSONL with labels; for tags also CoNLL files; for translate as `regard train`; "
            "for lm as `regard pretrain`.",
        ),
    ],
    task: Annotated[
        str,
        typer.Option(
            help="classify, pair (of texts), regress (a number), tag (words); or new text for a translator (translate) "
            "or a language model (lm)."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder; an existing one is gone on with.")],
    dev: Annotated[list[str] | None, typer.Option(help="Development DATA; else a part is held out.")] = None,
    old_dev: Annotated[
        list[str] | None,
        typer.Option(help="DATA that the model could do before, to see what it forgets (translate, lm)."),
    ] = None,
    label: LabelOption = "",
    text: TextOption = None,
    other: OtherOption = "",
    split_long: SplitLongOption = False,
    language: LanguageOption = "",
    source_language: FromOption = "",
    target_language: ToOption = "",
    reverse: ReverseOption = False,
    no_filter: NoFilterOption = False,
    documents: DocumentsOption = "",
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """Teach an encoder a task from labelled texts, or a translator or language model new text.

    The same command goes on after an interruption.

    Example: regard finetune models/minilm reviews.tsv --task classify --out runs/reviews
    """
    check_run_folder(out)
    labels = {"label": label, "text": text, "other": other, "split_long": split_long}
    pairs = {
        "source_language": source_language,
        "target_language": target_language,
        "reverse": reverse,
        "no_filter": no_filter,
    }
    text_options, single, old = {"documents": documents}, {"language": language}, {"old_dev": old_dev}
    if task == "translate":
        refuse_options(f"--task {task}", labels | text_options | single)
        given = read_tables(config, settings)
        _train_on(model, data, out, given, student=False, dev=dev, **pairs, **old)
    elif task == "lm":
        refuse_options(f"--task {task}", labels | pairs)
        _continue_language_model(
            model, data, out, tables_of(config, settings), dev=dev, **text_options, **single, **old
        )
    else:
        _check_task(task)
        refuse_options(f"--task {task}", pairs | text_options | old)
        _finetune_encoder(model, data, task, out, tables_of(config, settings), dev=dev, **labels, **single)


def _check_task(task: str) -> None:
    from regard.config import one_of
    from regard.data.labelled import LabelTask

    one_of(task, (*get_args(LabelTask), "translate", "lm"), "task")


def _finetune_encoder(
    model: str, data: list[str], task: str, out: Path, given: tuple[dict[str, dict[str, Any]], str], **said: object
) -> None:
    from regard.config import from_dict
    from regard.progress import ConsoleReporter
    from regard.runs.data import prepare_labelled
    from regard.runs.finetune_settings import HeadSettings, LabelledData
    from regard.runs.finetuning import Finetuning
    from regard.runs.reporter import listed_scores

    tables, where = given
    labelled = data_table(LabelledData, tables, where, train=data, **said)
    head = from_dict(HeadSettings, {**tables.get("model", {}), "base": model, "task": task}, f"{where}, [model]")
    reporter = ConsoleReporter()
    run = Finetuning(out, head, tables.get("training", {}), labelled, where, reporter)
    train_rows, dev_rows = prepare_labelled(labelled, run.task, run.seed, reporter.note)
    with reporter:
        best = run.train(train_rows, dev_rows)
    reporter.note(f"best: step {best['step']:,}, dev {listed_scores(best)}")
    options = " --pair" if task == "pair" else " --split-long" if labelled.split_long else ""
    reporter.note(f"model: {out / 'model'}   try: regard predict {out}{options} < text.txt")


def _train_on(
    model: str,
    data: list[str],
    out: Path,
    given: tuple[dict[str, dict[str, Any]], str],
    *,
    student: bool,
    dev: list[str] | None,
    no_filter: bool,
    **said: object,
) -> None:
    """Train on with a translator, or train a student of it."""
    from regard.evaluation.metrics import make_metric
    from regard.progress import ConsoleReporter
    from regard.runs.bases import translator_base
    from regard.runs.data import dev_pairs_of, prepare_data
    from regard.runs.settings import DataSettings, Settings, settings_of_student, settings_on

    tables, where = given
    kept = False if no_filter else None
    data_settings = data_table(DataSettings, tables, where, train=data, dev=dev, filter=kept, **said)
    base, digest = translator_base(model)

    def complete(num_pairs: int) -> Settings:
        if student:
            return settings_of_student(tables, data_settings, num_pairs, model, base, digest, where)
        return settings_on(tables, data_settings, model, base, digest, where)

    checked = complete(1)  # a mistake, and a missing library, show before the data is read
    make_metric("chrf")
    chosen, seed = checked.data, checked.training.seed
    reporter = ConsoleReporter()
    old_pairs = dev_pairs_of(chosen, chosen.old_dev, seed) if chosen.old_dev else None
    train_pairs, dev_pairs = prepare_data(chosen, seed, reporter.note)
    train_translator(out, complete(len(train_pairs)), reporter, train_pairs, dev_pairs, base=base, old_pairs=old_pairs)


def _continue_language_model(
    model: str, data: list[str], out: Path, given: tuple[dict[str, dict[str, Any]], str], **said: object
) -> None:
    from regard.api import LanguageModel, kind_of
    from regard.progress import ConsoleReporter
    from regard.runs.pretrain_settings import CorpusSettings, settings_on
    from regard.runs.pretraining import Pretraining

    tables, where = given
    if not Path(model).exists():
        raise ModelError(
            f"{model}: there is no such folder. --task lm goes on with a language model's; "
            f"to begin from nothing use `regard pretrain --arch gpt-tiny`."
        )
    if (kind := kind_of(model)) is not LanguageModel:
        raise ModelError(f"{model}: is {kind.kind}; --task lm goes on with {LanguageModel.kind}.")
    chosen, training = settings_on(tables, model, where)
    corpus = data_table(CorpusSettings, tables, where, train=data, **said)
    with ConsoleReporter() as reporter:
        best = Pretraining(out, chosen, training, corpus, where, reporter).train()
    reporter.note(f"best: step {best['step']:,}, {best['dev_loss']:.3f} nats a token")
    reporter.note(f'model: {out / "model"}   try: regard generate {out} "Once"')


def distil(
    teacher: Annotated[
        Path, typer.Argument(metavar="TEACHER", help="Model folder or run folder of the larger encoder or translator.")
    ],
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA...",
            help="What it was taught with: labelled texts, running text, or for a translator DATA as `regard train`.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder; an existing one is gone on with.")],
    layers: Annotated[
        int,
        typer.Option(
            help="Of the student; 0: half the teacher's, of a Transformer that translates one in the decoder."
        ),
    ] = 0,
    student: Annotated[
        str,
        typer.Option(
            metavar="MODEL", help="Pre-trained encoder that the student begins as; else it has layers of the teacher."
        ),
    ] = "",
    dev: Annotated[list[str] | None, typer.Option(help="Development DATA; else a part is held out.")] = None,
    pair: Annotated[bool, typer.Option("--pair", help="Each row has two texts.")] = False,
    split_long: SplitLongOption = False,
    label: LabelOption = "",
    text: TextOption = None,
    other: OtherOption = "",
    language: LanguageOption = "",
    source_language: FromOption = "",
    target_language: ToOption = "",
    reverse: ReverseOption = False,
    no_filter: NoFilterOption = False,
    documents: DocumentsOption = "",
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """Teach a student, usually with fewer layers, what another model knows: a task, masked words, or to translate.

    Example: regard distil runs/reviews reviews.tsv --out runs/small
    """
    from regard.api import LanguageModel, Translator, kind_of

    check_run_folder(out)
    tables, where = tables_of(config, settings, "tokens", "distil")
    for name, value in (("layers", layers), ("student", student)):
        if value:
            tables.setdefault("distil", {})[name] = value
    labels = {"label": label, "text": text, "other": other, "pair": pair, "split_long": split_long}
    pairs = {
        "source_language": source_language,
        "target_language": target_language,
        "reverse": reverse,
        "no_filter": no_filter,
    }
    text_options, single = {"documents": documents}, {"language": language}
    kind = kind_of(teacher)
    if kind is LanguageModel:
        raise ModelError(f"{teacher}: is {kind.kind}; students learn from encoders and from translators.")
    if kind is Translator:
        refuse_options(f"the student of {kind.kind}", labels | text_options | single | {"student": student})
        _train_on(str(teacher), data, out, (tables, where), student=True, dev=dev, **pairs)
    else:
        refuse_options(f"the student of {kind.kind}", pairs)
        _distil_encoder(teacher, data, out, (tables, where), dev=dev, documents=documents, **labels, **single)


def _distil_encoder(
    teacher: Path,
    data: list[str],
    out: Path,
    given: tuple[dict[str, dict[str, Any]], str],
    *,
    dev: list[str] | None,
    documents: str,
    language: str,
    label: str,
    text: list[str] | None,
    other: str,
    pair: bool,
    split_long: bool,
) -> None:
    from regard.config import check_tables, from_dict
    from regard.models.folder import head_of
    from regard.progress import ConsoleReporter
    from regard.runs.data import prepare_labelled
    from regard.runs.finetune_settings import HeadSettings, LabelledData
    from regard.runs.finetuning import Finetuning
    from regard.runs.pretrain_settings import CorpusSettings, ModelSettings
    from regard.runs.pretraining import Pretraining
    from regard.runs.reporter import listed_scores
    from regard.training.distil import DistilSettings

    tables, where = given
    check_tables(tables, ("model", "training", "data", "distil"), where)
    student = from_dict(DistilSettings, tables.get("distil", {}), f"{where}, [distil]")
    head = head_of(teacher)
    model = {**tables.get("model", {}), "base": str(teacher)}
    reporter = ConsoleReporter()
    if head.task == "mask":
        labels = {"label": label, "text": text, "other": other, "pair": pair, "split_long": split_long}
        refuse_options("the student of an encoder of masked words", labels)
        corpus = data_table(CorpusSettings, tables, where, train=data, dev=dev, language=language, documents=documents)
        masked = from_dict(ModelSettings, model, f"{where}, [model]")
        with reporter:
            best = Pretraining(out, masked, tables.get("training", {}), corpus, where, reporter, student).train()
    else:
        refuse_options("the student of an encoder that gives labels", {"documents": documents})
        single = "regress" if len(head.labels) == 1 else "classify"
        pairs = bool(pair or other) if head.pair is None else head.pair
        task = "tag" if head.task == "tag" else "pair" if pairs else single
        said = {"label": label, "text": text, "other": other, "language": language}
        labelled = data_table(LabelledData, tables, where, train=data, dev=dev, split_long=split_long, **said)
        settings_of_head = from_dict(HeadSettings, {**model, "task": task}, f"{where}, [model]")
        run = Finetuning(out, settings_of_head, tables.get("training", {}), labelled, where, reporter, student)
        train_rows, dev_rows = prepare_labelled(labelled, run.task, run.seed, reporter.note)
        with reporter:
            best = run.train(train_rows, dev_rows)
    reporter.note(f"best: step {best['step']:,}, dev {listed_scores(best)}")
    reporter.note(f"model: {out / 'model'}")


def average(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...", help="Model folders or run folders of one kind, each optionally MODEL:WEIGHT."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Model folder to write.")],
) -> None:
    """Make one model of several that were fine-tuned from the same one: the mean of their weights.

    It costs what one costs and may be better than each (model soups, Wortsman et al. 2022); evaluate it. For labels,
    finetune a few steps first and go on from there with each seed: heads that began at random have no mean.

    Example: regard average runs/seed1 runs/seed2 runs/seed3 --out models/mean
    """
    from regard.models.averaging import average

    for warning in average(models, out):
        say(f"regard: warning: {warning}")
    say(f"model: {out}   try: regard evaluate {out} DATA")


def tables_of(config: Path | None, settings: list[str] | None, *more: str) -> tuple[dict[str, dict[str, Any]], str]:
    """The settings a person gave, and where they stand."""
    from regard.config import check_tables

    tables, where = read_tables(config, settings)
    check_tables(tables, ("model", "training", "data", *more), where)
    return tables, where
