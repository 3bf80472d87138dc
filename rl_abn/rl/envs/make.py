"""The environments of a recipe, whatever it describes."""

from __future__ import annotations

from functools import cache

from gymnasium import spaces

from rl_abn.recipes import AnyEnvRecipe, Game, GymnasiumRecipe, Preprocessing, Protocol
from rl_abn.rl.envs.ale_vec_env import AleVecEnv, check_game
from rl_abn.rl.envs.gymnasium_env import action_names as gymnasium_action_names
from rl_abn.rl.envs.gymnasium_env import make_gymnasium_env
from rl_abn.rl.envs.gymnasium_single_env import GymnasiumSingleEnv
from rl_abn.rl.envs.gymnasium_vec_env import GymnasiumVecEnv
from rl_abn.rl.envs.observations import make_pipeline
from rl_abn.rl.envs.single_env import SingleEnv
from rl_abn.rl.envs.two_view_vec_env import TwoViewVecEnv

AnyProtocol = Protocol | Preprocessing
AnyVecEnv = AleVecEnv | GymnasiumVecEnv | TwoViewVecEnv
AnySingleEnv = SingleEnv | GymnasiumSingleEnv


def check_env(recipe: AnyEnvRecipe) -> None:
    """Checks that a recipe's game or environment is there and can be used.

    Raises:
        RlAbnError: If not.
    """
    if isinstance(recipe, GymnasiumRecipe):
        make_gymnasium_env(recipe, recipe.preprocessing).close()
    else:
        check_game(recipe.game)


def protocols_of(recipe: AnyEnvRecipe) -> dict[str, AnyProtocol]:
    """Returns the ways in which a recipe's game can be played, by name."""
    return {str(name): protocol for name, protocol in recipe.protocol.items()}


def make_vec_env(
    recipe: AnyEnvRecipe,
    protocol: AnyProtocol,
    n_envs: int,
    *,
    seed: int = 0,
    life_loss_terminal: bool | None = None,
    n_threads: int = 0,
    second_view: Protocol | None = None,
) -> AnyVecEnv:
    """Makes parallel games of a recipe; the arguments are those of `AleVecEnv`.

    Environments of Gymnasium have neither lives nor threads. With a `second_view` Atari games are
    seen in two ways, by a `TwoViewVecEnv`, which has no threads either.

    Raises:
        RlAbnError: If they cannot be made.
    """
    if isinstance(recipe, GymnasiumRecipe):
        assert isinstance(protocol, Preprocessing)
        return GymnasiumVecEnv(recipe, protocol, n_envs, seed=seed)
    assert isinstance(protocol, Protocol)
    if second_view is not None:
        return TwoViewVecEnv(
            recipe.game,
            protocol,
            second_view,
            n_envs,
            seed=seed,
            life_loss_terminal=life_loss_terminal,
        )
    return AleVecEnv(
        recipe.game,
        protocol,
        n_envs,
        seed=seed,
        life_loss_terminal=life_loss_terminal,
        n_threads=n_threads,
    )


def make_single_env(recipe: AnyEnvRecipe, protocol: AnyProtocol) -> AnySingleEnv:
    """Makes one game of a recipe that also shows what a person sees.

    Raises:
        RlAbnError: If it cannot be made.
    """
    if isinstance(recipe, GymnasiumRecipe):
        assert isinstance(protocol, Preprocessing)
        return GymnasiumSingleEnv(recipe, protocol)
    assert isinstance(protocol, Protocol)
    return SingleEnv(recipe.game, protocol)


def observation_space(recipe: AnyEnvRecipe, protocol: AnyProtocol) -> spaces.Box:
    """Returns the space of an observation."""
    if isinstance(recipe, GymnasiumRecipe):
        assert isinstance(protocol, Preprocessing)
        env = make_gymnasium_env(recipe, protocol)
        env.close()
        assert isinstance(env.observation_space, spaces.Box)
        return env.observation_space
    assert isinstance(protocol, Protocol)
    return make_pipeline(protocol, 1).space


def action_names(recipe: AnyEnvRecipe, protocol: AnyProtocol) -> list[str]:
    """Returns the names of the actions, by index."""
    if isinstance(recipe, GymnasiumRecipe):
        assert isinstance(protocol, Preprocessing)
        env = make_gymnasium_env(recipe, protocol)
        env.close()
        return gymnasium_action_names(env)
    assert isinstance(protocol, Protocol)
    return list(_atari_action_names(recipe.game, protocol))


@cache  # an emulator takes a tenth of a second to start
def _atari_action_names(game: Game, protocol: Protocol) -> tuple[str, ...]:
    return tuple(AleVecEnv(game, protocol, 1).action_names)
