"""Other projects' models into our folders, and ours into theirs.

Foreign tensor names and configuration keys live only here.

An importer knows which foreign keys matter and which do not, and refuses the rest by name; every tensor is taken or is
a known duplicate. It reads JSON, safetensors and tokenizer files of fixed names: nothing is unpickled, and no code, no
class name and no path from a model folder is followed.
"""

from pathlib import Path

from regard.errors import ModelError
from regard.interop import bert, export_bert, export_gpt2, export_marian, gpt2, huggingface, marian
from regard.interop.bert_names import FAMILIES
from regard.models import DECODERS, ENCODERS
from regard.models.folder import arch_of

# By the model_type that config.json names.
IMPORTERS = {
    "marian": marian.import_folder,
    "gpt2": gpt2.import_folder,
    **dict.fromkeys(FAMILIES, bert.import_folder),
}


def import_folder(source: Path, out: Path, origin: str = "") -> list[str]:
    """Make a model folder from one that `transformers` wrote; see the importer of its family.

    Args:
        out: the new folder; there must be nothing of that name.
        origin: where the folder came from, for the model card; "": not told.

    Returns:
        What is not quite as it was, a sentence each.

    Raises:
        ModelError: a file is missing, damaged or a pickle, or says something that we do not know or cannot do.
        StorageError: the disk refused.
    """
    kind = huggingface.read_config(source).get("model_type")
    if not isinstance(kind, str) or kind not in IMPORTERS:
        raise ModelError(
            f"{source / huggingface.CONFIG_FILE}: model_type is {kind!r}, expected one of {', '.join(IMPORTERS)}."
        )
    return IMPORTERS[kind](source, out, origin)


def export_folder(source: Path, out: Path) -> list[str]:
    """Write a model folder, or the model of a run folder, as one that `transformers` loads.

    Args:
        out: the new folder; there must be nothing of that name.

    Returns:
        What is not quite as it was, a sentence each.

    Raises:
        ModelError: the folder is broken, or `transformers` cannot express the model; the message says what stands in
            the way.
        StorageError: the disk refused.
    """
    arch = arch_of(source)
    exporter = export_bert if arch in ENCODERS else export_gpt2 if arch in DECODERS else export_marian
    return exporter.export_folder(source, out)
