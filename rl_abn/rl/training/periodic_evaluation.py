"""Evaluates an agent while it trains, on games of their own, and keeps the best checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from rl_abn.rl.evaluation.episodes import play_games
from rl_abn.rl.evaluation.evaluate import evaluation_env
from rl_abn.rl.evaluation.players import AgentPlayer, Player, WrappedPlayer
from rl_abn.rl.training import checkpoint
from rl_abn.rl.training.build import Model, training_protocol
from rl_abn.rl.training.metrics import RunMetrics, read_metrics
from rl_abn.runs import METRICS, Checkpoint, Run
from rl_abn.runs.best import best_score, save_best
from rl_abn.seeds import Stream, derive_seeds
from rl_abn.stop_signal import StopSignal

MEAN_SCORE = "eval/mean_score"


class EvaluationCallback(BaseCallback):
    """Plays whole games between two updates; the same ones at every evaluation of a run.

    The agent samples its actions, as `rl-abn eval` lets it. Neither the games nor the random
    numbers of the training are touched, so the training ends with the same bytes as without.

    Args:
        run: Whose agent.
        metrics: Where the scores go: "eval/mean_score" (raw), "eval/mean_length" in agent steps,
            and "eval/best_score", the highest mean so far.
        stop: Ends an evaluation early; it then counts as not played.
    """

    model: Model

    def __init__(self, run: Run, metrics: RunMetrics, stop: StopSignal) -> None:
        super().__init__()
        self.run = run
        self.metrics = metrics
        self.stop = stop
        recipe = run.recipe
        self.train = recipe.agent.train
        self.env = evaluation_env(
            recipe.env, training_protocol(recipe), self.train.eval_games, recipe.seed
        )
        self.seed = int(derive_seeds(recipe.seed, Stream.PERIODIC_EVALUATION, count=1)[0])

    def _on_training_start(self) -> None:
        # What a kill or a signal kept from being evaluated is so when the training goes on.
        path = self.run.path / METRICS
        rows = read_metrics(path) if path.is_file() else []
        self._last = max((row["step"] for row in rows if MEAN_SCORE in row), default=0)
        self._best = best_score(self.run.path)

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        every = self.train.eval_every
        if self.model.num_timesteps // every != self._last // every:
            self._evaluate()

    def _on_training_end(self) -> None:
        step = self.model.num_timesteps
        if step >= self.train.steps and step != self._last:
            self._evaluate()
        self.env.close()

    def _evaluate(self) -> None:
        policy, step = self.model.policy, self.model.num_timesteps
        policy.set_training_mode(False)
        agent = AgentPlayer("agent", policy, greedy=False, seed=self.seed)
        player = _StoppablePlayer(agent, self.stop)
        self.env.seed_games(derive_seeds(self.seed, count=self.env.num_envs))
        try:
            games = play_games(player, self.env, self.train.eval_games)
        except _StoppedError:
            return
        scores = [game.score for game in games]
        mean = float(np.mean(scores))
        if mean > self._best:
            self._best = mean
            found = {"step": step, "mean_score": mean, "scores": scores}
            save_best(self.run.path, step, found, self._save)
        self._last = step
        lengths = float(np.mean([game.length for game in games]))
        values = {MEAN_SCORE: mean, "eval/mean_length": lengths, "eval/best_score": self._best}
        self.metrics.write_beside(values, step)

    def _save(self, folder: Path) -> Checkpoint:
        return checkpoint.save(Run(folder, self.run.recipe), self.model, 0)


class _StoppedError(Exception):
    """A signal came during an evaluation."""


class _StoppablePlayer(WrappedPlayer):
    """A player that plays until a signal comes."""

    def __init__(self, player: Player, stop: StopSignal) -> None:
        super().__init__(player)
        self._stop = stop

    def act(self, *args: Any) -> Any:
        """Acts, or ends the games."""
        if self._stop.received is not None:
            raise _StoppedError
        return super().act(*args)
