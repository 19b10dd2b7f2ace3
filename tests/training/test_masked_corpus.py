"""Masks: how many, of what kind, new in each epoch and always the same for (seed, epoch, stretch)."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_model import make_encoder, make_text_tokens

from regard.data.corpus import Corpus
from regard.training.batches import Position, batches_from, epoch_order
from regard.training.loss import masked_loss
from regard.training.masking import MaskedCorpus, Masking, in_another_order
from regard.training.stretches import stretches

SPECIAL = {"pad_id": 0, "start_id": 2, "end_id": 3, "mask_id": 4}
MASKING = Masking(**SPECIAL, ordinary_ids=np.arange(5, 100))


def corpus_of(*lengths: int) -> Corpus:
    """Documents with ids from 5 on, so that no two neighbours are the same."""
    ends = np.cumsum(lengths)
    ids = (np.arange(ends[-1]) % 90 + 5).astype(np.uint16)
    return Corpus(ids, np.stack([ends - lengths, ends], axis=1))


def test_stretches_cross_no_document_and_lose_nothing() -> None:
    corpus = corpus_of(3, 25, 10, 1, 100)
    seen = set()
    for epoch in range(40):
        spans = stretches(corpus.spans, 10, np.random.default_rng(epoch))
        assert (spans[:, 1] > spans[:, 0]).all()
        assert (spans[:, 1] - spans[:, 0] <= 10).all()
        assert np.concatenate([np.arange(*span) for span in spans]).tolist() == list(range(139))
        for first, end in spans:
            assert any(a <= first and end <= b for a, b in corpus.spans)
        assert [0, 3] in spans.tolist()  # what fits is not cut
        seen.add(int(spans[1, 1]))
    assert seen == set(range(4, 14))  # the first cut of the long one falls everywhere


def masked(corpus: Corpus, masking: Masking = MASKING, epoch: int = 0, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Original and seen ids of the first stretch."""
    found = MaskedCorpus(corpus, masking, 1_002, seed).at(epoch)
    batch = found.batch(np.array([0]))
    original = corpus.ids[slice(*found.spans[0])].astype(np.int64)
    places = batch.places.numpy() - 1
    assert batch.labels.tolist() == original[places].tolist()
    seen = batch.tokens.ids[0].numpy()
    assert (seen[0], seen[-1]) == (2, 3)
    assert set(np.flatnonzero(seen[1:-1] != original)) <= set(places)
    return places, seen[1:-1]


def test_masks_are_as_in_the_paper() -> None:
    corpus = corpus_of(*[1_000] * 30)
    chosen = kept = masks = 0
    for epoch in range(30):
        places, seen = masked(corpus, epoch=epoch)
        original = corpus.ids[:1_000]
        assert len(places) == 150
        chosen += len(places)
        masks += int((seen[places] == 4).sum())
        kept += int((seen[places] == original[places]).sum())
        assert (seen >= 4).all()
    assert masks / chosen == pytest.approx(0.8, abs=0.02)
    assert kept / chosen == pytest.approx(0.1 + 0.1 / 95, abs=0.02)


def test_masks_are_a_function_of_seed_and_epoch() -> None:
    corpus = corpus_of(200)
    assert masked(corpus)[1].tolist() == masked(corpus)[1].tolist()
    assert masked(corpus)[1].tolist() != masked(corpus, epoch=1)[1].tolist()
    assert masked(corpus)[1].tolist() != masked(corpus, seed=2)[1].tolist()
    batches = {}
    examples = MaskedCorpus(corpus_of(*[7] * 40), MASKING, 12, 1)
    for start in (Position(0, 0), Position(0, 2)):  # a run that goes on sees the same
        for batch, following in batches_from(examples, 50, 1, start):
            assert torch.equal(batches.setdefault(following, batch.tokens.ids), batch.tokens.ids)
            if following.epoch:
                break
    assert len(batches) == len(epoch_order(examples.at(0), 50, 1, 0))


def test_the_first_epochs_read_short_stretches() -> None:
    """Of 400 tokens 500 are read in short stretches: all of the first epoch, and whole documents of the second."""
    corpus = corpus_of(*[40] * 10)
    examples = MaskedCorpus(corpus, MASKING, 42, 1, short_length=12, short_tokens=500)
    assert np.diff(examples.at(0).spans).max() == 10
    assert np.diff(examples.at(0).spans).sum() == 400
    drawn = examples.at(1)
    assert np.diff(drawn.spans).max() == 10
    assert np.bincount(drawn.documents, weights=np.diff(drawn.spans)[:, 0]).tolist().count(40) == 3
    assert np.diff(drawn.spans).sum() == 120, "the last document is not torn"
    for epoch in (2, 3):
        assert examples.at(epoch).spans.tolist() == corpus.spans.tolist()
    again = MaskedCorpus(corpus, MASKING, 42, 1, short_length=12, short_tokens=500).at(1)
    assert again.spans.tolist() == drawn.spans.tolist()
    exact = MaskedCorpus(corpus, MASKING, 42, 1, short_length=12, short_tokens=400)
    assert exact.at(1).spans.tolist() == corpus.spans.tolist()


