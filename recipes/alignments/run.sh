#!/usr/bin/env bash
# Train both directions and score the alignment that attention gives: recipes/alignments/run.sh fr|pt [RUNS-FOLDER]
# Two times half an hour on one core. What is read of attention is chosen on dev and scored once on test; see make_data.py.
# The threshold was chosen on French dev (.1 to .5 were tried).
set -euo pipefail
language=$1 runs=${2:-runs}
here=$(cd "$(dirname "$0")" && pwd)
pairs=$runs/align-$language-data
[ -f "$pairs/gold-test.tsv" ] ||
    python "$here/make_data.py" "$language" "${REGARD_DATA:-$here/../../../shared/data}" "$pairs"
forward=$runs/align-en-$language backward=$runs/align-$language-en
data=("$pairs/train.tsv" --dev "$pairs/held.tsv" -c "$here/transformer.toml")
regard train "${data[@]}" --from en --to "$language" --out "$forward"
regard train "${data[@]}" --from "$language" --to en --reverse --out "$backward"
regard align "$forward" --reverse-model "$backward" --threshold 0.3 --dev "$pairs/gold-dev.tsv" --gold "$pairs/gold-test.tsv"
