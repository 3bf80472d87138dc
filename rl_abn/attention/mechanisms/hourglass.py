"""An hourglass: features made smaller step by step and larger again, with skips between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from rl_abn.attention.mechanism import Abilities, Attention, AttentionSite, Mechanism, no_answer

_LEAST_INNER = 8  # of a handful of rectified channels all may fall silent


class ResidualUnit(nn.Module):
    """Adds three convolutions, the middle one 3x3, to their input (He et al., ECCV 2016).

    Normalisation and rectifier come before each convolution.

    Args:
        channels: C.
        norm: Makes a normalisation layer; None leaves normalisation out.
    """

    def __init__(self, channels: int, norm: Callable[[int], nn.Module] | None = None) -> None:
        super().__init__()
        inner = max(channels // 4, _LEAST_INNER)
        layers: list[nn.Module] = []
        for n_in, n_out, kernel in ((channels, inner, 1), (inner, inner, 3), (inner, channels, 1)):
            layers += [norm(n_in)] if norm else []
            layers += [nn.ReLU(), nn.Conv2d(n_in, n_out, kernel, padding=kernel // 2)]
        self.layers = nn.Sequential(*layers)

    def forward(self, features: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        """[B, C, h, w] -> the same shape."""
        out: Tensor = features + self.layers(features)
        return out


class Hourglass(nn.Module):
    """Pools features, recurses, enlarges, and adds a skip (Newell et al., ECCV 2016, figure 3).

    Each level halves height and width by 3x3 max pooling at stride 2, so that at its end every
    location knows of all others.

    Args:
        channels: C.
        depth: Levels.
        norm: Makes a normalisation layer; None leaves normalisation out.
        mode: How features are enlarged: "nearest" or "bilinear".

    Raises:
        ValueError: If the depth is below 1.
    """

    def __init__(
        self,
        channels: int,
        depth: int,
        norm: Callable[[int], nn.Module] | None = None,
        mode: str = "nearest",
    ) -> None:
        super().__init__()
        if depth < 1:
            raise ValueError(f"expected a depth of 1 or more, got {depth}")
        self.mode = mode
        self.skip = ResidualUnit(channels, norm)
        self.down = ResidualUnit(channels, norm)
        self.inner: nn.Module = (
            Hourglass(channels, depth - 1, norm, mode)
            if depth > 1
            else ResidualUnit(channels, norm)
        )
        self.up = ResidualUnit(channels, norm)

    def forward(self, features: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        """[B, C, h, w] -> the same shape."""
        small = F.max_pool2d(features, 3, stride=2, padding=1)
        small = self.up(self.inner(self.down(small)))
        corners = {"align_corners": False} if self.mode == "bilinear" else {}
        large = F.interpolate(small, size=features.shape[2:], mode=self.mode, **corners)
        out: Tensor = self.skip(features) + large
        return out


class HourglassBlock(Mechanism):
    """Finds heat maps by an hourglass and adds both to the features (Newell et al., ECCV 2016).

    As in the paper's stacks, figure 4: what an hourglass puts out becomes a heat map, and the next
    one gets F + W H(F) + V M, the features, those of the hourglass and the heat map, each brought
    to C channels by a 1x1 convolution. The maps have a sigmoid, as nobody tells them their height.

    Args:
        site: Where it attaches.
        depth: How often height and width are halved.

    Raises:
        ValueError: If the depth is below 1.
    """

    abilities: ClassVar[Abilities] = Abilities(any_channels=False)

    def __init__(self, site: AttentionSite, *, depth: int = 2) -> None:
        super().__init__()
        channels = site.channels
        self.hourglass = Hourglass(channels, depth, site.norm)
        self.heat = nn.Conv2d(channels, site.n_maps, 1)
        self.remap_features = nn.Conv2d(channels, channels, 1)
        self.remap_map = nn.Conv2d(1, channels, 1, bias=False)

    def forward(self, features: Float[Tensor, "B C h w"]) -> Attention:
        """Computes the heat maps, [B, m, h, w], and the hourglass's features for the gate."""
        made: Tensor = self.hourglass(features).relu()
        return no_answer(features, self.heat(made).sigmoid(), made)

    def gate(
        self,
        features: Float[Tensor, "B C h w"],
        attention_map: Float[Tensor, "B 1 h w"],
        *context: Tensor,
    ) -> Float[Tensor, "B C h w"]:
        """Returns F + W H(F) + V M, [B, C, h, w]; the context is H(F)."""
        (made,) = context
        remapped: Tensor = self.remap_map(attention_map.to(features.dtype))
        gated: Tensor = features + self.remap_features(made) + remapped
        return gated

    def quiet_layers(self) -> tuple[nn.Module, ...]:
        """Returns what makes the heat maps, and what adds the hourglass to the features."""
        return (self.heat, self.remap_features)
