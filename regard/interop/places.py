"""Where the parts of a model stand in a foreign file: read in one direction to import, in the other to export."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from regard.interop.huggingface import ForeignTensors


@dataclass(frozen=True)
class Single:
    """One tensor."""

    ours: str
    theirs: str
    shape: tuple[int, ...]

    def read(self, foreign: ForeignTensors) -> dict[str, Tensor]:
        return {self.ours: foreign.take(self.theirs, self.shape)}

    def write(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {self.theirs: weights[self.ours]}


@dataclass(frozen=True)
class Module:
    """A linear map (out, in) or a normalisation (size,): its weight, and its bias of the first size."""

    ours: str
    theirs: str
    shape: tuple[int, ...]

    def read(self, foreign: ForeignTensors) -> dict[str, Tensor]:
        shapes = {"weight": self.shape, "bias": self.shape[:1]}
        return {f"{self.ours}.{part}": foreign.take(f"{self.theirs}.{part}", shapes[part]) for part in shapes}

    def write(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {f"{self.theirs}.{part}": weights[f"{self.ours}.{part}"] for part in ("weight", "bias")}


@dataclass(frozen=True)
class Attention:
    """A `MultiHeadAttention`, whose key and value are one matrix here and two there."""

    ours: str
    theirs: tuple[str, str, str, str]  # linear maps of query, key, value and output
    size: int

    def read(self, foreign: ForeignTensors) -> dict[str, Tensor]:
        return foreign.attention(self.theirs, self.size, self.ours)

    def write(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        query, key, value, output = self.theirs
        tensors = {}
        for part in ("weight", "bias"):
            tensors[f"{query}.{part}"] = weights[f"{self.ours}.query.{part}"]
            halves = weights[f"{self.ours}.key_value.{part}"].chunk(2)
            tensors[f"{key}.{part}"], tensors[f"{value}.{part}"] = halves
            tensors[f"{output}.{part}"] = weights[f"{self.ours}.output.{part}"]
        return tensors


Place = Single | Module | Attention


def read(places: Iterable[Place], foreign: ForeignTensors) -> dict[str, Tensor]:
    """The tensors of these places by our names; what is missing or odd `foreign.finish` will tell."""
    return {name: tensor for place in places for name, tensor in place.read(foreign).items()}


def write(places: Iterable[Place], weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of these places by their foreign names."""
    return {name: tensor for place in places for name, tensor in place.write(weights).items()}
