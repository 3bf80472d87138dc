"""The attention branch: features in; maps, evidence and the branch's own answer out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rl_abn.attention.mechanism import Abilities, Attention, AttentionSite, Mechanism


class AttentionBranch(Mechanism):
    """The branch of an Attention Branch Network (Fukui et al., CVPR 2019, section 3).

    The body works on the features at their own resolution. A 1x1 convolution turns its output
    into one response per answer; from these responses a 3x3 convolution and a sigmoid make the
    maps, and a 1x1 convolution and pooling make the answer. Where no answer is wanted
    (`site.n_outputs` = 0) the maps come straight from the features by a 1x1 convolution, the form
    of Mask-A3C (Itaya et al., IJCNN 2021).

    How a map gates the features is a subclass's.

    Args:
        site: Where it attaches. The published body is a copy of the network's last stage at
            stride 1.

    Raises:
        ValueError: If a count is out of range.
    """

    abilities: ClassVar[Abilities] = Abilities(answers=True)

    def __init__(self, site: AttentionSite) -> None:
        super().__init__()
        n_outputs, n_maps, norm = site.n_outputs, site.n_maps, site.norm
        if site.channels < 1 or n_outputs < 0 or n_maps < 1:
            raise ValueError(
                "expected channels >= 1, n_outputs >= 0 and n_maps >= 1, "
                f"got {site.channels}, {n_outputs} and {n_maps}"
            )
        self.n_outputs = n_outputs
        self.n_maps = n_maps
        if n_outputs == 0:
            self.body: nn.Module = nn.Identity()
            self.pool = None
            self.response = None
            self.evidence_head = None
            self.map_head = nn.Sequential(nn.Conv2d(site.channels, n_maps, 1))
            return
        self.body = nn.Identity() if site.body is None else site.body()
        self.pool = None if site.pool is None else site.pool()
        channels = site.body_channels or site.channels
        self.response = nn.Sequential(
            *_normalised(norm, channels),
            nn.Conv2d(channels, n_outputs, 1, bias=norm is None),
            *_normalised(norm, n_outputs),
            # Without normalisation a ReLU response can die for good, and the map with it.
            nn.LeakyReLU(0.1) if norm is None else nn.ReLU(),
        )
        self.evidence_head = nn.Conv2d(n_outputs, n_outputs, 1, bias=norm is None)
        self.map_head = nn.Sequential(
            nn.Conv2d(n_outputs, n_maps, 3, padding=1, bias=norm is None),
            *_normalised(norm, n_maps),
        )

    def forward(self, features: Float[Tensor, "B C h w"]) -> Attention:
        """Computes maps, evidence and logits.

        Args:
            features: [B, C, h, w].
        """
        hidden = self.body(features)
        if self.response is None or self.evidence_head is None:
            attention_map = torch.sigmoid(self.map_head(hidden))
            evidence = attention_map[:, :0]
        else:
            response = self.response(hidden)
            attention_map = torch.sigmoid(self.map_head(response))
            evidence = self.evidence_head(response)
        logits = evidence.mean(dim=(2, 3)) if self.pool is None else self.pool(evidence)
        return Attention(attention_map, evidence, logits)

    def own_layers(self) -> Iterable[nn.Module]:
        """Returns all layers but the body, which the network built and initialised itself."""
        return (layer for layer in self.children() if layer is not self.body)

    def quiet_layers(self) -> Iterable[nn.Module]:
        """Returns the last layers before maps and answers."""
        return filter(None, (self.map_head, self.evidence_head))


def _normalised(norm: Callable[[int], nn.Module] | None, channels: int) -> list[nn.Module]:
    return [] if norm is None else [norm(channels)]
