import random
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regard.errors import ConfigError, DataError, MissingDependencyError
from regard.evaluation import metrics

sacrebleu = pytest.importorskip("sacrebleu")
from sacrebleu.metrics import BLEU, CHRF, TER  # noqa: E402
from sacrebleu.significance import PairedTest  # noqa: E402

WORDS = ["the", "a", "red", "blue", "dog", "cat", "man", "woman", "runs", "sits", "reads", "on", "under", "with", ","]
RESAMPLED = 1e-5  # in percent: sacreBLEU sums and divides its resamples in float32, we in float64
PEERS = {"bleu": BLEU, "chrf": CHRF, "ter": TER}


def corpus(lines=60, seed=0):
    """References of 1 to 30 words, and hypotheses in which some words are wrong, missing or swapped."""
    generator = random.Random(seed)
    references, hypotheses = [], []
    for _ in range(lines):
        reference = [generator.choice(WORDS) for _ in range(generator.randint(1, 30))]
        hypothesis = [generator.choice(WORDS) if generator.random() < 0.2 else word for word in reference]
        if generator.random() < 0.3:
            hypothesis = hypothesis[1:] + hypothesis[:1]
        references.append(" ".join(reference) + ".")
        hypotheses.append(" ".join(hypothesis) + ".")
    return hypotheses, references


@pytest.mark.parametrize("seed", [12345, 7])
def test_score_is_that_of_sacrebleu_with_its_interval_and_signature(seed, monkeypatch):
    hypotheses, references = corpus()
    monkeypatch.setenv("SACREBLEU_SEED", str(seed))
    ours = metrics.score(hypotheses, references, resamples=200, seed=seed)
    assert list(ours) == ["bleu", "chrf", "ter"]
    for name, make in PEERS.items():
        peer = make()
        expected = peer.corpus_score(hypotheses, [references], n_bootstrap=200)
        assert ours[name].value == pytest.approx(expected.score, abs=1e-9)
        assert (ours[name].high - ours[name].low) / 2 == pytest.approx(expected._ci, abs=RESAMPLED)
        assert ours[name].low < ours[name].value < ours[name].high
        assert ours[name].signature == f"{expected.name}|{peer.get_signature()}"
        assert f"|bs:200|seed:{seed}|" in ours[name].signature


def test_score_ignores_the_seed_in_the_environment(monkeypatch):
    hypotheses, references = corpus()
    before = metrics.score(hypotheses, references, metrics=["bleu"], resamples=100, seed=1)
    monkeypatch.setenv("SACREBLEU_SEED", "99")
    assert metrics.score(hypotheses, references, metrics=["bleu"], resamples=100, seed=1) == before
    other = metrics.score(hypotheses, references, metrics=["bleu"], resamples=100, seed=2)["bleu"]
    assert (other.low, other.high) != (before["bleu"].low, before["bleu"].high)


def test_score_without_resampling_has_no_interval():
    hypotheses, references = corpus()
    result = metrics.score(hypotheses, references, metrics=["chrf"], resamples=0)["chrf"]
    assert (result.low, result.high) == (None, None)
    assert "bs:" not in result.signature
    assert "seed:" not in result.signature


@pytest.mark.parametrize("metric", ["bleu", "chrf"])
def test_quick_equals_score(metric):
    hypotheses, references = corpus()
    full = metrics.score(hypotheses, references, metrics=[metric], resamples=0)[metric]
    assert metrics.quick(hypotheses, references, metric) == pytest.approx(full.value, abs=1e-9)


@pytest.mark.parametrize("language", ["zh", "zh-CN", "zho_Hans", "cmn"])
def test_chinese_is_cut_into_characters(language):
    result = metrics.score(["今天天气很好"], ["今天天气真好"], target_language=language, metrics=["bleu"], resamples=0)
    assert "|tok:zh|" in result["bleu"].signature


