"""Attention as one self-contained page: it opens from a mail attachment and loads nothing.

The page is `page.html` with `page.css`, `texts.js`, `effects.js`, `page.js` and the data put in. Weights travel as
8-bit square roots (small ones keep more digits so), rounded so that each weight and the sum of each row stay within
0.005, deflated, a block for each sentence, kind and layer; a block is unpacked when it is first shown. Effects travel
as hundredths of a nat in 16 bits, deflated.
"""

import base64
import bisect
import html
import json
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from regard.errors import InputError
from regard.look.effects import Effects
from regard.look.terminal import visible
from regard.look.weights import KINDS, Look
from regard.look.words import Line
from regard.storage import replacing_output, storing

MAX_BYTES = 1_900_000  # of the page; layers that do not fit are left out, and the page says which it carries
MEAN = -1  # in the place of a head: the mean over all
_SCRIPTS = ("texts.js", "effects.js", "page.js")
_PARTS = ("page.html", "page.css", *_SCRIPTS)


@dataclass(frozen=True)
class Carried:
    """What a page carries where not all fits."""

    layers: dict[str, list[int]]  # by kind
    heads: list[int] | None = None  # of the one layer where not even it fits whole, `MEAN` last; None: all


def write_page(
    looks: Sequence[Look],
    path: Path,
    *,
    effects: Sequence[Effects] = (),
    kind: str = "",
    layer: int | None = None,
    head: int | None = None,
) -> Carried | None:
    """Write a page of one sentence or several.

    Args:
        looks: of one model.
        path: an .html file.
        effects: of each look, in the same order, for a view that sets them beside the attention they were measured
            with; none: the page has no such view. Where not all fits, those on each word of the translation go last
            before the layer shown first, and the page says so.
        kind, layer, head: what is shown first, layer and head counted from 0, or from the end if negative; where not
            all fits, this kind and layer are carried before others, and where not even the layer does, this head.

    Returns:
        What is carried where not all fitted; else None.

    Raises:
        InputError: no sentence, another suffix, effects of other sentences, a kind, layer or head that is not there, or
            not even one head fits.
        StorageError: the disk refused; a page that was there is untouched.
    """
    check(path)
    text, carried = page_text(looks, effects=effects, kind=kind, layer=layer, head=head)
    with replacing_output(path) as partial, storing(path, "The old file is intact."):
        partial.write_bytes(text.encode("utf-8"))
    return carried


def page_text(
    looks: Sequence[Look],
    *,
    effects: Sequence[Effects] = (),
    kind: str = "",
    layer: int | None = None,
    head: int | None = None,
) -> tuple[str, Carried | None]:
    """The page itself, and what it carries where not all fitted; arguments and errors as of `write_page`."""
    if not looks:
        raise InputError("there is no sentence to look at.")
    start = _start(looks[0], kind, layer, head)
    packed_effects = _effects(looks, effects)
    blocks, carried = _blocks(looks, start, packed_effects)
    has_all = carried.heads is None and all(
        carried.layers.get(name, []) == list(range(len(weights))) for name, weights in looks[0].weights.items()
    )
    data = {
        "model": looks[0].model,
        "start": start,
        "carried": None if has_all else asdict(carried),
        "sentences": [
            {
                "source": look.source_text,
                "target": look.target_text,
                "lines": {side: _line(getattr(look, side)) for side in ("source", "target", "read")},
                "languages": {"source": look.source_language, "target": look.target_language},
                "log_probs": [round(value, 4) for value in look.log_probs],
                "shape": {
                    name: {"layers": len(weights), "heads": weights.shape[1]} for name, weights in look.weights.items()
                },
                "blocks": sentence_blocks,
                "effects": sentence_effects or None,
            }
            for look, sentence_blocks, sentence_effects in zip(looks, blocks, packed_effects, strict=True)
        ],
    }
    text = _fill(
        _file("page.html"),
        TITLE=html.escape(visible(f"{looks[0].model}: {looks[0].text[:60]}" if looks[0].model else looks[0].text)),
        STYLE=_file("page.css"),
        # No text of a sentence can end the script it stands in.
        DATA=json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"),
        SCRIPT="".join(_file(name) for name in _SCRIPTS),
    )
    text = text.encode("utf-8", errors="replace").decode("utf-8")  # half a surrogate pair is no text
    return text, None if has_all else carried


