import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regard.errors import ConfigError, DataError, ShapeError
from regard.evaluation import alignment

DATA = Path(os.environ.get("REGARD_DATA") or Path(__file__).parents[2].parent / "shared" / "data")
LINKS = st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=14)


def test_error_rate_of_a_hand_worked_case():
    # A = {00, 11, 22}, S = {00, 11}, P = S + {21}: A∩S = 2, A∩P = 2, |A| = 3, |S| = 2, so AER = 1 - 4/5.
    # Second pair: A = {01}, S = {00}, P = S + {01}: A∩S = 0, A∩P = 1. Summed: 1 - (2 + 3) / (4 + 3) = 2/7.
    predicted = [{(0, 0), (1, 1), (2, 2)}, {(0, 1)}]
    sure = [{(0, 0), (1, 1)}, {(0, 0)}]
    possible = [{(0, 0), (1, 1), (2, 1)}, {(0, 1)}]  # the second without its sure link: it counts all the same
    first = alignment.alignment_error_rate(predicted[:1], sure[:1], possible[:1])
    assert first.aer == pytest.approx(1 / 5)
    both = alignment.alignment_error_rate(predicted, sure, possible)
    assert both.aer == pytest.approx(2 / 7)
    assert both.precision == pytest.approx(3 / 4)
    assert both.recall == pytest.approx(2 / 3)
    assert (both.predicted_links, both.sure_links, both.possible_links) == (4, 3, 5)
    assert (both.predicted_sure_links, both.predicted_possible_links) == (2, 3)


def test_error_rate_ends():
    sure, possible = [{(0, 0), (1, 1)}], [{(2, 2)}]
    assert alignment.alignment_error_rate([{(0, 0), (1, 1), (2, 2)}], sure, possible).aer == 0  # possible costs nothing
    nothing = alignment.alignment_error_rate([set()], sure)
    assert (nothing.aer, nothing.precision, nothing.recall) == (1, 0, 0)


@settings(max_examples=50)
@given(predicted=LINKS, sure=LINKS.filter(bool))
def test_without_possible_links_error_rate_is_one_minus_f1(predicted, sure):
    result = alignment.alignment_error_rate([predicted], [sure])
    f1 = 2 * len(predicted & sure) / (len(predicted) + len(sure))
    assert result.aer == pytest.approx(1 - f1)


def test_error_rate_needs_gold_for_each_pair():
    with pytest.raises(DataError, match="2 sentence pairs have predicted links, 1 sure, 1 possible"):
        alignment.alignment_error_rate([set(), set()], [{(0, 0)}])
    with pytest.raises(DataError, match="no sure link at all"):
        alignment.alignment_error_rate([{(0, 0)}], [set()])


def test_argmax_links_each_target_word_to_its_heaviest_source_word():
    weights = np.array([[0.1, 0.7, 0.2], [0.5, 0.1, 0.4], [0.3, 0.3, 0.1], [0, 0, 0]])  # (T, S)
    assert alignment.from_weights(weights) == {(1, 0), (0, 1), (0, 2)}  # the last row attends to no word
    assert alignment.from_weights(weights, threshold=0.5) == {(1, 0), (0, 1)}


def test_threshold_links_all_that_weigh_enough():
    weights = np.array([[0.1, 0.7, 0.2], [0.5, 0.1, 0.4]])
    assert alignment.from_weights(weights, "threshold", threshold=0.4) == {(1, 0), (0, 1), (2, 1)}


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_no_words_no_links(shape):
    assert alignment.from_weights(np.zeros(shape)) == set()
    assert alignment.from_weights(np.zeros(shape), "threshold", threshold=0.1) == set()


def test_from_weights_refuses_what_it_cannot_read():
    with pytest.raises(ConfigError, match="method 'max' is unknown"):
        alignment.from_weights(np.ones((1, 1)), "max")
    with pytest.raises(ConfigError, match="needs a threshold"):
        alignment.from_weights(np.ones((1, 1)), "threshold")
    with pytest.raises(ConfigError, match="must be above 0"):
        alignment.from_weights(np.ones((1, 1)), "threshold", threshold=0)
    with pytest.raises(ShapeError, match=r"got shape \(2, 1, 1\); choose a layer and a head"):
        alignment.from_weights(np.ones((2, 1, 1)))
    with pytest.raises(ShapeError, match="must be finite"):
        alignment.from_weights(np.array([[np.nan, 1.0]]))


