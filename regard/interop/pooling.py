"""How a folder of `sentence-transformers` makes one vector of a text: read from its files, and written for it.

Such a folder is one of `transformers` with two files more, which say what happens to the encoder's states.
"""

from pathlib import Path

from regard.errors import ModelError
from regard.interop import huggingface
from regard.models.heads import Pool

FOLDER, MODULES_FILE = "1_Pooling", "modules.json"
FILE = f"{FOLDER}/{huggingface.CONFIG_FILE}"
_POOLS: dict[str, Pool] = {"cls": "first", "mean": "mean"}
# The keys of older files, each true or false, and what the newer `pooling_mode` calls them.
_OLD_KEYS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_OTHER_KEYS = ("pooling_mode", "word_embedding_dimension", "embedding_dimension", "include_prompt")


def read(folder: Path) -> tuple[Pool, list[str]]:
    """What a head for texts on this encoder shall read, and a sentence if the folder says what we do not have.

    Raises:
        ModelError: 1_Pooling/config.json is there and is no table, or has a key or a way that we do not know.
    """
    path = folder / FILE
    if not path.is_file():
        return "first", []
    told = huggingface.read_json(path)
    huggingface.check_keys(told, {*_OLD_KEYS, *_OTHER_KEYS}, {}, str(path))
    mode = told.get("pooling_mode") or [new for old, new in _OLD_KEYS.items() if told.get(old)] or "mean"
    modes = mode if isinstance(mode, list) else [mode]
    if unknown := [each for each in modes if each not in _OLD_KEYS.values()]:
        raise ModelError(f"{path}: pooling_mode is {unknown[0]!r:.80}, expected {', '.join(_OLD_KEYS.values())}.")
    if len(modes) == 1 and modes[0] in _POOLS:
        return _POOLS[modes[0]], []
    return "first", [
        f"1_Pooling says that texts are read by {' and '.join(modes)}, which is not known here; a head for "
        "texts will read the first token unless model.pool says mean."
    ]


def write_mean(folder: Path, size: int) -> None:
    """Let `sentence-transformers` make vectors of `size` as the mean of an encoder's states."""
    kinds = {"": "Transformer", FOLDER: "Pooling"}
    modules = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (path, kind) in enumerate(kinds.items())
    ]
    modes = {old: new == "mean" for old, new in _OLD_KEYS.items()}
    (folder / FOLDER).mkdir()
    huggingface.write_json(folder / FILE, {"word_embedding_dimension": size, **modes})
    huggingface.write_json(folder / MODULES_FILE, modules)
