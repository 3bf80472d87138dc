"""Schema of what names an agent that is there already: to learn from, or to begin with."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator

from rl_abn.recipes.table import Label, Table


def _is_checkpoint(value: object) -> object:
    """Lets "newest", "best" and steps pass.

    Raises:
        ValueError: For anything else.
    """
    is_step = type(value) is int and 0 <= value < 2**53
    if value not in ("newest", "best") and not is_step:
        raise ValueError(f"expected 'newest', 'best' or the step of a checkpoint, got {value!r}")
    return value


class OtherAgentTable(Table):
    """An agent that is there already.

    Attributes:
        path: A run folder, the name of an agent that ships with the package, a zip of
            stable-baselines3, or weights published with Mask-Attention A3C. Empty in a recipe that
            leaves it to the command line.
        agent: The agent recipe of a zip, whose file does not say; empty is "ppo_cnn" for SB3's own
            `CnnPolicy`. Runs know theirs.
        checkpoint: Which of a run's checkpoints: "newest", "best", or its step.
    """

    path: Label = ""
    agent: Label = ""
    checkpoint: Annotated[int | Literal["newest", "best"], BeforeValidator(_is_checkpoint)] = (
        "newest"
    )
