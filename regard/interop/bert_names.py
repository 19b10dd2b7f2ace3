"""The names that `transformers` has for the parts and settings of BERT, DistilBERT and BigBird, family by family."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from regard.interop.huggingface import ACTIVATIONS
from regard.interop.places import Attention, Module, Place, Single
from regard.models.bert import DistilBertConfig
from regard.models.heads import HeadConfig, Task
from regard.nn.blocks import BlockPattern

PRETRAINING = "ForPreTraining"  # masked words and next sentences
# What the classes of `transformers` put on the encoder, by what follows the family's name. Of two the first is written.
TASKS: Mapping[str, Task] = {
    "Model": "none",
    "ForMaskedLM": "mask",
    PRETRAINING: "mask",
    "ForSequenceClassification": "classify",
    "ForTokenClassification": "tag",
}
NEXT_SENTENCE = "cls.seq_relationship"  # a linear map, in classes for pre-training
# By our name of the setting: our value by the foreign one. Of several foreign ones the first is written.
VALUES: Mapping[str, Mapping[Any, Any]] = {
    "activation": ACTIVATIONS,
    "sparse": {"block_sparse": True, "original_full": False},
}
# Settings that change no number of a model that only runs, or that the tensors themselves tell.
HARMLESS = frozenset(
    {
        *("architectures", "model_type", "pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id"),
        *("sinusoidal_pos_embds", "qa_dropout", "seq_classif_dropout", "directionality"),
        *("pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers", "pooler_size_per_head"),
        *("pooler_type", "decoder_start_token_id"),
    }
)


@dataclass(frozen=True)
class Family:
    """Where a family's names differ from the others'."""

    arch: str  # ours
    name: str  # of its classes
    prefix: str  # of tensors, in classes with a head
    settings: Mapping[str, str]  # our setting by the foreign one
    plain: Mapping[str, Any]  # foreign settings with the only value that we can express
    fixed: Mapping[str, Any]  # our settings with the only value that it can express
    layers: str
    attention: tuple[str, str, str, str]  # query, key, value, output
    attention_norm: str
    inner: str
    outer: str
    output_norm: str
    transform: str  # of the masked head
    transform_norm: str
    output: str
    output_bias: str
    pooler: str  # with {prefix} where it is a part of the encoder
    classifier_pooler: str  # of sequence classification
    classifier: str = "classifier"  # of sequence classification; of token classification it is always this
    # Whether classes with a head have the bare class's pooling layer too, and use it for nothing.
    idle_pooler: bool = False

    def pooler_of(self, task: Task, prefix: str) -> str:
        """The layer that makes one vector of a text."""
        return (self.classifier_pooler if task == "classify" else self.pooler).format(prefix=prefix)


_BERT_SETTINGS = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "num_hidden_layers": "num_layers",
    "num_attention_heads": "num_heads",
    "intermediate_size": "feed_forward_size",
    "hidden_dropout_prob": "dropout",
    "attention_probs_dropout_prob": "attention_dropout",
    "hidden_act": "activation",
    "layer_norm_eps": "norm_epsilon",
    "max_position_embeddings": "max_length",
    "type_vocab_size": "num_types",
}
_BERT_PLAIN = {
    "is_decoder": False,
    "is_encoder_decoder": False,
    "position_embedding_type": "absolute",
    "tie_word_embeddings": True,
}
_BERT_PARTS: dict[str, Any] = {
    "prefix": "bert.",
    "layers": "encoder.layer",
    "attention": ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"),
    "attention_norm": "attention.output.LayerNorm",
    "inner": "intermediate.dense",
    "outer": "output.dense",
    "output_norm": "output.LayerNorm",
    "transform": "cls.predictions.transform.dense",
    "transform_norm": "cls.predictions.transform.LayerNorm",
    "output": "cls.predictions.decoder",
    "output_bias": "cls.predictions.bias",
}
# By the model_type that config.json names.
FAMILIES = {
    "bert": Family(
        arch="bert",
        name="Bert",
        settings=_BERT_SETTINGS,
        plain=_BERT_PLAIN,
        fixed={},
        pooler="{prefix}pooler.dense",
        classifier_pooler="{prefix}pooler.dense",
        **_BERT_PARTS,
    ),
    "distilbert": Family(
        arch="distilbert",
        name="DistilBert",
        prefix="distilbert.",
        settings={
            "vocab_size": "vocab_size",
            "dim": "hidden_size",
            "n_layers": "num_layers",
            "n_heads": "num_heads",
            "hidden_dim": "feed_forward_size",
            "dropout": "dropout",
            "attention_dropout": "attention_dropout",
            "activation": "activation",
            "max_position_embeddings": "max_length",
        },
        plain={"is_decoder": False, "is_encoder_decoder": False, "tie_word_embeddings": True, "tie_weights_": True},
        fixed={"norm_epsilon": 1e-12},
        layers="transformer.layer",
        attention=("attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin"),
        attention_norm="sa_layer_norm",
        inner="ffn.lin1",
        outer="ffn.lin2",
        output_norm="output_layer_norm",
        transform="vocab_transform",
        transform_norm="vocab_layer_norm",
        output="vocab_projector",
        output_bias="vocab_projector.bias",
        pooler="pre_classifier",
        classifier_pooler="pre_classifier",
    ),
    "big_bird": Family(
        arch="bigbird",
        name="BigBird",
        settings={
            **_BERT_SETTINGS,
            "attention_type": "sparse",
            "block_size": "block_size",
            "num_random_blocks": "num_random_blocks",
            "rescale_embeddings": "scaled_embeddings",
        },
        plain={**_BERT_PLAIN, "use_bias": True},
        fixed={"num_global_blocks": 2, "num_window_blocks": 3},
        pooler="{prefix}pooler",
        classifier_pooler="classifier.dense",
        classifier="classifier.out_proj",
        idle_pooler=True,
        **_BERT_PARTS,
    ),
}


def random_blocks_sentence(num_random_blocks: int, block_size: int) -> str:
    """What is not as in `transformers`, which takes the first block for every random one unless it trains."""
    whole = BlockPattern(num_heads=1, num_random_blocks=num_random_blocks).num_full_blocks * block_size
    return (
        f"texts of more than {whole:,} tokens get other numbers than in transformers, which puts all random blocks on "
        "the first block unless it trains; here they stay random."
    )


def places_of(family: Family, prefix: str, ours: DistilBertConfig, head: HeadConfig) -> list[Place]:
    """Every tensor of an encoder and its head, here and there."""
    size, inner = ours.hidden_size, ours.feed_forward_size
    tables = {
        "word_embeddings": ("embedding", ours.vocab_size),
        "position_embeddings": ("positions", ours.max_length),
        "token_type_embeddings": ("type_embedding", getattr(ours, "num_types", 0)),
    }
    found: list[Place] = [
        Single(f"encoder.{name}.weight", f"{prefix}embeddings.{there}.weight", (rows, size))
        for there, (name, rows) in tables.items()
        if rows
    ]
    found.append(Module("encoder.embedding_norm", f"{prefix}embeddings.LayerNorm", (size,)))
    for number in range(ours.num_layers):
        here, there = f"encoder.layers.{number}", f"{prefix}{family.layers}.{number}"
        query, key, value, output = (f"{there}.{name}" for name in family.attention)
        found += [
            Attention(f"{here}.attention", (query, key, value, output), size),
            Module(f"{here}.attention_frame.norm", f"{there}.{family.attention_norm}", (size,)),
            Module(f"{here}.feed_forward.inner", f"{there}.{family.inner}", (inner, size)),
            Module(f"{here}.feed_forward.outer", f"{there}.{family.outer}", (size, inner)),
            Module(f"{here}.feed_forward_frame.norm", f"{there}.{family.output_norm}", (size,)),
        ]
    if ours.pooled:
        found.append(Module("encoder.pooler", family.pooler_of(head.task, prefix), (size, size)))
    if head.task == "mask":
        found += [
            Module("head.transform", family.transform, (size, size)),
            Module("head.norm", family.transform_norm, (size,)),
            Single("head.output.bias", family.output_bias, (ours.vocab_size,)),
        ]
        if head.next_sentence:
            found.append(Module("next_sentence", NEXT_SENTENCE, (2, size)))
    elif head.task != "none":
        name = family.classifier if head.task == "classify" else "classifier"
        found.append(Module("head.output", name, (len(head.labels), size)))
    return found
