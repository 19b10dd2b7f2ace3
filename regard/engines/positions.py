"""What a model adds to token vectors to say where they stand, as plain arrays."""

from typing import Any

from torch import Tensor, nn

from regard.nn.positions import PositionalEmbedding, sinusoids


def position_facts(added: nn.Module | None, tokens: Tensor, max_length: int) -> dict[str, Any] | None:
    """Position vectors beside token vectors; None where nothing is added.

    Args:
        added: the model's positions on one side, if it has such.
        tokens: (tokens, hidden), all token vectors as the model scales them.

    Returns:
        The kind of positions, and as arrays (rows, hidden) the position vectors up to `max_length`, the token vectors,
        and sinusoidal positions of the same size.
    """
    vectors = added.vectors(0, max_length) if isinstance(added, PositionalEmbedding) else None
    if added is None or vectors is None:
        return None
    return {
        "kind": added.kind,
        "vectors": vectors.numpy().copy(),
        "tokens": tokens.numpy().copy(),
        "sinusoidal": sinusoids(max_length, tokens.size(1)).numpy(),
    }
