#!/usr/bin/env bash
# Half an hour on one core for one architecture on the built-in corpus; then, on its test sentences, quality by length,
# *it*, alignments and heads: recipes/world/run.sh ARCH [RUNS-FOLDER [it [OPTION ...]]]
# ARCH is a .toml file of this folder without its suffix: rnn, rnnsearch, gnmt or transformer. RNNsearch is trained in both
# directions, on two cores (not with `it`): its attention asks before the word is known, and two such guesses are better than one.
# With `it` the training sentences are those of make_data.py, of which seven in ten have an *it* to resolve, and the attention to
# the source is taught which words the corpus links; what *it* stands for is taught to no head. Options are those of `regard train`.
set -euo pipefail
arch=$1 runs=${2:-runs} it=${3:-} more=("${@:4}")
here=$(cd "$(dirname "$0")" && pwd)
run=$runs/world-$arch data=(world:100000)
both=()
if [ "$arch" = rnnsearch ] && [ -z "$it" ]; then
    both=(--reverse-model "$run-reverse")
    regard train "${data[@]}" --reverse -c "$here/$arch.toml" --out "$run-reverse" &
fi
if [ -n "$it" ]; then
    run=$run-it
    [ -f "$runs/world-it.links" ] || python "$here/make_data.py" "$runs/world-it.tsv" "$runs/world-it.links"
    data=("$runs/world-it.tsv" --dev world:1000 --from en --to pt)
    [ "$arch" = rnn ] || data+=(--alignments "$runs/world-it.links")
fi
regard train "${data[@]}" -c "$here/$arch.toml" --out "$run" "${more[@]}"
wait  # for the other direction, if there is one
regard evaluate "$run" world:3000 --out "$run/test.pt"
if [ "$arch" != rnn ]; then  # it has no attention
    regard align "$run" "${both[@]}" --dev world:500 --gold world:1000
    regard heads "$run" world:1000 --find coreference --dev world:500
fi
