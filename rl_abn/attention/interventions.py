"""Maps that are not the agent's own, to see what an agent does with its maps.

An intervention is one function or class here and one entry in `INTERVENTIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from rl_abn.attention.mechanism import Abilities

SWAP_FROM = 512
"""How many maps of the past `swap` draws from."""

Rule = Callable[[Tensor, Tensor], Tensor]
"""From the agent's own maps [N, m, h, w] and which of N games begin [N] to the maps it acts on."""


class Layout(NamedTuple):
    """What the values of a mechanism's maps [..., rows, columns] lie beside.

    Attributes:
        abilities: The mechanism's.
        places: h and w of the features.
        steps: L, how many steps the maps of one that remembers look back to; None for others.
    """

    abilities: Abilities
    places: tuple[int, int]
    steps: int | None = None

    def block(self, rows: int, columns: int) -> tuple[int, int]:
        """Returns height and width of the blocks that a map's values, row by row, are cut in.

        Where each row has all locations it is h and w: of one location that asks, one channel or
        one step of the past. Bars of past steps are cut into heads or hops, [L, 1]. All other maps
        are one block.
        """
        if self.abilities.lies_flat(columns):
            return self.places
        return (rows if self.steps is None else self.steps, columns)


def _blocks(attention_map: Tensor, layout: Layout | None) -> Tensor:
    """Returns maps [B, m, rows, columns] as blocks, [B, m, n, height, width]."""
    rows, columns = attention_map.shape[2:]
    block = (rows, columns) if layout is None else layout.block(rows, columns)
    blocks: Tensor = attention_map.flatten(2).unflatten(2, (-1, *block))
    return blocks


def zero(attention_map: Float[Tensor, "B m h w"]) -> Float[Tensor, "B m h w"]:
    """Looks nowhere."""
    return torch.zeros_like(attention_map)


def uniform(attention_map: Float[Tensor, "B m h w"]) -> Float[Tensor, "B m h w"]:
    """Looks everywhere alike: each map's own mean in every place, so its mass is kept."""
    return attention_map.mean(dim=(2, 3), keepdim=True).expand_as(attention_map)


def inverted(attention_map: Float[Tensor, "B m h w"]) -> Float[Tensor, "B m h w"]:
    """Looks where the agent did not: 1 - M."""
    return 1.0 - attention_map


def shuffled(
    attention_map: Float[Tensor, "B m h w"],
    generator: torch.Generator | None = None,
    layout: Layout | None = None,
) -> Float[Tensor, "B m h w"]:
    """Keeps each block's values and puts them in random places, anew for every sample and block.

    Args:
        attention_map: The agent's own maps.
        generator: Of the draws.
        layout: What a block is; None makes each map one.
    """
    flat = _blocks(attention_map, layout).flatten(3)
    keys = torch.rand(flat.shape, generator=generator, device=flat.device)
    return flat.gather(3, keys.argsort(dim=3)).view_as(attention_map)


