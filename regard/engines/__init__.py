"""Engines: a model folder to something that runs it. Those of models that write offer the same: `search` over
ids, batched as they like.
"""
