"""Runs of untrained agents, and episodes of theirs."""

from __future__ import annotations

from rl_abn.recipes import make_run_recipe
from rl_abn.record import Episode
from rl_abn.rl.evaluation.record import record_run
from rl_abn.rl.training.build import make_policy
from rl_abn.runs import Run

STEP = 64


def make_run(folder, agent="ppo_abn_paper", game="space_invaders", *settings, seed=0):
    """A run with a checkpoint that nothing was trained for."""
    recipe = make_run_recipe(game, agent, seed, settings)
    run = Run.create(folder, recipe, "cpu")
    # Maps and memories that differ from step to step: an untrained agent's are nearly constant.
    weights = {name: 3 * w for name, w in make_policy(recipe).state_dict().items()}
    run.save_checkpoint(STEP, weights, {}, {})
    return run


def record(run, **options):
    """The first episode that is recorded of a run."""
    return Episode(next(iter(record_run(run, **options))).path)
