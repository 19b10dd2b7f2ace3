"""The classical attention matrix (Bahdanau et al. 2015, figure 3): source on top, target down, dark where it looks."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from regard.errors import ShapeError
from regard.look import style
from regard.look.terminal import token_name
from regard.look.words import graphemes

_CELL = 0.34  # inches
_LONGEST_SIDE = 27.0  # inches of cells; smaller ones where there are more tokens
_FONT_SIZE = 10.0
_LONGEST_TOKEN = 24  # characters shown


def draw_matrix(
    weights: np.ndarray,
    source: Sequence[str],
    target: Sequence[str],
    path: Path,
    *,
    special_source: Sequence[bool] = (),
    special_target: Sequence[bool] = (),
    title: str = "",
    note: str = "",
) -> set[str]:
    """Draw one head's weights into a PNG, SVG or PDF file.

    Args:
        weights: (target, source); each row sums to 1.
        source: what each column is, in reading order.
        target: what each row is; row t was used to predict it.
        special_source, special_target: which of them are special tokens, to be written in grey; empty: none.
        title: what model, layer and head this is.
        note: how it was made, in small print below.

    Returns:
        The characters that no installed font has, for which frames stand; see `style.missing_line`.

    Raises:
        ShapeError: names and weights do not fit together, or there are none.
        InputError: the file's suffix is none of .png, .svg and .pdf.
        MissingDependencyError: matplotlib is not installed.
        StorageError: the disk refused.
    """
    if weights.shape != (len(target), len(source)):
        raise ShapeError(f"weights {weights.shape} do not fit {len(target)} target and {len(source)} source tokens")
    if not weights.size:
        raise ShapeError("there are no weights to draw: source or target has no token")
    columns, rows = [_shown(token) for token in source], [_shown(token) for token in target]
    cell = min(_CELL, _LONGEST_SIDE / max(len(columns), len(rows)))
    scale = cell / _CELL
    width = cell * len(columns) + 0.085 * scale * max(map(len, rows)) + 1.3
    height = cell * len(rows) + 0.085 * scale * max(map(len, columns)) + 1.0
    missing: set[str] = set()
    with style.picture(path, max(width, 4.2), max(height, 1.8), missing) as figure:
        axes = figure.add_subplot()
        image = axes.imshow(weights, cmap=style.RAMP, vmin=0, vmax=1, aspect="equal", interpolation="nearest")
        axes.set_xticks(range(len(columns)), columns, rotation=60, ha="left", rotation_mode="anchor")
        axes.set_yticks(range(len(rows)), rows)
        axes.xaxis.tick_top()
        axes.tick_params(length=0, labelcolor=style.INK, labelsize=_FONT_SIZE * scale)
        for labels, special in ((axes.get_xticklabels(), special_source), (axes.get_yticklabels(), special_target)):
            for label, is_special in zip(labels, special, strict=False):
                if is_special:
                    label.set_color(style.QUIET)
        axes.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(len(rows) + 1) - 0.5, minor=True)
        axes.grid(which="minor", color=style.GRID, linewidth=0.6 * scale)
        axes.tick_params(which="minor", length=0)
        for side in axes.spines.values():
            side.set_visible(False)
        style.write_title(figure, title)
        style.write_note(figure, note)
        tall = min(1.0, 6 / len(rows))  # the scale stands beside the matrix, at most six cells tall
        thick = 0.4 / max(len(columns), 5)
        bar = figure.colorbar(image, cax=axes.inset_axes((1 + thick, (1 - tall) / 2, thick, tall)))
        bar.outline.set_visible(False)  # type: ignore[operator]
        bar.set_ticks([0, 0.5, 1])
        bar.ax.tick_params(length=0, labelsize=8)
    return missing


def _shown(token: str) -> str:
    text = token_name(token)  # escapes too: SVG is no XML with control characters in it
    letters = graphemes(text)
    return text if len(letters) <= _LONGEST_TOKEN else "".join(letters[: _LONGEST_TOKEN - 1]) + "…"
