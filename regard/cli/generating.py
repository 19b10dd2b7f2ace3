"""The command that uses a language model: generate."""

import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regard import flags
from regard.cli.options import JsonOption, check_text, say
from regard.errors import ConfigError, DataError, InputError
from regard.streams import file_chunks, refuse_overwriting, stdin_chunks, writer

if TYPE_CHECKING:
    from regard.api import Model
    from regard.decoding.options import SearchOptions
    from regard.generation import Continuation

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}


def generate(
    model: Annotated[Path, typer.Argument(help="Model folder or run folder of a language model.")],
    prompt: Annotated[str | None, typer.Argument(help="The text to go on with; none: each line of stdin.")] = None,
    file: Annotated[Path | None, typer.Option(help="A file whose whole text is the prompt.")] = None,
    examples: Annotated[
        Path | None,
        typer.Option(help="Lines of input, tab, answer, to follow: prompts become INPUT => and get their answer."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write; none: stdout.")] = None,
    max_length: Annotated[int, typer.Option(help="Most tokens to write; 0: until the context is full.")] = 200,
    min_length: Annotated[int, typer.Option(help="Fewest tokens before the model may end the text.")] = 0,
    stop: Annotated[
        list[str] | None, typer.Option(help=r"End before this text (repeat for several); \n and \t are understood.")
    ] = None,
    temperature: Annotated[float, typer.Option(help="Below 1 bolder about the likely, above 1 more varied.")] = 1.0,
    top_k: Annotated[int, typer.Option(help="Draw from so many of the likeliest tokens; 0: all.")] = 0,
    top_p: Annotated[float, typer.Option(help="Draw from the likeliest tokens that hold this share.")] = 0.95,
    repetition_penalty: Annotated[
        float, typer.Option(help="Above 1: less of what is there already (Keskar et al. 2019 take 1.2).")
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 1,
    greedy: Annotated[bool, typer.Option("--greedy", help="Always the likeliest token; draw nothing.")] = False,
    beam: Annotated[int, typer.Option(help="Search for the likeliest text with so many hypotheses; 1: do not.")] = 1,
    n_best: Annotated[int, typer.Option(help="Texts a prompt; more than one needs --json.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Go on with a text. What is written goes to stdout, without the prompt; on a terminal as it is written.

    A text may have several lines; where it must have one, add --stop "\\n" or --json. White space around the answers
    that --examples gets is left out.

    Example: regard generate models/gpt2 "The old fisherman looked at the sea and" --top-k 40 --seed 3
    """
    import regard.api
    from regard.decoding.options import LEAST_TEMPERATURE, SearchOptions
    from regard.generation import few_shot

    check_text(prompt, *(stop or []))
    if prompt is not None and file is not None:
        raise ConfigError("a prompt is given and --file too; leave one out.")
    if n_best > 1 and not as_json:
        raise ConfigError(f"--n-best {n_best} needs --json: in plain text nothing says where one text ends.")
    sample = not greedy and beam == 1
    if not sample and (temperature, top_k, top_p, seed) != (1.0, 0, 0.95, 1):
        raise ConfigError(
            "--temperature, --top-k, --top-p and --seed are of draws; leave them out with --greedy and --beam."
        )
    if greedy and (beam > 1 or n_best > 1):
        raise ConfigError("--greedy writes one text; leave out --beam and --n-best, or leave out --greedy.")
    if not temperature >= LEAST_TEMPERATURE:  # nan neither
        raise ConfigError(
            f"--temperature {temperature:g}: expected {LEAST_TEMPERATURE:g} or more. To take always the "
            "likeliest token, give --greedy instead."
        )
    options = SearchOptions(
        beam_size=beam if sample or beam < 1 else max(beam, n_best),
        n_best=n_best,
        min_length=min_length,
        max_length=max_length,
        sample=sample,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p if sample else 1.0,
        repetition_penalty=repetition_penalty,
        seed=seed,
    )
    stops = [_unescaped(each) for each in stop or []]
    pairs = _read_examples(examples) if examples else []
    if pairs:
        stops.append("\n")
    chunks = stdin_chunks() if prompt is None and file is None else iter([[_read(file) if file else prompt or ""]])
    shows = sys.stdout.isatty() and not (as_json or out or pairs or options.searches)
    if out is not None:
        refuse_overwriting(out, [path for path in (file, examples) if path is not None])
    loaded = regard.api.load(model)
    texts = 0
    counts: Counter[str] = Counter()
    with writer(out) as write:
        for chunk in chunks:
            prompts = [few_shot(pairs, line) for line in chunk] if pairs else chunk
            shown = (_show(loaded, each, options, stops) for each in prompts)
            for found in shown if shows else loaded.generate(prompts, options, stop=stops):
                texts += 1
                counts.update(found.flags)
                if as_json:
                    write(json.dumps(_row(found), ensure_ascii=False))
                elif not shows:
                    write(found.text.strip() if pairs else found.text)
            sys.stdout.flush()
    if counts:
        told = {flags.TRUNCATED: "the context was full", flags.REPETITION: "it goes round in circles"}
        flagged = ", ".join(f"{flag} {count:,} ({told[flag]})" for flag, count in sorted(counts.items()))
        say(f"{texts:,} text{'s' if texts > 1 else ''} · flagged: {flagged}")


def _show(model: "Model", prompt: str, options: "SearchOptions", stop: list[str]) -> "Continuation":
    """Print a text as it is written."""
    pieces = model.stream(prompt, options, stop=stop)
    while True:
        try:
            print(next(pieces), end="", flush=True)
        except StopIteration as ended:
            print(flush=True)
            return ended.value


def _row(found: "Continuation") -> dict[str, Any]:
    return {
        "prompt": found.prompt,
        "text": found.text,
        "ended": found.ended,
        "score": found.score,
        "tokens": len(found.ids),
        "flags": list(found.flags),
        "alternatives": [{"text": item.text, "ended": item.ended, "score": item.score} for item in found.alternatives],
    }


def _read(path: Path) -> str:
    """A file's text with its line ends as they are, without a byte order mark."""
    try:
        return path.read_bytes().decode("utf-8").removeprefix("\ufeff")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: byte {error.start + 1} is not UTF-8. Convert the file first.") from error


def _read_examples(path: Path) -> list[tuple[str, str]]:
    if not path.exists():
        raise DataError(f"{path}: there is no such file. Check the name and the folder you are in.")
    pairs = []
    for number, line in enumerate((line for chunk in file_chunks(path) for line in chunk), start=1):
        parts = line.split("\t")
        if len(parts) != 2:
            raise InputError(f"{path}, line {number:,}: found {len(parts) - 1} tabs, expected input, one tab, answer.")
        pairs.append((parts[0], parts[1]))
    if not pairs:
        raise InputError(f"{path}: is empty; expected lines of input, tab, answer.")
    return pairs


def _unescaped(text: str) -> str:
    """What a person means by \\n in a shell."""
    return re.sub(r"\\([ntr\\])", lambda match: _ESCAPES[match[1]], text)
