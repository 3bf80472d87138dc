"""The trained agents that ship with the package: run folders under `_agents/`, by name."""

from __future__ import annotations

from pathlib import Path

from rl_abn.runs.run import RECIPE, check_is_run

AGENTS = Path(__file__).parents[1] / "_agents"


def list_shipped() -> list[str]:
    """Returns the names of the agents that ship with the package, such as "pong/ppo_abn"."""
    return sorted(
        recipe.parent.relative_to(AGENTS).as_posix() for recipe in AGENTS.glob(f"*/*/{RECIPE}")
    )


def find_run(run: str | Path) -> Path:
    """Returns the run folder of a path, or of a name of `list_shipped`.

    A folder that is there goes before an agent of the same name.

    Raises:
        RlAbnError: If there is neither, with the nearest run or name.
    """
    path, names = Path(run).expanduser(), list_shipped()
    if not path.exists() and str(run) in names:
        path = AGENTS / str(run)
    check_is_run(path, names=names)
    return path
