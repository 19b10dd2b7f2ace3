#!/usr/bin/env bash
# Train one of the recipes and score it: recipes/multi30k/run.sh RECIPE [LANGUAGE] [RUNS-FOLDER]
# RECIPE is a .toml file of this folder without its suffix; LANGUAGE is de (default) or fr.
set -euo pipefail
recipe=$1 language=${2:-de} runs=${3:-runs}
here=$(cd "$(dirname "$0")" && pwd)
data=${REGARD_DATA:-$here/../../../shared/data}/multi30k
run=$runs/multi30k-en-$language-$recipe
regard train "$data/train.en.gz" "$data/train.$language.gz" \
    --dev "$data/val.en.gz" --dev "$data/val.$language.gz" --from en --to "$language" \
    -c "$here/$recipe.toml" --out "$run"
regard evaluate "$run" "$data/test_2016_flickr.en.gz" "$data/test_2016_flickr.$language.gz" \
    --from en --to "$language" --paper "$language" --lengths 10,15,20 --length-penalty 1.4 --out "$run/test_2016_flickr.$language"
