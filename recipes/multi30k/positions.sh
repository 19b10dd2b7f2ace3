#!/usr/bin/env bash
# The same Transformer with sinusoidal, trainable and no positions, for the same 3,600 steps:
# recipes/multi30k/positions.sh [RUNS-FOLDER]
set -euo pipefail
runs=${1:-runs}
here=$(cd "$(dirname "$0")" && pwd)
data=${REGARD_DATA:-$here/../../../shared/data}/multi30k
for positions in sinusoidal trainable none; do
    run=$runs/multi30k-en-de-positions-$positions
    regard train "$data/train.en.gz" "$data/train.de.gz" --dev "$data/val.en.gz" --dev "$data/val.de.gz" \
        --from en --to de -c "$here/positions.toml" --set model.positions=$positions --out "$run"
    regard evaluate "$run" "$data/test_2016_flickr.en.gz" "$data/test_2016_flickr.de.gz" \
        --from en --to de --paper de --lengths 10,15,20 --length-penalty 1.4 --out "$run/test_2016_flickr.de"
done
