"""What many tests share: tiny models with random weights everywhere, one thread, and a command line."""

import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from command_line import Command, call

try:
    import torch
except ModuleNotFoundError:  # the tests of formats, data and evaluation run without it
    collect_ignore = ["nn", "models", "training", "decoding", "engines", "runs", "learning", "parity"]
else:
    torch.set_num_threads(1)

SIZES: dict[str, dict[str, Any]] = {
    "rnn": {"hidden_size": 16, "embedding_size": 12, "num_layers": 2},
    "rnnsearch": {"hidden_size": 16, "embedding_size": 12, "attention_size": 10},
    "gnmt": {"hidden_size": 16, "num_layers": 3, "attention_size": 10},
    "transformer": {"hidden_size": 16, "num_layers": 2, "num_heads": 4, "feed_forward_size": 24},
}
REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(params=SIZES)
def arch(request: pytest.FixtureRequest) -> str:
    """Each model family in turn."""
    return request.param


@pytest.fixture
def tiny() -> Callable[..., Any]:
    """Makes a small model in evaluation mode, every weight and bias random: a forgotten one shows."""

    def make(arch: str, *, seed: int = 0, dtype: Any = None, std: float = 0.4, **overrides: Any) -> Any:
        from regard.models import build

        torch.manual_seed(seed)
        model = build(arch, {"vocab_size": 23, "max_length": 64, **SIZES[arch], **overrides})
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=std)
        return model.to(dtype or torch.float64).eval()

    return make


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The matplotlib figures that were to be saved, for a look at what is on them; their files are empty."""
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    found: list[Any] = []

    def save(self: Any, path: Path, **_: Any) -> None:
        found.append(self)
        path.touch()

    monkeypatch.setattr(Figure, "savefig", save)
    return found


@pytest.fixture
def word_tokens() -> Any:
    """A small real tokenizer."""
    from regard.data.tokens import Tokens

    lines = ["the cat sees the dog", "a dog sees a cat", "the bird sings", "no cat sings to the bird 12 345 67 890"]
    return Tokens.train(lines * 3, lines[::-1] * 3, 340)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a translator."""
    from tiny_model import make_folder

    return make_folder(tmp_path_factory.mktemp("shared") / "model")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """Runs a command line in this process."""
    pipe_handler = signal.getsignal(signal.SIGPIPE)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    yield partial(call, monkeypatch, capsys)
    signal.signal(signal.SIGPIPE, pipe_handler)
