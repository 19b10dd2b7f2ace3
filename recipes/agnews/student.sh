#!/usr/bin/env bash
# A student with half the layers of the fine-tuned MiniLM, taught by it: recipes/agnews/student.sh [RUNS-FOLDER [TEACHER]], after run.sh
set -euo pipefail
runs=${1:-runs}
teacher=${2:-$runs/agnews}
here=$(cd "$(dirname "$0")" && pwd)
regard distil "$teacher" "$runs"/agnews-data/{train,train_description_only}.tsv --dev "$runs/agnews-data/dev.tsv" \
    -c "$here/student.toml" --out "$runs/agnews-student"
regard evaluate "$runs/agnews-student" "$runs/agnews-data/test.tsv" --out "$runs/agnews-student.test"
