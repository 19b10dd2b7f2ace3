"""Decoding with a state equals one full forward pass: logits, not argmax."""

import pytest
import torch

from regard.nn.padded import Padded, pad

SOURCES = [[5, 6, 7, 8, 9, 10, 3], [11, 12, 3], [13, 3], [4, 4, 4, 4, 3]]


@torch.no_grad()
@pytest.mark.parametrize("pieces", [[1] * 7, [7], [3, 1, 2, 1], [1, 4, 2]], ids=str)
def test_steps_equal_the_full_pass(tiny, arch: str, pieces: list[int]) -> None:
    model, source = tiny(arch), pad(SOURCES)
    torch.manual_seed(5)
    ids = torch.randint(4, 23, (4, 7))
    expected = model.forced(source, Padded(ids, torch.full((4,), 7))).logits
    state, found, first = model.start(source), [], 0
    for length in pieces:
        logits, state = model.step(ids[:, first : first + length], state)
        found.append(logits)
        first += length
    torch.testing.assert_close(torch.cat(found, 1), expected, rtol=0, atol=1e-12)


@torch.no_grad()
def test_steps_equal_the_full_pass_where_the_decoder_has_a_window(tiny) -> None:
    model, source = tiny("transformer", decoder_window=2, last_layer_reads_words=True), pad(SOURCES)
    ids = torch.randint(4, 23, (4, 7), generator=torch.Generator().manual_seed(5))
    expected = model.forced(source, Padded(ids, torch.full((4,), 7))).logits
    wide = tiny("transformer", last_layer_reads_words=True)
    wide.load_state_dict(model.state_dict())
    assert not torch.allclose(wide.forced(source, Padded(ids, torch.full((4,), 7))).logits, expected)
    for pieces in ([1] * 7, [3, 1, 2, 1]):
        state, found = model.start(source), []
        for part in ids.split(pieces, dim=1):
            logits, state = model.step(part, state)
            found.append(logits)
        torch.testing.assert_close(torch.cat(found, 1), expected, rtol=0, atol=1e-12)


@torch.no_grad()
@pytest.mark.parametrize("length", [1, 2])
def test_select_follows_the_hypotheses(tiny, arch: str, length: int) -> None:
    """Beams widen, cross over, narrow; sentences are dropped and change places."""
    model, source = tiny(arch), pad(SOURCES)
    torch.manual_seed(6)
    moves = [
        [[0, 0, 0], [1, 1, 1], [2, 2, 2], [3, 3, 3]],  # from one row a sentence to a beam of 3
        [[2, 0, 0], [4, 3, 5], [6, 7, 8], [10, 10, 10]],
        [[3, 5, 4], [11, 9, 9]],  # sentences 0 and 2 are dropped
        [[5, 3, 3], [0, 1, 2]],  # the two that are left change places
        [[3, 5], [1, 0]],  # and back, with a beam of 2
        [[2]],
    ]
    state = model.start(source)
    sentences = torch.arange(4)  # of each row
    history = torch.empty(4, 0, dtype=torch.int64)
    for move in moves:
        rows = torch.tensor(move)
        state, sentences, history = state.select(rows), sentences[rows.flatten()], history[rows.flatten()]
        ids = torch.randint(4, 23, (rows.numel(), length))
        logits, state = model.step(ids, state)
        history = torch.cat([history, ids], 1)
        alone = Padded(source.ids[sentences], source.lengths[sentences])
        target = Padded(history, torch.full((len(history),), history.size(1)))
        expected = model.forced(alone, target).logits[:, -length:]
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-12)


@torch.no_grad()
def test_a_step_leaves_its_state_as_it_was(tiny, arch: str) -> None:
    model = tiny(arch)
    state = model.start(pad(SOURCES))
    ids = torch.full((4, 1), 2)
    _, after = model.step(ids, state)
    first, _ = model.step(ids, after)
    model.step(torch.full((4, 1), 9), after)
    again, _ = model.step(ids, after)
    assert torch.equal(first, again)
