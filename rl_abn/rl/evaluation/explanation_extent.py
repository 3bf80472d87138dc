"""How much an explanation of an agent does."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from rl_abn.explain.study import QUICK, Thoroughness
from rl_abn.rl.evaluation.explained_states import LEAST_GAP


class GazeExtent(NamedTuple):
    """How much is done with people's recorded games.

    Attributes:
        trials: How many, spread over those that are there.
        frames: Of each, from the beginning.
        moments: At which maps are scored, spread over all.
    """

    trials: int = 16
    frames: int = 20_000
    moments: int = 512


class Extent(NamedTuple):
    """How much an explanation does.

    Attributes:
        episodes: Games of each player.
        states: Moments that maps are tested on.
        interventions: On the maps, in games.
        blind: Blind controls.
        max_steps: Steps after which games are cut off; None is the protocol's cap.
        moment_games: Games side by side that the moments are taken from.
        moment_steps: Steps of each of these.
        how: Of the study of maps.
        quick: Whether it is the quick one.
        over_training: Whether objects are followed over the checkpoints, where there are two.
        gaze: Of people's recorded games, where they are asked for.
    """

    episodes: int = 30
    states: int = 256
    interventions: tuple[str, ...] = (
        "uniform", "time_average", "swap", "shifted", "shuffled", "inverted", "zero",
    )  # fmt: skip
    blind: tuple[str, ...] = ("frozen", "swapped")
    max_steps: int | None = None
    moment_games: int = 8
    moment_steps: int = 1500
    how: Thoroughness = Thoroughness(fidelity_steps=2000)
    quick: bool = False
    over_training: bool = True
    gaze: GazeExtent = GazeExtent()


FULL_EXTENT = Extent()
QUICK_EXTENT = Extent(
    episodes=8,
    states=32,
    interventions=("uniform", "swap"),
    blind=("frozen",),
    moment_games=4,
    moment_steps=400,
    how=QUICK,
    quick=True,
    over_training=False,
    gaze=GazeExtent(trials=4, frames=4000, moments=96),
)


def with_changes(
    extent: Extent,
    *,
    episodes: int | None = None,
    states: int | None = None,
    max_steps: int | None = None,
) -> Extent:
    """Returns an extent with other numbers of games, moments and steps where they are given."""
    if episodes is not None:
        extent = extent._replace(episodes=episodes)
    if max_steps is not None:
        # Moments are taken from a few steps, however early games are cut off.
        moment_steps = max(LEAST_GAP, min(max_steps, extent.moment_steps))
        extent = extent._replace(max_steps=max_steps, moment_steps=moment_steps)
    if states is not None:
        n = min(states, extent.how.sanity_pictures)
        extent = extent._replace(states=states, how=replace(extent.how, sanity_pictures=n))
    return extent
