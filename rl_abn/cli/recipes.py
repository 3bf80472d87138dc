"""`rl-abn recipes`."""

from __future__ import annotations

import argparse

from rl_abn.cli.parser import Subparsers


def add(commands: Subparsers) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "recipes",
        help="list and show recipes",
        description="List the recipes there are, or show one.",
    )
    parser.add_argument(
        "what", nargs="?", metavar="agents|envs|vision|NAME", help="what to list or show"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Lists recipes or shows one."""
    from rl_abn.errors import RlAbnError, did_you_mean
    from rl_abn.recipes import Kind, list_recipes, recipe_path, recipe_summary

    kinds: dict[Kind, tuple[str, str]] = {
        "agents": ("agents", "agents"),
        "envs": ("envs", "envs"),
        "agents/vision": ("vision", "vision agents (networks)"),
        "envs/vision": ("vision", "vision envs (data)"),
    }
    names = {kind: list_recipes(kind) for kind in kinds}
    groups = {group for group, _ in kinds.values()}
    what = arguments.what
    if what is None or what in groups:
        for kind, (group, heading) in kinds.items():
            if what not in (None, group):
                continue
            print(f"{heading}:")
            for name in names[kind]:
                print(f"  {name:24}{recipe_summary(kind, name)}")
        print("next: rl-abn recipes NAME shows one; copy it, change it, and pass its path")
        return
    for kind in kinds:
        if what in names[kind]:
            print(recipe_path(kind, what).read_text("utf-8"), end="")
            return
    everything = [*groups, *(name for some in names.values() for name in some)]
    raise RlAbnError(f"unknown recipe '{what}': {did_you_mean(what, everything)}")
