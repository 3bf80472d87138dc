"""Plays whole games and scores them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from rl_abn.errors import RlAbnError
from rl_abn.progress import ProgressReport
from rl_abn.recipes import EnvRecipe, Protocol
from rl_abn.rl.build import device_of, load_policy, training_protocol
from rl_abn.rl.players import AgentPlayer, Player, RandomPlayer
from rl_abn.rl.scores import Estimate, human_normalised, interquartile_mean, mean
from rl_abn.rl.vec_env import AleVecEnv, derive_seeds
from rl_abn.runs import Run, write_output

_EVALUATION = 3  # keeps these games apart from those of training and probing
MAX_ENVS = 16


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


class Evaluation(NamedTuple):
    """A player's games under one protocol.

    Attributes:
        player: Its name.
        protocol: The protocol's name.
        greedy: Whether it took its likeliest actions.
        n_actions: Actions it had to choose from.
        games: Every game, in the order of the environments.
        max_frames: The frame cap.
        mean: Mean raw score.
        iqm: Interquartile mean of the raw scores.
        human_normalised: Of the mean: 0 is a random player, 1 a person.
        seed: Of the games.
    """

    player: str
    protocol: str
    greedy: bool
    n_actions: int
    games: list[GameResult]
    max_frames: int
    mean: Estimate
    iqm: Estimate
    human_normalised: float
    seed: int

    def as_json(self) -> dict[str, Any]:
        """Returns the evaluation as plain data."""
        return {
            **self._asdict(),
            "games": [game._asdict() for game in self.games],
            "mean": self.mean._asdict(),
            "iqm": self.iqm._asdict(),
        }


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
        env: The games, without life-loss terminals, about to be reset.
        n_games: How many.
        report: Shows how far it is.
        done_before: Games of other players that the report counts too.
    """
    quota = split_quota(n_games, env.num_envs)
    results: list[list[GameResult]] = [[] for _ in quota]
    observations: Any = env.reset()
    done = 0
    while done < n_games:
        actions, _ = player.act(observations)
        observations, _, ended, infos = env.step(actions)
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


def evaluation_env(recipe: EnvRecipe, protocol: Protocol, n_games: int, seed: int) -> AleVecEnv:
    """Makes the environments that play `n_games` games from a seed."""
    env = AleVecEnv(recipe.game, protocol, min(n_games, MAX_ENVS), life_loss_terminal=False)
    env.seed_games(derive_seeds(seed, _EVALUATION, count=env.num_envs))
    return env


def evaluate(
    player: Player,
    recipe: EnvRecipe,
    protocol_name: str,
    n_games: int,
    *,
    seed: int = 0,
    full_action_space: bool | None = None,
    report: ProgressReport | None = None,
    done_before: int = 0,
) -> Evaluation:
    """Plays and scores games.

    Args:
        player: Who plays.
        recipe: Which game.
        protocol_name: A protocol of the recipe.
        n_games: How many, at least 1.
        seed: Of the games and the bootstrap.
        full_action_space: Whether there are 18 actions; None is the protocol's word. An agent
            keeps the actions it was trained with.
        report: Shows how far it is.
        done_before: Games of other players that the report counts too.

    Raises:
        RlAbnError: If the recipe has no such protocol, or it shows what the player cannot see.
    """
    protocols = {str(name): protocol for name, protocol in recipe.protocol.items()}
    if protocol_name not in protocols:
        raise RlAbnError(
            f"expected a protocol of the game's recipe ({', '.join(protocols)}), "
            f"got '{protocol_name}'"
        )
    protocol = protocols[protocol_name]
    if full_action_space is not None:
        protocol = protocol.model_copy(update={"full_action_space": full_action_space})
    env = evaluation_env(recipe, protocol, n_games, seed)
    if player.observation_space not in (None, env.observation_space):
        raise RlAbnError(
            f"expected a protocol with observations {_described(player.observation_space)}, on "
            f"which the agent was trained, got '{protocol_name}' with "
            f"{_described(env.observation_space)}"
        )
    games = play_games(player, env, n_games, report, done_before)
    scores = np.array([game.score for game in games])
    average = mean(scores, seed)
    return Evaluation(
        player=player.name,
        protocol=protocol_name,
        greedy=getattr(player, "greedy", False),
        n_actions=int(env.action_space.n),  # type: ignore[attr-defined]
        games=games,
        max_frames=protocol.max_frames,
        mean=average,
        iqm=interquartile_mean(scores, seed),
        human_normalised=human_normalised(average.value, recipe.scores),
        seed=seed,
    )


def _described(space: spaces.Space | None) -> str:
    assert space is not None
    return f"{space.dtype} {list(space.shape or ())}"


class RunEvaluation(NamedTuple):
    """An agent's games, and perhaps a random player's beside them.

    Attributes:
        game: The game's title.
        run: The run folder.
        step: The checkpoint's step.
        evaluations: The agent's, then the random player's if it played.
    """

    game: str
    run: str
    step: int
    evaluations: list[Evaluation]

    @property
    def beats_random(self) -> bool | None:
        """Whether the agent's mean lies above and the intervals do not overlap; None if unknown."""
        if len(self.evaluations) < 2:
            return None
        agent, chance = (evaluation.mean for evaluation in self.evaluations)
        return agent.low is not None and chance.high is not None and agent.low > chance.high

    def as_json(self) -> dict[str, Any]:
        """Returns the evaluation as plain data."""
        return {**self._asdict(), "evaluations": [e.as_json() for e in self.evaluations]}

    def keep(self, run: Run) -> Path:
        """Writes the evaluation into the run's evaluations/."""
        agent = self.evaluations[0]
        draw = "greedy" if agent.greedy else "stochastic"
        name = (
            f"step-{self.step}-{agent.protocol}-{draw}-{len(agent.games)}-games-{agent.seed}.json"
        )
        path = run.path / "evaluations" / name
        write_output(path, self.as_json())
        return path


def evaluate_run(
    run: Run,
    *,
    n_games: int,
    protocol: str | None = None,
    greedy: bool = False,
    beside_random: bool = False,
    step: int | None = None,
    seed: int = 0,
    device: str = "auto",
    report: ProgressReport | None = None,
) -> RunEvaluation:
    """Evaluates a run's agent, and a random player beside it if asked.

    Args:
        run: The run.
        n_games: Games a player.
        protocol: The protocol's name; None is the one it was trained under.
        greedy: Whether it takes its likeliest actions.
        beside_random: Whether a random player plays as many games.
        step: The checkpoint's step; None is the newest.
        seed: Of the games, the draws and the bootstrap.
        device: Where the network runs.
        report: Shows how far it is.

    Raises:
        RlAbnError: If the checkpoint or the protocol will not do.
    """
    recipe = run.recipe
    checkpoint = run.checkpoint(step)
    policy = load_policy(run, checkpoint, device_of(device))
    players: list[Player] = [AgentPlayer(recipe.agent_name, policy, greedy=greedy, seed=seed)]
    if beside_random:
        players.append(RandomPlayer(policy.n_actions, seed=seed))
    evaluations = [
        evaluate(
            player,
            recipe.env,
            protocol or recipe.agent.train.protocol,
            n_games,
            seed=seed,
            full_action_space=training_protocol(recipe).full_action_space,
            report=report,
            done_before=i * n_games,
        )
        for i, player in enumerate(players)
    ]
    return RunEvaluation(recipe.env.game.title, str(run.path), checkpoint.step, evaluations)
