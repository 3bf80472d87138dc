"""Finds and reads recipes by name or path."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel

from rl_abn.errors import RlAbnError, did_you_mean
from rl_abn.files.text import brief, kind_of, read_text
from rl_abn.recipes import ale_games, gymnasium_env
from rl_abn.recipes.agent import AgentRecipe
from rl_abn.recipes.ale_games import make_recipe
from rl_abn.recipes.env import EnvRecipe
from rl_abn.recipes.gymnasium_env import GymnasiumRecipe
from rl_abn.recipes.overrides import RecipeT, brief_value, override, validate
from rl_abn.recipes.run import AnyEnvRecipe, RunRecipe
from rl_abn.recipes.translation import (
    TRANSLATION,
    DomainsRecipe,
    TranslationRunRecipe,
    TranslatorRecipe,
)
from rl_abn.recipes.vision import DATA_KINDS, DataRecipe, ModelRecipe, VisionRunRecipe

Kind = Literal["agents", "envs", "agents/vision", "envs/vision", "agents/translation"]
RunT = TypeVar("RunT", RunRecipe, VisionRunRecipe, TranslationRunRecipe)
_OTHER: dict[Kind, Kind] = {
    "agents": "agents/vision",
    "envs": "envs/vision",
    "agents/vision": "agents",
    "envs/vision": "envs",
    "agents/translation": "agents/vision",
}
_ONE: dict[Kind, str] = {
    "agents": "agent",
    "envs": "env",
    "agents/vision": "vision model",
    "envs/vision": "data set",
    "agents/translation": "translator",
}
# Whose run a recipe is of, and a command that takes it.
_TRACKS: dict[type[BaseModel], tuple[str, str]] = {
    RunRecipe: ("an Atari agent's", "eval"),
    VisionRunRecipe: ("the vision track's", "vision eval"),
    TranslationRunRecipe: ("a translator's", "vision translate apply"),
}
MOST_BYTES = 2**20
PACKAGE = Path(__file__).resolve().parents[1]


def recipe_folder(kind: Kind) -> Path:
    """Returns the recipes' folder: beside the package in a checkout, inside it in a wheel."""
    beside = PACKAGE.parent / kind
    return beside if (PACKAGE.parent / "pyproject.toml").is_file() else PACKAGE / "_recipes" / kind


def list_recipes(kind: Kind) -> list[str]:
    """Returns the names of all recipes of a kind, sorted."""
    return sorted(path.stem for path in recipe_folder(kind).glob("*.toml"))


def recipe_path(kind: Kind, name_or_path: str) -> Path:
    """Returns the file of a recipe, given its name or the path of a TOML file.

    Raises:
        RlAbnError: If there is no such recipe or file.
    """
    if name_or_path.startswith(ale_games.NAMESPACE) and kind == "envs":
        raise _unknown(kind, name_or_path)
    if name_or_path.endswith(".toml") or "/" in name_or_path:
        path = Path(name_or_path)
        if kind_of(path) != "a file":
            raise RlAbnError(f"expected a recipe file, got '{name_or_path}': there is no such file")
        return path
    if name_or_path not in list_recipes(kind):
        raise _unknown(kind, name_or_path)
    return recipe_folder(kind) / f"{name_or_path}.toml"


def recipe_summary(kind: Kind, name: str) -> str:
    """Returns a recipe's opening comment up to the first full stop, colon or semicolon."""
    lines = recipe_path(kind, name).read_text("utf-8-sig").splitlines()
    comment = list(takewhile(lambda line: line.startswith("#"), lines))
    text = " ".join(line.removeprefix("#").strip() for line in comment)
    return re.split(r"[.:;](?:\s|$)", text)[0]


def load_agent(name_or_path: str) -> AgentRecipe:
    """Reads an agent recipe.

    Raises:
        RlAbnError: If it is missing or invalid.
    """
    return _load(AgentRecipe, "agents", name_or_path)