@pytest.mark.parametrize("language", ["", "de", "pt-BR", "zha"])
def test_other_languages_use_13a(language):
    result = metrics.score(["ein Hund"], ["ein Hund"], target_language=language, metrics=["bleu"], resamples=0)
    assert "|tok:13a|" in result["bleu"].signature


def test_a_tokenizer_whose_library_is_missing_falls_back_to_13a(monkeypatch):
    from sacrebleu.tokenizers import tokenizer_ja_mecab

    monkeypatch.setattr(tokenizer_ja_mecab, "MeCab", None)
    result = metrics.score(["犬"], ["犬"], target_language="ja", metrics=["bleu"], resamples=0)
    assert "|tok:13a|" in result["bleu"].signature


def test_paired_test_is_that_of_sacrebleu(monkeypatch):
    a, references = corpus(seed=1)
    b = [reference if i % 7 == 0 else line for i, (line, reference) in enumerate(zip(a, references, strict=True))]
    monkeypatch.setenv("SACREBLEU_SEED", "5")
    ours = metrics.paired_test(a, b, references, resamples=200, seed=5)
    peers = {"BLEU": BLEU(), "chrF2": CHRF()}
    signatures, expected = PairedTest([("a", a), ("b", b)], peers, [references], "bs", n_samples=200)()
    assert list(ours) == ["bleu", "chrf"]
    for result in ours.values():
        peer_a, peer_b = expected[result.name]
        assert result.a.value == pytest.approx(peer_a.score, abs=1e-9)
        assert result.b.value == pytest.approx(peer_b.score, abs=1e-9)
        assert (result.a.high - result.a.low) / 2 == pytest.approx(peer_a.ci, abs=RESAMPLED)
        assert (result.b.high - result.b.low) / 2 == pytest.approx(peer_b.ci, abs=RESAMPLED)
        assert result.p_value == pytest.approx(peer_b.p_value, abs=1e-12)
        assert result.signature == f"{result.name}|{signatures[result.name]}"
        assert result.difference == pytest.approx(peer_b.score - peer_a.score, abs=1e-9)
        assert 0 < result.low < result.difference < result.high


def test_paired_test_of_a_system_with_itself_finds_nothing():
    hypotheses, references = corpus()
    result = metrics.paired_test(hypotheses, hypotheses, references, metrics=["bleu"], resamples=100)["bleu"]
    assert (result.difference, result.low, result.high, result.p_value) == (0, 0, 0, 1)


def test_paired_test_turned_around_changes_only_the_sign():
    a, references = corpus(seed=1)
    b, _ = corpus(seed=1)
    b[::5] = references[::5]
    there = metrics.paired_test(a, b, references, metrics=["chrf"], resamples=200)["chrf"]
    back = metrics.paired_test(b, a, references, metrics=["chrf"], resamples=200)["chrf"]
    assert there.p_value == back.p_value
    assert (there.difference, there.low, there.high) == pytest.approx((-back.difference, -back.high, -back.low))


def test_by_length_scores_each_bucket_as_if_alone():
    hypotheses, references = corpus()
    sources = references
    rows = metrics.by_length(sources, hypotheses, references, edges=(10, 15, 20, 25), resamples=100)
    assert [row.label for row in rows] == ["1-10", "11-15", "16-20", "21-25", ">25"]
    assert sum(row.n for row in rows) == len(references)
    row = rows[1]
    inside = [i for i, source in enumerate(sources) if 11 <= len(source.split()) <= 15]
    alone = metrics.score(
        [hypotheses[i] for i in inside], [references[i] for i in inside], metrics=["bleu", "chrf"], resamples=100
    )
    assert row.n == len(inside) > 3
    assert (row.bleu, row.low, row.high) == (alone["bleu"].value, alone["bleu"].low, alone["bleu"].high)
    assert row.chrf == alone["chrf"].value
    assert row.bleu_signature == alone["bleu"].signature
    assert row.chrf_signature.startswith("chrF2|nrefs:1|case:mixed")


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 12), min_size=1, max_size=12),
    edges=st.lists(st.integers(1, 10), min_size=1, max_size=4, unique=True).map(sorted),
)
def test_by_length_counts_every_sentence_once_and_where_it_belongs(lengths, edges):
    sources = [" ".join(["w"] * length) for length in lengths]
    rows = metrics.by_length(sources, ["x"] * len(lengths), ["x"] * len(lengths), edges, resamples=0)
    starts, ends = [0, *(edge + 1 for edge in edges)], [*edges, 1000]
    expected = [sum(low <= n <= high for n in lengths) for low, high in zip(starts, ends, strict=True)]
    assert [row.n for row in rows] == expected
    assert all((row.bleu is None) == (row.chrf is None) == (row.n == 0) for row in rows)
    assert rows[-1].label == f">{edges[-1]}"


