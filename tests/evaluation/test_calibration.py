"""Temperatures are found where they are known, and the error of calibration is that of its definition."""

import numpy as np
import pytest

from regard.evaluation.calibration import calibration_error, temperature


def drawn(scale: float, count: int = 40_000) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from the softmax of logits, and the logits `scale` times as large."""
    generator = np.random.default_rng(3)
    logits = generator.normal(size=(count, 4)) * 2
    gold = (logits + generator.gumbel(size=logits.shape)).argmax(axis=1)
    return logits * scale, gold


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_a_known_temperature_is_found(scale: float) -> None:
    logits, gold = drawn(scale)
    assert temperature(logits, gold) == pytest.approx(scale, rel=0.03)
    assert calibration_error(logits, gold, temperature(logits, gold)) < 1
    assert calibration_error(logits, gold) > 8 or scale == 1.0


def test_the_error_by_hand() -> None:
    logits = np.log(np.array([[0.9, 0.1], [0.9, 0.1], [0.3, 0.7]]))
    gold = np.array([0, 1, 1])
    assert calibration_error(logits, gold) == pytest.approx(100 * (abs(1 - 1.8) + abs(1 - 0.7)) / 3)
