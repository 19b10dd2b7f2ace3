"""Which ink can be read on a colour."""

from collections.abc import Sequence

BLACK, WHITE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)  # red, green, blue from 0 to 1


def ink_on(background: Sequence[float]) -> tuple[float, float, float]:
    """Black or white, whichever differs more from the background (red, green, blue from 0 to 1): by 4.58 or more.

    Nothing else can stand in for black: of a dark grey and white neither reaches 4.5, what WCAG asks of text, on all.
    """
    return max(BLACK, WHITE, key=lambda ink: contrast(ink, background))


def contrast(first: Sequence[float], second: Sequence[float]) -> float:
    """From 1 (the same colour) to 21. Source: WCAG 2.2, "contrast ratio"."""
    darker, lighter = sorted((_luminance(first), _luminance(second)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: Sequence[float]) -> float:
    """From 0 to 1. Source: WCAG 2.2, "relative luminance"."""
    red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
