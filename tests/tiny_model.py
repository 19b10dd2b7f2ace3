"""Model folders so small that making one takes no time: random weights, a real tokenizer."""

from pathlib import Path
from typing import Any

import torch

from regard.data.byte_tokens import ByteTokens
from regard.data.text_tokens import TextTokens
from regard.data.tokens import Tokens
from regard.interop.bert_tokens import read_tokens
from regard.models import build, build_decoder, build_encoder
from regard.models.folder import save, save_decoder, save_encoder
from regard.models.heads import TaskModel
from regard.models.protocol import Decoder

SIZES: dict[str, dict[str, Any]] = {
    "rnn": {"hidden_size": 12, "embedding_size": 8},
    "rnnsearch": {"hidden_size": 12, "embedding_size": 8, "attention_size": 10},
    "gnmt": {"hidden_size": 12, "num_layers": 2, "attention_size": 10},
    "transformer": {"hidden_size": 16, "num_layers": 2, "num_heads": 2, "feed_forward_size": 24},
}
SOURCES = ["the cat sees the dog", "a dog sees a cat", "the bird sings", "no cat sings to the bird 12 345"]
TARGETS = ["o gato vê o cão", "um cão vê um gato", "o pássaro canta", "nenhum gato canta ao pássaro 12 345"]


def make_folder(folder: Path, arch: str = "transformer", seed: int = 0, **overrides: Any) -> Path:
    """Write a model folder."""
    tokens = Tokens.train(SOURCES * 3, TARGETS * 3, 330)
    torch.manual_seed(seed)
    values = {"vocab_size": tokens.vocab_size, "max_length": 48, **SIZES[arch], **overrides}
    model = build(arch, values)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    save(folder, model, dict(model.named_parameters()), tokens, "# Made up\n")
    return folder


def make_text_tokens(folder: Path) -> TextTokens:
    """A WordPiece tokenizer that knows some words of SOURCES and the letters of the others."""
    words = ["the", "cat", "dog", "sees", "bird", "##s", "sing", "to"]
    letters = sorted({letter for text in SOURCES for letter in text if letter != " "})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(pieces)) + "\n")
    tokens, _ = read_tokens(folder, vocab_size=1_000)
    assert tokens is not None
    return tokens


def make_encoder(
    tokens: TextTokens,
    task: str = "none",
    labels: tuple[str, ...] = (),
    arch: str = "bert",
    next_sentence: bool = False,
    pool: str = "first",
    **overrides: Any,
) -> TaskModel:
    """An encoder with every number random."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_layers": 2, "num_heads": 2, "feed_forward_size": 24, "max_length": 43}
    if arch == "bigbird":  # some texts are longer than what is attended to in full
        sizes |= {"block_size": 2, "num_random_blocks": 1}
    head = {"task": task, "labels": list(labels), "next_sentence": next_sentence, "pool": pool}
    model = build_encoder(arch, {"vocab_size": tokens.vocab_size, **sizes, **overrides}, head)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return model.eval()


def make_encoder_folder(folder: Path, **settings: Any) -> Path:
    """Write the folder of a small encoder, BERT if no `arch` is named."""
    folder.mkdir(parents=True)
    tokens = make_text_tokens(folder)
    model = make_encoder(tokens, **settings)
    save_encoder(folder, model, dict(model.named_parameters()), tokens, "# Made up\n")
    return folder


def make_byte_tokens() -> ByteTokens:
    """A byte-level tokenizer with some merges."""
    return ByteTokens.train([text + "\n" for text in SOURCES * 3], 300)


def make_decoder(tokens: ByteTokens, **overrides: Any) -> Decoder:
    """A GPT with every number random, so that what it writes is varied and breaks off within characters."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_layers": 2, "num_heads": 2, "feed_forward_size": 24, "max_length": 64}
    model = build_decoder("gpt", {"vocab_size": tokens.vocab_size, **sizes, **overrides})
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return model.eval()


def make_decoder_folder(folder: Path, **settings: Any) -> Path:
    """Write the folder of a small GPT."""
    tokens = make_byte_tokens()
    model = make_decoder(tokens, **settings)
    save_decoder(folder, model, dict(model.named_parameters()), tokens, "# Made up\n")
    return folder
