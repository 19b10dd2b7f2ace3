"""The model card, from the run's facts."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from regard.formats.languages import card_lines
from regard.models.heads import TaskModel
from regard.models.protocol import count_parameters
from regard.runs.finetune_settings import FinetuneSettings
from regard.runs.pretrain_settings import CorpusSettings
from regard.runs.reporter import listed_scores
from regard.runs.settings import Settings


def write_card(
    settings: Settings,
    model: nn.Module,
    num_train: int,
    num_dev: int,
    best: Mapping[str, Any],
    change: str,
    facts: Mapping[str, Any],
) -> str:
    """README.md of a model folder, as Hugging Face reads it.

    Args:
        change: what a model that went on gained and lost, or how a student compares with its teacher, or "".
    """
    data = settings.data
    languages = [language for language in (data.source_language, data.target_language) if language]
    parameters = count_parameters(model)
    direction = f" from {languages[0]} to {languages[1]}" if len(languages) == 2 else ""
    begun = f"{settings.base}, trained further" if settings.base else "Trained"
    if settings.distil is not None:
        begun = f"A student of {settings.base}, taught with its translations"
    body = [
        *_facts("translation", languages),
        f"# A {settings.arch} translator{direction}",
        "",
        f"{begun} with regard {facts['versions']['regard']} on {num_train:,} pairs; {parameters:,} parameters.",
        "",
        f"Best of {num_dev:,} dev pairs at step {best['step']:,}: chrF {best['dev_chrf']:.1f}, "
        f"BLEU {best['dev_bleu']:.1f} (sacreBLEU defaults, beam {settings.training.dev_beam_size}), "
        f"loss {best['dev_loss']:.3f} nats a token.",
        "",
        *_change(change, "" if settings.distil is None else "Beside its teacher"),
        "## Use",
        "",
        "    regard translate THIS-FOLDER < text.txt",
        "",
        "## Data",
        "",
        f"Train: {', '.join(data.train)}"
        + (" (sides exchanged)" if data.reverse else "")
        + f"  \nsha256 of the pairs: {facts['data']}",
        "",
        f"Dev: {', '.join(data.dev) or 'held out of the training data'}  \nsha256 of the pairs: {facts['dev']}",
        "",
        *_old_dev(data.old_dev, "pairs", facts),
        *_made_with(settings.to_toml(), facts),
    ]
    return "\n".join(body)


def write_label_card(
    settings: FinetuneSettings,
    model: TaskModel,
    num_train: int,
    num_dev: int,
    best: Mapping[str, Any],
    change: str,
    facts: Mapping[str, Any],
) -> str:
    """README.md of a fine-tuned encoder's folder; `change` as in `write_card`."""
    task, labels = settings.model.task, model.config.labels
    pipeline = "token-classification" if task == "tag" else "text-classification"
    parameters = count_parameters(model)
    data = settings.data
    begun = f"{settings.model.base}, fine-tuned to {task}"
    if settings.distil is not None:
        begun = f"A student of {settings.model.base}, taught to {task}"
    taught = "to predict a number" if task == "regress" else f"{len(labels)} labels: {', '.join(labels)}"
    body = [
        *_facts(pipeline, [data.language]),
        f"# {begun}",
        "",
        f"Trained with regard {facts['versions']['regard']} on {num_train:,} texts; {parameters:,} parameters; "
        f"{taught}.",
        "",
        f"Best of {num_dev:,} dev texts at step {best['step']:,}: {listed_scores(best)}.",
        "",
        *_change(change, "Beside its teacher"),
        "## Use",
        "",
        f"    regard predict THIS-FOLDER{' --pair' if task == 'pair' else ''} < text.txt",
        "",
        "## Data",
        "",
        f"Train: {', '.join(data.train)}  \nsha256 of the texts: {facts['data']}",
        "",
        f"Dev: {', '.join(data.dev) or 'held out of the training data'}  \nsha256 of the texts: {facts['dev']}",
        "",
        *_made_with(settings.to_toml(), facts),
    ]
    return "\n".join(body)


def write_corpus_card(
    settings: str,
    base: str,
    data: CorpusSettings,
    model: nn.Module,
    num_tokens: int,
    best: Mapping[str, Any],
    change: str,
    facts: Mapping[str, Any],
) -> str:
    """README.md of the folder of a model that read running text; `change` as in `write_card`."""
    reads = "dev_accuracy" in best  # an encoder does, a language model writes
    if reads:
        further = f"{best['dev_accuracy']:.1f} % right"
        if "dev_next_accuracy" in best:
            further += f"; whether a text follows another: {best['dev_next_accuracy']:.1f} % right"
        use = [
            '    echo "The cat [MASK] on the mat." | regard predict THIS-FOLDER --fill',
            "    regard finetune THIS-FOLDER labelled.tsv --task classify --out runs/mine",
        ]
    else:
        further = f"{best['dev_character_loss']:.3f} nats a character"
        use = ['    regard generate THIS-FOLDER "Once upon a time"']
    parameters = count_parameters(model)
    body = [
        *_facts("fill-mask" if reads else "text-generation", [data.language]),
        f"# {base}, pre-trained on {'masked words' if reads else 'running text'}",
        "",
        f"Trained with regard {facts['versions']['regard']} on {num_tokens:,} tokens; {parameters:,} parameters.",
        "",
        f"Best at step {best['step']:,}: {best['dev_loss']:.3f} nats a {'masked ' if reads else ''}token of dev "
        f"(guessing by frequency: {best['dev_unigram_loss']:.3f}), {further}.",
        "",
        *_change(change),
        "## Use",
        "",
        *use,
        "",
        "## Data",
        "",
        f"{', '.join(data.train)}  \nsha256 of the text: {facts['data']}",
        "",
        *_old_dev(data.old_dev, "text", facts),
        *_made_with(settings, facts),
    ]
    return "\n".join(body)


def _facts(pipeline: str, languages: Sequence[str | None]) -> list[str]:
    """What Hugging Face reads at the head of a card."""
    return ["---", "library_name: regard", f"pipeline_tag: {pipeline}", *card_lines(languages), "---", ""]


def _change(change: str, what: str = "") -> list[str]:
    return [f"{what or 'Before this training and after it'}: {change}.", ""] if change else []


def _old_dev(old_dev: Sequence[str] | None, what: str, facts: Mapping[str, Any]) -> list[str]:
    if not old_dev:
        return []
    return [f"Old dev: {', '.join(old_dev)}  \nsha256 of the {what}: {facts['old_dev']}", ""]


def _made_with(settings: str, facts: Mapping[str, Any]) -> list[str]:
    return [
        "## Settings",
        "",
        *(f"    {line}".rstrip() for line in settings.split("\n")),
        "",
        f"torch {facts['versions']['torch']}, Python {facts['versions']['python']}, {facts['threads']} threads.",
        "",
    ]
