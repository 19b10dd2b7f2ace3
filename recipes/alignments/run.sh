#!/usr/bin/env bash
# Train both directions and score the alignment that attention gives: recipes/alignments/run.sh fr|pt [RUNS-FOLDER]
# Two times half an hour on one core. Layer and head are chosen on dev: 48 sentences of Europarl for French, the first 16 of
# 48 for Portuguese; Hansards and the other 32 are scored once.
set -euo pipefail
language=$1 runs=${2:-runs}
here=$(cd "$(dirname "$0")" && pwd)
data=${REGARD_DATA:-$here/../../../shared/data}
mkdir -p "$runs"
case $language in
fr)
    training=("$data"/{tatoeba,news}/en-fr.train.tsv.gz) held=$data/tatoeba/en-fr.dev.tsv.gz
    dev=$data/alignments/en-fr.europarl.tsv.gz test=$data/alignments/en-fr.hansards.tsv.gz ;;
pt)
    training=("$data"/tatoeba/en-pt.{train,pivot}.tsv.gz "$data"/docs-en-pt/{debian-handbook,libreoffice-help,python-docs}.train.tsv.gz
        "$data/bible-en-pt/kjv-almeida.tsv.gz")
    held=$data/tatoeba/en-pt.dev.tsv.gz dev=$runs/en-pt.gold-dev.tsv test=$runs/en-pt.gold-test.tsv
    gzip -dc "$data/alignments/en-pt.europarl.tsv.gz" | sed -n '1,16p' > "$dev"
    gzip -dc "$data/alignments/en-pt.europarl.tsv.gz" | sed -n '17,$p' > "$test" ;;
*) echo "run.sh: the language is fr or pt, not $language" >&2; exit 2 ;;
esac
forward=$runs/align-en-$language backward=$runs/align-$language-en
regard train "${training[@]}" --dev "$held" --from en --to "$language" -c "$here/transformer.toml" --out "$forward"
regard train "${training[@]}" --dev "$held" --from "$language" --to en --reverse -c "$here/transformer.toml" --out "$backward"
regard align "$forward" --reverse-model "$backward" --dev "$dev" --gold "$test"
