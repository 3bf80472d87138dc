"""Records a game at intervals while an agent trains."""

from __future__ import annotations

import re

from stable_baselines3.common.callbacks import BaseCallback

from rl_abn.errors import RlAbnError
from rl_abn.record import Episode
from rl_abn.rl.evaluation.record import EPISODES, free_episode, record_policy
from rl_abn.rl.training.build import Model
from rl_abn.runs import Run
from rl_abn.stop_signal import StopSignal


class RecordingCallback(BaseCallback):
    """Records a whole game between two updates, always the same one: that of the run's seed.

    It is the episode that `rl-abn record` makes of a checkpoint at that step with that seed.
    Neither the games nor the random numbers of the training are touched.

    Args:
        run: Whose agent.
        stop: Ends a recording early; it is made again when the training goes on.
    """

    model: Model

    def __init__(self, run: Run, stop: StopSignal) -> None:
        super().__init__()
        self.run = run
        self.stop = stop
        self.every = run.recipe.agent.train.record_every

    def _on_training_start(self) -> None:
        self._last = self._last_whole(self.model.num_timesteps)

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        if self.model.num_timesteps // self.every != self._last // self.every:
            self._record()

    def _on_training_end(self) -> None:
        step = self.model.num_timesteps
        if step >= self.run.recipe.agent.train.steps and step != self._last:
            self._record()

    def _record(self) -> None:
        policy, step, seed = self.model.policy, self.model.num_timesteps, self.run.recipe.seed
        policy.set_training_mode(False)
        folder = self.run.path / EPISODES / f"step-{step}-game-{seed}"
        game = record_policy(
            self.run, policy, step, free_episode(folder, "overwrite"), seed=seed, stop=self.stop
        )
        if game.whole:
            self._last = step

    def _last_whole(self, now: int) -> int:
        """Returns the newest step up to now whose game is recorded as a whole; 0 for none."""
        last = 0
        for path in (self.run.path / EPISODES).glob(f"step-*-game-{self.run.recipe.seed}"):
            found = re.fullmatch(r"step-(\d{1,16})-game-\d+", path.name)
            step = int(found[1]) if found else 0
            if last < step <= now:
                try:
                    last = step if Episode(path).cut is None else last
                except RlAbnError:
                    continue
        return last
