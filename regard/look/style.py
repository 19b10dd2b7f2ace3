"""One look for all pictures: colours, sizes, fonts that cover many scripts."""

import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regard.errors import InputError, MissingDependencyError, StorageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, QUIET, PAPER, GRID = "#1c2733", "#5c6b7a", "#ffffff", "#dfe5ea"
SERIES = ("#c2410c", "#0369a1", "#15803d", "#7e22ce", "#a16207")  # told apart by most colour-blind readers
MARKERS = ("o", "s", "^", "D", "v")
RAMP = "Blues"
SETTINGS: dict[str, Any] = {
    "font.size": 10,
    "text.color": INK,
    "text.parse_math": False,  # a token "$x$" is text
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
# matplotlib brings DejaVu Sans: Latin, Greek, Cyrillic, Arabic, Hebrew and more. Those that are installed of the others
# give what it lacks; where none is, a frame stands for the character.
FONTS = (
    "DejaVu Sans",
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Source Han Sans", "WenQuanYi Micro Hei", "Hiragino Sans", "PingFang SC",
    "Apple SD Gothic Neo", "Yu Gothic", "Microsoft YaHei", "Malgun Gothic",
    "Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Tamil", "Noto Sans Thai", "Noto Sans Ethiopic",
    "Nirmala UI", "Arial Unicode MS",
)  # fmt: skip
# By suffix what keeps the date out of the file.
_METADATA: dict[str, dict[str, None]] = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


def check(path: Path | None = None) -> None:
    """Ask before long work whether a picture could be drawn after it.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        InputError: the file's suffix is none of .png, .svg and .pdf.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingDependencyError("matplotlib", "plot", "Drawing a picture") from error
    if path is not None and path.suffix.lower() not in _METADATA:
        raise InputError(f"{path}: a picture's name must end in .png, .svg or .pdf.")


@contextmanager
def picture(path: Path, width: float, height: float) -> Iterator["Figure"]:
    """A figure (inches) that no window will ever show; it is written at the end as PNG, SVG or PDF, by suffix.

    Raises:
        MissingDependencyError, InputError: see `check`.
        StorageError: the disk refused.
    """
    check(path)
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.font_manager import fontManager

    installed = set(fontManager.get_font_names())
    fonts = {"font.family": [name for name in FONTS if name in installed]}
    with matplotlib.rc_context(SETTINGS | fonts), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from font", UserWarning)
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, dpi=160, bbox_inches="tight", pad_inches=0.1, metadata=_METADATA[path.suffix.lower()])
        except OSError as error:
            raise StorageError(f"{path}: the picture could not be written ({error.strerror}).") from error


def write_title(figure: "Figure", title: str) -> None:
    """A bold line at the top, or several where the figure is narrow."""
    if title:
        figure.suptitle(_wrapped(figure, title, 11 * 0.68), x=0.01, ha="left", fontsize=11, fontweight="bold")


def write_note(figure: "Figure", note: str) -> None:
    """Small print at the bottom."""
    if note:
        figure.supxlabel(_wrapped(figure, note, 7.5 * 0.57), x=0.01, ha="left", fontsize=7.5, color=QUIET)


def _wrapped(figure: "Figure", text: str, character: float) -> str:
    """Lines that fit the figure, for characters of this width (points) on average."""
    return textwrap.fill(text, max(20, int(figure.get_figwidth() * 72 / character)))
