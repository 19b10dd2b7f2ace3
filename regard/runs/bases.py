"""Models that a run goes on with: loaded, with their tokenizers, and known again by the sha256 of their weights."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from regard.data.text_tokens import TextTokens
from regard.errors import ModelError
from regard.models.folder import (
    LoadedDecoder,
    LoadedEncoder,
    LoadedModel,
    digest_of_weights,
    language_of,
    load,
    load_decoder,
    load_encoder,
)
from regard.models.heads import TaskModel
from regard.runs.finetune_settings import LabelledData
from regard.runs.pretrain_settings import CorpusSettings
from regard.runs.sizes import DECODER_SIZES, ENCODER_SIZES
from regard.training.distil import DistilSettings

AnyData = TypeVar("AnyData", LabelledData, CorpusSettings)
Loaded = TypeVar("Loaded", LoadedModel, LoadedEncoder, LoadedDecoder)


def translator_base(name: str) -> tuple[LoadedModel, str]:
    """A translator with its tokenizer, and the sha256 of its weights.

    Raises:
        ModelError: it is no translator's folder.
    """
    return _base(name, load)


def encoder_base(name: str) -> tuple[LoadedEncoder, str]:
    """An encoder with its tokenizer, and the sha256 of its weights.

    Raises:
        ModelError: it is no encoder's folder, or has no tokenizer.
    """
    check_encoder_name(name)
    return _base(name, load_encoder)


def student_base(settings: DistilSettings, tokens: TextTokens) -> tuple[TaskModel | None, DistilSettings]:
    """The model that a student begins as, None if as a part of its teacher; the settings with its weights' sha256.

    Args:
        tokens: of the teacher.

    Raises:
        ModelError: it is no encoder's folder, or numbers its tokens otherwise than the teacher.
    """
    name = settings.student
    if not name:
        return None, settings
    if not Path(name).exists():
        raise ModelError(f"distil.student: {name} is no folder; that of a pre-trained encoder was expected.")
    loaded, digest = encoder_base(name)
    assert loaded.tokens is not None
    if not loaded.tokens.same_as(tokens):
        raise ModelError(
            f"distil.student: {name} numbers its tokens otherwise than the teacher; both must read the same. Fine-tune "
            "a teacher with the student's tokenizer, or leave the option out: then it begins as a part of its teacher."
        )
    return loaded.model, dataclasses.replace(settings, student_sha256=digest)


def check_encoder_name(name: str) -> None:
    """Refuse what is no folder, where an encoder's was meant.

    Raises:
        ModelError: with what could be meant.
    """
    if Path(name).exists():
        return
    sizes = f"size to begin from nothing with ({', '.join(ENCODER_SIZES)})"
    if name in DECODER_SIZES:
        raise ModelError(f"{name}: is the size of a language model; a task wants an encoder's folder, or a {sizes}.")
    raise ModelError(f"{name}: is no folder, and no {sizes}.")


def decoder_base(name: str) -> tuple[LoadedDecoder, str]:
    """A language model with its tokenizer, and the sha256 of its weights.

    Raises:
        ModelError: it is no language model's folder, or has no tokenizer.
    """
    return _base(name, load_decoder)


def with_language(data: AnyData, name: str) -> AnyData:
    """The [data] table with the base's language where a person named none."""
    if data.language or not Path(name).exists():
        return data
    return dataclasses.replace(data, language=language_of(Path(name)) or None)


def _base(name: str, load: Callable[[Path], Loaded]) -> tuple[Loaded, str]:
    folder = Path(name)
    loaded = load(folder)
    if loaded.tokens is None:
        raise ModelError(
            f"{name}: was imported without its tokenizer, so it cannot read text. "
            "Put the tokenizer's files beside the weights and import it again."
        )
    return loaded, digest_of_weights(folder)
