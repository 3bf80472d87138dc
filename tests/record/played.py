"""Made-up episodes."""

from __future__ import annotations

import numpy as np

from rl_abn.record import EpisodeMeta, EpisodeWriter

SIZE = (30, 20)
ACTIONS = ("NOOP", "LEFT", "RIGHT")


def meta(**changes):
    plain = {
        "title": "agent on Pong",
        "action_names": ACTIONS,
        "map_names": ("shared",),
        "frame_size": SIZE,
        "fps": 15.0,
        "rl_abn": "0.1.0",
    }
    return EpisodeMeta(**{**plain, **changes})


def frame(t, n_colours=8):
    """A screen that only step t has."""
    rng = np.random.default_rng(t)
    colours = np.random.default_rng(0).integers(256, size=(n_colours, 3), dtype=np.uint8)
    return colours[rng.integers(n_colours, size=SIZE)]


def step(t, **changes):
    rng = np.random.default_rng(1000 + t)
    policy = rng.random(3, np.float32)
    plain = {
        "maps": rng.random((1, 4, 5)).astype(np.float16),
        "evidence": rng.random((4, 4, 5)).astype(np.float16),
        "probabilities": policy / policy.sum(),
        "branch_probabilities": policy[::-1] / policy.sum(),
        "value": np.float32(rng.random()),
        "action": t % 3,
        "reward": float(t % 5 == 0),
        "score": float(t // 5 + 1),
        "lives": 3,
        "lost_life": False,
        "terminated": False,
        "truncated": False,
    }
    return {**plain, **changes}


def play(folder, n_steps, *, n_colours=8, whole=True, state=True, **changes):
    """Writes an episode of n steps and returns its folder."""
    with EpisodeWriter(folder, meta(**changes)) as writer:
        for t in range(n_steps):
            if state and writer.is_state_due:
                writer.add_state({"t": np.array(t), "memory": np.full((2, 3), t, np.float32)})
            writer.add(frame(t, n_colours), step(t))
        writer.finish(whole=whole)
    return folder
