"""One weight a channel: what mechanisms of that kind share."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from rl_abn.attention.mechanism import Abilities, Mechanism


class ChannelMechanism(Mechanism):
    """Multiplies every channel by its weight; a subclass makes the weights."""

    abilities: ClassVar[Abilities] = Abilities(maps="channel", any_channels=False)

    def gate(
        self, features: Float[Tensor, "B C h w"], attention_map: Float[Tensor, "B 1 C 1"]
    ) -> Float[Tensor, "B C h w"]:
        """Returns the features, each channel times its weight, [B, C, h, w]."""
        return features * attention_map.transpose(1, 2)