def shifted(
    attention_map: Float[Tensor, "B m h w"], layout: Layout | None = None
) -> Float[Tensor, "B m h w"]:
    """Looks a third of the picture lower and further right, around the edges; all else is kept.

    Bars, of channels or of past steps, are moved by a third of them.

    Args:
        attention_map: The agent's own maps.
        layout: Which values are moved together; None moves each map as it is.
    """
    blocks = _blocks(attention_map, layout)
    height, width = blocks.shape[3:]
    down, right = -(-height // 3), (-(-width // 3) if width > 1 else 0)
    return blocks.roll((down, right), dims=(3, 4)).view_as(attention_map)


class TimeAverage:
    """Looks where the agent looks on average: the mean of the maps so far, these included.

    What is left of a map is what does not depend on the moment.
    """

    def __init__(self) -> None:
        self._count = 0
        self._mean: Tensor | None = None

    def __call__(self, attention_map: Float[Tensor, "N m h w"]) -> Float[Tensor, "N m h w"]:
        """Returns the mean map for everyone, [N, m, h, w]."""
        maps = attention_map.float()
        before = torch.zeros_like(maps[0]) if self._mean is None else self._mean
        self._count += len(maps)
        self._mean = before + (maps - before).sum(dim=0) / self._count
        return self._mean.to(attention_map.dtype).expand_as(attention_map)


class Swap:
    """Looks where it looked at another moment, drawn from all those so far.

    Every statistic of the maps is kept; what goes is that a map is of now. Of the first moment
    there is only the other games'.

    Args:
        generator: Of the draws, on the maps' device.
    """

    def __init__(self, generator: torch.Generator | None = None) -> None:
        self._generator = generator
        self._seen = 0
        self._kept: Tensor | None = None

    def __call__(self, attention_map: Float[Tensor, "N m h w"]) -> Float[Tensor, "N m h w"]:
        """Returns maps of other moments, [N, m, h, w]; of all maps of a moment together."""
        if self._kept is None:
            swapped = attention_map.roll(1, dims=0)
        else:
            swapped = self._kept[self._draw(len(attention_map), len(self._kept))]
        self._keep(attention_map)
        return swapped

    def _draw(self, count: int, below: int) -> Tensor:
        device = None if self._generator is None else self._generator.device
        return torch.randint(below, (count,), generator=self._generator, device=device)

    def _keep(self, maps: Tensor) -> None:
        """Keeps maps so that all so far are equally likely to be kept (Vitter 1985)."""
        room = SWAP_FROM - (0 if self._kept is None else len(self._kept))
        new = maps[:room].clone()
        self._kept = new if self._kept is None else torch.cat([self._kept, new])
        self._seen += len(new)
        for one in maps[room:]:
            self._seen += 1
            place = int(self._draw(1, self._seen))
            if place < SWAP_FROM:
                self._kept[place] = one


class Frozen:
    """Looks all game long where it looked at first: each game's first maps until the next begins.

    It belongs to one series of N games at once. The first maps it sees are first maps.
    """

    def __init__(self) -> None:
        self._first: Tensor | None = None

    def __call__(
        self, attention_map: Float[Tensor, "N m h w"], episode_start: Bool[Tensor, " N"]
    ) -> Float[Tensor, "N m h w"]:
        """Returns each game's first maps, [N, m, h, w].

        Args:
            attention_map: The agent's own maps now.
            episode_start: Where a game is at its first observation.
        """
        first = attention_map if self._first is None else self._first
        self._first = torch.where(episode_start[:, None, None, None], attention_map, first)
        return self._first


def _whenever(change: Callable[[Tensor], Tensor]) -> Rule:
    """Returns the rule of a change that does not ask where games start."""
    return lambda attention_map, episode_start: change(attention_map)


INTERVENTIONS: Mapping[str, Callable[[torch.Generator | None, Layout | None], Rule]] = {
    "zero": lambda generator, layout: _whenever(zero),
    "uniform": lambda generator, layout: _whenever(uniform),
    "inverted": lambda generator, layout: _whenever(inverted),
    "shuffled": lambda generator, layout: _whenever(
        partial(shuffled, generator=generator, layout=layout)
    ),
    "shifted": lambda generator, layout: _whenever(partial(shifted, layout=layout)),
    "time_average": lambda generator, layout: _whenever(TimeAverage()),
    "swap": lambda generator, layout: _whenever(Swap(generator)),
    "frozen": lambda generator, layout: Frozen(),
}
"""By name: from a generator of what is drawn and a layout to the rule for one series of games."""


class Intervention:
    """A rule for some of an agent's maps, in N games at once.

    Args:
        name: A name in `INTERVENTIONS`.
        only: The number of the one map it changes; None changes all.
        generator: Of what it draws, on the maps' device.
        layout: What the maps' values lie beside; None takes rows and columns as height and width.

    Raises:
        ValueError: If there is no intervention of that name.
    """

    def __init__(
        self,
        name: str,
        only: int | None = None,
        generator: torch.Generator | None = None,
        layout: Layout | None = None,
    ) -> None:
        if name not in INTERVENTIONS:
            raise ValueError(f"expected an intervention of {list(INTERVENTIONS)}, got '{name}'")
        self._rule = INTERVENTIONS[name](generator, layout)
        # A list and no slice: a map that there is not is an error, not nothing.
        self._which = slice(None) if only is None else [only]

    def __call__(
        self, attention_map: Float[Tensor, "N m h w"], episode_start: Bool[Tensor, " N"]
    ) -> Float[Tensor, "N m h w"]:
        """Returns the maps to act on, [N, m, h, w]; those that are not changed are the agent's.

        Args:
            attention_map: The agent's own maps.
            episode_start: Where a game is at its first observation.
        """
        maps = attention_map.clone()
        maps[:, self._which] = self._rule(attention_map[:, self._which], episode_start)
        return maps
