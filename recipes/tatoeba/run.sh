#!/usr/bin/env bash
# Train for an hour and score: recipes/tatoeba/run.sh en-pt|pt-en [RUNS-FOLDER]
set -euo pipefail
direction=$1 runs=${2:-runs}
here=$(cd "$(dirname "$0")" && pwd)
data=${REGARD_DATA:-$here/../../../shared/data}
case $direction in
en-pt) languages=(--from en --to pt) ;;
pt-en) languages=(--from pt --to en --reverse) ;;
*) echo "run.sh: direction is en-pt or pt-en, not $direction" >&2; exit 2 ;;
esac
run=$runs/tatoeba-$direction
regard train "$data"/tatoeba/en-pt.{train,pivot}.tsv.gz \
    "$data"/docs-en-pt/{libreoffice-help,python-docs,debian-handbook}.train.tsv.gz:0.3 \
    --dev "$data/tatoeba/en-pt.dev.tsv.gz" "${languages[@]}" -c "$here/transformer.toml" --out "$run"
regard evaluate "$run" "$data/tatoeba/en-pt.test.tsv.gz" "${languages[@]}" --length-penalty 1.0 --lengths 5,10,15 \
    --out "$run/test.txt"
