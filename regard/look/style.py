"""One look for all pictures: colours, sizes, fonts that cover many scripts."""

import logging
import re
import textwrap
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regard.errors import InputError, MissingDependencyError
from regard.look.terminal import visible
from regard.storage import replacing_output, storing

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
    "pdf.fonttype": 42,  # outlines as TrueType, which publishers ask for
}
FONT = "DejaVu Sans"  # matplotlib brings it: Latin, Greek, Cyrillic, Arabic, Hebrew and more
# Those that are installed of these give what it lacks, and then those of NOTO that have it; where none does, a frame
# stands for the character. Fonts of emoji in colour are not among them: they are small pictures, and matplotlib draws
# outlines.
FONTS = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Source Han Sans", "WenQuanYi Micro Hei", "Hiragino Sans", "PingFang SC",
    "Apple SD Gothic Neo", "Yu Gothic", "Microsoft YaHei", "Malgun Gothic",
    "Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Tamil", "Noto Sans Thai", "Noto Sans Ethiopic",
    "Nirmala UI", "Arial Unicode MS", "Noto Emoji", "Symbola", "Segoe UI Emoji",
)  # fmt: skip
NOTO = ("Noto Sans", "Noto Serif", "Noto Naskh")  # how the names of families begin that have a script or more each
_MISSING = r"Glyph (\d+) .*missing from"  # how matplotlib warns
_SHOWN = 8  # characters of a script that a message names
# By suffix what keeps the date out of the file.
_METADATA: dict[str, dict[str, None]] = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


