"""What each head does, as a picture: a small map of layers and heads for each measure."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from regard.look import style
from regard.look.contrast import ink_on

_IN_A_ROW = 4


def draw_roles(maps: Mapping[str, np.ndarray], path: Path, *, title: str = "", note: str = "") -> None:
    """Draw maps (layers, heads) side by side into a PNG, SVG or PDF file; NaN is left white.

    Args:
        maps: by what they show. Values up to 1 share the scale from 0 to 1; larger ones have their own.

    Raises:
        InputError, MissingDependencyError, StorageError: see `look.style.picture`.
    """
    columns = min(_IN_A_ROW, len(maps))
    rows = -(-len(maps) // columns)
    layers, heads = next(iter(maps.values())).shape
    with style.picture(path, columns * max(2.9, 0.42 * heads + 1.1), rows * max(1.9, 0.42 * layers + 1.2)) as figure:
        for number, (name, values) in enumerate(maps.items()):
            axes = figure.add_subplot(rows, columns, number + 1)
            largest = np.nanmax(values) if np.isfinite(values).any() else 1.0
            top = 1.0 if largest <= 1 else largest
            image = axes.imshow(values, cmap=style.RAMP, vmin=0, vmax=top, aspect="equal", interpolation="nearest")
            axes.set_title(name, fontsize=9)
            axes.set_xticks(range(heads), [str(head + 1) for head in range(heads)])
            axes.set_yticks(range(layers), [str(layer + 1) for layer in range(layers)])
            axes.tick_params(length=0, labelsize=8)
            for layer in range(layers):
                for head in range(heads):
                    value = values[layer, head]
                    if np.isfinite(value):
                        red, green, blue, _ = image.cmap(image.norm(value))
                        ink = ink_on((red, green, blue))
                        text = f"{value:.1f}" if top > 1 else f"{value:.2f}".removeprefix("0")
                        axes.text(head, layer, text, ha="center", va="center", fontsize=7, color=ink)
            for side in axes.spines.values():
                side.set_visible(False)
        style.write_title(figure, title)
        style.write_note(figure, note)
