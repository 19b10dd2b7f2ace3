#!/usr/bin/env bash
# Make the data, train, and score by exact match: recipes/dates/run.sh [RUNS-FOLDER]
set -euo pipefail
runs=${1:-runs}
here=$(cd "$(dirname "$0")" && pwd)
python "$here/make_data.py" "$runs/dates-data"
regard train "$runs/dates-data/train.tsv" --dev "$runs/dates-data/dev.tsv" -c "$here/dates.toml" --out "$runs/dates"
regard evaluate "$runs/dates" "$runs/dates-data/test.tsv" --beam 1
