"""Frequencies are counted over exactly the documents of a corpus, and a verdict follows its loss."""

import math

import numpy as np
import pytest

from regard.data.corpus import Corpus
from regard.runs import verdict
from regard.training.plan import TrainingPlan


@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_frequencies_are_those_of_the_documents(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(verdict, "_AT_ONCE", at_once)
    ids = np.array([0, 1, 1, 2, 9, 9, 9, 3, 1, 2], dtype=np.uint16)  # the nines are of no document
    corpus = Corpus(ids, np.array([[0, 2], [2, 4], [7, 8], [8, 10]]))
    counts = np.array([1, 3, 2, 1, 0, 0, 0, 0, 0, 0]) + 1
    expected = np.mean([-math.log(counts[label] / counts.sum()) for label in (1, 9, 3)])
    assert verdict.unigram_loss(corpus, np.array([1, 9, 3]), 10) == pytest.approx(expected)
    single = Corpus(ids, np.array([[0, 10]]))
    counts = np.bincount(ids, minlength=10) + 1
    assert verdict.unigram_loss(single, np.array([9]), 10) == pytest.approx(-math.log(counts[9] / counts.sum()))


def test_the_verdict_says_whether_it_learns() -> None:
    plan = TrainingPlan(learning_rate=0.5)
    assert "it learns: 0.40 nats better" in verdict.verdict(4.6, 5.0, plan, "so")
    unordered = verdict.verdict(4.6, 5.0, plan, "so", order_gain=0.01)
    assert "by which words a text has (0.40 nats better than by frequency), not yet by their order" in unordered
    assert "half the training.learning_rate (now 0.5)" in unordered
    for loss, gain in ((4.6, 0.2), (3.0, 0.01)):
        assert "it learns" in verdict.verdict(loss, 5.0, plan, "so", order_gain=gain)
    assert "no better than by how often words occur (5.00 nats)" in verdict.verdict(4.9, 5.0, plan, "so")
