"""The interventions on maps that are asked for, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from rl_abn.attention import INTERVENTIONS, Intervention
from rl_abn.attention.interventions import Layout
from rl_abn.errors import RlAbnError, did_you_mean
from rl_abn.vision.training.build import VisionRun

EVERY = "all"
ON_DRIVES = tuple(INTERVENTIONS)
# "frozen" holds the first map of a game, and pictures are no game.
ON_PICTURES = tuple(name for name in INTERVENTIONS if name != "frozen")


def read_interventions(words: Sequence[str], run: VisionRun, names: Sequence[str]) -> list[str]:
    """Reads the names of interventions; "all" is all of them.

    Args:
        words: Names as they were given.
        run: Whose maps are to be changed.
        names: Those there are: `ON_PICTURES` or `ON_DRIVES`.

    Raises:
        RlAbnError: If the network has no maps, or a name is unknown.
    """
    if words and not run.recipe.agent.attention.has_maps:
        raise RlAbnError(
            f"expected a network with attention maps, got '{run.recipe.agent_name}', "
            "which has none to change"
        )
    for word in words:
        if word not in (EVERY, *names):
            hint = did_you_mean(word, (EVERY, *names))
            raise RlAbnError(f"unknown intervention '{word}': {hint}")
    read = [name for word in words for name in (names if word == EVERY else (word,))]
    return list(dict.fromkeys(read))


def on_pictures(
    name: str, seed: int, layout: Layout, device: torch.device
) -> Callable[[Tensor], Tensor]:
    """Returns an intervention by name, as networks take it; each picture is by itself.

    Args:
        name: A name in `ON_PICTURES`.
        seed: Of what it draws.
        layout: What the values of the network's maps lie beside.
        device: Of the maps.
    """
    generator = torch.Generator(device).manual_seed(seed)
    rule = Intervention(name, generator=generator, layout=layout)
    return lambda maps: rule(maps, torch.ones(len(maps), dtype=torch.bool, device=maps.device))
