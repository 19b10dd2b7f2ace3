#!/usr/bin/env bash
# The peer, given the same data, minutes and core, in an environment of its own (pip install eole==0.6.4 aiohttp):
#   recipes/tatoeba/eole.sh en-pt|pt-en FOLDER [MINUTES]
# Trains, takes the checkpoint whose dev BLEU is best, translates the test set with beam 5, and scores it with sacreBLEU.
set -euo pipefail
direction=$1 folder=$2 minutes=${3:-60}
from=${direction%-*} to=${direction#*-}
here=$(cd "$(dirname "$0")" && pwd)
data=${REGARD_DATA:-$here/../../../shared/data}
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
[ -f "$folder/spm.model" ] || python "$here/eole_data.py" "$data" "$folder"
config=$folder/eole-$direction.yaml
sed "s#@DATA@#$folder#g; s#@FROM@#$from#g; s#@TO@#$to#g" "$here/eole.yaml" > "$config"
[ -f "$folder/vocab" ] || eole build_vocab --config "$config" --n_sample -1
timeout -s INT "$((minutes * 60))" eole train --config "$config" || true
# Dev BLEU of the last checkpoints, greedy as regard validates, then the best one on test.
best=-1 model=
for checkpoint in $(ls -d "$folder/eole-$direction"/step_* | sort -t_ -k2 -n | tail -6); do
    eole predict --model_path "$checkpoint" --src "$folder/dev.$from" --output "$checkpoint/dev.txt" --beam_size 1
    score=$(sacrebleu "$folder/dev.$to" -i "$checkpoint/dev.txt" -b -w 2)
    echo "$checkpoint dev BLEU $score"
    if awk "BEGIN { exit !($score > $best) }"; then best=$score model=$checkpoint; fi
done
eole predict --model_path "$model" --src "$folder/test.$from" --output "$folder/test.$direction.txt" --beam_size 5
sacrebleu "$folder/test.$to" -i "$folder/test.$direction.txt" -m bleu chrf --confidence