@pytest.mark.parametrize("edges", [(), (0, 10), (10, 10), (20, 10)])
def test_by_length_refuses_edges_that_do_not_ascend(edges):
    with pytest.raises(ConfigError, match="must be whole numbers that ascend"):
        metrics.by_length(["a"], ["a"], ["a"], edges)


def test_by_length_refuses_other_numbers_of_sources():
    with pytest.raises(DataError, match="2 hypotheses but 1 sources"):
        metrics.by_length(["a"], ["a", "b"], ["a", "b"])


# Bounds from the formula in Wilson 1927 worked out by hand with z = 1.96 (8 of 10: 0.4902 to 0.9433).
@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [(8, 10, 49.02, 94.33), (0, 10, 0.0, 27.75), (10, 10, 72.25, 100.0), (50, 100, 40.38, 59.62)],
)
def test_exact_match_has_a_wilson_interval(right, total, low, high):
    references = [f"2024-01-{i:02d}" for i in range(total)]
    hypotheses = references[:right] + ["?"] * (total - right)
    result = metrics.exact_match(hypotheses, references)
    assert result.value == pytest.approx(100 * right / total)
    assert (result.low, result.high) == pytest.approx((low, high), abs=0.006)
    assert result.low <= result.value <= result.high
    assert result.signature == f"exact match|n:{total}|case:mixed|interval:wilson-95"


def test_exact_match_is_exact():
    assert metrics.exact_match(["a ", "A", "a"], ["a", "a", "a"]).value == pytest.approx(100 / 3)


@pytest.mark.parametrize(
    "call",
    [
        metrics.score,
        metrics.exact_match,
        lambda h, r: metrics.quick(h, r, "bleu"),
        lambda h, r: metrics.by_length(h, h, r),
        lambda h, r: metrics.paired_test(h, h, r),
    ],
)
def test_lines_must_agree_and_exist(call):
    with pytest.raises(DataError, match="2 hypotheses but 1 references; line N of one must belong to line N"):
        call(["a", "b"], ["a"])
    with pytest.raises(DataError, match="nothing to score: 0 hypotheses"):
        call([], [])


def test_an_unknown_metric_is_named():
    with pytest.raises(ConfigError, match="metric 'meteor' is unknown; choose from bleu, chrf, ter"):
        metrics.score(["a"], ["a"], metrics=["meteor"])


def test_too_few_resamples_are_refused():
    with pytest.raises(ConfigError, match="resamples is 10; a 95 % interval needs at least 40"):
        metrics.score(["a"], ["a"], resamples=10)
    with pytest.raises(ConfigError, match="resamples is 0"):
        metrics.paired_test(["a"], ["a"], ["a"], resamples=0)


def test_without_sacrebleu_the_install_line_is_given(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", None)
    with pytest.raises(MissingDependencyError, match=r"Scoring needs sacrebleu.*pip install 'regard\[eval\]'"):
        metrics.score(["a"], ["a"])


def test_importing_loads_neither_torch_nor_the_optional_libraries():
    code = (
        "import sys, regard.evaluation.metrics, regard.evaluation.paper, regard.evaluation.alignment\n"
        "assert not {'torch', 'sacrebleu', 'sacremoses'} & set(sys.modules), 'loaded on import'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
