"""`rl-abn recipes`."""

from __future__ import annotations

import argparse

from rl_abn.cli.parser import Subparsers

TRAINED = "trained"

EVERY_GAME = "any other game of ALE by its name, such as assault or ALE/Assault-v5"

EVERY_ENVIRONMENT = "any Gymnasium environment with pictures and discrete actions"


def add(commands: Subparsers) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "recipes",
        help="list and show recipes and trained agents",
        description="List the recipes and the trained agents there are, or show one.",
    )
    parser.add_argument(
        "what", nargs="?", metavar="agents|envs|vision|trained|NAME", help="what to list or show"
    )
    parser.add_argument(
        "--new",
        metavar="GAME",
        help="write a recipe to edit, with a comment for every field, of any game of ALE or of "
        "another Gymnasium environment, module:EnvId-v0",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Lists recipes, shows one or writes a new one."""
    if arguments.new is not None:
        _write_new(arguments.what, arguments.new)
    else:
        _list_or_show(arguments.what)


def _write_new(what: str | None, game: str) -> None:
    from rl_abn.errors import RlAbnError, did_you_mean
    from rl_abn.recipes import gymnasium_env
    from rl_abn.recipes.ale_games import game_called, list_games, recipe_text
    from rl_abn.recipes.lookup import gymnasium_name

    if what is not None:
        raise RlAbnError(f"expected --new GAME alone, got '{what}' too")
    if gymnasium_name(game) is not None:
        print(gymnasium_env.recipe_text(game), end="")
        return
    found = game_called(game)
    if found is None:
        hint = did_you_mean(game, list_games())
        raise RlAbnError(f"expected a game of ALE for --new, got '{game}': {hint}")
    print(recipe_text(found), end="")


def _list_or_show(what: str | None) -> None:
    from rl_abn.errors import RlAbnError, did_you_mean
    from rl_abn.recipes import Kind, gymnasium_env, list_recipes, recipe_path, recipe_summary
    from rl_abn.recipes.ale_games import NAMESPACE, game_called, list_games, recipe_text
    from rl_abn.recipes.lookup import gymnasium_name, is_made
    from rl_abn.runs.shipped import AGENTS, CARD, list_shipped, summary_of

    kinds: dict[Kind, tuple[str, str]] = {
        "agents": ("agents", "agents"),
        "envs": ("envs", "envs"),
        "agents/vision": ("vision", "vision agents (networks)"),
        "envs/vision": ("vision", "vision envs (data)"),
        "agents/translation": ("vision", "vision translators"),
    }
    names = {kind: list_recipes(kind) for kind in kinds}
    groups = {TRAINED, *(group for group, _ in kinds.values())}
    trained = list_shipped()
    if what is None or what in groups:
        for kind, (group, heading) in kinds.items():
            if what not in (None, group):
                continue
            print(f"{heading}:")
            for name in names[kind]:
                print(f"  {name:24}{recipe_summary(kind, name)}")
            if kind == "envs":
                print(f"  {'GAME':24}{EVERY_GAME}")
                print(f"  {'module:EnvId-v0':24}{EVERY_ENVIRONMENT}")
        if what in (None, TRAINED):
            print("trained agents, for every command that takes a run:")
            width = max(map(len, trained), default=0) + 2
            for name in trained:
                print(f"  {name:{width}}{summary_of(name)}")
        print("next: rl-abn recipes NAME shows one; copy it, change it, and pass its path")
        return
    if what.startswith(NAMESPACE):
        what = game_called(what) or what
    if what in trained:
        print((AGENTS / what / CARD).read_text("utf-8"), end="")
        return
    for kind in kinds:
        if what in names[kind]:
            print(recipe_path(kind, what).read_text("utf-8"), end="")
            return
    if is_made(what):
        print(recipe_text(what), end="")
        return
    if gymnasium_name(what) is not None:
        print(gymnasium_env.recipe_text(what), end="")
        return
    everything = [*groups, *trained, *(name for some in names.values() for name in some)]
    everything += list_games()
    raise RlAbnError(f"unknown recipe '{what}': {did_you_mean(what, everything)}")
