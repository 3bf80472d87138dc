"""F + W relu(V F): more layers and no attention, the baseline of mechanisms that add some."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from rl_abn.attention.mechanism import Abilities, Attention, AttentionSite, Mechanism, no_answer


class MoreLayers(Mechanism):
    """Adds two layers to the features and makes no map.

    A mechanism that adds layers may be better for these alone. With as many weights as it has,
    this one tells.

    Args:
        site: Where it attaches.
        hidden: Channels between the two layers.
        kernel: Odd, of the first layer; the second is 1x1.

    Raises:
        ValueError: If a number is out of range.
    """

    abilities: ClassVar[Abilities] = Abilities(maps=None, any_channels=False)

    def __init__(self, site: AttentionSite, *, hidden: int = 64, kernel: int = 1) -> None:
        super().__init__()
        if hidden < 1:
            raise ValueError(f"expected hidden of 1 or more, got {hidden}")
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"expected an odd kernel from 1, got {kernel}")
        self.layers = nn.Sequential(
            nn.Conv2d(site.channels, hidden, kernel, padding=kernel // 2),
            nn.ReLU(),
            nn.Conv2d(hidden, site.channels, 1),
        )

    def forward(self, features: Float[Tensor, "B C h w"]) -> Attention:
        """Returns 0 maps, [B, 0, h, w]."""
        return no_answer(features, features[:, :0])

    def gate(self, features: Float[Tensor, "B C h w"], attention_map: Tensor) -> Tensor:
        """Returns F + W relu(V F), [B, C, h, w]."""
        out: Tensor = features + self.layers(features)
        return out
