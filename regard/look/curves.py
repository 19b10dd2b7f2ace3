"""Lines of a number over a number: quality by sentence length, speed by batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from regard.look import style


@dataclass(frozen=True)
class Curve:
    """One line with its name; `low` and `high` bound a band around it where they are known."""

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
        MissingDependencyError: matplotlib is not installed.
        StorageError: the disk refused.
    """
    figure = style.new_figure(5.2 * len(panels), 3.8)
    import matplotlib

    with matplotlib.rc_context(style.SETTINGS):
        for number, panel in enumerate(panels):
            axes = figure.add_subplot(1, len(panels), number + 1)
            for index, curve in enumerate(panel.curves):
                colour = style.SERIES[index % len(style.SERIES)]
                marker = style.MARKERS[index % len(style.MARKERS)]
                axes.plot(curve.x, curve.y, color=colour, marker=marker, markersize=5, linewidth=2, label=curve.name)
                if curve.low:
                    axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.14, linewidth=0)
            axes.set_title(panel.title)
            axes.set_xlabel(panel.x_name)
            axes.set_ylabel(panel.y_name)
            axes.set_ylim(bottom=0)
            if panel.x_labels:
                axes.set_xticks(range(len(panel.x_labels)), list(panel.x_labels))
            axes.grid(axis="y", color=style.GRID, linewidth=0.8)
            axes.set_axisbelow(True)
            for side in ("top", "right", "left"):
                axes.spines[side].set_visible(False)
            axes.tick_params(length=0)
            axes.legend(frameon=False, loc="best")
        if note:
            figure.supxlabel(note, x=0.01, ha="left", fontsize=7.5, color=style.QUIET)
        style.save(figure, path)
