"""Attention weights and curves, given as plain arrays, to pictures."""
