"""One game at a time, as people watch it: played, recorded, and read from a recording."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from rl_abn.bench.spec import Spec
from rl_abn.bench.stopwatch import Stopwatch
from rl_abn.compute.device import device_of
from rl_abn.recipes import make_run_recipe
from rl_abn.record import Episode
from rl_abn.rl.envs.make import make_single_env
from rl_abn.rl.evaluation.players import AgentPlayer
from rl_abn.rl.evaluation.record import record_policy
from rl_abn.rl.evaluation.single_game import play_game
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.training.auto_settings import resolve_auto
from rl_abn.rl.training.build import make_policy, training_protocol
from rl_abn.runs import Run

STEPS_A_GAME = 1024
"""Games are cut off here; `record` and `play` start, play and end each."""


def time_game(spec: Spec) -> Stopwatch:
    """Times games of an untrained agent: "play", "record", or "read" for a recording's steps."""
    with _untrained(spec) as (run, policy):
        return _TIMES[spec.kind](spec, run, policy)


@contextmanager
def _untrained(spec: Spec) -> Iterator[tuple[Run, AttentionPolicy]]:
    """A run without a checkpoint, in a temporary folder, and its agent as it begins."""
    device = device_of(spec.device)
    recipe = make_run_recipe(spec.env, spec.agent, spec.seed, spec.settings)
    recipe = resolve_auto(recipe, device)  # as a training would be that is watched
    policy = make_policy(recipe).to(device)
    policy.set_training_mode(False)
    with tempfile.TemporaryDirectory(prefix="rl-abn-bench-") as folder:
        yield Run.create(Path(folder, "run"), recipe, spec.device), policy


def _games(spec: Spec, play: Callable[[int], int]) -> Stopwatch:
    """Plays games 0, 1, … until enough is timed; `play` takes a number and returns the steps."""
    stopwatch = Stopwatch(spec)
    game = steps = 0
    while not stopwatch.boundary(steps):
        steps += play(game)
        game += 1
    return stopwatch


def _play(spec: Spec, run: Run, policy: AttentionPolicy) -> Stopwatch:
    env = make_single_env(run.recipe.env, training_protocol(run.recipe))

    def play(game: int) -> int:
        player = AgentPlayer(run.recipe.agent_name, policy, greedy=False, seed=game)
        return play_game(player, env, game, [], STEPS_A_GAME).t + 1

    return _games(spec, play)


def _record(spec: Spec, run: Run, policy: AttentionPolicy) -> Stopwatch:
    def record(game: int) -> int:
        return _recorded(run, policy, game).n_steps

    return _games(spec, record)


def _read(spec: Spec, run: Run, policy: AttentionPolicy) -> Stopwatch:
    """Jumps from any step to any other, as scrubbing does: its screen and all its arrays."""
    episode = _recorded(run, policy, 0)
    jumps = np.random.default_rng(spec.seed).integers(episode.n_steps, size=STEPS_A_GAME)

    def read(number: int) -> int:
        t = int(jumps[number % STEPS_A_GAME])
        episode.frame(t)
        episode.step(t)
        return 1

    return _games(spec, read)


def _recorded(run: Run, policy: AttentionPolicy, game: int) -> Episode:
    folder = run.path / "episodes" / str(game)
    return Episode(record_policy(run, policy, 0, folder, seed=game, max_steps=STEPS_A_GAME).path)


_TIMES = {"play": _play, "record": _record, "read": _read}