def load_env(env: str) -> AnyEnvRecipe:
    """Reads an env recipe, or makes the one of a game that has no file.

    Args:
        env: Name or path of a recipe; a game of ALE by its name or its Gymnasium id, such as
            "assault" or "ALE/Assault-v5"; or another Gymnasium environment by its id, such as
            "module:EnvId-v0".

    Raises:
        RlAbnError: If there is no such recipe or game, or the file is invalid.
    """
    return named_env(env)[1]


def load_game(env: str) -> EnvRecipe:
    """Does what `load_env` does for games of ALE only.

    Raises:
        RlAbnError: If there is no such recipe or game, the file is invalid, or it is no game of
            ALE's.
    """
    recipe = load_env(env)
    if not isinstance(recipe, EnvRecipe):
        raise RlAbnError(f"expected a game of ALE, got '{env}', another Gymnasium environment")
    return recipe


def named_env(env: str) -> tuple[str, AnyEnvRecipe]:
    """Returns the name that an env has in run folders, and what `load_env` does.

    Raises:
        RlAbnError: If there is no such recipe or game, or the file is invalid.
    """
    if env.startswith(ale_games.NAMESPACE):
        env = ale_games.game_called(env) or env
    if is_made(env):
        return env, make_recipe(env)
    if (name := gymnasium_name(env)) is not None:
        return name, gymnasium_env.make_recipe(env)
    path = recipe_path("envs", env)
    data = read_toml(path)
    kind = data.get("kind", "atari")
    if kind not in ("atari", gymnasium_env.KIND):
        raise RlAbnError(
            f"{path}: kind: expected 'atari' or '{gymnasium_env.KIND}', got {brief_value(kind)}"
        )
    if kind == gymnasium_env.KIND:
        return path.stem, validate(GymnasiumRecipe, data, str(path))
    return path.stem, validate(EnvRecipe, data, str(path))


def gymnasium_name(env: str) -> str | None:
    """Returns the name in run folders of an environment that is given by its Gymnasium id.

    None for what is no such id: a recipe's name or path, or a game of ALE.
    """
    found = gymnasium_env.id_in(env)
    if found is None or env.startswith(ale_games.NAMESPACE) or kind_of(Path(env)) == "a file":
        return None
    return found.replace("/", "-")


def is_made(name: str) -> bool:
    """Says whether a name is a game of ALE that no shipped recipe describes."""
    if name in list_recipes("envs") or name.endswith(".toml") or "/" in name:
        return False
    return name in ale_games.list_games()  # asked last, as ALE takes a moment to load


def load_model(name_or_path: str) -> ModelRecipe:
    """Reads a model recipe of the vision track.

    Raises:
        RlAbnError: If it is missing or invalid.
    """
    return _load(ModelRecipe, "agents/vision", name_or_path)


def load_data(name_or_path: str) -> DataRecipe:
    """Reads a data recipe of the vision track.

    Raises:
        RlAbnError: If it is missing or invalid.
    """
    return _load(DataRecipe, "envs/vision", name_or_path)


def make_run_recipe(env: str, agent: str, seed: int, settings: Iterable[str] = ()) -> RunRecipe:
    """Resolves a run's recipe from an env recipe, an agent recipe and overrides.

    Recipes are names or paths, `env` also a game of ALE as `load_env` takes it; `settings` are
    overrides such as "algorithm.gamma=0.995".

    Raises:
        RlAbnError: If something is missing or invalid.
    """
    agent_recipe = load_agent(agent)
    env_name, env_recipe = named_env(env)
    recipes = override(agent_recipe, env_recipe, settings)
    return _resolved(RunRecipe, (recipe_path("agents", agent).stem, env_name), recipes, seed)


def make_vision_recipe(
    env: str, agent: str, seed: int, settings: Iterable[str] = ()
) -> VisionRunRecipe:
    """Resolves a vision run's recipe from a data recipe, a model recipe and overrides.

    Recipes are names or paths; `settings` are overrides such as "optimizer.learning_rate=0.05".

    Raises:
        RlAbnError: If something is missing or invalid.
    """
    recipes = override(load_model(agent), load_data(env), settings)
    names = recipe_path("agents/vision", agent).stem, recipe_path("envs/vision", env).stem
    return _resolved(VisionRunRecipe, names, recipes, seed)


