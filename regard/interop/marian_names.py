"""The names that `transformers` has for the layers of a MarianMT model, to import and to export."""

from regard.interop.places import Attention, Module, Place
from regard.models.transformer import TransformerConfig


def layer_places(ours: TransformerConfig) -> list[Place]:
    """Every tensor of the layers, here and there. Embeddings, which may be one or three, are no part of it."""
    sizes = {
        "encoder": (ours.num_layers, ours.feed_forward_size),
        "decoder": (
            ours.decoder_num_layers or ours.num_layers,
            ours.decoder_feed_forward_size or ours.feed_forward_size,
        ),
    }
    found: list[Place] = []
    for side, (count, inner) in sizes.items():
        attentions = {"attention": ("self_attn", "attention_frame")}
        if side == "decoder":
            attentions["cross_attention"] = ("encoder_attn", "cross_frame")
        for number in range(count):
            here, there, size = f"{side}.{number}", f"model.{side}.layers.{number}", ours.hidden_size
            for name, (foreign, frame) in attentions.items():
                blocks = (f"{there}.{foreign}.{part}_proj" for part in ("q", "k", "v", "out"))
                query, key, value, output = blocks
                found.append(Attention(f"{here}.{name}", (query, key, value, output), size))
                found.append(Module(f"{here}.{frame}.norm", f"{there}.{foreign}_layer_norm", (size,)))
            found += [
                Module(f"{here}.feed_forward_frame.norm", f"{there}.final_layer_norm", (size,)),
                Module(f"{here}.feed_forward.inner", f"{there}.fc1", (inner, size)),
                Module(f"{here}.feed_forward.outer", f"{there}.fc2", (size, inner)),
            ]
    return found
