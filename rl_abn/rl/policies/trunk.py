"""The layers before the place where attention attaches, as stable-baselines3 wants them."""

from __future__ import annotations

from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor

from rl_abn.networks import NETWORKS, trace_shape
from rl_abn.rl.policies.settings import expect


class TrunkExtractor(BaseFeaturesExtractor):
    """The layers up to the place where attention attaches, as SB3 wants an extractor.

    Args:
        observation_space: [C, H, W].
        network: A name in `NETWORKS`.
        attention_at: Map size for 84x84 observations; None takes the network's default.
        layer_norm: Whether the fully connected layer's outputs are normalised.
    """

    def __init__(
        self,
        observation_space: spaces.Box,
        network: str = "nature",
        attention_at: int | None = None,
        layer_norm: bool = False,
    ) -> None:
        expect("extractor", network, NETWORKS)
        in_shape = observation_space.shape
        if len(in_shape) != 3:
            raise ValueError(f"expected observations of shape [C, H, W], got {in_shape}")
        options = {"layer_norm": True} if layer_norm else {}
        at = attention_at or NETWORKS[network].attention_at[0]
        plan = NETWORKS[network](in_shape, at, **options)
        layers = plan.extractor()
        out_shape = trace_shape(layers, in_shape)
        super().__init__(observation_space, out_shape[0] * out_shape[1] * out_shape[2])
        self.plan = plan
        self.layers = layers
        self.out_shape = out_shape

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, channels, h, w]."""
        features: Tensor = self.layers(images)
        return features
