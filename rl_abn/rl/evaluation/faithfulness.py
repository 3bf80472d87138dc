"""How faithful a student is to its teacher: on the games of either, step by step."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from rl_abn.estimates import Estimate, mean
from rl_abn.rl.envs.two_view_vec_env import TwoViewVecEnv
from rl_abn.rl.evaluation.players import AgentPlayer, Player, WrappedPlayer
from rl_abn.rl.evaluation.reliance import block_means
from rl_abn.rl.policies import distributions
from rl_abn.rl.policies.outputs import PolicyOutput


class Faithfulness(NamedTuple):
    """How alike two agents' policies are on the steps of some games.

    Attributes:
        kl: KL(teacher ‖ student) in nats, with an interval over stretches of the games.
        agreement: Share of the steps where their most probable actions are the same, 0..1.
        steps: Of all games together.
    """

    kl: Estimate
    agreement: Estimate
    steps: int


class WatchedPlayer(WrappedPlayer):
    """A player with another agent that sees the same games, remembers them, and does not act.

    Args:
        player: Who plays.
        watcher: Who watches; in games that are seen in two ways, the second.
        teacher_plays: Whether the teacher plays and the student watches.
    """

    def __init__(self, player: Player, watcher: AgentPlayer, *, teacher_plays: bool) -> None:
        super().__init__(player)
        self._watcher = watcher
        self._teacher_plays = teacher_plays
        self._env: VecEnv | None = None
        self._kl: list[np.ndarray] = []
        self._agrees: list[np.ndarray] = []

    def watch(self, env: VecEnv) -> None:
        """Says which games are played."""
        self._env = env

    def act(
        self,
        observations: np.ndarray,
        episode_start: np.ndarray,
        lost_life: np.ndarray | None = None,
    ) -> tuple[np.ndarray, PolicyOutput | None]:
        """Lets the player act, and asks who watches."""
        env = self._env
        seen = env.second_observations if isinstance(env, TwoViewVecEnv) else observations
        other = self._watcher.attend(seen, episode_start, lost_life).action_logits
        actions, output = super().act(observations, episode_start, lost_life)
        assert output is not None
        own = output.action_logits
        teacher, student = (own, other) if self._teacher_plays else (other, own)
        self._kl.append(distributions.divergence(teacher, student).cpu().numpy())
        self._agrees.append((teacher.argmax(dim=1) == student.argmax(dim=1)).cpu().numpy())
        return actions, output

    def faithfulness(self, seed: int = 0) -> Faithfulness:
        """Returns what came of it; the seed is the bootstrap's."""
        kl, agrees = np.stack(self._kl), np.stack(self._agrees).astype(np.float64)
        return Faithfulness(
            mean(block_means(kl), seed), mean(block_means(agrees), seed), int(kl.size)
        )