def make_translation_recipe(
    title: str, agent: str, seed: int, settings: Iterable[str] = ()
) -> TranslationRunRecipe:
    """Resolves a translation's recipe from a translator's recipe and overrides.

    Args:
        title: Of the two domains.
        agent: Name or path of the translator's recipe.
        seed: Seed of everything random.
        settings: Overrides such as "loss.cycle=5".

    Raises:
        RlAbnError: If something is missing or invalid.
    """
    translator = _load(TranslatorRecipe, "agents/translation", agent)
    recipes = override(translator, DomainsRecipe(title=title), settings)
    names = recipe_path("agents/translation", agent).stem, title
    return _resolved(TranslationRunRecipe, names, recipes, seed)


def load_run(path: Path, track: type[RunT]) -> RunT:
    """Reads the resolved recipe of a run of one track from its file in the run folder.

    Raises:
        RlAbnError: If it is missing, invalid or of the other track.
    """
    data = read_toml(path)
    env = data.get("env")
    if track_of(data) is not track and isinstance(env, dict):
        expected, (got, command) = _TRACKS[track][0], _TRACKS[track_of(data)]
        raise RlAbnError(
            f"{path.parent}: expected {expected} run, got {got}; "
            f"use 'rl-abn {command} {path.parent}'"
        )
    return validate(track, data, str(path))


def track_of(
    data: Mapping[str, Any],
) -> type[RunRecipe] | type[VisionRunRecipe] | type[TranslationRunRecipe]:
    """Returns the recipe class of the track that a resolved recipe belongs to."""
    env = data.get("env")
    kind = env.get("kind") if isinstance(env, dict) else None
    if kind == TRANSLATION:
        return TranslationRunRecipe
    return VisionRunRecipe if kind in DATA_KINDS else RunRecipe


def read_toml(path: Path) -> dict[str, Any]:
    """Reads a TOML file.

    Raises:
        RlAbnError: If it cannot be read or is not TOML.
    """
    try:
        # Some editors begin a file with a byte-order mark, which TOML does not know.
        return tomllib.loads(read_text(path, MOST_BYTES).removeprefix("\ufeff"))
    except OSError as error:
        raise RlAbnError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise RlAbnError(f"{path}: expected TOML, got {brief(error)}") from None


def _load(recipe: type[RecipeT], kind: Kind, name_or_path: str) -> RecipeT:
    path = recipe_path(kind, name_or_path)
    return validate(recipe, read_toml(path), str(path))


def _resolved(
    run: type[RunT], names: tuple[str, str], recipes: tuple[BaseModel, BaseModel], seed: int
) -> RunT:
    """Combines an agent's and an env's names and recipes into a run's recipe."""
    data = {
        "agent_name": names[0],
        "env_name": names[1],
        "seed": seed,
        "agent": recipes[0].model_dump(),
        "env": recipes[1].model_dump(),
    }
    return validate(run, data, "run")


def _unknown(kind: Kind, name: str) -> RlAbnError:
    """Returns the error for a name that is no recipe of a kind, nor a game of ALE."""
    one = _ONE[kind]
    if name in list_recipes(_OTHER[kind]):
        other = _ONE[_OTHER[kind]]
        command = "rl-abn train" if kind.endswith("/vision") else "rl-abn vision train"
        return RlAbnError(
            f"expected {_a(one)}, got '{name}', {_a(other)}, which is for '{command}'"
        )
    names = list_recipes(kind)
    if kind != "envs":
        return RlAbnError(f"unknown {one} '{name}': {did_you_mean(name, names)}")
    otherwise = (
        f"choose one of: {', '.join(names)}, or any other game of ALE by its name, or another "
        "Gymnasium environment as module:EnvId-v0"
    )
    if name.startswith(ale_games.NAMESPACE):
        names = ale_games.list_ids()
    hint = did_you_mean(name, {*names, *ale_games.list_games()}, otherwise)
    return RlAbnError(f"unknown {one} '{name}': {hint}")


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
