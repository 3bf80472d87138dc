"""What a map lies on over a training: the run's checkpoints, asked at the same moments."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from rl_abn.errors import RlAbnError
from rl_abn.estimates import Estimate, mean
from rl_abn.explain.objects import under_map
from rl_abn.explain.report import Block, Curves, Table
from rl_abn.explain.responses import chosen
from rl_abn.explain.rivals.gradient import grad_cam
from rl_abn.files.parts import Part
from rl_abn.files.stamp import file_stamp
from rl_abn.rl.evaluation.explained_policy import own_maps, policy_subject
from rl_abn.rl.evaluation.explained_states import ExplainedStates
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.runs import WEIGHTS, Checkpoint, Run, read_weights

MOST_CHECKPOINTS = 12
LEAST_MOMENTS = 3


def checkpoints_shown(run: Run, last: int) -> list[Checkpoint]:
    """Returns checkpoints up to a step, at most 12, spread evenly; the first and last are there."""
    found = [point for point in run.checkpoints if point.step <= last]
    n = min(len(found), MOST_CHECKPOINTS)
    return [found[i] for i in np.linspace(0, len(found) - 1, n).round().astype(int)] if n else []


def stamp_of(point: Checkpoint) -> list[int]:
    """Returns what tells that a checkpoint's weights are others: its step and the file's stamp."""
    return [point.step, *(file_stamp(point.path / WEIGHTS) or ())]


def objects_over_training(
    policy: AttentionPolicy,
    points: list[Checkpoint],
    states: ExplainedStates,
    tick: Callable[[str, int], None],
) -> Part:
    """Measures share and lift of the agent's first map on each object, at every checkpoint.

    An agent without maps of places is followed by Grad-CAM. A checkpoint that cannot be read is
    skipped, and the result says why.

    Args:
        policy: The explained agent, in fp32; a copy of it takes the checkpoints' weights.
        points: The checkpoints.
        states: The moments, the same for all.
        tick: Told what is worked on and how many passes were made.

    Raises:
        RlAbnError: If none of the checkpoints can be read.
    """
    arrays = {}
    read: list[Checkpoint] = []
    skipped: list[dict[str, Any]] = []
    seen = [name for name in states.objects if _n_seen(states, name) >= LEAST_MOMENTS]
    then = copy.deepcopy(policy)
    for point in points:
        try:
            weights = read_weights(point, policy.state_dict())
        except RlAbnError as error:
            skipped.append({"step": point.step, "reason": str(error)})
            continue
        then.load_state_dict(weights)
        subject = policy_subject(then, states, policy.device)
        make = next(iter(own_maps(subject).values()), None)
        maps = grad_cam(subject, chosen(subject.answers())) if make is None else make(subject)
        for number, name in enumerate(seen):
            under, i = under_map(maps, states.mask(name)), len(read)
            arrays[f"{i}|{number}|lift"], arrays[f"{i}|{number}|share"] = under.lift, under.share
        read.append(point)
        tick(f"checkpoint of step {point.step:,}", subject.n)
    if not read:
        raise RlAbnError(
            f"expected a checkpoint that can be read, got {len(points)} of which none can: "
            + str(skipped[-1]["reason"])
        )
    steps = [point.step for point in read]
    return Part({"steps": steps, "objects": seen, "skipped": skipped}, arrays)


def skipped_said(part: Part) -> list[str]:
    """Returns a line on each checkpoint that could not be read."""
    return [
        f"over the training, the checkpoint of step {each['step']:,} was skipped: {each['reason']}"
        for each in part.result["skipped"]
    ]


def _n_seen(states: ExplainedStates, name: str) -> int:
    return int(states.mask(name).any(axis=(1, 2)).sum())


def numbers_over_training(part: Part, seed: int = 0) -> dict[str, Any]:
    """Returns steps and what was skipped, and by object the lift and share at each step."""
    steps: list[int] = part.result["steps"]
    found: dict[str, Any] = {"steps": steps, "objects": {}, "skipped": part.result["skipped"]}
    for number, name in enumerate(part.result["objects"]):
        found["objects"][name] = {
            what: [mean(part.arrays[f"{i}|{number}|{what}"], seed) for i in range(len(steps))]
            for what in ("lift", "share")
        }
    return found


def blocks_over_training(numbers: dict[str, Any]) -> list[Block]:
    """Returns the curve and the tables; nothing without objects or with fewer than two steps."""
    steps, objects = numbers["steps"], numbers["objects"]
    if not objects or len(steps) < 2:
        return []
    shown = {name.replace("_", " "): of for name, of in objects.items()}
    blocks: list[Block] = [
        Curves(
            "Objects over the training: share of the map over share of the area",
            "At every checkpoint the same moments, of the explained agent's games. 1 is an even "
            "map's. A memory is as the explained agent had it.",
            tuple(step / steps[-1] for step in steps),
            [(name, "own", [float(e.value) for e in of["lift"]]) for name, of in shown.items()],
            f"share of the training's {steps[-1]:,} steps",
            "times an even map",
        )
    ]
    for what, title in (
        ("lift", "share of the map over share of the area"),
        ("share", "share of the map"),
    ):
        rows: list[tuple[str, list[Estimate | float | str | None]]] = [
            (f"{step:,}", [of[what][i] for of in shown.values()]) for i, step in enumerate(steps)
        ]
        blocks.append(
            Table(f"Over the training: {title}", "Means over moments that show the object.",
                  ("step", *shown), rows)
        )  # fmt: skip
    return blocks