def test_words_from_pieces_of_a_hand_worked_case():
    # Source pieces: un|happy, dog, eos. Target pieces: un|glück|lich, Hund, eos.
    weights = np.array(
        [
            [0.5, 0.2, 0.1, 0.2],
            [0.1, 0.6, 0.1, 0.2],
            [0.3, 0.4, 0.1, 0.2],
            [0.0, 0.1, 0.6, 0.3],
            [0.1, 0.0, 0.0, 0.9],
        ]
    )
    words = alignment.words_from_pieces(weights, [[0, 1], [2]], [[0, 1, 2], [3]])
    np.testing.assert_allclose(words, [[0.7, 0.1], [0.1, 0.6]], rtol=0, atol=1e-12)  # rows lack what eos got
    assert alignment.from_weights(words) == {(0, 0), (1, 1)}


def test_words_from_pieces_keeps_type_and_allows_words_without_pieces():
    words = alignment.words_from_pieces(np.full((2, 2), 0.5, np.float32), [[0], [], [1]], [[], [0, 1]])
    assert words.dtype == np.float32
    np.testing.assert_array_equal(words, [[0, 0, 0], [0.5, 0, 0.5]])


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_rows_still_sum_to_one_where_every_piece_belongs_to_a_word(data):
    def groups(num_pieces):
        cuts = sorted(data.draw(st.sets(st.integers(1, num_pieces - 1)))) if num_pieces > 1 else []
        return [list(range(a, b)) for a, b in zip([0, *cuts], [*cuts, num_pieces], strict=True)]

    shape = data.draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    weights = np.random.default_rng(0).dirichlet(np.ones(shape[1]), size=shape[0])
    target_groups = groups(shape[0])
    words = alignment.words_from_pieces(weights, groups(shape[1]), target_groups)
    np.testing.assert_allclose(words.sum(axis=1), np.ones(len(target_groups)), rtol=0, atol=1e-12)


def test_words_from_pieces_names_the_wrong_word():
    with pytest.raises(ShapeError, match="source word 1 has piece 2, but weights have 2 source pieces"):
        alignment.words_from_pieces(np.ones((3, 2)), [[0], [2]], [[0]])
    with pytest.raises(ShapeError, match="target word 0 has piece -1"):
        alignment.words_from_pieces(np.ones((3, 2)), [[0]], [[-1]])
    with pytest.raises(ShapeError, match="target word 0 has piece 1 twice"):
        alignment.words_from_pieces(np.ones((3, 2)), [[0]], [[1, 1]])


def test_grow_diag_final_and_of_a_hand_worked_case():
    forward = {(0, 0), (1, 1), (2, 2), (3, 2), (5, 4)}
    backward = {(0, 0), (1, 0), (2, 1), (2, 2), (5, 5)}
    # Start: 0-0 and 2-2. At 0-0 the side 1-0 comes first (source 1 is free), then the corner 1-1 (target 1 is free;
    # had the corner come first, 1-0 would have been refused). 2-1 has no free word left. At 2-2: 3-2, source 3 is free.
    # Final, forward: 5-4, both free. Backward: 5-5 is refused, source 5 is taken by now.
    expected = {(0, 0), (1, 0), (1, 1), (2, 2), (3, 2), (5, 4)}
    assert alignment.symmetrize(forward, backward) == expected


def test_growth_goes_on_from_what_was_just_added():
    # Targets are visited upwards, so 2-1 joins in the first pass and 2-0 in the second; source 2 is never free again.
    chain = {(2, 0), (2, 1), (2, 2)}
    assert alignment.symmetrize(chain, {(2, 2)}) == chain


def pseudo_code(forward, backward, num_words):
    """GROW-DIAG-FINAL-AND with its loops as Koehn 2010 prints them, e over targets and f over sources."""
    neighbouring = ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))
    forward, backward = ({(e, f) for f, e in links} for links in (forward, backward))
    alignment_so_far, union = forward & backward, forward | backward

    def aligned(position, word):
        return any(point[position] == word for point in alignment_so_far)

    while True:
        size = len(alignment_so_far)
        for e in range(num_words):
            for f in range(num_words):
                if (e, f) in alignment_so_far:
                    for step_e, step_f in neighbouring:
                        e_new, f_new = e + step_e, f + step_f
                        if (not aligned(0, e_new) or not aligned(1, f_new)) and (e_new, f_new) in union:
                            alignment_so_far.add((e_new, f_new))
        if len(alignment_so_far) == size:
            break
    for direction in (forward, backward):
        for e in range(num_words):
            for f in range(num_words):
                if not aligned(0, e) and not aligned(1, f) and (e, f) in direction:
                    alignment_so_far.add((e, f))
    return {(f, e) for e, f in alignment_so_far}


