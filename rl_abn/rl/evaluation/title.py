"""What a game is called: at the top of its video, and in the names of what is made of it."""

from __future__ import annotations

from collections.abc import Iterable

from rl_abn.runs import METRICS, Run
from rl_abn.runs.metrics import read_metrics

RELIANCE = "attention/reliance_swap"  # what the title of a video says of a map's use


def title_of(
    run: Run,
    step: int,
    intervention: str | None = None,
    map_name: str | None = None,
    *,
    greedy: bool = False,
) -> str:
    """Returns a video's title: who plays, how it was trained, how it relies on its maps.

    Args:
        run: Whose agent.
        step: The checkpoint's.
        intervention: On its maps, as on the command line; None for none.
        map_name: A map that is shown in place of its own; None is its own.
        greedy: Whether it takes its most probable actions.
    """
    said = ["greedy"] if greedy else []
    said += [] if intervention is None else [f"maps: {intervention}"]
    said += [] if map_name is None else [f"shown: {map_name.replace('_', ' ')}"]
    changed = f" ({', '.join(said)})" if said else ""
    return (
        f"{run.recipe.agent_name}{changed} on {run.recipe.env.game.title}, "
        + how_trained(step, run.is_foreign)
        + ("" if map_name is not None else how_it_relied(run, step))
    )


def name_of_game(
    steps: Iterable[int],
    seed: int,
    maps: Iterable[str | None] = (),
    *,
    greedy: bool = False,
    max_steps: int | None = None,
) -> str:
    """Returns the name of a video or a recording, such as "step-64-game-0-greedy-cut-at-5".

    Args:
        steps: The checkpoints'.
        seed: Of the game.
        maps: Interventions, as on the command line, and maps shown in place of the agent's own.
        greedy: Whether the agent takes its most probable actions.
        max_steps: After how many steps it was cut off; None for the whole game.
    """
    parts = (
        *(f"step-{step}" for step in steps),
        f"game-{seed}",
        "greedy" if greedy else "",
        *maps,
        "" if max_steps is None else f"cut-at-{max_steps}",
    )
    return "-".join(part.replace(":", "-") for part in parts if part)


def how_it_relied(run: Run, step: int) -> str:
    """Returns the map reliance that the training last logged up to a step, as written in a title.

    It is that of maps swapped with those of other moments; nothing where none was logged.
    """
    path = run.path / METRICS
    rows = read_metrics(path) if path.is_file() else []
    logged = [row.get(RELIANCE) for row in rows if row["step"] <= step]
    found = [nats for nats in logged if isinstance(nats, float)]
    return f", map reliance {found[-1]:.3f} nats" if found else ""


def how_trained(step: int, is_foreign: bool) -> str:
    """Returns the training steps as written in a title; another program's may be unknown."""
    if not is_foreign:
        return f"{step:,} steps trained"
    return f"{step:,} steps trained elsewhere" if step else "trained elsewhere"
