"""From a recipe to a trained agent: building, the training loop, checkpoints, logging."""
