"""The layers before the place where attention attaches, as stable-baselines3 wants them."""

from __future__ import annotations

from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor

from rl_abn.networks import NETWORKS, check_size, trace_shape
from rl_abn.rl.policies.settings import expect


class TrunkExtractor(BaseFeaturesExtractor):
    """The layers up to the place where attention attaches, as SB3 wants an extractor.

    Args:
        observation_space: [C, H, W].
        network: A name in `NETWORKS`.
        attention_at: Map size for 84x84 observations; None takes the network's default.
        layer_norm: Whether the fully connected layer's outputs are normalised.

    Raises:
        ValueError: If observations are no pictures, or too small for the network.
    """

    def __init__(
        self,
        observation_space: spaces.Box,
        network: str = "nature",
        attention_at: int | None = None,
        layer_norm: bool = False,
    ) -> None:
        expect("extractor", network, NETWORKS)
        attention_at = attention_at or NETWORKS[network].attention_at[0]
        in_shape = check_pictures(observation_space)
        check_size(NETWORKS[network], in_shape, attention_at)
        options = {"layer_norm": True} if layer_norm else {}
        plan = NETWORKS[network](in_shape, attention_at, **options)
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


def check_pictures(observation_space: spaces.Space) -> tuple[int, int, int]:
    """Returns the shape [C, H, W] of observations; raises ValueError if they are no pictures."""
    shape = observation_space.shape
    if not isinstance(observation_space, spaces.Box) or shape is None or len(shape) != 3:
        got = " ".join(str(observation_space).split())
        raise ValueError(f"expected pictures as observations, Box [C, H, W], got {got}")
    channels, height, width = shape
    return channels, height, width
