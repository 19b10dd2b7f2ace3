"""A run folder: its settings and data, training with validation, saving and resuming, and the model at the end.

config.toml (effective settings) · metrics.jsonl (metrics.old.jsonl: of a run that had to begin anew) · tokens/ ·
checkpoints/step-000123/ · best.json · model/ · before.json and beside.json (what a model that goes on learning could do
before, or a student's teacher can) · teacher/ (what a teacher wrote) · corpus/, dev-corpus/, old-dev-corpus/ (running
text, encoded) · .lock. Nothing is written outside. Running the same command again goes on from the newest complete
checkpoint.
"""