def test_words_change_places_around_those_to_be_guessed() -> None:
    for masking in (MASKING, PAIRED):
        batch = MaskedCorpus(corpus_of(30, 12, 25), masking, 40, 1).at(0).batch(np.arange(3))
        ids, moved = batch.tokens.ids, in_another_order(batch, masking)
        assert torch.equal(moved.lengths, batch.tokens.lengths)
        assert torch.equal(moved.ids[batch.rows, batch.places], ids[batch.rows, batch.places])
        for special in (0, 2, 3):
            assert torch.equal(moved.ids == special, ids == special)
        assert torch.equal(moved.ids.sort().values, ids.sort().values), "every text keeps its words"
        assert ((moved.ids != ids).sum(dim=1) >= torch.tensor([15, 5, 12])).all()


def test_whole_words_are_masked_whole() -> None:
    starts = np.zeros(100, dtype=bool)
    starts[::3] = True  # ids 6, 9, 12...: words of three tokens
    corpus = corpus_of(90)
    for epoch in range(20):
        places, _ = masked(corpus, replace(MASKING, starts_word=starts), epoch)
        words = np.cumsum(starts[corpus.ids])
        assert all(set(np.flatnonzero(words == words[place])) <= set(places) for place in places)
        assert 12 <= len(places) <= 14  # 13.5 are 15 %; at the borders stand words of one token and of two


def test_whole_words_keep_the_share_in_the_mean() -> None:
    """Of words of one to many pieces; what does not fit is left out, and 9.3 of 62 tokens are 9 or 10."""
    continues = np.random.default_rng(3).random(2_000 * 62) < 0.4
    corpus = Corpus((5 + continues).astype(np.uint16), np.arange(2_000 * 62 + 1).reshape(-1)[::62][:, None] + [[0, 62]])
    corpus = replace(corpus, spans=corpus.spans[:-1])
    starts = np.arange(100) == 5
    batch = MaskedCorpus(corpus, replace(MASKING, starts_word=starts), 64, 1).at(0).batch(np.arange(2_000))
    counts = np.bincount(batch.rows.numpy(), minlength=2_000)
    assert 100 * counts.mean() / 62 == pytest.approx(15, abs=0.3)
    assert 1 <= counts.min() <= counts.max() <= 10


def test_a_word_longer_than_the_share_is_masked_alone() -> None:
    starts = np.arange(100) == 5
    assert len(masked(corpus_of(8), replace(MASKING, starts_word=starts))[0]) == 8


def test_the_shortest_text_has_a_mask() -> None:
    assert len(masked(corpus_of(1))[0]) == 1


def test_the_loss_is_that_of_the_masked_tokens_alone(tmp_path) -> None:
    tokens = make_text_tokens(tmp_path)
    model = make_encoder(tokens, "mask").double()
    masking = replace(MASKING, ordinary_ids=np.arange(5, tokens.vocab_size), share=0.4)
    corpus = Corpus(
        np.random.default_rng(1).integers(5, tokens.vocab_size, 30).astype(np.uint16), np.array([[0, 9], [9, 30]])
    )
    batch = MaskedCorpus(corpus, masking, 40, 1).at(0).batch(np.array([1, 0]))
    logits = model(batch.tokens, batch.types)
    expected = F.cross_entropy(logits[batch.rows, batch.places], batch.labels, reduction="sum")
    found = masked_loss(model, batch)
    assert batch.target_tokens == 4 + 8
    assert found.loss.item() == pytest.approx(expected.item(), abs=1e-9)
    found.loss.backward()
    gradient = model.encoder.embedding.weight.grad
    assert gradient is not None
    assert gradient.abs().sum() > 0


# Two parts


ENDS = np.zeros(100, dtype=bool)
ENDS[5] = True  # id 5 is a full stop
PAIRED = replace(MASKING, ends_sentence=ENDS, share=0.05)


