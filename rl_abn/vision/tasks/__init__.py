"""What a network is asked: the losses, metrics and outputs of each task."""
