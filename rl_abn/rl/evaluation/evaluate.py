"""Lets a player play games under a protocol, and scores them."""

from __future__ import annotations

from contextlib import closing
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from rl_abn.errors import RlAbnError
from rl_abn.estimates import mean
from rl_abn.progress import ProgressReport
from rl_abn.recipes import AnyEnvRecipe, Protocol
from rl_abn.rl.envs.make import AnyProtocol, AnyVecEnv, make_vec_env, protocols_of
from rl_abn.rl.envs.two_view_vec_env import with_view
from rl_abn.rl.evaluation.episodes import GameResult, play_games
from rl_abn.rl.evaluation.faithfulness import WatchedPlayer
from rl_abn.rl.evaluation.players import Player
from rl_abn.rl.evaluation.results import Evaluation
from rl_abn.rl.evaluation.scores import human_normalised, interquartile_mean
from rl_abn.seeds import Stream, derive_seeds

MAX_ENVS = 16


def evaluation_env(
    recipe: AnyEnvRecipe,
    protocol: AnyProtocol,
    n_games: int,
    seed: int,
    second_view: Protocol | None = None,
) -> AnyVecEnv:
    """Makes the environments in which `n_games` games are played from a seed.

    With a second view the same games are seen in two ways.
    """
    env = make_vec_env(
        recipe,
        protocol,
        min(n_games, MAX_ENVS),
        life_loss_terminal=True,
        second_view=second_view,
    )
    env.seed_games(derive_seeds(seed, Stream.EVALUATION, count=env.num_envs))
    return env


class PlayedGames(NamedTuple):
    """A player's games under a protocol, before they are scored.

    Attributes:
        games: In the order of the environments.
        n_actions: Number of actions.
        max_frames: The frame cap.
    """

    games: list[GameResult]
    n_actions: int
    max_frames: int


def play_protocol(
    player: Player,
    recipe: AnyEnvRecipe,
    protocol_name: str,
    n_games: int,
    *,
    seed: int = 0,
    full_action_space: bool | None = None,
    max_steps: int | None = None,
    view: Protocol | None = None,
    second_view: Protocol | None = None,
    report: ProgressReport | None = None,
    done_before: int = 0,
) -> PlayedGames:
    """Lets a player play games.

    Args:
        player: Chooses the actions.
        recipe: Which game.
        protocol_name: A protocol of the recipe.
        n_games: Number of games, at least 1.
        seed: Of the games.
        full_action_space: Whether there are 18 actions; None follows the protocol. An agent keeps
            the actions it was trained with.
        max_steps: Cuts games off after this many agent steps, if the protocol's cap is not shorter.
        view: A protocol that says what the player sees; None is the one that is played under.
        second_view: What a `WatchedPlayer`'s watcher sees; None is what the player does.
        report: Progress display.
        done_before: Games of other players already counted in the report.

    Raises:
        RlAbnError: If the recipe has no such protocol, or its observations do not fit the player.
    """
    protocol = protocol_of(recipe, protocol_name, full_action_space, max_steps)
    if view is not None:
        assert isinstance(protocol, Protocol)
        protocol = with_view(protocol, view)
    env = evaluation_env(recipe, protocol, n_games, seed, second_view)
    if isinstance(player, WatchedPlayer):
        player.watch(env)
    check_observations(player.observation_space, env.observation_space, protocol_name)
    with closing(env):
        games = play_games(player, env, n_games, report, done_before)
    n_actions = int(env.action_space.n)  # type: ignore[attr-defined]
    return PlayedGames(games, n_actions, protocol.max_frames)


def scored(
    played: PlayedGames, player: Player, recipe: AnyEnvRecipe, protocol_name: str, seed: int = 0
) -> Evaluation:
    """Scores a player's games.

    Args:
        played: The games.
        player: Who played them.
        recipe: Which game.
        protocol_name: Under which protocol.
        seed: With which they were played; also the bootstrap's.
    """
    scores = np.array([game.score for game in played.games])
    average = mean(scores, seed)
    return Evaluation(
        player=player.name,
        protocol=protocol_name,
        greedy=getattr(player, "greedy", False),
        n_actions=played.n_actions,
        games=played.games,
        max_frames=played.max_frames,
        mean=average,
        iqm=interquartile_mean(scores, seed),
        human_normalised=None
        if recipe.scores is None
        else human_normalised(average.value, recipe.scores),
        seed=seed,
    )


def evaluate(
    player: Player,
    recipe: AnyEnvRecipe,
    protocol_name: str,
    n_games: int,
    *,
    seed: int = 0,
    **options: Any,
) -> Evaluation:
    """Plays and scores games; `options` are more of `play_protocol`.

    Raises:
        RlAbnError: If the recipe has no such protocol, or its observations do not fit the player.
    """
    played = play_protocol(player, recipe, protocol_name, n_games, seed=seed, **options)
    return scored(played, player, recipe, protocol_name, seed)


def protocol_of(
    recipe: AnyEnvRecipe,
    name: str,
    full_action_space: bool | None = None,
    max_steps: int | None = None,
) -> AnyProtocol:
    """Returns the protocol of a name, with an agent's own actions where they are given.

    Args:
        recipe: Which game.
        name: A protocol of the recipe.
        full_action_space: Whether there are 18 actions; None follows the protocol.
        max_steps: Agent steps of a game, if the protocol's cap is not shorter.

    Raises:
        RlAbnError: If the recipe has no such protocol.
    """
    protocols = protocols_of(recipe)
    if name not in protocols:
        raise RlAbnError(
            f"expected a protocol of the game's recipe ({', '.join(protocols)}), got '{name}'"
        )
    protocol = protocols[name]
    if full_action_space is not None:
        protocol = protocol.with_actions(full_action_space)
    if max_steps is not None:
        cap = min(protocol.max_frames, max_steps * protocol.frame_skip)
        protocol = protocol.model_copy(update={"max_frames": cap})
    return protocol


def check_observations(
    trained_on: spaces.Space | None, seen: spaces.Space, protocol_name: str
) -> None:
    """Refuses a protocol that shows what a player does not see; None sees anything.

    Raises:
        RlAbnError: If the spaces differ.
    """
    if trained_on not in (None, seen):
        raise RlAbnError(
            f"expected a protocol with observations {described(trained_on)}, on "
            f"which the agent was trained, got '{protocol_name}' with {described(seen)}"
        )


def described(space: spaces.Space | None) -> str:
    """Returns dtype and shape of observations, such as "uint8 [4, 84, 84]"."""
    assert space is not None
    return f"{space.dtype} {list(space.shape or ())}"
