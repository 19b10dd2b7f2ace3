"""BigBird (Zaheer et al. 2020): BERT whose attention grows with the length of a text, not with its square."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from regard.errors import ConfigError
from regard.models.bert import Bert, BertConfig
from regard.models.checks import check_sizes
from regard.nn.attention import Pattern
from regard.nn.blocks import BlockPattern
from regard.nn.layers import ACTIVATIONS, Activation
from regard.nn.padded import Padded

_MAX_SEED = 1_000_000


@dataclass(frozen=True, kw_only=True)
class BigBirdConfig(BertConfig):
    """Sizes of BigBird. Defaults: base in Zaheer et al. 2020, appendix E (ITC), with the published vocabulary."""

    vocab_size: int = 50_358
    activation: Activation = "gelu_tanh"
    max_length: int = 4_096
    pool_activation: Activation = "gelu_tanh"  # of the layer that makes one vector of a text
    scaled_embeddings: bool = False  # whether token vectors are multiplied by √hidden_size
    sparse: bool = True  # False: all tokens attend to all, as BERT's
    block_size: int = 64  # tokens; b
    num_global_blocks: int = 2  # g: half of them first, half last
    num_window_blocks: int = 3  # w: a block itself and its neighbours
    num_random_blocks: int = 3  # r
    random_blocks_seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, "block_size")
        for name in ("num_global_blocks", "num_random_blocks"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must be at least 0, got {getattr(self, name)}")
        if self.num_window_blocks < 1 or self.num_window_blocks % 2 == 0:
            raise ConfigError(f"num_window_blocks must be 1, 3, 5 or so on, got {self.num_window_blocks}")
        if not 0 <= self.random_blocks_seed <= _MAX_SEED:
            raise ConfigError(f"random_blocks_seed must be from 0 to {_MAX_SEED:,}, got {self.random_blocks_seed}")


class BigBird(Bert):
    """BERT under a `BlockPattern`: each layer and head has random blocks of its own.

    Relative to the paper: of its two constructions only the one in which existing blocks are global (ITC). Relative to
    the authors' code: embeddings are normalised before dropout, as BERT's, and short texts attend in full.
    """

    config: BigBirdConfig

    def __init__(self, config: BigBirdConfig):
        super().__init__(config)
        self.pool_activation = ACTIVATIONS[config.pool_activation]

    def token_vectors(self, ids: Tensor) -> Tensor:
        vectors = super().token_vectors(ids)
        return vectors * self.config.hidden_size**0.5 if self.config.scaled_embeddings else vectors

    def pattern(self, layer: int, tokens: Padded) -> Pattern:
        config = self.config
        if not config.sparse:
            return super().pattern(layer, tokens)
        return BlockPattern(
            tokens.lengths,
            num_heads=config.num_heads,
            layer=layer,
            block_size=config.block_size,
            num_global_blocks=config.num_global_blocks,
            num_window_blocks=config.num_window_blocks,
            num_random_blocks=config.num_random_blocks,
            seed=config.random_blocks_seed,
        )


def lengthen(bert: Bert, max_length: int) -> BigBird:
    """A BigBird that begins with what a BERT or a shorter BigBird has learnt, and takes texts of `max_length` tokens.

    All weights are the model's own; its position vectors come again and again until there are enough, so that a token's
    neighbours stand where it was trained to see them (Beltagy et al. 2020, section 5; Zaheer et al. 2020 began so too,
    from RoBERTa). A short text, which attends in full, gets the states that the old model gives it.

    Raises:
        ConfigError: the model takes texts of that length already.
    """
    old = bert.config
    if max_length <= old.max_length:
        raise ConfigError(f"this encoder takes texts of {old.max_length:,} tokens; {max_length:,} is not longer.")
    values: dict[str, Any] = {**asdict(old), "max_length": max_length}
    if not isinstance(bert, BigBird):
        values["pool_activation"] = "tanh"  # BERT's
    weights = bert.state_dict()
    table = weights["positions.weight"]  # (old length, hidden)
    long = BigBird(BigBirdConfig(**values)).to(table)
    rows = torch.arange(max_length, device=table.device) % old.max_length
    long.load_state_dict({**weights, "positions.weight": table[rows]})
    return long
