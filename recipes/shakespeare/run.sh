#!/usr/bin/env bash
# A small GPT on Tiny Shakespeare, by the character: recipes/shakespeare/run.sh [RUNS-FOLDER]
# The last tenth of the text is the validation set, as in nanoGPT; there is no test set.
set -euo pipefail
runs=${1:-runs}
here=$(cd "$(dirname "$0")" && pwd)
data=${REGARD_DATA:-$here/../../../shared/data}/lm/tinyshakespeare.txt.gz
mkdir -p "$runs/shakespeare-data"
gzip -dc "$data" > "$runs/shakespeare-data/all.txt"
train=$(($(wc -c < "$runs/shakespeare-data/all.txt") * 9 / 10))
head -c "$train" "$runs/shakespeare-data/all.txt" > "$runs/shakespeare-data/train.txt"
tail -c +$((train + 1)) "$runs/shakespeare-data/all.txt" > "$runs/shakespeare-data/val.txt"
regard pretrain "$runs/shakespeare-data/train.txt" --dev "$runs/shakespeare-data/val.txt" --arch gpt-tiny -c "$here/gpt.toml" \
    --out "$runs/shakespeare"
regard generate "$runs/shakespeare" "ROMEO:" --max-length 58
