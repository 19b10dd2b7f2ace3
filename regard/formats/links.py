"""Word alignments as text, as Pharaoh wrote them: `0-0 1-2`, with `i?j` for links held possible but not sure.

A link is (source word, target word), both counted from 0; a line of links belongs to one sentence pair.
"""

import re
from collections.abc import Iterable

from regard.errors import DataError

Link = tuple[int, int]
Links = set[Link]

_LINK = re.compile(r"([0-9]+)([-?])([0-9]+)")


def parse_links(text: str) -> tuple[Links, Links]:
    """Read `0-0 1?2` into (sure, possible) links; possible holds the sure ones too.

    Raises:
        DataError: a field that is neither `i-j` nor `i?j`.
    """
    sure, possible = set(), set()
    for field in text.split():
        match = _LINK.fullmatch(field)
        if match is None:
            raise DataError(f"{field!r} is not a link; expected i-j (sure) or i?j (possible), counted from 0.")
        link = (int(match[1]), int(match[3]))
        possible.add(link)
        if match[2] == "-":
            sure.add(link)
    return sure, possible


def format_links(links: Iterable[Link], possible: Iterable[Link] = ()) -> str:
    """Write links as `i-j`, then those only in `possible` as `i?j`, each in ascending order."""
    sure = set(links)
    written = [f"{i}-{j}" for i, j in sorted(sure)] + [f"{i}?{j}" for i, j in sorted(set(possible) - sure)]
    return " ".join(written)


def turned(links: Iterable[Link]) -> Links:
    """The links of a model that translates the other way, as (source, target) of this one."""
    return {(source, target) for target, source in links}
