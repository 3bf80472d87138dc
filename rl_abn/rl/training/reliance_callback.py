"""Logs during a training whether the agent depends on its maps."""

from __future__ import annotations

from contextlib import closing

from stable_baselines3.common.callbacks import BaseCallback

from rl_abn.recipes import RunRecipe
from rl_abn.rl.evaluation.evaluate import evaluation_env
from rl_abn.rl.evaluation.players import RandomPlayer
from rl_abn.rl.evaluation.reliance import map_reliance
from rl_abn.rl.evaluation.state_bank import N_GAMES, StateBank, collect_bank
from rl_abn.rl.training.build import Model, training_protocol
from rl_abn.seeds import Stream, derive_seeds


class RelianceCallback(BaseCallback):
    """Measures map reliance on a fixed bank of positions from random play.

    The bank is played when it is first needed; the training's random numbers are not touched.

    Args:
        recipe: Of the run.
        every: Steps between two measurements; 0 is never.
    """

    model: Model

    def __init__(self, recipe: RunRecipe, every: int) -> None:
        super().__init__()
        self.recipe = recipe
        self.every = every
        self._bank: StateBank | None = None

    def _on_training_start(self) -> None:
        self._last = self.model.num_timesteps

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        now = self.model.num_timesteps
        if not self.every or now // self.every == self._last // self.every:
            return
        self._last = now
        if self._bank is None:
            self._bank = make_bank(self.recipe)
        self.model.policy.set_training_mode(False)
        reliance = map_reliance(self.model.policy, self._bank, self.recipe.seed)
        for name, value in reliance.numbers().items():
            self.logger.record(f"attention/{name}", value)


def make_bank(recipe: RunRecipe) -> StateBank:
    """Plays a run's bank of positions at random; the run's seed says which they are."""
    seed = int(derive_seeds(recipe.seed, Stream.BANK, count=1)[0])
    env = evaluation_env(recipe.env, training_protocol(recipe), N_GAMES, seed)
    with closing(env):
        return collect_bank(RandomPlayer(int(env.action_space.n), seed=seed), env)  # type: ignore[attr-defined]
