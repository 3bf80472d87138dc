"""How much an explanation of a network does."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from rl_abn.explain.study import QUICK, Thoroughness

FULL_HOW = Thoroughness(substrates=("blur", "mean", "noise"), fidelity_steps=2000)
QUICK_HOW = replace(QUICK, substrates=("blur", "mean"))
FULL_INTERVENTIONS = (
    "uniform", "time_average", "swap", "shifted", "shuffled", "inverted", "zero",
)  # fmt: skip
QUICK_INTERVENTIONS = ("uniform", "swap")


class VisionExtent(NamedTuple):
    """How much an explanation does.

    Attributes:
        pictures: On which maps are tested, spread over the split.
        interventions: On the maps, over the whole split.
        how: Of the study of maps.
        quick: Whether it is the quick one.
    """

    pictures: int = 256
    interventions: tuple[str, ...] = FULL_INTERVENTIONS
    how: Thoroughness = FULL_HOW
    quick: bool = False


FULL_EXTENT = VisionExtent()
QUICK_EXTENT = VisionExtent(48, QUICK_INTERVENTIONS, QUICK_HOW, quick=True)
