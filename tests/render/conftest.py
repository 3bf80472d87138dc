from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def frame() -> np.ndarray:
    """A screen with black ground, bright sprites and every channel in use."""
    rng = np.random.default_rng(0)
    screen = np.zeros((210, 160, 3), dtype=np.uint8)
    screen[60:120] = (142, 142, 142)
    sprites = rng.random((210, 160)) < 0.1
    screen[sprites] = rng.integers(60, 256, size=(int(sprites.sum()), 3), dtype=np.uint8)
    return screen
