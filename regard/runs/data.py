"""What a run trains on and is validated with."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy

from regard.data import labelled
from regard.data import pairs as pair_data
from regard.data.filters import Filters
from regard.data.holding_out import hold_out, num_shared
from regard.data.labelled import LabelledSet, LabelTask
from regard.data.pairs import PairSet, Split
from regard.runs.finetune_settings import LabelledData
from regard.runs.settings import DataSettings


def load_pairs(data: DataSettings, arguments: Sequence[str], split: Split) -> tuple[PairSet, list[str]]:
    """Read DATA in the direction of the run; the second value are sentences about what was used and skipped."""
    languages = (data.source_language or None, data.target_language or None)
    if data.reverse:
        languages = (languages[1], languages[0])
    filters = Filters() if data.filter and split == "train" else Filters.none()
    pairs, report = pair_data.load(
        list(arguments),
        source_language=languages[0],
        target_language=languages[1],
        filters=filters,
        split=split,
        alignments=Path(data.alignments) if data.alignments and split == "train" else None,
    )
    return pairs.turned() if data.reverse else pairs, report.lines()


def prepare_data(data: DataSettings, seed: int, note: Callable[[str], None]) -> tuple[PairSet, PairSet]:
    """The training and dev pairs of a run."""
    train_pairs, lines = load_pairs(data, data.train, "train")
    for line in lines:
        note(line)
    if data.dev:
        dev_pairs = dev_pairs_of(data, data.dev, seed)
        if shared := num_shared(_as_one(train_pairs), _as_one(dev_pairs)):
            note(_flatter(shared, len(dev_pairs), "pairs"))
        return train_pairs, dev_pairs
    held = hold_out(train_pairs, data.dev_pairs, seed)
    shared = "no source" if held.shared_targets else "no source or target"
    note(f"held out: dev {len(held.dev):,} ({shared} shared with train; {held.dropped:,} pairs dropped for it)")
    return held.train, held.dev


def _as_one(pairs: PairSet) -> Iterator[str]:
    return map("\t".join, zip(pairs.sources, pairs.targets, strict=True))


def _flatter(shared: int, num_dev: int, what: str) -> str:
    return f"{shared:,} of {num_dev:,} dev {what} are also among the training {what}: dev scores will flatter."


def dev_pairs_of(data: DataSettings, arguments: Sequence[str], seed: int) -> PairSet:
    """The pairs of a dev set; of a large one, as many as the settings say."""
    pairs, _ = load_pairs(data, arguments, "dev")
    if len(pairs) > data.dev_pairs:
        chosen = numpy.random.default_rng(seed).choice(len(pairs), data.dev_pairs, replace=False)
        pairs = pairs.select(numpy.sort(chosen))
    return pairs


def prepare_labelled(
    data: LabelledData, task: LabelTask, seed: int, note: Callable[[str], None]
) -> tuple[LabelledSet, LabelledSet]:
    """The training and dev texts of a fine-tuning run."""
    rows = labelled.load(data.train, task, data.columns())
    note(rows.line())
    note(rows.what())
    if data.dev:
        dev = labelled.load(data.dev, task, data.columns())
        note(f"dev: {dev.line()}")
        if data.dev_rows != LabelledData.dev_rows:  # told, not refused: one file of settings may serve several sets
            note("data.dev_rows does nothing here: --dev is used whole.")
        if shared := labelled.num_shared(rows, dev):
            note(_flatter(shared, len(dev), "texts"))
        return rows, dev
    train, dev, dropped = labelled.hold_out(rows, data.dev_rows, seed)
    what = "pair" if task == "pair" else "text"  # one text of a pair may stand in another pair of train
    note(f"held out: dev {len(dev):,} (no {what} shared with train; {dropped:,} rows dropped for it)")
    return train, dev
