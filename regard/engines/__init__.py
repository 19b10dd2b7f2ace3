"""Engines: a model folder to something that runs it. All offer the same: `search` over ids, batched as they like."""
