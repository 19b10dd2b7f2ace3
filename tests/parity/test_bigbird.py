"""BigBird: our encoder through the shipped importer gives the numbers of `transformers`, in float64.

Each text is read by the reference alone, and by ours in one padded batch: for the reference, but not for us, padding
moves the last block, and a short text switches the model to full attention for good, so it is switched back each time.
When it does not train, the reference takes the first block for every random one, and counts it once more for each: no
mask can say that. So either it is given our random blocks, or we, for a test, are given its own.
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_bert import HEADS, make_reference, through_folder

from regard.errors import ModelError
from regard.interop import bert, huggingface, import_folder
from regard.models import ENCODERS
from regard.models.folder import load_encoder
from regard.nn import blocks
from regard.nn.padded import Padded

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # transformers' own imports
    transformers = pytest.importorskip("transformers")
    from transformers.models.big_bird.modeling_big_bird import BigBirdBlockSparseAttention

SETTINGS: dict[str, Any] = {
    "vocab_size": 61,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "max_position_embeddings": 64,
    "type_vocab_size": 3,
    "block_size": 4,
    "num_random_blocks": 1,
}
VARIANTS = {
    "as published": {},
    "scaled, relu, another epsilon": {"rescale_embeddings": True, "hidden_act": "relu", "layer_norm_eps": 1e-3},
    "three random blocks of two": {"num_random_blocks": 3, "block_size": 2, "hidden_act": "gelu"},
    "full": {"attention_type": "original_full"},
    "full, scaled": {"attention_type": "original_full", "rescale_embeddings": True},
}
LENGTHS = (64, 61, 33, 29, 28, 7, 1)  # the last three of them attend in full to blocks of four


def ours_for_theirs(self, from_seq_length: int, to_seq_length: int, **rest: Any) -> list[np.ndarray]:
    """The random blocks that the reference asks for: ours."""
    num_blocks = from_seq_length // rest["from_block_size"]
    table = blocks.key_blocks(num_blocks, 2, 3, self.num_random_blocks, rest["num_heads"], self.seed, 0)
    return list(table[:, 1:-1, 5:])


def theirs_for_ours(num_blocks, num_global, num_window, num_random, num_heads, layer, seed) -> np.ndarray:
    """The blocks that the reference attends to when it does not train: the first one again for every random one."""
    table = _key_blocks(num_blocks, num_global, num_window, 0, num_heads, layer, seed)
    return np.concatenate([table, np.zeros((num_heads, num_blocks, num_random), dtype=np.int64)], axis=2)


_key_blocks = blocks.key_blocks


def inputs(config, lengths: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    shape = (len(lengths), max(lengths))
    return tuple(
        torch.randint(high, shape, generator=generator) for high in (config.vocab_size, config.type_vocab_size)
    )


@torch.no_grad()
def expected_of(reference, lengths: tuple[int, ...]) -> list[dict[str, torch.Tensor]]:
    """What the reference says of each text alone."""
    ids, types = inputs(reference.config, lengths)
    encoder = reference.base_model
    found = []
    for row, length in enumerate(lengths):
        if reference.config.attention_type == "block_sparse":
            encoder.set_attention_type("block_sparse")
        outputs = reference(
            ids[row : row + 1, :length],
            attention_mask=torch.ones(1, length),
            token_type_ids=types[row : row + 1, :length],
            output_hidden_states=True,
            output_attentions=encoder.attention_type == "original_full" or length > 44,
        )
        texts = {"states": outputs.hidden_states[-1][0, :length]}
        if outputs.get("attentions"):
            texts["weights"] = torch.cat(outputs.attentions)[:, :, :length, :length]
        if outputs.get("pooler_output") is not None:
            texts["pooled"] = outputs.pooler_output[0]
        if "logits" in outputs:
            texts["logits"] = outputs.logits[0]
        found.append(texts)
    return found


@torch.no_grad()
def differences(expected, config, ours, lengths: tuple[int, ...], *, weights: bool = True) -> dict[str, float]:
    """The largest difference at real tokens, filling held against us."""
    ids, types = inputs(config, lengths)
    real = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    tokens = Padded(torch.where(real, ids, 5), torch.tensor(lengths))
    fast = ours.encoder.encode(tokens, types)
    plain = ours.encoder.encode(tokens, types, return_weights=True)
    logits = None if ours.head is None else ours(tokens, types)
    found: dict[str, float] = {}
    for row, (length, texts) in enumerate(zip(lengths, expected, strict=True)):
        pairs = {"states": (fast.states[row, :length], texts["states"])}
        if weights:
            pairs["plain states"] = (plain.states[row, :length], texts["states"])
            if "weights" in texts:
                pairs["weights"] = (plain.weights[row, :, :, :length, :length], texts["weights"])
        if "pooled" in texts:
            pairs["pooled"] = (ours.encoder.pool(fast.states)[row], texts["pooled"])
        if "logits" in texts:
            assert logits is not None
            pairs["logits"] = (logits[row] if logits.dim() == 2 else logits[row, :length], texts["logits"])
        for name, (here, there) in pairs.items():
            found[name] = max(found.get(name, 0.0), float((here - there).abs().max()))
    return found


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)
def test_numbers_are_those_of_transformers_with_our_random_blocks(tmp_path, monkeypatch, settings, head) -> None:
    monkeypatch.setattr(BigBirdBlockSparseAttention, "_bigbird_block_rand_mask_with_head", ours_for_theirs)
    reference = make_reference("BigBird", head, SETTINGS | settings)
    ours = through_folder(reference, tmp_path)
    found = differences(expected_of(reference, LENGTHS), reference.config, ours, LENGTHS)
    assert max(found.values()) < 1e-10, found
    assert {"states", "plain states", "weights"} < set(found)
    assert ("logits" in found) == (head != "Model")
    assert ("pooled" in found) == (head == "Model")


@pytest.mark.parametrize("settings", [VARIANTS["as published"], VARIANTS["three random blocks of two"]])
def test_numbers_are_those_of_transformers_with_its_own_blocks(tmp_path, monkeypatch, settings) -> None:
    reference = make_reference("BigBird", "ForMaskedLM", SETTINGS | settings)
    ours = through_folder(reference, tmp_path)
    expected = expected_of(reference, LENGTHS)
    assert differences(expected, reference.config, ours, LENGTHS, weights=False)["states"] > 1e-3, "blocks matter"
    monkeypatch.setattr(blocks, "key_blocks", theirs_for_ours)
    found = differences(expected, reference.config, ours, LENGTHS, weights=False)
    assert max(found.values()) < 1e-10, found


def test_one_altered_weight_is_seen(tmp_path, monkeypatch) -> None:
    """For every tensor of the folder: change one number in it, and the numbers differ."""
    monkeypatch.setattr(BigBirdBlockSparseAttention, "_bigbird_block_rand_mask_with_head", ours_for_theirs)
    lengths = (31, 7)
    for head in HEADS:
        reference = make_reference("BigBird", head, SETTINGS)
        reference.save_pretrained(tmp_path / head)
        tensors, config = huggingface.read_tensors(tmp_path / head), huggingface.read_config(tmp_path / head)
        expected = expected_of(reference, lengths)
        unused = 0
        for name, tensor in tensors.items():
            if name.endswith("key.bias"):
                continue  # adds the same to a row of scores whatever the key: softmax takes it out
            altered = tensor.clone()
            altered.view(-1)[0] += 0.5
            if "word_embeddings" in name:
                altered[:, 0] += 0.5
            if "transform.dense" in name:
                altered += 0.5  # a unit may be silent whatever the text
            ours = bert.convert(config, {**tensors, name: altered})
            found = max(differences(expected, reference.config, ours, lengths, weights=False).values())
            if name.startswith("bert.pooler"):
                assert found < 1e-10, "classes with a head do not use it"
                unused += 1
            else:
                assert found > 1e-6, name
        assert unused == (0 if head == "Model" else 2)


def test_base_has_as_many_parameters() -> None:
    config_class, model_class = ENCODERS["bigbird"]
    with torch.device("meta"):
        ours, theirs = model_class(config_class()), transformers.BigBirdModel(transformers.BigBirdConfig())
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attention_type": "banded"}, "attention_type is 'banded', expected one of block_sparse, original_full"),
        ({"use_bias": False}, "use_bias is False, expected True"),
        ({"is_decoder": True}, "is_decoder is True, expected False"),
        ({"block_size": 0}, "block_size must be at least 1, got 0"),
        ({"block_size": None}, "block_size: expected a whole number"),
        ({"num_random_blocks": -1}, "num_random_blocks must be at least 0"),
        ({"rescale_embeddings": 2}, "scaled_embeddings: expected true or false"),
        ({"architectures": ["BigBirdForQuestionAnswering"]}, "expected one of BigBirdModel, BigBirdForMaskedLM"),
    ],
)
def test_what_is_not_known_is_refused(tmp_path, changes, message) -> None:
    make_reference("BigBird", "Model", SETTINGS).save_pretrained(tmp_path)
    config = huggingface.read_config(tmp_path) | changes
    with pytest.raises(ModelError, match=message):
        bert.convert(config, huggingface.read_tensors(tmp_path))


def make_tokenizer(folder: Path):
    """A BigBird tokenizer of a few pieces, as transformers saves it."""
    pieces = ["<pad>", "</s>", "<s>", "<unk>", "[SEP]", "[MASK]", "[CLS]"]
    words = ["▁the", "▁cat", "s", "▁sees", "▁dog", "▁", *"abcdefghijklmnopqrtuvwxyz."]
    vocabulary = [(piece, 0.0) for piece in pieces] + [(word, -1.0 - number) for number, word in enumerate(words)]
    tokenizer = transformers.BigBirdTokenizer(vocab=vocabulary)
    tokenizer.save_pretrained(folder)
    return tokenizer


def test_a_folder_reads_text_as_transformers_does(tmp_path) -> None:
    reference = make_reference("BigBird", "ForMaskedLM", SETTINGS).float()
    reference.save_pretrained(tmp_path / "theirs")
    theirs = make_tokenizer(tmp_path / "theirs")
    said = import_folder(tmp_path / "theirs", tmp_path / "ours")
    assert any("a pooling layer" in warning for warning in said)
    assert any("more than 28 tokens" in warning for warning in said)
    loaded = load_encoder(tmp_path / "ours")
    for text in ("the cats sees the dog.", "a  dog", " the", ""):
        assert loaded.tokens.encode(text).ids == theirs(text)["input_ids"], text
    masked = loaded.tokens.encode_masked("the [MASK] sees [MASK].")
    assert masked.ids == theirs("the [MASK] sees [MASK].")["input_ids"]
    (tmp_path / "theirs" / "tokenizer.json").unlink()
    (tmp_path / "theirs" / "spiece.model").write_bytes(b"")
    assert any("spiece.model alone is not read" in said for said in import_folder(tmp_path / "theirs", tmp_path / "2"))
