"""Plays one game at a time and offers every step to whoever watches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from rl_abn.rl.envs.single_env import SingleEnv
from rl_abn.rl.evaluation.players import Player
from rl_abn.rl.policies.outputs import PolicyOutput


class Step(NamedTuple):
    """One step of a game, as it was decided: the screen before the action, and what came of it.

    Attributes:
        t: Steps before this one.
        frame: The colour screen the action was chosen on, uint8 [210, 160, 3].
        observation: What the player saw, [C, H, W].
        attention: What it thought, a batch of one; None for a player that does not think.
        action: What it did.
        reward: Raw reward of the step.
        score: Raw score after the step.
        lives: Lives left on the screen the action was chosen on.
        terminated: Whether the game ended with it.
        truncated: Whether the frame cap cut it off there.
    """

    t: int
    frame: np.ndarray
    observation: np.ndarray
    attention: PolicyOutput | None
    action: int
    reward: float
    score: float
    lives: int
    terminated: bool
    truncated: bool


class Observer(Protocol):
    """Watches games: a recorder, a log, a progress line."""

    def on_step(self, step: Step) -> None:
        """Takes one step."""


def play_game(
    player: Player,
    twin: SingleEnv,
    seed: int,
    observers: Sequence[Observer],
    max_steps: int | None = None,
) -> Step:
    """Plays a game to its end, or for `max_steps` steps.

    Args:
        player: Who plays.
        twin: The emulator.
        seed: Of the game.
        observers: Who watches.
        max_steps: At most this many; None is the whole game.

    Returns:
        The last step.
    """
    observation = twin.reset(seed)
    score, t, lost_life = 0.0, 0, False
    while True:
        frame, lives = twin.frame.copy(), twin.lives
        actions, attention = player.act(
            observation[None], np.array([t == 0]), np.array([lost_life])
        )
        outcome = twin.step(int(actions[0]))
        score += outcome.reward
        step = Step(
            t=t,
            frame=frame,
            observation=observation,
            attention=attention,
            action=int(actions[0]),
            reward=outcome.reward,
            score=score,
            lives=lives,
            terminated=outcome.terminated,
            truncated=outcome.truncated,
        )
        for observer in observers:
            observer.on_step(step)
        t += 1
        if outcome.terminated or outcome.truncated or t == max_steps:
            return step
        observation, lost_life = outcome.observation, twin.lives < lives
