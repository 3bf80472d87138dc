"""Runs of untrained agents, and episodes of theirs."""

from __future__ import annotations

from functools import cache

import torch

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
    run.save_checkpoint(STEP, untrained_weights(agent, game, settings, seed), {}, {})
    return run


@cache
def untrained_weights(agent, game, settings, seed):
    """Those of one agent, drawn once in a session.

    Maps and memories differ from step to step: an untrained agent's are nearly constant.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # the same games whatever ran before
        policy = make_policy(make_run_recipe(game, agent, seed, settings))
    return {name: 3 * w for name, w in policy.state_dict().items()}


def record(run, **options):
    """The first episode that is recorded of a run."""
    return Episode(next(iter(record_run(run, **options))).path)
