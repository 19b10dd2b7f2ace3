#!/usr/bin/env bash
# Whole movie reviews, positive or negative: recipes/longdoc/reviews.sh MINILM-FOLDER [RUNS-FOLDER]
# MINILM-FOLDER as for recipes/agnews. A part of train chooses the step; the set's dev file is the test and is scored once.
set -euo pipefail
minilm=$1 runs=${2:-runs}
here=$(cd "$(dirname "$0")" && pwd)
data=${REGARD_DATA:-$here/../../../shared/data}/longdoc
[ -d "$runs/minilm" ] || regard import "$minilm" --out "$runs/minilm"
regard finetune "$runs/minilm" "$data/movie-reviews.train.jsonl.gz" --task classify -c "$here/reviews.toml" \
    --set data.dev_rows=160 --set model.pool=first --out "$runs/reviews"
regard evaluate "$runs/reviews" "$data/movie-reviews.dev.jsonl.gz"
