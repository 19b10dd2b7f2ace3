"""Scores with their signatures and intervals, word alignments, and what a model knows of pronouns. No torch."""
