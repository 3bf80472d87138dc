"""The Python door: a run folder or a name in, an agent or a vision model out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rl_abn.rl.agent import Agent
    from rl_abn.runs import CheckpointChoice
    from rl_abn.vision.detection.model import DetectorModel
    from rl_abn.vision.model import Model


def load(
    run: str | Path, *, step: CheckpointChoice = None, device: str = "auto", seed: int = 0
) -> Agent | Model | DetectorModel:
    """Loads a trained agent, or a trained model or detector of the vision track.

    Args:
        run: A run folder of either track, or a name of `list_agents`.
        step: The checkpoint: agent steps, or epochs; "best" is the best of
            a training with `eval_every`; None is the newest.
        device: Where the network runs: "auto", "cpu", "cuda:0" and the like.
        seed: Of sampled actions, of games, and of interventions that draw at random.

    Raises:
        RlAbnError: If there is no such run, or it has no such checkpoint.

    Example:
        >>> import rl_abn
        >>> agent = rl_abn.load("runs/pong/ppo_abn/seed-0")  # doctest: +SKIP
        >>> env = agent.make_env()  # doctest: +SKIP
        >>> agent.act(env.reset())  # doctest: +SKIP
        array([2])
    """
    from rl_abn.errors import RlAbnError
    from rl_abn.recipes import RunRecipe, VisionRunRecipe
    from rl_abn.recipes.lookup import read_toml, track_of
    from rl_abn.runs import RECIPE, Run
    from rl_abn.runs.shipped import find_run

    folder = find_run(run)
    if track_of(read_toml(folder / RECIPE)) is RunRecipe:
        from rl_abn.rl.agent import Agent

        return Agent(Run.open(folder), step=step, device=device, seed=seed)
    if step == "best":
        raise RlAbnError(f"{folder}: expected an epoch, got 'best', which agents alone have")
    opened = Run.open(folder, VisionRunRecipe)
    if opened.recipe.env.kind == "boxes":
        from rl_abn.vision.detection.model import DetectorModel

        return DetectorModel(opened, step=step, device=device, seed=seed)
    from rl_abn.vision.model import Model

    return Model(opened, step=step, device=device, seed=seed)


def list_agents() -> list[str]:
    """Returns the names of the trained agents that ship with the package, for `load`."""
    from rl_abn.runs.shipped import list_shipped

    return list_shipped()