def test_grow_diag_final_and_is_the_published_pseudo_code():
    generator = np.random.default_rng(0)
    for _ in range(300):
        num_words = int(generator.integers(2, 7))
        grids = generator.random((2, num_words, num_words)) < generator.uniform(0.1, 0.7)
        forward, backward = ({(int(i), int(j)) for i, j in np.argwhere(grid)} for grid in grids)
        assert alignment.symmetrize(forward, backward) == pseudo_code(forward, backward, num_words)


def test_final_takes_forward_before_backward():
    assert alignment.symmetrize({(0, 1)}, {(0, 0)}) == {(0, 1)}
    assert alignment.symmetrize({(0, 0)}, {(0, 1)}) == {(0, 0)}


@settings(max_examples=60, deadline=None)
@given(forward=LINKS, backward=LINKS)
def test_symmetrized_lies_between_intersection_and_union(forward, backward):
    both = alignment.symmetrize(forward, backward, "intersection")
    either = alignment.symmetrize(forward, backward, "union")
    grown = alignment.symmetrize(forward, backward)
    assert both == forward & backward
    assert either == forward | backward
    assert both <= grown <= either
    assert alignment.symmetrize(forward, forward) == forward


def test_symmetrize_names_its_methods():
    with pytest.raises(ConfigError, match="method 'grow' is unknown; choose from intersection, union, grow-diag"):
        alignment.symmetrize(set(), set(), "grow")


@pytest.mark.parametrize("name", ["gold.tsv", "gold.tsv.gz"])
def test_read_gold_plain_and_gzip(tmp_path, name):
    content = "\ufefftwo\r\u2028 dogs .\tzwei Hunde\t0-0 1?1\nno\tnein\t\n".encode()  # a line ends at LF only
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    first, second = alignment.read_gold(path)
    assert first.source == ("two\r\u2028", "dogs", ".")
    assert first.target == ("zwei", "Hunde")
    assert (first.sure, first.possible) == ({(0, 0)}, {(0, 0), (1, 1)})
    assert (second.source, second.sure, second.possible) == (("no",), frozenset(), frozenset())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"a b\tc", "line 2: 2 columns; expected 3"),
        (b"a  b\tc\t0-0", "line 2: an empty token"),
        (b"a b\tc\t0-0 1-1", r"line 2: link 1-1 is beyond the last token \(2 source, 1 target tokens"),
        (b"a b\tc\t2-0", "line 2: link 2-0 is beyond the last token"),
        (b"a b\tc\t0=0", "line 2: '0=0' is not a link"),
        (b"a \xff\tc\t0-0", r"line 2: byte 0xff at offset 10 is not UTF-8"),
    ],
)
def test_read_gold_says_which_line_is_wrong(tmp_path, line, message):
    path = tmp_path / "gold.tsv"
    path.write_bytes(b"a\tb\t0-0\n" + line + b"\n")
    with pytest.raises(DataError, match=message):
        alignment.read_gold(path)


def test_read_gold_says_that_a_file_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match=r"absent\.tsv: there is no such file"):
        alignment.read_gold(tmp_path / "absent.tsv")
    broken = tmp_path / "broken.gz"
    broken.write_bytes(gzip.compress(b"a\tb\t0-0\n")[:-9])
    with pytest.raises(DataError, match=r"broken\.gz: the gzip data ends before its end mark"):
        alignment.read_gold(broken)


@pytest.mark.parametrize(
    ("name", "num_pairs", "has_possible"),
    [("en-fr.hansards", 219, True), ("en-pt.europarl", 48, False), ("en-de.europarl", 50, False)],
)
def test_gold_files_read_and_agree_with_themselves(name, num_pairs, has_possible):
    path = DATA / "alignments" / f"{name}.tsv.gz"
    if not path.exists():
        pytest.skip(f"{path} is absent")
    pairs = alignment.read_gold(path)
    sure, possible = [pair.sure for pair in pairs], [pair.possible for pair in pairs]
    assert len(pairs) == num_pairs
    assert (sure != possible) == has_possible
    result = alignment.alignment_error_rate(sure, sure, possible)
    assert (result.aer, result.precision, result.recall) == (0, 1, 1)


def test_agreement_is_the_geometric_mean_of_both_directions() -> None:
    forward, backward = np.array([[0.5, 0.25, 0.25]]), np.array([[0.5], [1.0], [0.0]])
    np.testing.assert_allclose(alignment.agreement(forward, backward), [[0.5, 0.5, 0.0]])
    with pytest.raises(ShapeError, match=r"weights of \(1, 3\) and of \(1, 3\) are not those of one pair"):
        alignment.agreement(forward, forward)
