"""What a detector finds in a picture."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int64


class Found(NamedTuple):
    """The objects found in a picture, the surest first; boxes in its own pixels.

    Attributes:
        boxes: Of d objects, [d, 4].
        scores: Their probabilities, 0..1, [d].
        labels: Their categories, 1 to K, [d].
        proposals: The boxes that were asked about, on which the maps lie, [d, 4].
        maps: The map of each, [d, m, h, w]; m is 0 without attention.
        branch_scores: The branch's probability of the same category, [d]; NaN where it has none.
    """

    boxes: Float[np.ndarray, "d 4"]
    scores: Float[np.ndarray, " d"]
    labels: Int64[np.ndarray, " d"]
    proposals: Float[np.ndarray, "d 4"]
    maps: Float[np.ndarray, "d m h w"]
    branch_scores: Float[np.ndarray, " d"]
