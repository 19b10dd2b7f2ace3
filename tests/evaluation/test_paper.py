import gzip
import math
import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from regard.errors import ConfigError, DataError, MissingDependencyError
from regard.evaluation import paper

pytest.importorskip("sacrebleu")
pytest.importorskip("sacremoses")

DATA = Path(os.environ.get("REGARD_DATA") or Path(__file__).parents[2].parent / "shared" / "data")


def read_lines(name):
    path = DATA / "multi30k" / name
    if not path.exists():
        pytest.skip(f"{path} is absent")
    return gzip.decompress(path.read_bytes()).decode("utf-8").removesuffix("\n").split("\n")


def multi_bleu(hypotheses, references):
    """BLEU written from Papineni et al. 2002: what multi-bleu.perl computes for one reference."""
    right, total, hypothesis_length, reference_length = [0] * 4, [0] * 4, 0, 0
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        ours, theirs = hypothesis.split(), reference.split()
        hypothesis_length += len(ours)
        reference_length += len(theirs)
        for n in range(4):
            counts = [Counter(tuple(words[i : i + n + 1]) for i in range(len(words) - n)) for words in (ours, theirs)]
            right[n] += (counts[0] & counts[1]).total()
            total[n] += counts[0].total()
    if 0 in right:
        return 0.0
    log_precision = sum(math.log(a / b) for a, b in zip(right, total, strict=True)) / 4
    return 100 * math.exp(min(0, 1 - reference_length / hypothesis_length) + log_precision)


@pytest.mark.parametrize("language", ["de", "en", "fr"])
@pytest.mark.parametrize(("split", "num_lines"), [("val", 1014), ("test_2016_flickr", 1000)])
def test_raw_references_become_the_published_ones(split, num_lines, language):
    raw = read_lines(f"{split}.{language}.gz")
    published = read_lines(f"{split}.lc.norm.tok.{language}.gz")
    ours = paper.tokenize(raw, language)
    assert len(ours) == len(published) == num_lines
    different = [pair for pair in zip(ours, published, strict=True) if pair[0] != pair[1]]
    assert different == []


# Our own sentences; what is expected follows from the Perl scripts' rules, named beside each.
@pytest.mark.parametrize(
    ("language", "raw", "expected"),
    [
        ("en", "The man's dog isn't here.", "the man &apos;s dog isn &apos;t here ."),  # English: before the apostrophe
        (
            "fr",
            "L'homme s’assoit.",
            "l&apos; homme s&apos; assoit .",
        ),  # French: after; a typographic one in a word is '
        ("de", "Peter's Hund", "peter &apos; s hund"),  # others: both sides
        ("de", 'Er sagt: "Komm."', "er sagt : &quot; komm &quot; ."),  # quotes before stops, at the line end too
        ("en", 'He says "come".', "he says &quot; come . &quot;"),  # English the other way
        ("en", 'He says "come", then', "he says &quot; come , &quot; then"),
        ("de", "„Ja“, sagt sie", "&quot; ja &quot; , sagt sie"),
        ("fr", "le panneau\u00a0« stop »", "le panneau &quot; stop &quot;"),
        ("fr", "un signe’", "un signe &quot;"),  # a ’ that is not between letters becomes a double quote
        ("en", "wait … 1,000 and 3, 4", "wait ... 1,000 and 3 , 4"),
        ("en", "A & B | [C] <d>", "a &amp; b &#124; &#91; c &#93; &lt; d &gt;"),
        ("de", "10 000 T-Shirts", "10 000 t-shirts"),
        ("de", "10\u00a0000 Menschen", "10,000 menschen"),
        ("en", "", ""),
        ("en", "  two   spaces ", "two spaces"),
    ],
)
def test_treatment_follows_the_scripts(language, raw, expected):
    assert paper.tokenize([raw], language) == [expected]


def test_score_is_multi_bleu_of_the_treated_text():
    references = ["Ein Mann sitzt auf der Bank.", "Zwei Hunde rennen über die grüne Wiese!", 'Sie ruft "Halt."']
    hypotheses = ["ein Mann sitzt auf einer Bank.", "Zwei Hunde rennen über eine grüne Wiese!", 'Sie rief "halt".']
    result = paper.score(hypotheses, references, "de", resamples=100)
    expected = multi_bleu(paper.tokenize(hypotheses, "de"), paper.tokenize(references, "de"))
    assert 10 < expected < 90
    assert result.value == pytest.approx(expected, abs=1e-9)
    assert result.low <= result.value <= result.high


def test_score_is_not_smoothed():
    assert paper.score(["one two three x four"], ["one two three y four"], "en", resamples=0).value == 0  # no 4-gram


def test_score_does_not_see_case_or_the_kind_of_quotes():
    references = ["Ein Schild sagt „Halt jetzt“, sofort"]
    assert paper.score(['ein SCHILD sagt "halt jetzt", sofort'], references, "de", resamples=0).value == pytest.approx(
        100
    )


def test_signature_describes_the_treatment():
    result = paper.score(["a b c d"], ["a b c d"], "de-AT", resamples=50, seed=3)
    assert result.signature.startswith(
        "BLEU|nrefs:1|bs:50|seed:3|case:lc|norm:moses-de|tok:moses-de-escaped|smooth:none|eff:no|version:"
    )
    assert "bs:" not in paper.score(["a"], ["a"], "de", resamples=0).signature


def test_other_languages_are_refused():
    with pytest.raises(ConfigError, match="language 'pt-BR' has no references treated as in the literature"):
        paper.tokenize(["a"], "pt-BR")


def test_line_counts_must_agree():
    with pytest.raises(DataError, match="1 hypotheses but 2 references"):
        paper.score(["a"], ["a", "b"], "en")


def test_without_sacremoses_the_install_line_is_given(monkeypatch):
    paper._moses.cache_clear()
    monkeypatch.setitem(sys.modules, "sacremoses", None)
    with pytest.raises(MissingDependencyError, match=r"needs sacremoses.*pip install 'regard\[eval\]'"):
        paper.tokenize(["a"], "en")
