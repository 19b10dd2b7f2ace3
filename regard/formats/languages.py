"""Which of the languages in a file are meant: BCP-47 tags compared part by part."""

import json
import re
from collections.abc import Sequence

_TAG = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*")
_CARD_HEAD = re.compile(r"---\s*\n(.*?\n)---\s*(?:\n|$)", re.DOTALL)
_CARD_LANGUAGES = re.compile(r"^language:(.*\n(?:[ \t]*-[ \t].*\n)*)", re.MULTILINE)


def is_tag(text: str) -> bool:
    """Whether a text has the form of a language tag."""
    return _TAG.fullmatch(text) is not None


def parts(tag: str) -> list[str]:
    """The parts of a tag, lower-case: ["pt", "br"] of "pt-BR" or "pt_BR"."""
    return tag.strip().lower().replace("_", "-").split("-")


def card_lines(languages: Sequence[str | None]) -> list[str]:
    """How the head of a model card names those languages that are known."""
    # In quotes: no alone, which is Norwegian, is YAML's false.
    named = [f"- {json.dumps(language)}" for language in languages if language]
    return ["language:", *named] if named else []


def language_of_card(card: str) -> str:
    """The language that the head of a model card names, as a word or a list of one; "" where it names none or several.

    Only this is looked for: whatever else a head holds, or wrong YAML, says nothing.
    """
    head = _CARD_HEAD.match(card)
    named = head and _CARD_LANGUAGES.search(head[1])
    if not named:
        return ""
    words = [word for word in re.split(r"[\s,\[\]'\"]+", named[1]) if word not in ("", "-")]
    return words[0] if len(words) == 1 and is_tag(words[0]) else ""


def best_match(wanted: str, tags: Sequence[str]) -> int | None:
    """The position in `tags` of the one that `wanted` means; None if there is none.

    The same tag is best; then a more particular one ("en" takes "en-US"); then a more general one ("pt-BR" takes "pt").
    "pt-BR" never takes "pt-PT". Among equals the first one.
    """
    want = parts(wanted)
    ranks = []
    for position, tag in enumerate(tags):
        have = parts(tag)
        if have == want:
            return position
        if have[: len(want)] == want:
            ranks.append((1, 0, position))
        elif want[: len(have)] == have:
            ranks.append((2, -len(have), position))
    return min(ranks)[2] if ranks else None


def choose_pair(tags: Sequence[str], source: str | None, target: str | None) -> tuple[int, int] | None:
    """The positions of the source and the target language in `tags`; None if they cannot be told.

    A language that is not given is the other one of exactly two; if neither is given, two stand in the order source,
    target.
    """
    if source is None and target is None:
        return (0, 1) if len(tags) == 2 else None
    given = source if source is not None else target
    assert given is not None
    first = best_match(given, tags)
    if first is None:
        return None
    others = [position for position in range(len(tags)) if position != first]
    if source is not None and target is not None:
        found = best_match(target, [tags[position] for position in others])
        return None if found is None else (first, others[found])
    if len(others) != 1:
        return None
    return (first, others[0]) if source is not None else (others[0], first)
