"""One small picture of the maps of a few pictures: of those kept in training, of those to edit."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from rl_abn.attention import Abilities, places_like
from rl_abn.render import overlay_grid, scale_of
from rl_abn.vision.tasks.outputs import MOST_TASKS_SHOWN, Outputs

_SHOWN_SIDE = 96  # pictures smaller than this are shown larger


def map_grid(
    frames: UInt8[np.ndarray, "P H W 3"],
    maps: Float[Tensor, "P m h w"],
    outputs: Outputs,
    abilities: Abilities | None = None,
) -> UInt8[np.ndarray, "height width 3"]:
    """Draws a column a picture and a row a map, under the name of its task if it has one.

    Args:
        frames: The pictures, uint8 [P, H, W, 3].
        maps: Their maps, in 0..1, m from 1; those of the first eight tasks are drawn.
        outputs: What the network's outputs mean.
        abilities: Its mechanism's; maps that sum to 1 are shown as multiples of an even map. None
            shows all maps as they are.
    """
    larger = -(-_SHOWN_SIDE // min(frames.shape[1:3]))
    shown = frames.repeat(larger, axis=1).repeat(larger, axis=2)
    names = outputs.map_names[:MOST_TASKS_SHOWN]
    abilities = abilities or Abilities()
    places = places_like(maps.shape[-1], *frames.shape[1:3])
    drawn = abilities.drawn(maps[:, :MOST_TASKS_SHOWN].numpy(), places)
    scale = scale_of("fixed", sums_to_one=abilities.sums_to_one)
    return overlay_grid(shown, drawn, scale, names=names)
