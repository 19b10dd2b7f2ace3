#!/usr/bin/env bash
# Quality by sentence length to 60 words on the built-in corpus, four architectures, half an hour on one core each:
# recipes/world/lengths.sh [RUNS-FOLDER]
set -euo pipefail
runs=${1:-runs}
here=$(cd "$(dirname "$0")" && pwd)
regard compare world:40000 --test world:3000 --arch rnn --arch rnnsearch --arch gnmt --arch transformer \
    -c "$here/lengths.toml" --minutes 30 --lengths 10,20,30,40,50 --out "$runs/world-lengths"
