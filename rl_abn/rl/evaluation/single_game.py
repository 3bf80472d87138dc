"""Plays one game in an environment that shows it, and passes every step to observers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from rl_abn.rl.envs.make import AnySingleEnv
from rl_abn.rl.evaluation.players import Player
from rl_abn.rl.policies.outputs import PolicyOutput


class Step(NamedTuple):
    """One step of a game: the frame and output at the decision, and the result of the action.

    Attributes:
        t: Index of the step, from 0.
        frame: The colour frame before the action, uint8 [H, W, 3].
        observation: The agent's observation before the action, [C, H, W].
        output: The policy output, a batch of one; None for a player without a network.
        action: Index of the action taken.
        reward: Raw reward of the step.
        score: Raw score after the step.
        lives: Lives before the action.
        terminated: Whether the game ended with this step.
        truncated: Whether the frame cap cut the game off at this step.
    """

    t: int
    frame: np.ndarray
    observation: np.ndarray
    output: PolicyOutput | None
    action: int
    reward: float
    score: float
    lives: int
    terminated: bool
    truncated: bool


class Observer(Protocol):
    """Receives every step of a game: a recorder, a log or a progress display."""

    def on_step(self, step: Step) -> None:
        """Handles one step."""


def play_game(
    player: Player,
    env: AnySingleEnv,
    seed: int,
    observers: Sequence[Observer],
    max_steps: int | None = None,
) -> Step:
    """Plays the game of a seed to its end, or for `max_steps` steps; returns its last step."""
    observation = env.reset(seed)
    score, t, lost_life = 0.0, 0, False
    while True:
        frame, lives = env.frame.copy(), env.lives
        actions, output = player.act(observation[None], np.array([t == 0]), np.array([lost_life]))
        outcome = env.step(int(actions[0]))
        score += outcome.reward
        step = Step(
            t=t,
            frame=frame,
            observation=observation,
            output=output,
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
        observation, lost_life = outcome.observation, env.lives < lives
