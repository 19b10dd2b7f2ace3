#!/usr/bin/env bash
# A small GPT on WikiText-2, from nothing: recipes/wikitext/run.sh [RUNS-FOLDER]
# Each part is one text: a stretch may run from one article into the next, as in other work on this set.
set -euo pipefail
runs=${1:-runs}
here=$(cd "$(dirname "$0")" && pwd)
data=${REGARD_DATA:-$here/../../../shared/data}/lm
regard pretrain "$data/wikitext-2.train.txt.gz" --dev "$data/wikitext-2.valid.txt.gz" --documents files --arch gpt-tiny \
    -c "$here/gpt.toml" --out "$runs/wikitext"
regard evaluate "$runs/wikitext" "$data/wikitext-2.test.txt.gz"
