"""What every attention mechanism is: what it needs, what maps it makes, how it gates features."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

MapKind = Literal["spatial", "channel", "featurewise", "pairwise", "temporal"]
"""What the rows and columns of a map [B, m, rows, columns] are.

"spatial": height and width of the features. "channel": one row a channel, one column.
"featurewise": one row a channel, one column a location. "pairwise": one row a location that asks,
one column a location that is asked; the rows of several heads lie below each other. "temporal": one
row a step of the past, the oldest first, those of several heads or hops below each other; one
column, or one a location.
"""


@dataclass(frozen=True)
class Abilities:
    """What a mechanism can do and what it needs, known without building one.

    Attributes:
        maps: What kind of maps it makes; None for a mechanism without maps.
        answers: Whether it can state an answer of its own (a policy and a value, or classes).
        splits: Whether actor and critic can have a map each, or the actor alone one.
        queries: Whether its maps answer a query: the state of an LSTM has to be there to ask.
        samples: Whether it samples the location to look at.
        sums_to_one: Whether each map shares out a sum of 1 among its locations; of pairwise maps,
            each row does.
        any_channels: Whether it gates features of any number of channels, and not only of the
            number that its maps are made of.
        remembers: Whether it attends to earlier steps of a game: a `RememberingMechanism`.
        pictures_only: Whether it is for single pictures: what it learns by besides the gradients
            through its maps is no part of an agent's update.
    """

    maps: MapKind | None = "spatial"
    answers: bool = False
    splits: bool = True
    queries: bool = False
    samples: bool = False
    sums_to_one: bool = False
    any_channels: bool = True
    remembers: bool = False
    pictures_only: bool = False

    @property
    def editable(self) -> bool:
        """Whether a loss can draw its maps to others: it has maps, and gradients reach them."""
        return self.maps is not None and not self.samples

    @property
    def paintable(self) -> bool:
        """Whether a person can paint its maps: they lie on the picture, and can be learned."""
        return self.editable and self.maps == "spatial"

    def map_names(self, maps: str) -> tuple[str, ...]:
        """Returns the names of the maps: none, ("shared",), ("policy", "value") or ("policy",).

        Args:
            maps: "shared", "split" or "policy".
        """
        if self.maps is None:
            return ()
        return {"shared": ("shared",), "split": ("policy", "value"), "policy": ("policy",)}[maps]

    def lies_flat(self, columns: int) -> bool:
        """Returns whether each row of the maps has all locations, row by row, as its columns."""
        return self.maps not in (None, "spatial", "channel") and columns > 1

    def on_picture(self, maps: Any, places: tuple[int, int] | None = None) -> Any:
        """Returns maps with a value a location, [..., m, h, w]; None for bars and for no maps.

        Maps of places are that as they are acted on; of those that lie flat it is what is drawn.

        Args:
            maps: The maps, [..., m, rows, columns].
            places: As in `drawn`.
        """
        n_maps, _, columns = maps.shape[-3:]
        if n_maps and self.maps == "spatial":
            return maps
        return self.drawn(maps, places) if n_maps and self.lies_flat(columns) else None

    def drawn(self, maps: Any, places: tuple[int, int] | None = None) -> Any:
        """Returns maps [..., rows, columns], an array or a tensor, as they are drawn.

        Of maps whose columns are the locations, what is drawn is the mean over the rows, a map of
        the frame: how much a location is looked at from all others, in all channels or steps.

        Args:
            maps: The maps.
            places: Height and width of the features that they were made of; None is a square.
        """
        rows, columns = maps.shape[-2:]
        drawn = maps * self.even_factor(rows, columns)
        if not self.lies_flat(columns):
            return drawn
        height, width = places or (math.isqrt(columns), math.isqrt(columns))
        return drawn.mean(-2).reshape(*maps.shape[:-2], height, width)

    def even_factor(self, rows: int, columns: int) -> int:
        """Returns what map values are multiplied by to be drawn.

        A value of a map that sums to 1 is small where there are many locations: 1/81 is all that an
        even map of 9x9 has. Times the number of locations, it is a multiple of an even map's value.
        Maps of other mechanisms are drawn as they are, times 1.

        Args:
            rows: Of the map.
            columns: Of the map.
        """
        if not self.sums_to_one:
            return 1
        return columns if self.maps == "pairwise" else rows * columns


@dataclass(frozen=True)
class AttentionSite:
    """What a network offers a mechanism at the place where it attaches.

    Attributes:
        channels: C, channels of the features.
        n_maps: m, how many maps are wanted.
        n_outputs: K, how many answers of its own the mechanism is to give; 0 for none.
        body: Builds the layers before the mechanism's answers, features of the same height and
            width in and out; None for none. A mechanism that does not need them builds none.
        body_channels: Channels of what `body` puts out; None is C.
        norm: Makes a normalisation layer for a channel count; None leaves normalisation out, as
            actor-critic training needs.
        pool: Builds what turns evidence [B, K, h, w] into answers [B, K]; None is average pooling.
        query_size: Size of the query; None where nothing asks.
        map_size: h and w of the features; None where they are not known beforehand.
    """

    channels: int
    n_maps: int = 1
    n_outputs: int = 0
    body: Callable[[], nn.Module] | None = None
    body_channels: int | None = None
    norm: Callable[[int], nn.Module] | None = None
    pool: Callable[[], nn.Module] | None = None
    query_size: int | None = None
    map_size: tuple[int, int] | None = None


class Attention(NamedTuple):
    """What a mechanism computes for one batch of features.

    Attributes:
        map: Attention maps, [B, m, rows, columns], each value in 0..1; spatial maps are
            [B, m, h, w]. Of maps that are no shares or weights, as a non-local block's dot
            products, values may be any.
        evidence: The response map of every answer before pooling, [B, K, h, w]: what speaks for
            LEFT, what for FIRE. K is 0 where the mechanism gives no answer.
        logits: The mechanism's own answer, [B, K]: the evidence, pooled.
        context: What the gate takes besides features and map, where it was made along with the map.
        own_loss: What learning adds to the loss for the mechanism's own sake, [B]; None is nothing.
        log_prob: Log-probability of the locations it sampled, [B]; None where it sampled none.
    """

    map: Float[Tensor, "B m rows columns"]
    evidence: Float[Tensor, "B K h w"]
    logits: Float[Tensor, "B K"]
    context: tuple[Tensor, ...] = ()
    own_loss: Float[Tensor, " B"] | None = None
    log_prob: Float[Tensor, " B"] | None = None


class Mechanism(nn.Module):
    """Makes attention maps of features, and gates the features by them.

    A subclass declares its `abilities` and takes a site first; keyword-only arguments with
    defaults are its options, which a recipe sets in its `[attention]` table. `register_mechanism`
    gives it a name. Maps are returned and never kept on `self`.

    Example:
        >>> import torch
        >>> class Brightness(Mechanism):
        ...     abilities = Abilities(maps="spatial", splits=False)
        ...
        ...     def __init__(self, site: AttentionSite, *, steepness: float = 1.0) -> None:
        ...         super().__init__()
        ...         self.steepness = steepness
        ...
        ...     def forward(self, features):
        ...         brightness = features.mean(dim=1, keepdim=True)
        ...         return no_answer(features, torch.sigmoid(self.steepness * brightness))
        ...
        ...     def gate(self, features, attention_map):
        ...         return features * attention_map
        >>> mechanism = Brightness(AttentionSite(channels=8))
        >>> mechanism(torch.zeros(2, 8, 9, 9)).map.shape
        torch.Size([2, 1, 9, 9])
    """

    abilities: ClassVar[Abilities]

    def forward(self, features: Float[Tensor, "B C h w"]) -> Attention:
        """Computes the maps and, where the mechanism gives one, its own answer."""
        raise NotImplementedError

    def gate(
        self, features: Float[Tensor, "B c h w"], attention_map: Float[Tensor, "B 1 rows columns"]
    ) -> Float[Tensor, "B c _h _w"]:
        """Gates features with one map; the map may be another than the mechanism's own.

        A mechanism whose attention has a context takes it as further arguments.
        """
        raise NotImplementedError

    @classmethod
    def abilities_with(cls, **options: Any) -> Abilities:
        """Returns the abilities of one that is made with these options; they may depend on them."""
        del options
        return cls.abilities

    def own_layers(self) -> Iterable[nn.Module]:
        """Returns the layers a network initialises: all but those that came with the site."""
        return self.children()

    def quiet_layers(self) -> Iterable[nn.Module]:
        """Returns the layers whose outputs should be small at first, for even maps and answers."""
        return ()

    def map_parameters(self) -> Iterable[nn.Parameter]:
        """Yields the weights that make maps and nothing else: all of them, but for a branch."""
        for layer in self.own_layers():
            yield from layer.parameters()

    def set_own_start(self) -> None:
        """Gives layers the first weights that are the mechanism's own; the network's came before.

        Called once, after all layers are initialised.
        """


def no_answer(features: Tensor, attention_map: Tensor, *context: Tensor) -> Attention:
    """Returns the attention of a mechanism that makes maps and gives no answer of its own."""
    nothing = features[:, :0]
    return Attention(attention_map, nothing, nothing.mean(dim=(2, 3)), context)


def places_like(columns: int, height: int, width: int) -> tuple[int, int]:
    """Returns h and w, h * w = columns, of a map that is about as high and wide as a frame.

    Args:
        columns: Of a map whose columns are all locations.
        height: The frame's.
        width: The frame's.
    """
    pairs = [(h, columns // h) for h in range(1, columns + 1) if columns % h == 0]
    return min(pairs, key=lambda pair: abs(math.log(pair[0] * width / (pair[1] * height))))
