"""Effects and attention weights beside those of Captum and inseq, on a small random MarianMT model in float64.

The peers read the Hugging Face folder with `transformers`; `regard` reads what `regard import` makes of it. They want
an environment of their own:

    python3 -m venv peers
    peers/bin/pip install "$(grep '^torch==' constraints.txt)" -c constraints.txt
    peers/bin/pip install --editable '.[train,hf]' captum==0.9.0 inseq==0.7.1 -c constraints.txt
    peers/bin/python bench/attribution_peers.py

Without them this says so and ends. The exit status is 1 if a row is further off than is allowed.

- Captum: FeatureAblation over "which words stand in the text" is leave-one-out, so it must give our effects.
- inseq, attention: its weights must be ours. It scales the decoder's embeddings by √d_model, and transformers 5.23 does
  so again for embeddings that it is handed, so a model with scale_embedding (all OPUS-MT) shows other weights there.
  Both rows are given: as it comes, and with the second scaling taken out.
- inseq, occlusion: it puts <unk> in the place of a piece, keeps the positions, takes absolute differences of
  probabilities, token by token. On these terms ours must agree. What we call the effect of a word is another question
  (the word is taken out, signed, in nats), so between the two only a rank correlation can be given: of the effect
  itself, and of the sum over target words of the absolute losses. Random weights: it says nothing of trained models.
"""

import io
import json
import logging
import re
import sys
import tempfile
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

SENTENCES = [
    ("the cat sees a house.", "o gato vê uma casa."),
    ("A dog runs home, we see three houses!", "Um cão corre para casa, vemos três casas!"),
    ("we have three houses and a big dog that runs to the cat", "temos três casas e um cão grande"),
]
EOS_ID, UNKNOWN_ID = 0, 1  # as in Marian's vocabularies
WORD = re.compile(r"\s*(?:\w+|[^\w\s])")


def main() -> int:
    found = {name: _version(name) for name in ("torch", "transformers", "captum", "inseq")}
    missing = [name for name in found if not found[name]]
    if missing:
        print(f"attribution_peers: skipped, not installed: {', '.join(missing)}; its first lines say how.")
        return 0
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    import transformers

    transformers.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        rows, correlations = compare(Path(folder))
    print(", ".join(f"{name} {number}" for name, number in found.items()))
    print(f"{len(SENTENCES)} sentences, a random Marian of 2 and 3 layers, float64\n")
    print(f"{'':<62}  furthest off  allowed")
    for name, (distance, allowed) in rows.items():
        print(f"{name:<62}  {distance:12.1e}  {f'{allowed:.0e}' if allowed else '-'}")
    print("\nrank correlation over source words with inseq's occlusion (<unk>, |probability|) of our removal:")
    print("effect  |losses|  (nats)")
    for (source, _), (signed, absolute) in zip(SENTENCES, correlations, strict=True):
        print(f"{signed:6.2f}  {absolute:8.2f}  {source}")
    return int(any(allowed is not None and not distance <= allowed for distance, allowed in rows.values()))


def compare(folder: Path) -> tuple[dict[str, tuple[float, float | None]], list[tuple[float, float]]]:
    """For each row of the table how far we are from the peer and what is allowed; two rank correlations a sentence."""
    import inseq
    import torch
    import transformers

    import regard
    from regard.evaluation.correlation import spearman
    from regard.interop import marian

    write_marian(folder / "marian")
    marian.import_folder(folder / "marian", folder / "model")
    ours = regard.load(folder / "model")
    ours.engine.model.double()
    tokenizer = transformers.MarianTokenizer.from_pretrained(folder / "marian")

    def reference() -> Any:
        read = transformers.MarianMTModel.from_pretrained(folder / "marian", attn_implementation="eager")
        return read.double().eval()

    theirs = reference()
    as_it_comes = inseq.load_model(reference(), "attention", tokenizer=tokenizer)
    scaled_once, occluding = reference(), reference()
    attending = inseq.load_model(scaled_once, "attention", tokenizer=tokenizer)
    occluder = inseq.load_model(occluding, "occlusion", tokenizer=tokenizer)
    for model in (scaled_once, occluding):
        model.model.decoder.embed_scale = 1.0  # after inseq has read it: from now on inseq alone scales
    distances: dict[str, list[float]] = {}
    correlations = []

    def note(row: str, mine: np.ndarray, other: np.ndarray) -> None:
        assert mine.shape == other.shape, f"{row}: {mine.shape} and {other.shape}"
        distances.setdefault(row, []).append(float(np.abs(mine - other).max()))

    for source, target in SENTENCES:
        look = ours.look(source, target)
        effects = ours.effects(look)
        note(
            "effect of each word on each word: Captum FeatureAblation", effects.losses, ablate(theirs, tokenizer, look)
        )
        attentions = transformers_attention(theirs, tokenizer, source, target)
        for kind, weights in look.weights.items():
            note(f"{kind} weights: transformers, output_attentions", weights, attentions[kind])
        for name, model in (("decoder scaled once", attending), ("as it comes", as_it_comes)):
            attentions = inseq_attention(model, source, target)
            for kind, weights in look.weights.items():
                note(f"{kind} weights: inseq attention, {name}", weights, attentions[kind])
        with torch.no_grad():
            out: Any = occluder.attribute(source, target, show_progress=False).sequence_attributions[0]
        occlusion = out.source_attributions.numpy()[:-1]  # (source pieces, target pieces); the end is left alone
        note("probability lost to <unk> for a piece: inseq occlusion", substitute(ours, look), occlusion)
        by_word = [occlusion[list(group)].sum() for group in look.source.groups[:-1]]
        absolute = np.abs(effects.losses).sum(axis=0)
        correlations.append((spearman(effects.effect, by_word), spearman(absolute, by_word)))
    allowed = {"effect": 1e-6, "probability": 1e-6}
    return {
        row: (max(each), None if row.endswith("as it comes") else allowed.get(row.split()[0], 1e-5))
        for row, each in distances.items()
    }, correlations


