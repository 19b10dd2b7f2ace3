"""Languages of model cards: what is written is read again, and what a card does not say is not guessed."""

import pytest

from regard.formats.languages import card_lines, language_of_card


@pytest.mark.parametrize(
    ("head", "language"),
    [
        ("language: en\nlicense: apache-2.0\n", "en"),
        ("license: mit\nlanguage:\n- pt-BR\ntags:\n- classify\n", "pt-BR"),
        ("language:\n  -   'no'\n", "no"),
        ('language: ["de"]\n', "de"),
        ("\n".join(card_lines(["no"])) + "\n", "no"),
        ("language:\n- en\n- de\n", ""),
        ("language: [en, de]\n", ""),
        ("language: multilingual\n", ""),
        ("language:\n", ""),
        ("language:\ntags:\n- en\n", ""),
        ("language_bcp47: en\nbase_language: fr\n", ""),
        ("", ""),
    ],
)
def test_the_one_language_of_a_card(head: str, language: str) -> None:
    assert language_of_card(f"---\n{head}---\n\n# A model\n\nlanguage: fr\n") == language


@pytest.mark.parametrize(
    "card",
    ["", "# A model\n\nlanguage: en\n", "---\nlanguage: en\n", "---\n---\nlanguage: en\n", "--- language: en ---"],
)
def test_only_the_head_counts(card: str) -> None:
    assert language_of_card(card) == ""
