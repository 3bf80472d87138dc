"""Map reliance on the steps of one recorded game."""

from __future__ import annotations

from typing import Any

import numpy as np

from rl_abn.record import Episode
from rl_abn.rl.evaluation.reliance import CHUNK, map_reliance
from rl_abn.rl.evaluation.replay import Replay, player_of
from rl_abn.rl.evaluation.state_bank import StateBank
from rl_abn.runs import Run
from rl_abn.view.jobs import Job

MOST_STEPS = 512
STRETCH = CHUNK


def episode_reliance(episode: Episode, run: Run, job: Job) -> dict[str, Any]:
    """Measures map reliance on a sample of an episode's steps.

    Of an agent without memory they are stretches spread over the game. One with memory is shown the
    game from its start, so that its memory is what it was.

    Returns:
        For JSON: the mean KL in nats by what the maps were replaced with, their "intervals", and
        how many steps there were.

    Raises:
        RlAbnError: If the agent or a step cannot be reached.
    """
    agent = player_of(episode, run)
    replay = Replay(episode)
    has_memory = agent.policy.settings.has_memory
    n = min(episode.n_steps, MOST_STEPS)
    length = n if has_memory or n < 2 * STRETCH else STRETCH
    n_stretches = n // length
    firsts = np.linspace(0, episode.n_steps - length, n_stretches).round().astype(int)
    forgets_life = agent.policy.settings.forget_at == "life"
    seen: list[list[np.ndarray]] = []
    starts = np.zeros((length, n_stretches), bool)
    starts[0] = True
    for i, first in enumerate(firsts.tolist()):
        replay.go_to(first)
        seen.append([])
        for t in range(length):
            seen[i].append(replay.observation.copy())
            starts[t, i] |= forgets_life and replay.lost_life
            if t + 1 < length:
                replay.advance()
            job.update(i * length + t)
    observations = np.stack([np.stack(stretch) for stretch in seen], axis=1)
    measured = map_reliance(agent.policy, StateBank(observations, starts))
    estimates = measured.estimates()
    return {
        **{name: estimate.value for name, estimate in estimates.items()},
        "intervals": {name: [found.low, found.high] for name, found in estimates.items()},
        "contrast": measured.contrast,
        "n_steps": n_stretches * length,
    }
