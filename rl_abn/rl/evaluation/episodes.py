"""Plays whole games in parallel environments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from rl_abn.progress import ProgressReport
from rl_abn.rl.evaluation.players import Player

LONG = 2_000  # steps of a game after which the report speaks of it


class GameResult(NamedTuple):
    """The result of one whole game.

    Attributes:
        score: Sum of the raw rewards.
        length: Agent steps.
        truncated: Whether the frame cap cut it off.
    """

    score: float
    length: int
    truncated: bool


def split_quota(n_games: int, n_envs: int) -> np.ndarray:
    """Splits games among environments before any is played, int [n_envs].

    Counting the first games that end would give short games too much weight.
    """
    return np.array([n_games // n_envs + (i < n_games % n_envs) for i in range(n_envs)])


def play(player: Player, env: VecEnv) -> Iterator[tuple[np.ndarray, list[dict[str, Any]]]]:
    """Resets the environments and lets a player play on and on.

    Yields:
        After each step: where a game has ended, bool [N], and the infos. The games go on with the
        next.
    """
    observations: Any = env.reset()
    episode_start, lost_life = np.ones(env.num_envs, dtype=bool), np.zeros(env.num_envs, dtype=bool)
    while True:
        actions, _ = player.act(observations, episode_start, lost_life)
        observations, _, dones, infos = env.step(actions)
        lost_life = np.array(["lost_life" in info for info in infos])
        # Same-step autoreset: after a game's end the observation is the first of the next game.
        episode_start = dones & ~lost_life
        yield episode_start, infos


def play_games(
    player: Player,
    env: VecEnv,
    n_games: int,
    report: ProgressReport | None = None,
    done_before: int = 0,
) -> list[GameResult]:
    """Resets the environments and plays whole games, a fixed number in each environment.

    `done_before` are games of other players already counted in the report. It also says how long
    the longest game in play has become: a player that stands still keeps it waiting for the cap.
    """
    quota = split_quota(n_games, env.num_envs)
    results: list[list[GameResult]] = [[] for _ in quota]
    lengths = np.zeros(env.num_envs, dtype=np.int64)
    done = 0
    steps = play(player, env)
    while done < n_games:
        ended, infos = next(steps)
        lengths = np.where(ended, 0, lengths + 1)
        longest = max(lengths[i] for i, games in enumerate(results) if len(games) < quota[i])
        if report is not None and longest >= LONG and longest % LONG == 0:
            waiting = f"{longest:,} steps (--max-steps cuts them off)"
            report.update(done_before + done, player=player.name, in_play=waiting)
        for i in np.flatnonzero(ended):
            if len(results[i]) == quota[i]:
                continue
            game, cut = infos[i]["episode"], infos[i].get("TimeLimit.truncated", False)
            results[i].append(GameResult(game["r"], game["l"], cut))
            done += 1
            if report is not None:
                scores = [result.score for games in results for result in games]
                report.update(done_before + done, player=player.name, mean=f"{np.mean(scores):.1f}")
    return [result for games in results for result in games]
