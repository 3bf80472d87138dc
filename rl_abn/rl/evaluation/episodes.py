"""Plays whole games, several at once."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rl_abn.progress import ProgressReport
from rl_abn.rl.envs.ale_vec_env import AleVecEnv
from rl_abn.rl.evaluation.players import Player


class GameResult(NamedTuple):
    """One whole game.

    Attributes:
        score: Sum of the raw rewards.
        length: Agent steps.
        truncated: Whether the frame cap cut it off.
    """

    score: float
    length: int
    truncated: bool


def split_quota(n_games: int, n_envs: int) -> np.ndarray:
    """Shares games out among environments, int [n_envs], before any is played.

    Counting whatever ends first would favour short games.
    """
    return np.array([n_games // n_envs + (i < n_games % n_envs) for i in range(n_envs)])


def play_games(
    player: Player,
    env: AleVecEnv,
    n_games: int,
    report: ProgressReport | None = None,
    done_before: int = 0,
) -> list[GameResult]:
    """Plays whole games, each environment its set quota.

    Args:
        player: Who plays.
        env: The games, about to be reset.
        n_games: How many.
        report: Shows how far it is.
        done_before: Games of other players that the report counts too.
    """
    quota = split_quota(n_games, env.num_envs)
    results: list[list[GameResult]] = [[] for _ in quota]
    observations: Any = env.reset()
    episode_start, lost_life = np.ones(env.num_envs, dtype=bool), np.zeros(env.num_envs, dtype=bool)
    done = 0
    while done < n_games:
        actions, _ = player.act(observations, episode_start, lost_life)
        observations, _, ended, infos = env.step(actions)
        lost_life = np.array(["lost_life" in info for info in infos])
        # An ended game reset_mask at once: the observation is the next one's first.
        episode_start = ended & ~lost_life
        for i in np.flatnonzero(episode_start):
            if len(results[i]) == quota[i]:
                continue
            game, cut = infos[i]["episode"], infos[i].get("TimeLimit.truncated", False)
            results[i].append(GameResult(game["r"], game["l"], cut))
            done += 1
            if report is not None:
                scores = [result.score for games in results for result in games]
                report.update(done_before + done, player=player.name, mean=f"{np.mean(scores):.1f}")
    return [result for games in results for result in games]
