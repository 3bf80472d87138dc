"""A recorder that keeps a CUDA graph's promises on any machine."""

import torch


class FixedMemory:
    """Does again what was recorded, and puts the results where they were, as a CUDA graph does."""

    def __init__(self):
        self.recorded = 0

    def record(self, function):
        self.recorded += 1
        results = function()

        def replay():
            for old, new in zip(leaves(results), leaves(function()), strict=True):
                old.data.copy_(new)

        return replay, results


def leaves(value):
    if isinstance(value, torch.Tensor):
        return [value]
    items = value.values() if isinstance(value, dict) else value or ()
    return [leaf for item in items for leaf in leaves(item)]
