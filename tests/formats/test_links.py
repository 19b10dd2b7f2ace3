"""Word alignments as text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regard.errors import DataError
from regard.formats.links import format_links, parse_links

LINKS = st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=14)


def test_parse_links_tells_sure_from_possible():
    assert parse_links("1-2 0?0 12-3") == ({(1, 2), (12, 3)}, {(1, 2), (0, 0), (12, 3)})
    assert parse_links("") == (set(), set())


@settings(max_examples=30)
@given(sure=LINKS, more=LINKS)
def test_written_links_read_back(sure, more):
    assert parse_links(format_links(sure, more)) == (sure, sure | more)


def test_format_links_is_in_order():
    assert format_links({(10, 1), (2, 3), (2, 0)}, {(2, 3), (0, 0)}) == "2-0 2-3 10-1 0?0"


@pytest.mark.parametrize("text", ["0-", "a-b", "0:1", "-1-2", "1-2-3", "²-1"])
def test_a_broken_link_is_shown(text):
    with pytest.raises(DataError, match=r"is not a link; expected i-j \(sure\) or i\?j"):
        parse_links(f"0-0 {text}")
