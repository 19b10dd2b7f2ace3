"""Lines of a number over a number become files."""

from pathlib import Path

import numpy as np
import pytest

from regard.errors import InputError, StorageError

pytest.importorskip("matplotlib")

from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from regard.look.curves import Curve, Panel, draw_curves

QUALITY = Panel(
    "Quality",
    "words",
    "BLEU",
    [
        Curve("rnn", [0, 1, 2], [30.0, 20.0, 5.0], [25.0, 18.0, 2.0], [35.0, 22.0, 9.0]),
        Curve("transformer", [0, 1, 2], [31.0, 30.0, 29.0], [26.0, 28.0, 25.0], [36.0, 32.0, 33.0]),
    ],
    ["1-10", "11-20", ">20"],
)
SPEED = Panel("Speed", "tokens", "tokens a second", [Curve("rnn", (10, 20, 40), [12_000.0, 13_000.0, 14_000.0])])


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_a_file_is_written_and_always_the_same_one(tmp_path: Path, suffix: str) -> None:
    paths = [tmp_path / f"{number}{suffix}" for number in range(2)]
    for path in paths:
        draw_curves([QUALITY], path, note="dev $set$ 中文")
    assert paths[0].read_bytes() == paths[1].read_bytes()
    draw_curves([SPEED], paths[1])
    assert paths[0].read_bytes() != paths[1].read_bytes()


def test_what_is_on_the_picture(tmp_path: Path, figures: list[Figure]) -> None:
    draw_curves([QUALITY, SPEED], tmp_path / "a.png", note="small print")
    quality, speed = figures[0].axes
    assert [line.get_label() for line in quality.lines] == ["rnn", "transformer"]
    assert [text.get_text() for text in quality.get_legend().get_texts()] == ["rnn", "transformer"]
    np.testing.assert_array_equal(quality.lines[0].get_ydata(), [30.0, 20.0, 5.0])
    assert [label.get_text() for label in quality.get_xticklabels()] == ["1-10", "11-20", ">20"]
    assert quality.get_ylim()[0] == 0
    assert quality.get_ylim()[1] > 36, "the highest interval is inside"
    np.testing.assert_array_equal(speed.lines[0].get_xdata(), (10, 20, 40))
    assert "12,000" in [label.get_text() for label in speed.get_yticklabels()]
    assert figures[0].get_supxlabel() == "small print"


def test_intervals_stand_at_their_points_and_hide_no_other(tmp_path: Path, figures: list[Figure]) -> None:
    draw_curves([QUALITY], tmp_path / "a.png")
    axes = figures[0].axes[0]
    intervals = [found for found in axes.collections if isinstance(found, LineCollection)]
    ends = np.array([interval.get_segments() for interval in intervals])  # (curves, points, low and high, x and y)
    np.testing.assert_array_equal(ends[0, :, :, 1], [[25, 35], [18, 22], [2, 9]])
    for curve, line in enumerate(axes.lines):
        np.testing.assert_allclose(ends[curve, :, 0, 0], line.get_xdata())
        np.testing.assert_allclose(line.get_xdata(), [0, 1, 2], atol=0.2)
    assert not np.intersect1d(ends[0, :, 0, 0], ends[1, :, 0, 0]).size


def test_all_zero_can_be_drawn(tmp_path: Path) -> None:
    draw_curves([Panel("Quality", "words", "BLEU", [Curve("rnn", [0], [0.0])], ["1-10"])], tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_a_wrong_suffix_and_a_full_disk_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must end in"):
        draw_curves([SPEED], tmp_path / "a.jpeg2")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        draw_curves([SPEED], tmp_path / "file" / "a.png")
