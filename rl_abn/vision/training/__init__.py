"""From a recipe to a trained network: building, the training loop, checkpoints, fine-tuning."""
