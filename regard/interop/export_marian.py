"""Our Transformer as a MarianMT folder that `transformers` loads."""

from pathlib import Path
from typing import Any

from torch import Tensor

from regard.errors import ModelError
from regard.interop import cards, huggingface, places
from regard.interop.marian_names import layer_places
from regard.interop.marian_tokens import write_tokens
from regard.models.folder import load
from regard.models.protocol import Seq2Seq
from regard.models.transformer import Transformer


def export_folder(source: Path, out: Path) -> list[str]:
    """Write a translator's folder as `MarianMTModel.save_pretrained` and its tokenizer's would.

    What comes back and what is raised: see `regard.interop.export_folder`.
    """
    loaded = load(source)
    tokens, languages = loaded.tokens, (loaded.source_language, loaded.target_language)
    ids = {"pad_token_id": tokens.pad_id, "eos_token_id": tokens.eos_id, "decoder_start_token_id": tokens.bos_id}
    config, tensors = revert(loaded.model, ids, str(source))
    if not tokens.shared:
        raise ModelError(
            f"{source}: cannot be written as MarianMTModel: its sides have vocabularies of their own. "
            "Train with tokens.sharing=joint."
        )
    # What `regard translate` does: beam search that never writes filling.
    search = {
        **ids,
        "bad_words_ids": [[tokens.pad_id]],
        "num_beams": 5,
        "max_length": config["max_position_embeddings"],
    }

    def write_more(folder: Path) -> None:
        huggingface.write_json(folder / huggingface.GENERATION_FILE, search)
        write_tokens(folder, tokens, languages, max_length=config["max_position_embeddings"])

    card = cards.exported(source, "MarianMTModel", languages, facts=["pipeline_tag: translation"])
    huggingface.write_folder(out, config, tensors, card, write_more)
    return ["transformers scores translations by another rule for length, so its beam search may choose others."]


def revert(model: Seq2Seq, ids: dict[str, int], where: str = "translator") -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The opposite of `marian.convert`.

    Args:
        ids: pad_token_id, eos_token_id and decoder_start_token_id.

    Returns:
        config.json and tensors of `MarianMTModel`.

    Raises:
        ModelError: it is another kind of model, or one with a setting that MarianMT does not have.
    """
    if not isinstance(model, Transformer):
        raise ModelError(
            f"{where}: is a {type(model).__name__}; of translators transformers has the Transformer alone."
        )
    ours = model.config
    expected = {
        "norm_place": (ours.norm_place, ("post",)),
        "positions": (ours.positions, ("sinusoidal",)),
        "embedding_scale": (ours.embedding_scale, (None, 1.0)),
        "encoder_windows": (ours.encoder_windows, (None,)),
        "last_layer_reads_words": (ours.last_layer_reads_words, (None, False)),
        "decoder_window": (ours.decoder_window, (None,)),
    }
    wrong = [
        f"{name} is {found}, expected {' or '.join(str(value) for value in known)}"
        for name, (found, known) in expected.items()
        if found not in known
    ]
    if wrong:
        raise ModelError(
            f"{where}: cannot be written as MarianMTModel: {'; '.join(wrong)}. Marian has nothing else; a translator "
            "for it is trained with --set model.norm_place=post and sinusoidal positions."
        )
    config = {
        "architectures": ["MarianMTModel"],
        "model_type": "marian",
        "is_encoder_decoder": True,
        "vocab_size": ours.vocab_size,
        "decoder_vocab_size": ours.vocab_size,
        "d_model": ours.hidden_size,
        "encoder_layers": ours.num_layers,
        "encoder_attention_heads": ours.num_heads,
        "encoder_ffn_dim": ours.feed_forward_size,
        "decoder_layers": ours.decoder_num_layers or ours.num_layers,
        "decoder_attention_heads": ours.decoder_num_heads or ours.num_heads,
        "decoder_ffn_dim": ours.decoder_feed_forward_size or ours.feed_forward_size,
        "max_position_embeddings": ours.max_length,
        "activation_function": huggingface.foreign_activation(ours.activation),
        "dropout": ours.dropout,
        "attention_dropout": ours.attention_dropout,
        "activation_dropout": ours.activation_dropout,
        "scale_embedding": ours.embedding_scale is None,
        "share_encoder_decoder_embeddings": ours.tied_embeddings,
        "tie_word_embeddings": ours.tied_embeddings,
        "static_position_embeddings": True,
        "forced_eos_token_id": None,
        "bos_token_id": None,
        **ids,
    }
    weights = dict(model.named_parameters())
    tensors = places.write(layer_places(ours), weights) | {"final_logits_bias": weights["output.bias"][None]}
    if ours.tied_embeddings:
        return config, tensors | {"model.shared.weight": weights["source_embedding.weight"]}
    apart = {
        "model.encoder.embed_tokens.weight": "source_embedding.weight",
        "model.decoder.embed_tokens.weight": "target_embedding.weight",
        "lm_head.weight": "output.weight",
    }
    return config, tensors | {there: weights[here] for there, here in apart.items()}
