"""Scores of labels against computations by hand and scikit-learn's definitions."""

import numpy as np
import pytest

from regard.evaluation import labels
from regard.evaluation.labels import entities


def test_two_classes_by_hand() -> None:
    # gold 1: three right, one missed; gold 0: two right, one wrongly called 1.
    gold, predicted = np.array([1, 1, 1, 1, 0, 0, 0]), np.array([1, 1, 1, 0, 0, 0, 1])
    found = labels.classes(gold, predicted, ["no", "yes"])
    assert found["accuracy"].value == pytest.approx(100 * 5 / 7)
    assert found["f1"].name == "F1 (yes)"
    assert found["f1"].value == pytest.approx(100 * 2 * 3 / (2 * 3 + 1 + 1))
    assert found["matthews"].value == pytest.approx(100 * (3 * 2 - 1 * 1) / np.sqrt(4 * 4 * 3 * 3))
    low, high = found["accuracy"].low, found["accuracy"].high
    assert low is not None
    assert high is not None
    assert low < found["accuracy"].value < high
    assert found["accuracy"].interval == f"[{low:.1f}, {high:.1f}]"
    plain = labels.classes(gold, predicted, ["no", "yes"], resamples=0)
    assert {key: score.value for key, score in plain.items()} == {key: score.value for key, score in found.items()}
    assert (plain["f1"].low, plain["f1"].interval) == (None, "")


def test_several_classes_by_hand() -> None:
    gold, predicted = np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 2, 2, 0])
    found = labels.classes(gold, predicted, ["a", "b", "c"])
    assert found["f1"].value == pytest.approx(100 * np.mean([2 * 1 / 4, 2 * 1 / 3, 2 * 2 / 5]))
    # Gorodkin's coefficient as a correlation of one-hot rows.
    x, y = np.eye(3)[gold], np.eye(3)[predicted]
    x, y = x - x.mean(0), y - y.mean(0)
    assert found["matthews"].value == pytest.approx(100 * (x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum()))


@pytest.mark.parametrize("gold", [np.arange(10), np.repeat([0, 1, 2], [300, 2, 2]), np.repeat([0, 1], [98, 2])])
def test_all_right_is_right_in_every_resample(gold: np.ndarray) -> None:
    """What a resample does not hold says nothing of it."""
    names = [str(number) for number in range(int(gold.max()) + 1)]
    f1 = labels.classes(gold, gold, names)["f1"]
    assert (f1.value, f1.low, f1.high) == (100, 100, 100)


def test_a_label_that_is_nowhere_is_left_out() -> None:
    gold = np.array([0, 1, 0, 1])
    assert labels.classes(gold, gold, ["a", "b", "c"])["f1"].value == 100
    assert labels.classes(gold, np.array([0, 1, 0, 2]), ["a", "b", "c"])["f1"].value == pytest.approx(100 * 5 / 9)
    assert labels.classes(np.array([0, 0]), np.array([0, 0]), ["a", "b"])["f1"].value == 0, "nothing to find"


def test_an_idle_classifier_has_no_correlation() -> None:
    found = labels.classes(np.array([0, 1, 1]), np.array([1, 1, 1]), ["a", "b"])
    assert found["matthews"].value == 0
    assert labels.classes(np.array([0, 0]), np.array([0, 0]), ["a", "b"])["accuracy"].value == 100


def test_numbers() -> None:
    found = labels.numbers(np.array([1.0, 2, 3, 4]), np.array([10.0, 20, 30, 1000]))
    assert found["spearman"].value == pytest.approx(100)
    assert 0 < found["pearson"].value < 100
    assert labels.numbers(np.array([1.0, 2]), np.array([5.0, 5]))["spearman"].value == 0


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("O B-PER I-PER O B-LOC", [("PER", 1, 3), ("LOC", 4, 5)]),
        ("B-PER B-PER I-PER", [("PER", 0, 1), ("PER", 1, 3)]),
        ("I-PER I-PER O I-LOC", [("PER", 0, 2), ("LOC", 3, 4)]),  # as conlleval: an inside begins one
        ("B-PER I-LOC", [("PER", 0, 1), ("LOC", 1, 2)]),
        ("B-PER I-PER E-PER S-PER O", [("PER", 0, 3), ("PER", 3, 4)]),
        ("B I I O I", [("", 0, 3), ("", 4, 5)]),  # one kind of entity needs no name
        ("B B I E S", [("", 0, 1), ("", 1, 4), ("", 4, 5)]),
        ("NOUN NOUN VERB", [("NOUN", 0, 1), ("NOUN", 1, 2), ("VERB", 2, 3)]),
        ("NOUN O VERB", [("NOUN", 0, 1), ("VERB", 2, 3)]),
        ("O O", []),
    ],
)
def test_entities(tags: str, expected: list[tuple[str, int, int]]) -> None:
    assert entities(tags.split()) == expected


def test_entities_are_right_with_their_borders_and_kind() -> None:
    gold = [["B-PER", "I-PER", "O", "B-LOC"], ["B-ORG", "O"]]
    predicted = [["B-PER", "I-PER", "O", "B-ORG"], ["B-ORG", "I-ORG"]]
    found = labels.tags(gold, predicted)
    assert found["precision"].value == pytest.approx(100 / 3)
    assert found["recall"].value == pytest.approx(100 / 3)
    assert found["entity_f1"].value == pytest.approx(100 / 3)
    assert found["accuracy"].value == pytest.approx(100 * 4 / 6)
    assert labels.tags([["O"]], [["O"]])["entity_f1"].value == 0  # nothing to find
