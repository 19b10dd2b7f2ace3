"""Every reason for doubt is found where it is, and not where it is not."""

import math

import pytest

from regard import flags

SURE = [-0.1] * 5


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("It rains.", "Chove.", ()),
        ("very very good", "muito muito bom", ()),
        ("ha ha ha ha ha", "ha ha ha ha ha ha", ()),
        ("It rains.", "Chove chove chove chove chove.", (flags.REPETITION,)),
        ("It rains.", "de a de a de a de a", (flags.REPETITION,)),
        ("In 1999 and 2001.", "Em 2001 e 1999.", ()),
        ("1,234.5 euros", "1.234,5 euros", ()),
        ("1,000 euros", "1\u202f000 euros or 1\u00a0000", (flags.NUMBER_MISMATCH,)),
        ("1,000 euros, 1'000 francs", "1\u202f000 euros, 1\u00a0000 francos", ()),
        ("In 2019, 20 people came.", "Em 2019 vieram 20 pessoas.", ()),
        ("In 2019, 20 people came.", "20 pessoas vieram em 2019.", ()),
        ("On May 5, 2024.", "Em 5 de maio de 2024.", ()),
        ("Rooms 3, 15", "Quartos 31, 5", (flags.NUMBER_MISMATCH,)),
        ("1.5 kg", "1,5 kg", ()),
        ("1.5 kg", "15 kg", (flags.NUMBER_MISMATCH,)),
        ("10.12.2024", "10/12/2024", (flags.NUMBER_MISMATCH,)),
        ("In 1999.", "Em 1998.", (flags.NUMBER_MISMATCH,)),
        ("Two of 3.", "Dois.", (flags.NUMBER_MISMATCH,)),
        ("7 and 7", "7", (flags.NUMBER_MISMATCH,)),
        ("Hello {name}!", "Olá {name}!", ()),
        ("Hello {name}!", "Olá!", (flags.PLACEHOLDER_MISMATCH,)),
        ("Hello %s and %(name)s", "Olá %(name)s e %s", ()),
        ("Hello %s", "Olá %d", (flags.PLACEHOLDER_MISMATCH,)),
        ("See https://a.org/x now", "Veja https://a.org/x agora", ()),
        ("See https://a.org/x now", "Veja https://a.org/y agora", (flags.PLACEHOLDER_MISMATCH,)),
        ("Visit https://a.org.", "Visite já https://a.org", ()),
        ("See (https://a.org), please", "Veja https://a.org, por favor", ()),
        ("a 100% match", "ein 100%iger Treffer", ()),
        ("%ld files, %-5s, %.2f MB", "%.2f MB, %ld ficheiros, %-5s", ()),
        ("%ld files", "ficheiros", (flags.PLACEHOLDER_MISMATCH,)),
        ("%.2f MB", "%.3f MB", (flags.NUMBER_MISMATCH, flags.PLACEHOLDER_MISMATCH)),
        ("Good morning.", "", (flags.EMPTY,)),
        (" ", "", ()),
        ("好", "好好好好好好好好好", (flags.REPETITION,)),
        ("Ha", "hahahahahahahahahahaha", (flags.REPETITION,)),
        ("Ha", "Ha" + "\n" * 49, ()),
        ("Ha", "Ha" + "\n\t" * 50, (flags.REPETITION,)),
        ("Ha" + "\n" * 50, "Ha" + "\n" * 50, ()),
        ("Meu plano telefônico", "My phononononononon", (flags.REPETITION,)),
        ("Hahahahahahahahaha", "Rárárárárárárárárá", ()),
        ("<b>no</b>", "<b>não", (flags.PLACEHOLDER_MISMATCH,)),
        ("me@a.org &amp; ${x}", "me@a.org &amp; ${x}", ()),
        ("", "", ()),
    ],
)
def test_flags_of_the_text(source: str, target: str, expected: tuple[str, ...]) -> None:
    assert flags.find(source, target, SURE, True) == expected


def test_what_was_cut_is_said() -> None:
    assert flags.find("a", "b", SURE, False) == (flags.TRUNCATED,)


@pytest.mark.parametrize(("probability", "doubted"), [(0.36, False), (0.34, True), (1.0, False), (1e-9, True)], ids=str)
def test_confidence_is_the_mean_probability_of_a_token(probability: float, doubted: bool) -> None:
    log_prob = math.log(probability)
    for log_probs in ([log_prob], [log_prob] * 9, [0.0, 2 * log_prob]):
        assert (flags.LOW_CONFIDENCE in flags.find("a", "b", log_probs, True)) == doubted
    assert flags.find("a", "b", [], True) == ()
    assert flags.find("a", "b", [math.nan], True) == (flags.LOW_CONFIDENCE,), "no number is no confidence"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", 0), ("a", 1), ("a b c", 1), ("a a b", 2), ("x a b a b a b y", 3), ("A a", 2), ("a b c d e a b c d e", 1)],
)
def test_the_longest_run(text: str, expected: int) -> None:
    assert flags.longest_run(text) == expected


def test_all_flags_at_once() -> None:
    found = flags.find("{x} 1", "a a a a a a 2", [-9.0], False)
    assert found == (
        flags.TRUNCATED,
        flags.REPETITION,
        flags.NUMBER_MISMATCH,
        flags.PLACEHOLDER_MISMATCH,
        flags.LOW_CONFIDENCE,
    )
