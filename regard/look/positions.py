"""What a model knows of position: how alike its position vectors are, and what is left of that once words are added."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from regard.look import style

SHOWN = 64  # positions


@dataclass(frozen=True)
class PositionVectors:
    """What a model adds to its token vectors on one side, and the token vectors themselves."""

    kind: str  # "trainable" or "sinusoidal"
    vectors: np.ndarray  # (positions, hidden)
    tokens: np.ndarray  # (tokens, hidden), scaled as the model scales them
    sinusoidal: np.ndarray  # (positions, hidden), the paper's, for comparison


def similarity(vectors: np.ndarray) -> np.ndarray:
    """Cosine between all pairs of rows, (rows, rows)."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return unit @ unit.T


def by_distance(found: PositionVectors, num_tokens: int = 50) -> dict[str, np.ndarray]:
    """Mean cosine by distance in positions, from 0 on: of positions alone, one word at two places, two words.

    "one word" and "two words" compare what a layer sees, token plus position: where the curves of one word and of two
    lie apart, the word decides; how much they fall says how far position still shows.
    """
    positions = found.vectors[:SHOWN]
    tokens = found.tokens[:: max(1, len(found.tokens) // num_tokens)][:num_tokens]
    count = len(positions)
    sums = tokens[:, None] + positions[None]  # (tokens, positions, hidden)
    sums /= np.maximum(np.linalg.norm(sums, axis=2, keepdims=True), 1e-12)
    others = np.roll(sums, 1, axis=0)
    alone = similarity(positions)
    curves = {"positions alone": [], "one word": [], "two words": []}
    for distance in range(count):
        first, second = np.arange(count - distance), np.arange(distance, count)
        curves["positions alone"].append(alone[first, second].mean())
        curves["one word"].append((sums[:, first] * sums[:, second]).sum(axis=2).mean())
        curves["two words"].append((sums[:, first] * others[:, second]).sum(axis=2).mean())
    return {name: np.array(values) for name, values in curves.items()}


def draw_positions(sides: Mapping[str, PositionVectors], path: Path, *, title: str = "") -> None:
    """Draw the similarity of positions, that of sinusoidal ones of the same size, and both with words added.

    Args:
        sides: by what they are ("source", "target", or one for both).

    Raises:
        InputError, MissingDependencyError, StorageError: see `look.style.picture`.
    """
    with style.picture(path, 11.4, 3.1 * len(sides)) as figure:
        for row, (side, found) in enumerate(sides.items()):
            maps = {
                f"{side}: {found.kind} positions": found.vectors[:SHOWN],
                "sinusoidal positions, for comparison": found.sinusoidal[:SHOWN],
            }
            for column, (name, vectors) in enumerate(maps.items()):
                axes = figure.add_subplot(len(sides), 3, 3 * row + column + 1)
                image = axes.imshow(similarity(vectors), cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
                axes.set_title(name, fontsize=9)
                axes.set_xlabel("position", fontsize=8)
                axes.tick_params(length=0, labelsize=8)
                if column == 1:
                    bar = figure.colorbar(image, ax=axes, shrink=0.7)
                    bar.outline.set_visible(False)  # type: ignore[operator]
                    bar.ax.tick_params(length=0, labelsize=7)
            axes = figure.add_subplot(len(sides), 3, 3 * row + 3)
            for number, (name, values) in enumerate(by_distance(found).items()):
                axes.plot(values, color=style.SERIES[number], linewidth=1.6, label=name)
            axes.set_title("similarity by distance", fontsize=9)
            axes.set_xlabel("positions apart", fontsize=8)
            axes.set_ylim(min(-0.2, axes.get_ylim()[0]), 1.05)
            axes.grid(axis="y", color=style.GRID, linewidth=0.8)
            axes.tick_params(length=0, labelsize=8)
            for edge in ("top", "right", "left"):
                axes.spines[edge].set_visible(False)
            # Beside the axes: curves may run anywhere in them.
            axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
        style.write_title(figure, title)
        style.write_note(
            figure,
            "Cosine between position vectors; on the right also between token plus position, what the first layer "
            "reads: one word at two places, and two words.",
        )
