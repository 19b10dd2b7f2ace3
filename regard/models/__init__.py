"""The model families, one file each, and the tables that name them."""

from typing import Any, TypeVar

from regard.config import from_dict
from regard.errors import ConfigError
from regard.models.bert import Bert, BertConfig, DistilBert, DistilBertConfig
from regard.models.bigbird import BigBird, BigBirdConfig
from regard.models.gnmt import GNMT, GNMTConfig
from regard.models.gpt import GPT, GPTConfig
from regard.models.heads import HeadConfig, TaskModel
from regard.models.protocol import Decoder, Encoder, Seq2Seq
from regard.models.rnn import RNN, RNNConfig
from regard.models.rnnsearch import RNNSearch, RNNSearchConfig
from regard.models.transformer import Transformer, TransformerConfig

MODELS: dict[str, tuple[type, type[Seq2Seq]]] = {
    "rnn": (RNNConfig, RNN),
    "rnnsearch": (RNNSearchConfig, RNNSearch),
    "gnmt": (GNMTConfig, GNMT),
    "transformer": (TransformerConfig, Transformer),
}
ENCODERS: dict[str, tuple[type, type[Encoder]]] = {
    "bert": (BertConfig, Bert),
    "distilbert": (DistilBertConfig, DistilBert),
    "bigbird": (BigBirdConfig, BigBird),
}
DECODERS: dict[str, tuple[type, type[Decoder]]] = {
    "gpt": (GPTConfig, GPT),
}

Network = TypeVar("Network", Seq2Seq, Encoder, Decoder)


def build(arch: str, values: dict[str, Any], where: str = "model") -> Seq2Seq:
    """Make a model from its family's name and its configuration as plain values.

    Raises:
        ConfigError: unknown family, unknown setting, or a value out of range.
    """
    return _make(MODELS, "architecture", arch, values, where)


def build_encoder(arch: str, values: dict[str, Any], head: dict[str, Any], where: str = "model") -> TaskModel:
    """Make an encoder and its head from their configurations as plain values.

    Raises:
        ConfigError: unknown family, unknown setting, or a value out of range.
    """
    encoder = _make(ENCODERS, "encoder", arch, values, where)
    return TaskModel(encoder, from_dict(HeadConfig, head, f"{where}, head"))


def build_decoder(arch: str, values: dict[str, Any], where: str = "model") -> Decoder:
    """Make a language model from its family's name and its configuration as plain values.

    Raises:
        ConfigError: unknown family, unknown setting, or a value out of range.
    """
    return _make(DECODERS, "language model", arch, values, where)


def _make(
    table: dict[str, tuple[type, type[Network]]], kind: str, arch: str, values: dict[str, Any], where: str
) -> Network:
    if arch not in table:
        raise ConfigError(f"{where}: unknown {kind} {arch!r}. Known are {', '.join(table)}.")
    config_class, model_class = table[arch]
    return model_class(from_dict(config_class, values, where))
