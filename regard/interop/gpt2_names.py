"""The names that `transformers` has for the parts and settings of GPT-2, to import and to export."""

from collections.abc import Mapping
from typing import Any

from regard.interop.places import FusedAttention, Module, Place, Single, Transposed
from regard.models.gpt import GPTConfig

ARCHITECTURES = ("GPT2LMHeadModel", "GPT2Model")  # the first is written
PREFIX = "transformer."  # of tensors, in the class with the language model's head
SETTINGS: Mapping[str, str] = {  # ours by the foreign one
    "vocab_size": "vocab_size",
    "n_embd": "hidden_size",
    "n_layer": "num_layers",
    "n_head": "num_heads",
    "n_inner": "feed_forward_size",
    "embd_pdrop": "embedding_dropout",
    "resid_pdrop": "dropout",
    "attn_pdrop": "attention_dropout",
    "activation_function": "activation",
    "layer_norm_epsilon": "norm_epsilon",
    "n_positions": "max_length",
}
# Foreign settings with the only value that we can express.
PLAIN: Mapping[str, Any] = {
    "is_encoder_decoder": False,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "reorder_and_upcast_attn": False,
    "tie_word_embeddings": True,
}
# Our settings with the only value that GPT-2 can express.
FIXED: Mapping[str, Any] = {"attention_window": 0}
# Settings that change no number of a model that only runs.
HARMLESS = frozenset(
    {
        *("architectures", "model_type", "bos_token_id", "eos_token_id", "pad_token_id", "is_decoder"),
        *("summary_activation", "summary_first_dropout", "summary_proj_to_labels", "summary_type", "summary_use_proj"),
    }
)


def places_of(ours: GPTConfig, prefix: str) -> list[Place]:
    """Every tensor of a language model, here and there."""
    size, inner = ours.hidden_size, ours.feed_forward_size
    found: list[Place] = [
        Single("embedding.weight", f"{prefix}wte.weight", (ours.vocab_size, size)),
        Single("positions.weight", f"{prefix}wpe.weight", (ours.max_length, size)),
        Module("norm", f"{prefix}ln_f", (size,)),
    ]
    for number in range(ours.num_layers):
        here, there = f"layers.{number}", f"{prefix}h.{number}"
        found += [
            Module(f"{here}.attention_frame.norm", f"{there}.ln_1", (size,)),
            FusedAttention(f"{here}.attention", (f"{there}.attn.c_attn", f"{there}.attn.c_proj"), size),
            Module(f"{here}.feed_forward_frame.norm", f"{there}.ln_2", (size,)),
            Transposed(f"{here}.feed_forward.inner", f"{there}.mlp.c_fc", (inner, size)),
            Transposed(f"{here}.feed_forward.outer", f"{there}.mlp.c_proj", (size, inner)),
        ]
    return found
