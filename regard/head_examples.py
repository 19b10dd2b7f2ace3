"""What heads are measured on: texts with their words, translations and links, and pronouns with their antecedents."""

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from regard.api import LanguageModel, Model
from regard.counted_pairs import CountedPair, read_text, turned_pair
from regard.data import antecedents, world
from regard.data.antecedents import ResolvedFile, ResolvedText
from regard.data.pairs import check_direction, draw_world, path_and_weight
from regard.data.text_tokens import MASK, TextTokens
from regard.data.world import WorldPair
from regard.errors import ConfigError, DataError, ModelError
from regard.evaluation import coreference
from regard.formats.links import Link
from regard.look.words import SIGN_GOES_ON, marks_as_letters

_WORD = re.compile(r"['’]s\b|\w+(?:['’‑-]\w+)*|[^\w\s]" + SIGN_GOES_ON + "*")


@dataclass(frozen=True)
class Mention:
    """A pronoun whose antecedent is known, by word numbers."""

    source: int  # the pronoun
    candidates: tuple[
        tuple[int, ...], ...
    ]  # words of the source: of each that it could stand for, as the text has them
    antecedent: int  # which of them it stands for
    target: tuple[int, int] | None = None  # pronoun and antecedent in the translation


@dataclass(frozen=True)
class Example:
    """A text with its translation, if it has one, and the pronouns in it.

    Without a translation there is nothing for a decoder to read: only an encoder's own attention can be measured.
    """

    source: str
    source_words: tuple[str, ...]  # each stands in the source, in this order
    target: str | None = None
    target_words: tuple[str, ...] = ()
    links: frozenset[Link] = frozenset()  # gold; empty where there is none
    mentions: tuple[Mention, ...] = ()
    where: str = ""  # file and line, for people
    masked: bool = False  # a pronoun is `MASK` in the source

    @classmethod
    def of_pair(cls, pair: CountedPair, mentions: tuple[Mention, ...] = ()) -> "Example":
        """A sentence pair."""
        return cls(pair.source, pair.source_words, pair.target, pair.target_words, pair.sure, mentions, pair.where)

    @classmethod
    def of_world(cls, pair: WorldPair) -> "Example":
        """A pair of the built-in corpus."""
        mentions = []
        for it in pair.pronouns:
            places = [place for place, _ in it.candidates]
            mentions.append(
                Mention(
                    it.source_index,
                    tuple((place,) for place in places),
                    places.index(it.antecedent_source_index),
                    (it.target_index, it.antecedent_target_index),
                )
            )
        return cls.of_pair(CountedPair.of_world(pair), tuple(mentions))

    @classmethod
    def of_resolved(cls, resolved: ResolvedText) -> "Example":
        """A text of GAP and the like; a word ends where its pronoun or a candidate ends ("Mary", "'s")."""
        text = resolved.text
        borders = sorted({0, len(text), *resolved.pronoun, *(place for span in resolved.candidates for place in span)})
        shown = marks_as_letters(text)
        words: list[tuple[int, int]] = []
        for first, end in itertools.pairwise(borders):
            if resolved.masked and (first, end) == resolved.pronoun:
                words.append((first, end))
            else:
                words += [match.span() for match in _WORD.finditer(shown, first, end)]

        def within(span: tuple[int, int]) -> tuple[int, ...]:
            return tuple(place for place, (first, end) in enumerate(words) if span[0] <= first and end <= span[1])

        mention = Mention(
            within(resolved.pronoun)[0], tuple(within(each) for each in resolved.candidates), resolved.antecedent
        )
        given = tuple(text[first:end] for first, end in words)
        return cls(text, given, mentions=(mention,), masked=resolved.masked)


@dataclass(frozen=True)
class ExampleSet:
    """What DATA means, for heads."""

    examples: list[Example]
    # How often rules without a model pick the antecedent of these very pronouns; none, where no antecedents are known.
    rules: dict[str, float]
    files: list[ResolvedFile]  # how many rows of each were used, and why others were not; of GAP and the like only