def check(path: Path) -> None:
    """Ask before long work whether this could be the name of a page.

    Raises:
        InputError: it does not end in .html, or is a folder.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{path}: a page's name must end in .html.")
    if path.is_dir():
        raise InputError(f"{path}: is a folder. Name a file for the page.")


def _start(look: Look, kind: str, layer: int | None, head: int | None) -> dict[str, Any]:
    """What is shown first: unless said otherwise, the mean over the heads of the last layer."""
    kind = kind or next(iter(name for name in KINDS if name in look.weights))
    look.piece_attention(kind, layer, head)  # raises where there is no such thing
    num_layers, num_heads = look.weights[kind].shape[:2]
    layer = num_layers - 1 if layer is None else layer % num_layers
    return {"kind": kind, "layer": layer, "head": MEAN if head is None else head % num_heads}


def _effects(looks: Sequence[Look], effects: Sequence[Effects]) -> list[dict[str, Any]]:
    """What the page shows of the effects of each sentence; nothing where none are given."""
    if not effects:
        return [{} for _ in looks]
    if len(effects) != len(looks):
        raise InputError(f"found effects of {len(effects)} sentences for {len(looks)}. Give those of each, in order.")
    for look, found in zip(looks, effects, strict=True):
        words = tuple(word for word, special in zip(look.source.words, look.source.special, strict=True) if not special)
        if found.words != words or len(found.losses) != len(look.target.words):
            raise InputError(
                f"found effects of {' '.join(found.words)!r} on {len(found.losses)} words where those of "
                f"{look.source_text!r} on {len(look.target.words)} words were expected. Give them in the order of the "
                "sentences."
            )
    return [
        {
            "kind": found.kind,
            "layer": -1 if found.layer is None else found.layer % len(look.weights[found.kind]),
            "head": -1 if found.head is None else found.head % look.weights[found.kind].shape[1],
            # What all target words together say is kept as it is: ranks would not survive the rounding below.
            "attention": [round(float(share), 6) for share in found.attention],
            "effect": [round(float(effect), 6) for effect in found.effect],
            "correlation": _number(found.rank_correlation),
            "correlations": [_number(each) for each in found.rank_correlations()],
            "weights": _pack(found.weights),
            # Numbers of 16 bits reach to 327 nats; a word that loses more is impossible anyhow.
            "losses": _deflate(np.clip(np.rint(found.losses * 100), -32_767, 32_767).astype("<i2")),
        }
        for look, found in zip(looks, effects, strict=True)
    ]


def _number(value: float) -> float | None:
    """For JSON, which knows no NaN."""
    return None if math.isnan(value) else round(value, 6)


def _blocks(
    looks: Sequence[Look], start: Mapping[str, Any], effects: Sequence[dict[str, Any]]
) -> tuple[list[list[dict[str, Any]]], Carried]:
    """The packed weights of each sentence, and which layers they are: the one shown first, then from the top down.

    Where not even one layer fits beside the effects on each word, those are taken out of `effects`; where it does not
    fit then, as many of its heads are packed as do.
    """
    order = [(start["kind"], start["layer"])]
    for kind in sorted(KINDS, key=lambda name: name != start["kind"]):
        if kind in looks[0].weights:
            layers = range(len(looks[0].weights[kind]) - 1, -1, -1)
            order += [(kind, layer) for layer in layers if (kind, layer) != order[0]]
    blocks: list[list[dict[str, Any]]] = [[] for _ in looks]
    carried: dict[str, list[int]] = {kind: [] for kind in KINDS if kind in looks[0].weights}
    heads = None
    room = MAX_BYTES - sum(len(_file(name)) for name in _PARTS) - len(json.dumps(effects))
    room -= sum(3 * len(json.dumps([_line(look.source), _line(look.target), _line(look.read)])) // 2 for look in looks)
    for kind, layer in order:
        layers = [look.weights[kind][layer] for look in looks]
        packed = [_pack(each) for each in layers]
        if _size(packed) > room and not blocks[0]:
            room += _without_words(effects)
            if _size(packed) > room:
                heads = _heads_that_fit(layers, start["head"], room)
                layers = [_only(each, heads) for each in layers]
                packed = [_pack(each) for each in layers]
        if heads == [] or _size(packed) > room:
            break
        room -= _size(packed)
        carried[kind].append(layer)
        for sentence, each, weights in zip(blocks, packed, layers, strict=True):
            count, rows, columns = weights.shape
            sentence.append(
                {"kind": kind, "layer": layer, "heads": count, "rows": rows, "columns": columns, "data": each}
            )
        if heads is not None:
            break  # another layer would have heads of its own to tell of
    if not blocks[0]:
        several = len(looks) > 1
        raise InputError(
            f"not even one head of {f'{len(looks):,} sentences' if several else 'this text'} fits into a page of "
            f"{MAX_BYTES:,} bytes. Look at {'fewer' if several else 'a shorter one'}, or draw one head as a picture: "
            "--layer 1 --head 1 --out look.png"
        )
    for sentence in blocks:
        sentence.sort(key=lambda each: (each["kind"], each["layer"]))
    return blocks, Carried({kind: sorted(layers) for kind, layers in carried.items() if layers}, heads)


def _heads_that_fit(layers: Sequence[np.ndarray], first: int, room: int) -> list[int]:
    """As many heads of a layer as fit for all sentences: the one shown first, the mean, then the others in order.

    Args:
        layers: of each sentence, (heads, rows, columns).
        first: the one shown first.
        room: bytes.
    """
    order = [*dict.fromkeys([first, MEAN, *range(len(layers[0]))])]

    def size(count: int) -> int:
        return _size([_pack(_only(each, order[:count])) for each in layers])

    count = bisect.bisect_right(range(1, len(order) + 1), room, key=size)
    return sorted(order[:count], key=lambda head: (head == MEAN, head))


def _only(layer: np.ndarray, heads: Sequence[int]) -> np.ndarray:
    """These heads; the mean is that over all, also those that are not among them."""
    chosen = [layer.mean(axis=0) if head == MEAN else layer[head] for head in heads]
    return np.stack(chosen) if chosen else layer[:0]


def _size(packed: Sequence[str]) -> int:
    """Bytes in the page, with what is written around each block."""
    return sum(len(each) + 100 for each in packed)


def _without_words(effects: Sequence[dict[str, Any]]) -> int:
    """Leave the effects on the whole translation, and say how many bytes that saves."""
    before = len(json.dumps(effects))
    for each in filter(None, effects):
        each.update(weights=None, losses=None)
    return before - len(json.dumps(effects))


def _pack(weights: np.ndarray) -> str:
    return _deflate(_roots(weights))


def _roots(weights: np.ndarray) -> np.ndarray:
    """Square roots in 8 bits. What rounding takes from a weight goes to those after it in its row, or the sum over
    hundreds of nearly even ones would be off by as much as .07, and with it the rest that goes to special tokens.
    """
    columns = np.moveaxis(np.clip(weights, 0, 1).astype(np.float64), -1, 0)
    roots, left = np.empty(columns.shape, np.uint8), np.zeros(columns.shape[1:])
    for place, weight in enumerate(columns):
        # At most so much each, that none is far from what it was; and what may not be attended to stays 0.
        most = np.minimum(weight, 0.001)
        roots[place] = np.rint(np.sqrt(np.clip(weight + np.clip(left, -most, most), 0, 1)) * 255)
        left += weight - (roots[place] / 255) ** 2
    return np.ascontiguousarray(np.moveaxis(roots, 0, -1))


def _deflate(values: np.ndarray) -> str:
    return base64.b64encode(zlib.compress(values.tobytes(), 9)).decode("ascii")


def _line(line: Line) -> dict[str, Any]:
    return {"pieces": line.pieces, "words": line.words, "groups": line.groups, "special": line.special}


def _file(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")


def _fill(template: str, **values: str) -> str:
    """Put values at their @NAME@, none of which is looked for in another value."""
    parts = [template]
    for name, value in values.items():
        before, _, after = parts.pop().partition(f"@{name}@")
        parts += [before, value, after]
    return "".join(parts)