def ablate(reference: Any, tokenizer: Any, look: Any) -> np.ndarray:
    """Captum's leave-one-out, (target words, source words): its features are whether each word stands in the text."""
    import torch
    from captum.attr import FeatureAblation

    words = WORD.findall(look.source_text)
    written = torch.tensor(tokenizer(text_target=look.target_text).input_ids)
    read = torch.cat([torch.tensor([reference.config.decoder_start_token_id]), written[:-1]])

    def log_probs(present: torch.Tensor) -> torch.Tensor:
        text = "".join(word for word, kept in zip(words, present[0], strict=True) if kept).strip()
        ids = torch.tensor([tokenizer(text).input_ids])
        logits = reference(input_ids=ids, decoder_input_ids=read[None]).logits
        return logits.log_softmax(-1)[0].gather(1, written[:, None]).T  # (1, target pieces)

    present = torch.ones(1, len(words), dtype=torch.float64)
    by_piece = FeatureAblation(log_probs).attribute(present).numpy()  # (target pieces, source words)
    return np.stack([by_piece[list(group)].sum(axis=0) for group in look.target.groups])


def transformers_attention(reference: Any, tokenizer: Any, source: str, target: str) -> dict[str, np.ndarray]:
    """By kind (layers, heads, rows, columns), from ids, so that all scaling is the model's own."""
    import torch

    written = tokenizer(text_target=target).input_ids
    with torch.no_grad():
        out = reference(
            input_ids=torch.tensor([tokenizer(source).input_ids]),
            decoder_input_ids=torch.tensor([[reference.config.decoder_start_token_id, *written[:-1]]]),
            output_attentions=True,
        )
    found = {"encoder": out.encoder_attentions, "decoder": out.decoder_attentions, "cross": out.cross_attentions}
    return {kind: torch.cat(layers).numpy() for kind, layers in found.items()}


def inseq_attention(model: Any, source: str, target: str) -> dict[str, np.ndarray]:
    """By kind (layers, heads, rows, columns). inseq has (columns, rows, layers, heads), and NaN for the future."""
    out = model.attribute(source, target, attribute_target=True, show_progress=False).sequence_attributions[0]
    found = {
        "encoder": out.sequence_scores["encoder_self_attentions"],
        "decoder": out.target_attributions.nan_to_num(0.0)[:-1],  # the end is written, not read
        "cross": out.source_attributions,
    }
    return {kind: weights.permute(2, 3, 1, 0).numpy() for kind, weights in found.items()}


def substitute(ours: Any, look: Any) -> np.ndarray:
    """What each target piece's probability changes with <unk> in the place of a source piece, (source, target)."""
    ids = ours.engine.tokens.encode_source(look.source_text)
    changed = [[*ids[:place], UNKNOWN_ID, *ids[place + 1 :]] for place in range(len(ids) - 1)]
    probabilities = np.exp(ours.engine.score([ids, *changed], [look.target_ids] * len(ids)))
    return np.abs(probabilities[0] - probabilities[1:])


def write_marian(folder: Path) -> None:
    """A MarianMT folder as `transformers` writes it: random weights everywhere, a tokenizer of the sentences."""
    import torch
    import transformers

    vocabulary = {"</s>": EOS_ID, "<unk>": UNKNOWN_ID}
    folder.mkdir()
    for side, name in enumerate(("source", "target")):
        path = folder / f"{name}.spm"
        pieces = train_sentencepiece([pair[side] for pair in SENTENCES], path)
        for piece in pieces:
            vocabulary.setdefault(piece, len(vocabulary))
    pad_id = vocabulary["<pad>"] = len(vocabulary)
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    files = [str(folder / name) for name in ("source.spm", "target.spm", "vocab.json")]
    transformers.MarianTokenizer(*files, source_lang="en", target_lang="pt").save_pretrained(folder)
    torch.manual_seed(0)
    model = transformers.MarianMTModel(
        transformers.MarianConfig(
            vocab_size=len(vocabulary),
            d_model=24,
            encoder_layers=2,
            decoder_layers=3,
            encoder_attention_heads=3,
            decoder_attention_heads=4,
            encoder_ffn_dim=56,
            decoder_ffn_dim=40,
            max_position_embeddings=64,
            activation_function="swish",
            scale_embedding=True,
            pad_token_id=pad_id,
            decoder_start_token_id=pad_id,
            eos_token_id=EOS_ID,
        )
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "embed_positions" not in name:
                parameter.normal_(mean=1.0 if "norm.weight" in name else 0.0, std=0.25)
        model.final_logits_bias.normal_(std=0.25)
    model.save_pretrained(folder)


def train_sentencepiece(lines: list[str], path: Path) -> list[str]:
    """Write a model of the lines, and give its pieces."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines * 4),
        model_writer=model,
        vocab_size=80,
        hard_vocab_limit=False,
        minloglevel=2,
        num_threads=1,
    )
    path.write_bytes(model.getvalue())
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    return [processor.id_to_piece(number) for number in range(3, processor.vocab_size())]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


if __name__ == "__main__":
    sys.exit(main())
