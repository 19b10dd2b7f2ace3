"""The parts that models are made of.

Dimension letters, used in every comment: B batch, H heads, Q query length, K key length, D size per head,
S source length, T target length, V vocabulary, R decoder rows (sentences times beam).
"""
