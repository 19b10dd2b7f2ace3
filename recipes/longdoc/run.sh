#!/usr/bin/env bash
# Evidence after token 512: a small BigBird that reads the whole document, and the same model that ends at 512 tokens.
# recipes/longdoc/run.sh [RUNS-FOLDER]
set -euo pipefail
runs=${1:-runs}
here=$(cd "$(dirname "$0")" && pwd)
data=$runs/longdoc-data
[ -f "$data/test.tsv" ] || python "$here/make_data.py" "$data"
regard finetune bigbird-tiny "$data/train.tsv" --dev "$data/dev.tsv" --task classify -c "$here/bigbird.toml" --out "$runs/longdoc"
regard evaluate "$runs/longdoc" "$data/test.tsv"
regard finetune bigbird-tiny "$data/train-cut.tsv" --dev "$data/dev-cut.tsv" --task classify -c "$here/bigbird.toml" \
    --set model.max_length=512 --out "$runs/longdoc-cut"
regard evaluate "$runs/longdoc-cut" "$data/test-cut.tsv"
