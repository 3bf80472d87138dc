"""A blind control: an agent that is shown what it would see, but not of its own game and moment.

An agent that plays as well blind has learnt a mixture of moves and no reaction to anything; no map
of its can matter before sight does.
"""

from __future__ import annotations

import numpy as np

from rl_abn.protocols import BLINDNESSES
from rl_abn.rl.evaluation.players import Player, WrappedPlayer
from rl_abn.rl.policies.outputs import PolicyOutput


class BlindPlayer(WrappedPlayer):
    """A player that is shown other screens than those of its game.

    Args:
        player: Who plays; its memory is emptied where its own games start.
        how: A `Blindness`.

    Raises:
        ValueError: If there is no such blindness.
    """

    def __init__(self, player: Player, how: str) -> None:
        if how not in BLINDNESSES:
            raise ValueError(f"expected a blindness of {list(BLINDNESSES)}, got '{how}'")
        super().__init__(player, f"blind: {how}")
        self.how = how
        self._first: np.ndarray | None = None

    def act(
        self,
        observations: np.ndarray,
        episode_start: np.ndarray,
        lost_life: np.ndarray | None = None,
    ) -> tuple[np.ndarray, PolicyOutput | None]:
        """Acts on what it is shown instead of the observations, [N, C, H, W].

        Raises:
            ValueError: If there is no other game to swap with.
        """
        return super().act(self._shown(observations, episode_start), episode_start, lost_life)

    def _shown(self, observations: np.ndarray, episode_start: np.ndarray) -> np.ndarray:
        if self.how == "swapped":
            if len(observations) < 2:
                raise ValueError("expected two games or more to swap their screens, got one")
            return np.roll(observations, 1, axis=0)
        if self._first is None:
            self._first = observations.copy()
        self._first[episode_start] = observations[episode_start]
        return self._first
