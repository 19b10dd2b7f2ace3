"""Lines of a number over a number: quality by sentence length, speed by batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from regard.look import style


@dataclass(frozen=True)
class Curve:
    """One line with its name; `low` and `high` are the ends of an interval around each point, where they are known."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


@dataclass(frozen=True)
class Panel:
    """One pair of axes with its lines."""

    title: str
    x_name: str
    y_name: str
    curves: Sequence[Curve]
    x_labels: Sequence[str] = ()  # names for x = 0, 1, ... where x counts categories


def draw_curves(panels: Sequence[Panel], path: Path, *, note: str = "") -> None:
    """Draw panels side by side into a PNG, SVG or PDF file.

    Args:
        note: in small print below.

    Raises:
        InputError: the file's suffix is none of .png, .svg and .pdf.
        MissingDependencyError: matplotlib is not installed.
        StorageError: the disk refused.
    """
    with style.picture(path, 5.2 * len(panels), 3.8) as figure:
        for number, panel in enumerate(panels):
            axes = figure.add_subplot(1, len(panels), number + 1)
            for index, curve in enumerate(panel.curves):
                colour = style.SERIES[index % len(style.SERIES)]
                marker = style.MARKERS[index % len(style.MARKERS)]
                # Categories have room beside them: no interval need hide another.
                aside = 0.06 * (index - (len(panel.curves) - 1) / 2) if panel.x_labels else 0.0
                x = [position + aside for position in curve.x]
                axes.plot(x, curve.y, color=colour, marker=marker, markersize=5, linewidth=1.6, label=curve.name)
                if curve.low:
                    axes.vlines(x, curve.low, curve.high, color=colour, linewidth=1.2, alpha=0.7)
            axes.set_title(panel.title)
            axes.set_xlabel(panel.x_name)
            axes.set_ylabel(panel.y_name)
            axes.set_ylim(0, 1.04 * axes.get_ylim()[1])
            axes.yaxis.set_major_formatter("{x:,.10g}")
            if panel.x_labels:
                axes.set_xticks(range(len(panel.x_labels)), list(panel.x_labels))
            axes.grid(axis="y", color=style.GRID, linewidth=0.8)
            axes.set_axisbelow(True)
            for side in ("top", "right", "left"):
                axes.spines[side].set_visible(False)
            axes.tick_params(length=0)
            axes.legend(frameon=False, loc="best")
        style.write_note(figure, note)
