"""Our language model as a GPT-2 folder that `transformers` loads."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from regard.data.byte_tokens import ByteTokens
from regard.errors import ModelError
from regard.interop import cards, huggingface, places
from regard.interop.gpt2_names import ARCHITECTURES, FIXED, PREFIX, SETTINGS, places_of
from regard.interop.gpt2_tokens import write_tokens
from regard.models.folder import load_decoder
from regard.models.gpt import GPT
from regard.models.protocol import Decoder


def export_folder(source: Path, out: Path) -> list[str]:
    """Write a language model's folder as `GPT2LMHeadModel.save_pretrained` and its tokenizer's would.

    What comes back and what is raised: see `regard.interop.export_folder`.
    """
    loaded = load_decoder(source)
    tokens = loaded.tokens
    config, tensors = revert(loaded.model, _special_ids(tokens), str(source))

    def write_more(folder: Path) -> None:
        if tokens is None:
            return
        write_tokens(folder, tokens, max_length=config["n_positions"])
        # What `regard generate` never writes either. Without such ids transformers needs no file on searching.
        if silent := tokens.silent_ids_of(config["vocab_size"]):
            search = {**_special_ids(tokens), "suppress_tokens": list(silent)}
            huggingface.write_json(folder / huggingface.GENERATION_FILE, search)

    card = cards.exported(source, ARCHITECTURES[0], [loaded.language], facts=["pipeline_tag: text-generation"])
    huggingface.write_folder(out, config, tensors, card, write_more)
    return ["this model has no tokenizer, so none was written."] if tokens is None else []


def revert(
    model: Decoder, ids: Mapping[str, int | None], where: str = "language model"
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The opposite of `gpt2.convert`.

    Args:
        ids: bos_token_id, eos_token_id and pad_token_id.

    Returns:
        config.json and tensors of `GPT2LMHeadModel`.

    Raises:
        ModelError: it is another kind of model, or one with a setting that GPT-2 does not have.
    """
    if not isinstance(model, GPT):
        raise ModelError(f"{where}: is a {type(model).__name__}, expected a GPT; nothing else is written as GPT-2.")
    ours = model.config
    wrong = [
        f"{name} is {getattr(ours, name)}, expected {value}"
        for name, value in FIXED.items()
        if getattr(ours, name) != value
    ]
    if wrong:
        raise ModelError(
            f"{where}: cannot be written as {ARCHITECTURES[0]}: {'; '.join(wrong)}. "
            "In GPT-2 every layer sees all tokens before; train without the band."
        )
    settings = {foreign: getattr(ours, name) for foreign, name in SETTINGS.items()}
    config = {
        "architectures": [ARCHITECTURES[0]],
        "model_type": "gpt2",
        **settings,
        "activation_function": huggingface.foreign_activation(ours.activation),
        "initializer_range": 0.02,
        **ids,
    }
    return config, places.write(places_of(ours, PREFIX), dict(model.named_parameters()))


def _special_ids(tokens: ByteTokens | None) -> dict[str, int | None]:
    """All of them are said, if only to say that there is none: what the class takes else may be no id of this model.

    bos is the token after which a text begins here, the end of another if need be: an empty prompt then means the same.
    """
    if tokens is None:
        return dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"))
    known = {role: tokens.id_of(role) for role in tokens.special}
    return {"bos_token_id": tokens.before_text, "eos_token_id": known.get("end"), "pad_token_id": known.get("pad")}