def check(path: Path | None = None, *, or_page: bool = False) -> None:
    """Ask before long work whether a picture could be drawn after it.

    Args:
        or_page: a page could be written instead, and the message says so.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        InputError: the file's suffix is none of .png, .svg and .pdf, or it is a folder.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingDependencyError("matplotlib", "plot", "Drawing a picture") from error
    if path is not None and path.suffix.lower() not in _METADATA:
        page = ", a page's in .html" if or_page else ""
        raise InputError(f"{path}: a picture's name must end in .png, .svg or .pdf{page}.")
    if path is not None and path.is_dir():
        raise InputError(f"{path}: is a folder. Name a file for the picture.")


@contextmanager
def picture(path: Path, width: float, height: float, missing: set[str] | None = None) -> Iterator["Figure"]:
    """A figure (inches) that no window will ever show; it is written at the end as PNG, SVG or PDF, by suffix.

    Args:
        missing: gets the characters that no installed font has; see `missing_line`.

    Raises:
        MissingDependencyError, InputError: see `check`.
        StorageError: the disk refused; a picture that was there is untouched.
    """
    check(path)
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(SETTINGS | {"font.family": [FONT]}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", _MISSING, UserWarning)
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        with replacing_output(path) as partial, storing(path, "The old file is intact."):
            absent = _save_in_any_script(figure, partial, path.suffix.lower())
        if missing is not None:
            missing |= absent


def _save_in_any_script(figure: "Figure", path: Path, kind: str) -> set[str]:
    """Write the file, with other fonts beside the usual one where it lacks characters that they have; as `_save`."""
    import matplotlib
    from matplotlib.patheffects import Normal
    from matplotlib.text import Text

    absent = _save(figure, path, kind)
    more = _fonts_for(absent)
    if not more:
        return absent
    families = [FONT, *more]
    matplotlib.rcParams["font.family"] = families  # of texts that are still to be made, such as ticks
    as_outlines = kind == ".pdf" and any(map(_is_postscript, more.values()))
    for text in figure.findobj(Text):
        text.set_fontfamily(families)  # type: ignore[attr-defined]
        # Such a font would be embedded as if it were TrueType, and some readers then show nothing.
        if as_outlines and absent & set(text.get_text()):  # type: ignore[attr-defined]
            text.set_path_effects([Normal()])
    log = logging.getLogger("matplotlib.font_manager")
    level = log.level
    log.setLevel(logging.ERROR)  # that one of them has no bold letters is no news
    try:
        return _save(figure, path, kind)
    finally:
        log.setLevel(level)


def _save(figure: "Figure", path: Path, kind: str) -> set[str]:
    """Write the file, of the kind that this suffix names, and say for which characters a frame stands."""
    absent = set()
    with warnings.catch_warnings(record=True) as told:
        warnings.filterwarnings("always", _MISSING, UserWarning)
        figure.savefig(path, format=kind[1:], dpi=160, bbox_inches="tight", pad_inches=0.1, metadata=_METADATA[kind])
    for each in told:
        found = re.match(_MISSING, str(each.message))
        if found:
            absent.add(chr(int(found[1])))
        else:
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
    return absent


def _fonts_for(characters: set[str]) -> dict[str, str]:
    """Installed families that have some of these characters, with a file of each, also those that matplotlib does not
    know yet.

    It keeps a list of fonts from when it first ran, and does not look again when others are installed.
    """
    if not characters:
        return {}
    from matplotlib.font_manager import findSystemFonts, fontManager, get_font

    known = {font.fname for font in fontManager.ttflist}
    for path in sorted(set(findSystemFonts()) - known):
        with suppress(OSError, RuntimeError, ValueError):  # of a kind that it cannot read
            fontManager.addfont(path)
    wanted, found = {ord(each) for each in characters}, {}
    fonts = {font.name: font.fname for font in reversed(fontManager.ttflist)}  # a file of each family
    named = [name for name in FONTS if name in fonts]
    for name in [*named, *sorted(name for name in fonts if name.startswith(NOTO) and name not in FONTS)]:
        if not wanted:
            break
        had = wanted & get_font(fonts[name]).get_charmap().keys()
        if had:
            found[name] = fonts[name]
            wanted -= had
    return found


def _is_postscript(path: str) -> bool:
    """Whether a font's outlines are PostScript's (CFF), by the first bytes of the file."""
    with Path(path).open("rb") as file:
        kind = file.read(4)
        if kind == b"ttcf":  # several fonts, all of one kind; where the first begins stands at byte 12
            file.seek(12)
            file.seek(int.from_bytes(file.read(4), "big"))
            kind = file.read(4)
    return kind == b"OTTO"


def missing_line(path: Path, missing: set[str]) -> str:
    """For people: which characters of a picture no font has, and what to do."""
    scripts: dict[str, list[str]] = {}
    for each in sorted(missing):
        is_letter = unicodedata.category(each)[0] in "LM"
        script = unicodedata.name(each, "").split(" ")[0] if is_letter else ""
        scripts.setdefault(script, []).append(each if each.isprintable() and is_letter else f"U+{ord(each):04X}")
    parts = []
    for script, found in scripts.items():
        shown = " ".join([*found[:_SHOWN], *(["…"] if len(found) > _SHOWN else [])])
        parts.append(f"{script if script == 'CJK' else script.capitalize()} ({shown})" if script else shown)
    has_emoji = any(unicodedata.category(each) in ("So", "Sk") for each in missing)
    emoji_font = "; for emoji fonts-symbola" if has_emoji else ""
    emoji = " A picture has emoji without colour, a page (.html) has them as the browser does." if has_emoji else ""
    return (
        f"{path}: no installed font has {', '.join(parts)}; frames stand for them. "
        f"Install one (Debian: fonts-noto and fonts-noto-cjk{emoji_font}) and draw it again.{emoji}"
    )


def write_title(figure: "Figure", title: str) -> None:
    """A bold line at the top, or several where the figure is narrow."""
    if title:
        figure.suptitle(_wrapped(figure, visible(title), 11 * 0.68), x=0.01, ha="left", fontsize=11, fontweight="bold")


def write_note(figure: "Figure", note: str) -> None:
    """Small print at the bottom."""
    if note:
        figure.supxlabel(_wrapped(figure, visible(note), 7.5 * 0.57), x=0.01, ha="left", fontsize=7.5, color=QUIET)


def _wrapped(figure: "Figure", text: str, character: float) -> str:
    """Lines that fit the figure, for characters of this width (points) on average."""
    return textwrap.fill(text, max(20, int(figure.get_figwidth() * 72 / character)))
