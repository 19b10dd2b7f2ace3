"""Reading a pronoun's gender from a translation, and what rules without meaning score."""

import pytest

from regard.data.antecedents import ResolvedText
from regard.data.world import Pronoun, WorldPair, generate
from regard.errors import DataError
from regard.evaluation.coreference import (
    GenderAccuracy,
    antecedent_accuracy,
    baselines,
    gender_accuracy,
    pronoun_gender,
    text_rules,
)


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split())


SUITCASE = WorldPair(
    source="The suitcase did not fit in the car because it was too big.",
    target="A mala não coube no carro porque ela era grande demais.",
    source_tokens=_split("The suitcase did not fit in the car because it was too big ."),
    target_tokens=_split("A mala não coube no carro porque ela era grande demais ."),
    alignment=(),
    pronouns=(Pronoun(9, 7, 1, 1, "f", ((1, "f"), (7, "m")), 1),),
    kind="fit",
)
SHIRT = WorldPair(
    source="Ana took the shirt out of the cabinet and closed it.",
    target="Ana tirou a camisa do armário e o fechou.",
    source_tokens=_split("Ana took the shirt out of the cabinet and closed it ."),
    target_tokens=_split("Ana tirou a camisa do armário e o fechou ."),
    alignment=(),
    pronouns=(Pronoun(10, 7, 7, 5, "m", ((3, "f"), (7, "m"))),),
    kind="take",
)


@pytest.fixture(scope="module")
def frames():
    return list(generate("test", 2000, seed=2, it_share=1.0, max_words=25))


@pytest.mark.parametrize(
    ("hypothesis", "gender"),
    [
        ("A mala não coube no carro porque ela era grande demais.", "f"),
        ("A mala não coube no carro porque ele era grande demais.", "m"),
        ("A mala não cabia no carro, porque ela era muito grande.", "f"),
        ("A mala não coube no carro porque era pequena demais.", "f"),
        ("A mala não coube no carro porque era grande demais.", None),
        ("A mala não coube no carro porque ela era pequeno demais.", None),
        ("Ele disse que a mala não coube no carro porque ela era grande demais.", "f"),
        ("A mala não coube no carro.", None),
        ("", None),
    ],
)
def test_subject_pronouns(hypothesis, gender):
    assert pronoun_gender(hypothesis, SUITCASE) == gender


@pytest.mark.parametrize(
    ("hypothesis", "gender"),
    [
        ("Ana tirou a camisa do armário e o fechou.", "m"),
        ("Ana tirou a camisa do armário e a fechou.", "f"),
        ("Ana tirou a camisa do armário e fechou-o.", "m"),
        ("Ana tirou a camisa do armário e a trancou.", "f"),
        ("Ana tirou a camisa do armário e fechou.", None),
    ],
)
def test_clitics(hypothesis, gender):
    assert pronoun_gender(hypothesis, SHIRT) == gender


def swapped(pair):
    """The translation with the other gender: pronoun, and adjectives that follow it."""
    tokens = list(pair.target_tokens)
    at = pair.pronouns[0].target_index
    tokens[at] = {"ele": "ela", "ela": "ele", "o": "a", "a": "o"}[tokens[at]]
    return tokens, at


def test_references_score_one_and_swapped_pronouns_never(frames):
    perfect = gender_accuracy([pair.target for pair in frames], frames)
    assert (perfect.right, perfect.wrong, perfect.missing, perfect.accuracy) == (2000, 0, 0, 1.0)
    other = gender_accuracy([" ".join(swapped(pair)[0]) for pair in frames], frames)
    assert other.right == 0
    assert other.wrong > 600  # the rest contradict their predicate: missing


def test_references_are_read_in_long_sentences_too():
    pairs = list(generate("dev", 60, seed=2, it_share=1.0, min_words=40))
    assert gender_accuracy([pair.target for pair in pairs], pairs).accuracy == 1.0


def test_no_rule_without_meaning_passes_60_percent(frames):
    scores = baselines(frames)
    assert set(scores) == {"nearest", "first", "subject", "majority"}
    for name, score in scores.items():
        assert 0.2 < score.gender <= 0.6, (name, score)
        assert score.antecedent <= 0.6, (name, score)


def test_baselines_by_hand():
    scores = baselines([SUITCASE, SHIRT])
    assert scores["nearest"].antecedent == 0.5
    assert scores["first"].antecedent == 0.5
    assert scores["subject"].gender == 0.5
    assert scores["majority"].gender == 0.5


def test_antecedent_accuracy(frames):
    gold = [pair.pronouns[0].antecedent_source_index for pair in frames]
    assert antecedent_accuracy(gold, frames) == 1.0
    assert antecedent_accuracy([1, 3, None], [SUITCASE, SHIRT, SHIRT]) == pytest.approx(1 / 3)
    assert antecedent_accuracy([], []) == 0.0


def test_counts_must_match_and_a_pair_needs_a_pronoun():
    with pytest.raises(DataError, match="got 1 hypotheses for 2 pairs"):
        gender_accuracy(["Ela."], [SUITCASE, SHIRT])
    with pytest.raises(DataError, match="got 0 picks for 1 pairs"):
        antecedent_accuracy([], [SHIRT])
    plain = next(iter(generate("dev", 1, it_share=0.0)))
    with pytest.raises(DataError, match="no it to resolve"):
        pronoun_gender("Ela.", plain)
    assert gender_accuracy(["x"], [plain]).total == 0


@pytest.mark.parametrize(("right", "wrong"), [(3, 1), (95, 5), (0, 20), (20, 0)])
def test_the_interval_is_wilsons(right, wrong):
    """Its ends p are where the share found lies 1.96 standard errors, taken at p, from p."""
    found = GenderAccuracy(right=right, wrong=wrong, missing=0)
    for end in found.interval():
        error = (end * (1 - end) / found.total) ** 0.5
        assert abs(found.accuracy - end) == pytest.approx(1.959963984540054 * error, abs=1e-9)
    low, high = found.interval()
    assert low <= found.accuracy <= high
    assert GenderAccuracy(right=0, wrong=0, missing=0).interval() == (0, 1)


def test_rules_for_texts_by_hand() -> None:
    def text(pronoun: int, first: int, second: int, antecedent: int) -> ResolvedText:
        candidates = ((first, first + 2), (second, second + 2))
        return ResolvedText("a text of no matter", (pronoun, pronoun + 2), candidates, antecedent)

    # Both before the pronoun: the nearest is the second. One before it, or both after it: the first.
    texts = [text(9, 0, 5, 1), text(9, 0, 5, 0), text(4, 0, 9, 0), text(0, 4, 9, 0), text(0, 4, 9, 1)]
    assert text_rules(texts) == {"nearest": 3 / 5, "first": 3 / 5}
    assert text_rules([]) == {"nearest": 0, "first": 0}
