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
    parser.add_argument("what", nargs="?", metavar="agents|envs|NAME", help="what to list or show")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Lists or shows."""
    from rl_abn.errors import RlAbnError, did_you_mean
    from rl_abn.recipes import Kind, list_recipes, recipe_path, recipe_summary

    kinds: dict[Kind, list[str]] = {"agents": list_recipes("agents"), "envs": list_recipes("envs")}
    what = arguments.what
    if what is None or what in kinds:
        for kind, names in kinds.items():
            if what not in (None, kind):
                continue
            print(f"{kind}:")
            for name in names:
                print(f"  {name:16}{recipe_summary(kind, name)}")
        print("next: rl-abn recipes NAME shows one; copy it, change it, and pass its path")
        return
    for kind, names in kinds.items():
        if what in names:
            print(recipe_path(kind, what).read_text("utf-8"), end="")
            return
    everything = [*kinds, *kinds["agents"], *kinds["envs"]]
    raise RlAbnError(f"unknown recipe '{what}': {did_you_mean(what, everything)}")
