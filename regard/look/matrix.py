"""The classical attention matrix (Bahdanau et al. 2015, figure 3): source on top, target down, dark where it looks."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from regard.errors import ShapeError
from regard.look import style


def draw_matrix(
    weights: np.ndarray, source: Sequence[str], target: Sequence[str], path: Path, *, title: str = "", note: str = ""
) -> None:
    """Draw one head's weights into a PNG, SVG or PDF file.

    Args:
        weights: (target, source); each row sums to 1.
        source: what each column is, in reading order.
        target: what each row is; row t was used to predict it.
        title: what model, layer and head this is.
        note: how it was made, in small print below.

    Raises:
        ShapeError: names and weights do not fit together.
        MissingDependencyError: matplotlib is not installed.
        StorageError: the disk refused.
    """
    if weights.shape != (len(target), len(source)):
        raise ShapeError(f"weights {weights.shape} do not fit {len(target)} target and {len(source)} source tokens")
    cell = 0.34  # inches
    longest_source = max(len(token) for token in source)
    longest_target = max(len(token) for token in target)
    width = cell * len(source) + 0.085 * longest_target + 1.3
    height = cell * len(target) + 0.085 * longest_source + 1.0
    figure = style.new_figure(max(width, 4.2), max(height, 2.6))
    import matplotlib

    with matplotlib.rc_context(style.SETTINGS):
        axes = figure.add_subplot()
        image = axes.imshow(weights, cmap=style.RAMP, vmin=0, vmax=1, aspect="equal", interpolation="nearest")
        axes.set_xticks(
            range(len(source)), [_shown(token) for token in source], rotation=60, ha="left", rotation_mode="anchor"
        )
        axes.set_yticks(range(len(target)), [_shown(token) for token in target])
        axes.xaxis.tick_top()
        axes.tick_params(length=0, labelcolor=style.INK)
        axes.set_xticks(np.arange(len(source) + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(len(target) + 1) - 0.5, minor=True)
        axes.grid(which="minor", color=style.GRID, linewidth=0.6)
        axes.tick_params(which="minor", length=0)
        for side in axes.spines.values():
            side.set_visible(False)
        if title:
            figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        if note:
            figure.supxlabel(note, x=0.01, ha="left", fontsize=7.5, color=style.QUIET)
        bar = figure.colorbar(image, ax=axes, shrink=0.6, aspect=18, pad=0.02)
        bar.outline.set_visible(False)  # type: ignore[operator]
        bar.ax.tick_params(length=0, labelsize=8)
        style.save(figure, path)


def _shown(token: str) -> str:
    return token.replace("▁", " ").strip() or "␣"
