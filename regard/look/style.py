"""One look for all pictures: colours, sizes, fonts that cover many scripts."""

from pathlib import Path
from typing import TYPE_CHECKING

from regard.errors import MissingDependencyError, StorageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, QUIET, PAPER, GRID = "#1c2733", "#5c6b7a", "#ffffff", "#dfe5ea"
SERIES = ("#c2410c", "#0369a1", "#15803d", "#7e22ce", "#a16207")  # told apart by most colour-blind readers
MARKERS = ("o", "s", "^", "D", "v")
RAMP = "Blues"
SETTINGS = {
    "font.family": ["DejaVu Sans"],
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "svg.hashsalt": "regard",  # the same picture gives the same file
}


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure (inches) that no window will ever show.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingDependencyError("matplotlib", "plot", "Drawing a picture") from error
    return Figure(figsize=(width, height), layout="constrained")


def save(figure: "Figure", path: Path) -> None:
    """Write a figure as PNG, SVG or PDF, by the file's suffix.

    Raises:
        StorageError: the disk refused.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=160, metadata={} if path.suffix == ".png" else {"Date": None})
    except OSError as error:
        raise StorageError(f"{path}: the picture could not be written ({error.strerror}).") from error
