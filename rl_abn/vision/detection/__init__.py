"""Objects found in pictures: boxes, their classes, and the map of each (a detector's own rooms).

Runs, recipes, checkpoints, optimizers and the loop over epochs are those of all networks.
"""
