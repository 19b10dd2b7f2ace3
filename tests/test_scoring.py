"""`regard evaluate`: what it says of a model, for people and for machines."""

import json
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("sacrebleu")

import regard.api
from regard import SearchOptions
from regard.data import world
from regard.errors import ConfigError, DataError, ModelError
from regard.evaluation import coreference, metrics
from regard.scoring import EvaluationReport, evaluate_models
from regard.translation import Translation


# The bootstrap's thousand resamples are tested with the metrics; here a hundred will do.
@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("score", "paired_test", "by_length"):
        monkeypatch.setattr(metrics, name, partial(getattr(metrics, name), resamples=100))


SOURCES = [
    f"{'one two three four five six seven eight nine ten eleven twelve '[: 4 + 7 * (n % 8)].strip()}" for n in range(40)
]
REFERENCES = [f"This is the reference of line {n} and it ends here ." for n in range(40)]


@pytest.fixture
def data(tmp_path: Path) -> list[str]:
    for name, lines in (("test.en", SOURCES), ("test.de", REFERENCES)):
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines))
    return [str(tmp_path / "test.en"), str(tmp_path / "test.de")]


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts models in the place of folders: each is what it makes of line number n."""

    def put(**outputs: Callable[[int], str]) -> None:
        def load(folder: Path) -> Any:
            if folder.name not in outputs:
                raise ModelError(f"{folder}: there is no such folder.")

            def translate(sources: Sequence[str], options: SearchOptions) -> list[Translation]:
                flags = [("truncated",) if n < 3 else () for n in range(len(sources))]
                texts = [outputs[folder.name](n) for n in range(len(sources))]
                return [Translation(s, t, f) for s, t, f in zip(sources, texts, flags, strict=True)]

            languages = folder.name.split("-") if "-" in folder.name else ("", "")
            engine = SimpleNamespace(source_language=languages[0], target_language=languages[1])
            return SimpleNamespace(translate=translate, engine=engine)

        monkeypatch.setattr(regard.api, "load", load)

    return put


def good(n: int) -> str:
    return REFERENCES[n]


def bad(n: int) -> str:
    return REFERENCES[n].replace("reference", "thing").replace("ends", "stops") if n % 2 else REFERENCES[n]


def evaluate(name: str, data: list[str], **options: Any) -> EvaluationReport:
    return evaluate_models(Path(name), data, options=SearchOptions(beam_size=1), **options)


def test_a_perfect_model_is_perfect(models: Callable[..., None], data: list[str]) -> None:
    models(good=good)
    report = evaluate("good", data, edges=(3, 5))
    assert {name: round(score.value, 6) for name, score in report.scores.items()} == {
        "bleu": 100,
        "chrf": 100,
        "ter": 0,
    }
    assert (report.exact.value, report.num_pairs, report.skipped) == (100, 40, {})
    assert [row.label for row in report.lengths] == ["1-3", "4-5", ">5"]
    assert sum(row.n for row in report.lengths) == 40
    assert report.flags == {"truncated": 3}
    assert report.outputs == REFERENCES
    assert not report.paired
    assert report.paper is None


def test_the_paired_test_tells_which_is_better(models: Callable[..., None], data: list[str]) -> None:
    models(good=good, bad=bad)
    better = evaluate("good", data, against=Path("bad")).paired
    worse = evaluate("bad", data, against=Path("good")).paired
    assert better["bleu"].difference > 10
    assert better["bleu"].difference == pytest.approx(-worse["bleu"].difference)
    assert better["bleu"].p_value < 0.02
    assert evaluate("good", data, against=Path("good")).paired["bleu"].p_value == 1
    lines = evaluate("good", data, against=Path("bad")).lines()
    start = lines.index("against bad (paired bootstrap; positive: good is better)")
    assert f"BLEU   100.0 against {better['bleu'].a.value:.1f}: +" in lines[start + 1]


def test_the_literatures_bleu_is_another_number(models: Callable[..., None], data: list[str]) -> None:
    pytest.importorskip("sacremoses")
    models(loud=lambda n: REFERENCES[n].upper())
    report = evaluate("loud", data, paper_language="de-AT")
    assert report.paper is not None
    assert report.paper.value == pytest.approx(100), "it lower-cases"
    assert report.scores["bleu"].value < 10
    assert "moses-de" in report.paper.signature
    assert any(line.startswith("  paper BLEU") for line in report.lines())
    assert sum(line.startswith("  BLEU|") for line in report.lines()) == 2


def test_reverse_exchanges_the_sides(models: Callable[..., None], data: list[str]) -> None:
    models(back=lambda n: SOURCES[n])
    report = evaluate("back", data, reverse=True)
    assert report.exact.value == 100
    assert [row.n for row in report.lengths] == [0, 40, 0, 0, 0, 0], "lengths are those of the side translated"


def test_the_target_language_chooses_the_tokenizer(models: Callable[..., None], data: list[str]) -> None:
    models(good=good)
    assert "tok:zh" in evaluate("good", data, target_language="zh-Hant").scores["bleu"].signature
    reversed_ = evaluate("good", data, target_language="zh", source_language="en", reverse=True)
    assert "tok:zh" in reversed_.scores["bleu"].signature, "--to is the language written, whatever side it stands on"
    assert "tok:13a" in evaluate("good", data).scores["bleu"].signature


def test_people_see_intervals_lengths_doubts_and_signatures(models: Callable[..., None], data: list[str]) -> None:
    models(bad=bad)
    lines = evaluate("bad", data, edges=(1, 5, 99)).lines()
    assert lines[0] == f"bad on {' '.join(data)}: 40 pairs"
    text = "\n".join(lines)
    for name in ("BLEU", "chrF2", "TER", "exact match"):
        assert f"\n  {name} " in text
    assert "flagged: truncated 3" in lines
    assert lines[-3].startswith("  BLEU|nrefs:1|bs:100|seed:12345|case:mixed")
    assert "  >99                         0" in lines, "an empty bucket is shown as such"


def test_machines_get_plain_json(models: Callable[..., None], data: list[str]) -> None:
    models(good=good, bad=bad)
    report = json.loads(
        json.dumps(evaluate("bad", data, against=Path("good"), paper_language="de").to_json(), allow_nan=False)
    )
    assert "outputs" not in report
    assert report["scores"]["bleu"]["signature"].startswith("BLEU|")
    assert report["paired"]["chrf"]["p_value"] < 0.05
    assert report["num_pairs"] == 40
    assert len(report["lengths"]) == 6


def test_copies_count_and_what_cannot_be_scored_is_told(models: Callable[..., None], tmp_path: Path) -> None:
    models(good=lambda n: "x")
    (tmp_path / "a.tsv").write_text("same\tsame\nsame\tsame\n\t\nlong\t" + "x" * 1_100_000 + "\nlast\tx\n")
    report = evaluate("good", [str(tmp_path / "a.tsv")])
    assert (report.num_pairs, report.skipped) == (3, {"empty": 1, "too long": 1})
    assert report.lines()[0].endswith(": 3 pairs (skipped: empty 1, too long 1)")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"against": Path("missing")}, ModelError, "missing: there is no such folder"),
        ({"paper_language": "pt"}, ConfigError, "language 'pt' has no references"),
    ],
)
def test_mistakes_show_before_the_work(
    models: Callable[..., None], data: list[str], options: dict[str, Any], error: type[Exception], message: str
) -> None:
    models(good=lambda n: pytest.fail("translated before it looked"))
    with pytest.raises(error, match=message):
        evaluate("good", data, **options)


def test_data_that_cannot_be_read_is_told(models: Callable[..., None], tmp_path: Path) -> None:
    models(good=good)
    with pytest.raises(DataError, match="there is no such file"):
        evaluate("good", [str(tmp_path / "missing.tsv")])


def test_it_is_judged_on_the_built_in_corpus(models: Callable[..., None]) -> None:
    pairs = list(world.generate("test", 60))
    swapped = {"ele": "ela", "ela": "ele", "Ele": "Ela", "Ela": "Ele"}
    models(
        right=lambda n: pairs[n].target,
        wrong=lambda n: re.sub(r"\b[Ee]l[ea]\b", lambda found: swapped[found[0]], pairs[n].target),
    )
    right, wrong = evaluate("right", ["world:60"]), evaluate("wrong", ["world:60"])
    assert right.it is not None
    assert wrong.it is not None
    number = sum(bool(pair.pronouns) for pair in pairs)
    assert (right.it.accuracy.right, right.it.accuracy.total) == (number, number)
    assert wrong.it.accuracy.accuracy < 0.5
    assert right.it.rules == coreference.baselines(pairs)
    low = 100 * right.it.interval[0]
    line = f"*it* given the right gender: 100.0 % [{low:.1f}, 100.0] of {number} (0 not to be read)"
    assert line in right.lines()
    assert json.loads(json.dumps(right.to_json()))["it"]["accuracy"]["right"] == number


def test_data_the_other_way_round_is_refused_before_anything_is_translated(
    models: Callable[..., None], data: list[str]
) -> None:
    def never(n: int) -> str:
        raise AssertionError("translated")

    models(**{"pt-en": never, "en-pt": never, "de-en": never})
    for name, files, reverse, what in (
        ("pt-en", ["world:30"], False, r"sides are en and pt, and the model translates from pt to en. Add --reverse"),
        ("en-pt", ["world:30"], True, "from en to pt. Leave out --reverse"),
        ("de-en", data, False, "sides are en and de, .* Add --reverse"),
    ):
        with pytest.raises(DataError, match=what):
            evaluate(name, files, reverse=reverse)
    with pytest.raises(DataError, match="Add --reverse"):
        evaluate("en-pt", ["world:30"], against=Path("pt-en"))


def test_a_model_of_another_kind_is_refused_before_anything_is_translated(
    models: Callable[..., None], data: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    translated = []
    models(good=lambda n: translated.append(n) or good(n))
    load = regard.api.load
    other = regard.api.Model(engine=None)
    monkeypatch.setattr(regard.api, "load", lambda folder: other if folder.name == "other" else load(folder))
    with pytest.raises(ModelError, match="it cannot translate"):
        evaluate("good", data, against=Path("other"))
    assert not translated


def test_it_is_not_judged_where_there_is_no_gold(models: Callable[..., None], data: list[str]) -> None:
    models(good=good)
    assert evaluate("good", data).it is None
    models(back=lambda n: "x")
    assert evaluate("back", ["world:30"], reverse=True).it is None
