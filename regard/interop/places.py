"""Where the parts of a model stand in a foreign file: read in one direction to import, in the other to export."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
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
        query, key, value, output = (Module("", name, (self.size, self.size)).read(foreign) for name in self.theirs)
        found = {}
        for part in (".weight", ".bias"):
            found[f"{self.ours}.query{part}"] = query[part]
            found[f"{self.ours}.key_value{part}"] = torch.cat([key[part], value[part]])
            found[f"{self.ours}.output{part}"] = output[part]
        return found

    def write(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        query, key, value, output = self.theirs
        tensors = {}
        for part in ("weight", "bias"):
            tensors[f"{query}.{part}"] = weights[f"{self.ours}.query.{part}"]
            halves = weights[f"{self.ours}.key_value.{part}"].chunk(2)
            tensors[f"{key}.{part}"], tensors[f"{value}.{part}"] = halves
            tensors[f"{output}.{part}"] = weights[f"{self.ours}.output.{part}"]
        return tensors


@dataclass(frozen=True)
class Transposed:
    """A linear map (out, in) whose weight stands there as (in, out)."""

    ours: str
    theirs: str
    shape: tuple[int, int]  # (out, in)

    def read(self, foreign: ForeignTensors) -> dict[str, Tensor]:
        outputs, inputs = self.shape
        return {
            f"{self.ours}.weight": foreign.take(f"{self.theirs}.weight", (inputs, outputs)).transpose(0, -1),
            f"{self.ours}.bias": foreign.take(f"{self.theirs}.bias", (outputs,)),
        }

    def write(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {
            f"{self.theirs}.weight": weights[f"{self.ours}.weight"].transpose(0, -1),
            f"{self.theirs}.bias": weights[f"{self.ours}.bias"],
        }


@dataclass(frozen=True)
class FusedAttention:
    """A `MultiHeadAttention` whose query, key and value stand side by side there; all weights stand as (in, out)."""

    ours: str
    theirs: tuple[str, str]  # linear maps of query, key and value in one, and of the output
    size: int

    def read(self, foreign: ForeignTensors) -> dict[str, Tensor]:
        fused, output = self._maps()
        found = output.read(foreign)
        for part, tensor in fused.read(foreign).items():
            found[f"{self.ours}.query{part}"] = tensor[: self.size]
            found[f"{self.ours}.key_value{part}"] = tensor[self.size :]
        return found

    def write(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        fused, output = self._maps()
        both = {
            part: torch.cat([weights[f"{self.ours}.{block}{part}"] for block in ("query", "key_value")])
            for part in (".weight", ".bias")
        }
        return {**fused.write(both), **output.write(weights)}

    def _maps(self) -> tuple[Transposed, Transposed]:
        fused, output = self.theirs
        return (
            Transposed("", fused, (3 * self.size, self.size)),
            Transposed(f"{self.ours}.output", output, (self.size, self.size)),
        )


Place = Single | Module | Attention | Transposed | FusedAttention


def read(places: Iterable[Place], foreign: ForeignTensors) -> dict[str, Tensor]:
    """The tensors of these places by our names; what is missing or odd `foreign.finish` will tell."""
    return {name: tensor for place in places for name, tensor in place.read(foreign).items()}


def write(places: Iterable[Place], weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of these places by their foreign names."""
    return {name: tensor for place in places for name, tensor in place.write(weights).items()}
