"""Teaching a model: batches, loss, optimizer, the loop and its checkpoints."""
