#!/usr/bin/env bash
# Accuracy by number of labels, with and without pre-training, beside TF-IDF; three seeds: recipes/agnews/curve.sh [RUNS-FOLDER]
# After run.sh, which prepares the data. TF-IDF wants scikit-learn (`pip install scikit-learn`). The one test set is scored once for each model.
set -euo pipefail
runs=${1:-runs}
here=$(cd "$(dirname "$0")" && pwd)
data=$runs/agnews-data scores=$runs/agnews-curve
mkdir -p "$scores"
python "$here/curve_data.py" "${REGARD_DATA:-$here/../../../shared/data}" "$data"
regard pretrain "$data/text.txt" --arch bert-mini -c "$here/pretrain.toml" --out "$runs/agnews-pretrained"
for seed in 1 2 3; do
    for size in 10:150 30:200 100:300 300:400 1000:800 all:1800; do  # texts of a class : steps
        count=${size%:*} steps=${size#*:}
        files=("$data/$count-$seed.tsv")
        [ "$count" = all ] && files=("$data"/{train,train_description_only}.tsv)
        for base in bert-mini "$runs/agnews-pretrained"; do
            name=$(basename "$base")-$count-$seed
            more=
            # Pre-trained without dropout, fine-tuned with it; a few labels are only to move what is known, so with these a
            # third of the rate. Chosen on dev.
            if [ "$base" != bert-mini ]; then
                more="--set model.encoder_dropout=0.1"
                [ "$count" = all ] || more="$more --set training.learning_rate=0.0001"
            fi
            [ -f "$scores/$name.json" ] && continue
            regard finetune "$base" "${files[@]}" --dev "$data/dev.tsv" --task classify -c "$here/curve.toml" \
                --set training.max_steps="$steps" --set training.validate_every=$((steps / 10)) --set training.seed="$seed" $more --out "$scores/$name"
            regard evaluate "$scores/$name" "$data/test.tsv" --json > "$scores/$name.part"
            mv "$scores/$name.part" "$scores/$name.json"
        done
    done
done
python "$here/tfidf.py" "$data" "$scores"
python "$here/draw_curve.py" "$scores" "$scores/curve.png"