def sentences_of(lengths: list[list[int]]) -> Corpus:
    """Documents of sentences with these lengths, each of the id that stands for its document, and a full stop."""
    documents = [
        np.concatenate([[10 + number] * (length - 1) + [5] for length in each]) for number, each in enumerate(lengths)
    ]
    ends = np.cumsum([len(document) for document in documents])
    starts = np.concatenate([[0], ends[:-1]])
    return Corpus(np.concatenate(documents).astype(np.uint16), np.stack([starts, ends], axis=1))


def parts_of(corpus: Corpus, epoch: int, max_length: int = 40) -> list[tuple[np.ndarray, np.ndarray, int]]:
    """The two parts of each stretch as they were before the masks, and whether they are strangers."""
    found = MaskedCorpus(corpus, PAIRED, max_length, 1).at(epoch)
    batch = found.batch(np.arange(len(found)))
    assert batch.follows is not None
    ids = batch.tokens.ids.clone()
    ids[batch.rows, batch.places] = batch.labels
    texts = []
    for row, length, kinds, other in zip(ids, batch.tokens.lengths, batch.types, batch.follows, strict=True):
        text, kinds = row[:length].numpy(), kinds[:length].numpy()
        first, second = text[kinds == 0], text[kinds == 1]
        assert (first[0], first[-1], second[-1]) == (2, 3, 3)
        assert (np.diff(kinds) >= 0).all()
        texts.append((first[1:-1], second[:-1], int(other)))
        assert (np.concatenate(texts[-1][:2]) >= 5).all()  # labels stand where they belong
    return texts


def test_in_half_of_the_texts_the_second_part_is_of_another_document() -> None:
    corpus = sentences_of([[4, 5, 6], [3, 7], [5, 5, 5], [6, 4, 4]] * 5)
    strangers = total = 0
    for epoch in range(40):
        for first, second, other in parts_of(corpus, epoch):
            assert len(first) > 0 < len(second)
            same = set(first) - {5} == set(second) - {5}
            assert same == (other == 0)
            # Both begin with a sentence and end with their document.
            assert (first[-1], second[-1], second[0] == 5) == (5, 5, False)
            strangers, total = strangers + other, total + 1
    assert strangers / total == pytest.approx(0.5, abs=0.05)


def test_strangers_are_as_long_as_what_they_stand_for() -> None:
    """Where documents are long, length tells nothing: each text fills its stretch."""
    corpus = sentences_of([[6, 9, 7, 8] * 30 for _ in range(6)])
    for epoch in range(5):
        texts = parts_of(corpus, epoch)
        full = [(second, other) for first, second, other in texts if len(first) + len(second) == 37]
        assert len(full) >= len(texts) - 12  # all but the first and the last of each document
        assert all(second[0] != 5 for second, _ in full)
        assert 0.2 < np.mean([other for _, other in full]) < 0.8


def test_a_single_sentence_is_cut_anywhere_and_a_single_token_not_at_all() -> None:
    corpus = sentences_of([[6], [9], [1], [8]])
    cuts = set()
    for epoch in range(60):
        texts = parts_of(corpus, epoch)
        assert len(texts) == 3
        cuts |= {len(first) for first, _, _ in texts}
    assert cuts == set(range(1, 9))


def test_two_parts_are_a_function_of_seed_and_epoch() -> None:
    corpus = sentences_of([[4, 5, 6], [3, 7], [5, 5, 5]])
    once, again, later = ([part.tolist() for part in parts_of(corpus, epoch)[0][:2]] for epoch in (3, 3, 4))
    assert once == again != later


def test_the_loss_adds_that_of_next_sentences(tmp_path) -> None:
    tokens = make_text_tokens(tmp_path)
    model = make_encoder(tokens, "mask", next_sentence=True).double()
    corpus = sentences_of([[4, 5, 6], [3, 7], [5, 5, 5]])
    masking = replace(PAIRED, ordinary_ids=np.arange(5, 20), share=0.3)
    batch = MaskedCorpus(corpus, masking, 40, 1).at(0).batch(np.arange(3))
    assert batch.follows is not None
    logits = model(batch.tokens, batch.types)
    masked = F.cross_entropy(logits[batch.rows, batch.places], batch.labels, reduction="sum")
    states = model.encoder.encode(batch.tokens, batch.types).states
    assert model.next_sentence is not None
    told = F.cross_entropy(model.next_sentence(model.encoder.pool(states)), batch.follows)
    found = masked_loss(model, batch)
    assert found.negative_log_likelihood.item() == pytest.approx(masked.item(), abs=1e-9)
    assert found.loss.item() == pytest.approx((masked + told * batch.target_tokens).item(), abs=1e-9)
    found.loss.backward()
    assert model.encoder.pooler.weight.grad.abs().sum() > 0
    assert model.next_sentence.weight.grad.abs().sum() > 0
