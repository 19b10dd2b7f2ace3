"""BLEU as papers on Multi30k give it: lower-cased, punctuation normalised, Moses-tokenised, scored by white space.

The data set publishes its references already treated (`*.lc.norm.tok.*`, made by three Moses scripts in a row:
lowercase.perl, normalize-punctuation.perl, tokenizer.perl), and multi-bleu.perl compares hypotheses treated alike.
Treating the raw references here gives the published lines, all of them. Such a score is some tenths above sacreBLEU's
on the raw text: never put the two in one column.
"""

from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING

from regard.errors import ConfigError, MissingDependencyError
from regard.evaluation.metrics import Score, primary_subtag, score_with

if TYPE_CHECKING:
    from sacremoses import MosesPunctNormalizer, MosesTokenizer

# Those of Multi30k, for which sacremoses has the rules of the Perl scripts (others have rules it lacks).
LANGUAGES = ("cs", "de", "en", "fr")


def tokenize(lines: Sequence[str], language: str) -> list[str]:
    """Treat raw lines as the published references were: tokens between single spaces, with Moses's escapes (`&apos;`).

    Checked against the published files line by line for de, en and fr (val and test_2016_flickr); not for cs.

    Args:
        lines: raw text, one sentence each.
        language: of the text: cs, de, en or fr; region and script are ignored.

    Raises:
        ConfigError: another language.
        MissingDependencyError: sacremoses is not installed.
    """
    normalizer, tokenizer = _moses(_supported(language))
    # normalize-punctuation.perl keeps the line end while it works, and its rule `(\.+)"(\s*[^<])` -> `"\1\2`, meant
    # to spare a full stop at the end of a sentence, takes that line end for the [^<]: `."` becomes `".` there too.
    normalized = (normalizer.normalize(line.lower() + "\n") for line in lines)
    return [str(tokenizer.tokenize(line, return_str=True)) for line in normalized]


def score(
    hypotheses: Sequence[str],
    references: Sequence[str],
    language: str,
    *,
    resamples: int = 1000,
    seed: int = 12345,
) -> Score:
    """BLEU in percent as multi-bleu.perl computes it, after `tokenize` on both sides.

    Args:
        hypotheses: raw (detokenised) translations, one a line.
        references: raw references, as many.
        language: as in `tokenize`.
        resamples: for the 95 % bootstrap interval; 0 gives none.
        seed: of the resampling.

    Raises:
        DataError: no lines, or line counts that differ.
        ConfigError: a language without published rules, or too few resamples.
        MissingDependencyError: sacrebleu or sacremoses is not installed.
    """
    try:
        from sacrebleu.metrics import BLEU
    except ImportError as error:
        raise MissingDependencyError("sacrebleu", "eval", "Scoring") from error
    language = _supported(language)
    # No smoothing: multi-bleu.perl gives 0 when no 4-gram matches.
    metric = BLEU(tokenize="none", smooth_method="none", force=True)
    result = score_with(metric, tokenize(hypotheses, language), tokenize(references, language), resamples, seed)
    resampling = f"|bs:{resamples}|seed:{seed}" if resamples else ""
    signature = (
        f"BLEU|nrefs:1{resampling}|case:lc|norm:moses-{language}|tok:moses-{language}-escaped|smooth:none|eff:no"
        f"|version:{version('sacrebleu')}|sacremoses:{version('sacremoses')}"
    )
    return Score(result.name, result.value, result.low, result.high, signature)


def _supported(language: str) -> str:
    code = primary_subtag(language)
    if code not in LANGUAGES:
        raise ConfigError(
            f"language {language!r} has no references treated as in the literature; they exist for "
            f"{', '.join(LANGUAGES)}. Use the ordinary score."
        )
    return code


@lru_cache(maxsize=len(LANGUAGES))
def _moses(language: str) -> "tuple[MosesPunctNormalizer, MosesTokenizer]":
    """The two rule sets of a language; cached, since making them reads long character lists."""
    try:
        from sacremoses import MosesPunctNormalizer, MosesTokenizer
    except ImportError as error:
        raise MissingDependencyError("sacremoses", "eval", "Scoring as in the literature") from error
    # perl_parity: sacremoses by default turns ’ and « between spaces into something else than the Perl script does.
    return MosesPunctNormalizer(language, perl_parity=True), MosesTokenizer(language)