def read(
    model: Model,
    data: Sequence[str],
    split: world.Split,
    it_share: float = 0.3,
    note: Callable[[str], None] = lambda text: None,
    *,
    reverse: bool = False,
) -> ExampleSet:
    """Read DATA: sentence pairs, world[:N], or files of texts with antecedents, told by their first line.

    Of such files texts that are longer than the model takes are left out, and counted.

    Args:
        it_share: of the built-in corpus, the share of sentences with a pronoun to resolve.
        note: hears how many pairs cannot be used, and why, if there are any.
        reverse: the model translates from the second side of pairs to the first.

    Raises:
        DataError: it cannot be read, no text is left, or its sides are the model's languages the other way round.
        ConfigError: `reverse` is said of texts without translation.
        ModelError: the texts mask their pronoun, and the model knows no masks.
    """
    languages = model.engine.source_language, model.engine.target_language
    if (pairs := draw_world(data, split, it_share=it_share)) is not None:
        check_direction(data, *languages, reverse=reverse)
        pairs = [pair.turned() for pair in pairs] if reverse else pairs
        rules = {name: baseline.antecedent for name, baseline in coreference.baselines(pairs).items()}
        return ExampleSet([Example.of_world(pair) for pair in pairs], rules, [])
    paths = {name: path_and_weight(name)[0] for name in data}
    kinds = {name: antecedents.kind(path) for name, path in paths.items() if path.is_file()}
    if not any(kinds.values()):
        return ExampleSet([Example.of_pair(pair) for pair in _read_pairs(data, languages, note, reverse)], {}, [])
    for name in data:
        if not kinds.get(name):
            first = next(each for each, kind in kinds.items() if kind)
            raise DataError(
                f"{name}: {first} is a file of {kinds[first]}, and this is no file of {antecedents.KINDS}. Texts "
                "with and without translation are measured apart; give them in two commands."
            )
    if reverse:
        raise ConfigError(f"--reverse: says nothing of {data[0]}, whose texts have no translation. Leave it out.")
    read_files = [_that_fit(model, antecedents.read(paths[name])) for name in data]
    texts = [text for file in read_files for text in file.texts]
    if not texts:
        raise DataError(f"{'; '.join(file.line() for file in read_files)}. At least one row is needed.")
    return ExampleSet([Example.of_resolved(text) for text in texts], coreference.text_rules(texts), read_files)


def _read_pairs(
    data: Sequence[str], languages: tuple[str, str], note: Callable[[str], None], reverse: bool
) -> list[CountedPair]:
    """Pairs with two sides, as a model that translates between these languages reads them."""
    try:
        check_direction(data, *languages, reverse=reverse)
        pairs = read_text(data, *(languages[::-1] if reverse else languages), note)
    except DataError as error:
        if len(data) > 1 or not Path(data[0]).is_file():
            raise
        raise DataError(
            f"{error} Of texts with antecedents, files of {antecedents.KINDS} are read, known by their first line."
        ) from error
    return [turned_pair(pair) if reverse else pair for pair in pairs if pair.has_both_sides]


def read_source(model: Model, text: str, masked: bool) -> tuple[list[int], list[tuple[int, int]]]:
    """The ids of a source, and which characters each stands for.

    Raises:
        ModelError: a word is masked, and the model knows no masks.
    """
    tokens = model.engine.tokens
    if isinstance(tokens, TextTokens) and (not masked or "mask" in tokens.special):
        found = tokens.encode_masked(text) if masked else tokens.encode(text)
        return found.ids, found.spans
    if masked:
        raise ModelError(
            f"{model.name}: it has no token for a word that is not told, and these texts have {MASK} for their "
            "pronoun. Measure an encoder that learnt masked words, such as a BERT."
        )
    return tokens.encode_source(text), tokens.source_spans(text)


def _that_fit(model: Model, file: ResolvedFile) -> ResolvedFile:
    """Without the texts that are longer than the model takes: one cut short could lose its antecedent."""
    limit = model.engine.max_length - isinstance(model, LanguageModel)  # one stands before the text
    fitting = tuple(text for text in file.texts if len(read_source(model, text.text, text.masked)[0]) <= limit)
    if len(fitting) == len(file.texts):
        return file
    reason = f"longer than the model takes, {limit:,} tokens"
    return replace(file, texts=fitting, left_out={**file.left_out, reason: len(file.texts) - len(fitting)})
