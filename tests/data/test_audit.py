"""The audit finds every leak that is there, and none that is not."""

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from regard.data.audit import Side, audit
from regard.data.filters import Filters


def write(folder: Path, name: str, pairs: Iterable[tuple[str, str]]) -> str:
    path = folder / name
    path.write_bytes("".join(f"{source}\t{target}\n" for source, target in pairs).encode())
    return str(path)


def sentences(kind: str, count: int) -> list[tuple[str, str]]:
    return [(f"The {kind} number {n}, it's here.", f"É o {kind} n.º {n}: está aqui!") for n in range(count)]


def changed(kind: str, number: int, source: str, target: str) -> tuple[str, str]:
    match kind:
        case "exact":
            return source, target
        case "recased":
            return source.upper(), target.lower()
        case "repunctuated":
            return f"«{source.replace(',', ' -').replace('.', '')}»", target.replace(":", ";").replace("!", " …")
        case "source only":
            return source, f"outra coisa {number}"
    return f"something else {number}", target


def test_a_hundred_planted_leaks_are_all_found(tmp_path: Path):
    kinds = ("exact", "recased", "repunctuated", "source only", "target only")
    test = sentences("test", 500)
    planted = [changed(kinds[n % 5], n, *test[5 * n]) for n in range(100)]
    train = sentences("train", 1_000)
    for n, pair in enumerate(planted):
        train.insert(11 * n, pair)
    report = audit([write(tmp_path, "train.tsv", train)], test=[write(tmp_path, "test.tsv", test)])

    (overlap,) = report.overlaps
    assert (overlap.first, overlap.second, overlap.num_pairs) == ("train", "test", 500)
    assert overlap.exact == {"pair": 20, "source": 20, "target": 20}
    assert overlap.normalised == {"pair": 60, "source": 20, "target": 20}
    assert overlap.affected == 100
    assert overlap.lines()[0] == (
        "test in train: 100 of 500 pairs: whole pair 60 (20 to the letter), source only 20 (20 to the letter), "
        "target only 20 (20 to the letter)"
    )
    for example in overlap.examples:
        first, second = (int(place.rpartition(":")[2]) - 1 for place in (example.first, example.second))
        assert planted.index(train[first]) == second // 5
    assert [example.match for example in overlap.examples] == ["pair"] * 5 + ["source"] * 5 + ["target"] * 5


def test_sides_that_occur_apart_count_on_both(tmp_path: Path):
    train = write(tmp_path, "train.tsv", [("a b", "x"), ("c d", "y z")])
    (overlap,) = audit([train], [write(tmp_path, "dev.tsv", [("a b", "y z")])]).overlaps
    assert overlap.exact == {"pair": 0, "source": 1, "target": 1}
    assert overlap.affected == 1


def test_three_sets_are_compared_two_by_two(tmp_path: Path):
    train, dev, test = sentences("train", 20), sentences("dev", 20), sentences("test", 20)
    arguments = [
        [write(tmp_path, "train.tsv", [*train, dev[0], test[0], test[1]])],
        [write(tmp_path, "dev.tsv", [*dev, test[0], test[5]])],
        [write(tmp_path, "test.tsv", test)],
    ]
    report = audit(*arguments)
    found = {(overlap.second, overlap.first): overlap.affected for overlap in report.overlaps}
    assert found == {("dev", "train"): 2, ("test", "train"): 2, ("test", "dev"): 2}
    assert [part.name for part in report.sets] == ["train", "dev", "test"]
    (clean,) = audit(arguments[2], [write(tmp_path, "other.tsv", dev)]).overlaps
    assert clean.lines() == ["dev in train: none of 20 pairs, nor a side of one"]


def test_skipped_training_pairs_are_no_leak_but_skipped_test_pairs_are_looked_for(tmp_path: Path):
    copy = ("left as it is", "left as it is")
    train = write(tmp_path, "train.tsv", [*sentences("train", 5), copy])
    test = write(tmp_path, "test.tsv", [copy])
    assert audit([train], test=[test]).overlaps[0].affected == 0
    assert audit([train], test=[test], filters=Filters(drop_identical=False)).overlaps[0].affected == 1


def test_report_for_people_and_for_machines(tmp_path: Path):
    pairs = [("one two", "um"), ("one two", "um"), ("three", "três três três"), ("", "nada")]
    data = [write(tmp_path, "a.tsv", pairs)]
    report = audit(data)
    assert report.lines() == [
        "train: read 4 · used 2 · skipped 2: duplicate 1, empty 1",
        "  source: 3 words, 3 distinct; words a text: 1 to 2 in 90 %, half up to 1, longest 2; 2 distinct texts",
        "  target: 4 words, 2 distinct; words a text: 1 to 3 in 90 %, half up to 1, longest 3; 2 distinct texts",
    ]
    found = json.loads(json.dumps(report.to_json()))["sets"]["train"]
    assert found["total"] == {"name": "all", "read": 4, "used": 2, "skipped": {"empty": 1, "duplicate": 1}}
    assert found["duplicates"] == 1
    assert found["target"]["length_histogram"] == {"1": 1, "3": 1}
    assert "  1 pairs repeat an earlier one" in audit(data, filters=Filters.none()).lines()


@pytest.mark.parametrize("lengths", [[5], [1, 2, 3, 4], [3, 3, 3, 9], list(range(1, 101))])
def test_quantiles_are_lengths_that_occur(lengths: list[int]):
    numpy = pytest.importorskip("numpy")
    side = Side()
    for length in lengths:
        side.add("w " * length)
    for share, length in side.quantiles().items():
        assert length == numpy.quantile(lengths, float(share), method="inverted_cdf"), share


def test_nothing_used_is_a_report_and_no_error(tmp_path: Path):
    assert audit([write(tmp_path, "a.tsv", [("", "x")])]).lines() == ["train: read 1 · used 0 · skipped 1: empty 1"]
