"""A run folder: its settings and data, training with validation, saving and resuming, and the model at the end.

config.toml (effective settings) · metrics.jsonl · tokens/ · checkpoints/step-000123/ · best.json · model/ · before.json
(what a model that goes on learning could do before). Nothing is written outside. Running the same command again goes on
from the newest complete checkpoint.
"""
