"""Model folders so small that making one takes no time: random weights, a real tokenizer."""

from pathlib import Path
from typing import Any

import torch

from regard.data.tokens import Tokens
from regard.models import build
from regard.models.folder import save

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
