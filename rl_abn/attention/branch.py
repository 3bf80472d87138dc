"""The attention branch: features in; maps, evidence and the branch's own answer out."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

Norm = Callable[[int], nn.Module]


class Attention(NamedTuple):
    """What an attention branch says about one batch of features.

    Attributes:
        map: Attention maps, [B, m, h, w], each value in 0..1.
        evidence: The response map of every output before pooling, [B, K, h, w]: what speaks for
            LEFT, what for FIRE. K is 0 where the branch answers nothing of its own.
        logits: The branch's own answer, [B, K]: the evidence, pooled.
    """

    map: Float[Tensor, "B m h w"]
    evidence: Float[Tensor, "B K h w"]
    logits: Float[Tensor, "B K"]


class AttentionBranch(nn.Module):
    """The branch of an Attention Branch Network (Fukui et al., CVPR 2019, section 3).

    `body` works on the features at their own resolution. A 1x1 convolution turns its output into
    one response per answer; from these responses a 3x3 convolution and a sigmoid make the maps,
    and a 1x1 convolution and pooling make the answer. With `n_outputs=0` the branch answers
    nothing and the maps come straight from the body (a 1x1 convolution, the form of Mask-A3C,
    Itaya et al., IJCNN 2021).

    Args:
        in_channels: Channels of what `body` puts out (or of the features, without a body).
        n_outputs: K, the number of answers: classes, or actions and a value. 0 for none.
        n_maps: m, the number of maps: 1 shared, 2 for one each of policy and value.
        body: Layers before the responses. The published form copies the last residual stage at
            stride 1.
        norm: Makes a normalisation layer for a channel count. None leaves normalisation out, as
            actor-critic training needs: rollout and update must compute the same function.
        pool: Turns evidence [B, K, h, w] into logits [B, K]. None is global average pooling.

    Raises:
        ValueError: If a count is out of range.
    """

    def __init__(
        self,
        in_channels: int,
        n_outputs: int,
        *,
        n_maps: int = 1,
        body: nn.Module | None = None,
        norm: Norm | None = None,
        pool: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if in_channels < 1 or n_outputs < 0 or n_maps < 1:
            raise ValueError(
                "expected in_channels >= 1, n_outputs >= 0 and n_maps >= 1, "
                f"got {in_channels}, {n_outputs} and {n_maps}"
            )
        self.n_outputs = n_outputs
        self.n_maps = n_maps
        self.body = nn.Identity() if body is None else body
        self.pool = pool
        if n_outputs == 0:
            self.response = None
            self.evidence_head = None
            self.map_head = nn.Sequential(nn.Conv2d(in_channels, n_maps, 1))
            return
        self.response = nn.Sequential(
            *_normalised(norm, in_channels),
            nn.Conv2d(in_channels, n_outputs, 1, bias=norm is None),
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


def _normalised(norm: Norm | None, channels: int) -> list[nn.Module]:
    return [] if norm is None else [norm(channels)]
