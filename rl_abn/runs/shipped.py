"""The trained agents that ship with the package: run folders under `_agents/`, by name."""

from __future__ import annotations

from pathlib import Path

from rl_abn.runs.run import RECIPE

AGENTS = Path(__file__).parents[1] / "_agents"


def list_shipped() -> list[str]:
    """Returns the names of the agents that ship with the package, such as "pong/ppo_abn"."""
    return sorted(
        recipe.parent.relative_to(AGENTS).as_posix() for recipe in AGENTS.glob(f"*/*/{RECIPE}")
    )


def shipped_folder(name: str) -> Path:
    """Returns the run folder of one of `list_shipped`."""
    return AGENTS / name
