"""One weight a channel and location: what mechanisms of that kind share."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from rl_abn.attention.mechanism import Abilities, Mechanism


class FeaturewiseMechanism(Mechanism):
    """Has a weight for every feature: its maps are [B, m, C, h * w], locations row by row."""

    abilities: ClassVar[Abilities] = Abilities(maps="featurewise", any_channels=False)

    @staticmethod
    def as_map(weights: Float[Tensor, "B mC h w"], n_maps: int) -> Float[Tensor, "B m C places"]:
        """Returns weights of all maps' channels as maps."""
        maps: Tensor = weights.flatten(2).unflatten(1, (n_maps, -1))
        return maps

    @staticmethod
    def as_weights(
        attention_map: Float[Tensor, "B 1 C places"], features: Float[Tensor, "B C h w"]
    ) -> Float[Tensor, "B C h w"]:
        """Returns a map as weights of the features, in their type."""
        return attention_map.to(features.dtype).reshape(features.shape)
