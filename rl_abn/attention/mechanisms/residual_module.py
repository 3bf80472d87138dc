"""(1 + M) · T, M a weight a channel and location: the module of residual attention networks."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from rl_abn.attention.mechanism import Attention, AttentionSite, no_answer
from rl_abn.attention.mechanisms.featurewise import FeaturewiseMechanism
from rl_abn.attention.mechanisms.hourglass import Hourglass, ResidualUnit

FORMS = ("residual", "naive")
ACTIVATIONS = ("mixed", "channel", "spatial")
_TINY = 1e-5


class ResidualAttentionModule(FeaturewiseMechanism):
    """Weights a trunk's features by a soft mask branch (Wang et al., CVPR 2017).

    The mask branch is an hourglass, two 1x1 convolutions and an activation; the trunk branch is a
    number of residual units. Their outputs are multiplied feature by feature.

    Args:
        site: Where it attaches.
        form: "residual", (1 + M) · T (eq. 3), or "naive", M · T (eq. 1).
        activation: How scores become weights: "mixed", a sigmoid of each (eq. 4); "channel", the
            scores divided by their length over the channels of a location (eq. 5), rectified so
            that they are weights; "spatial", a sigmoid of scores with mean 0 and deviation 1 over
            the locations of a channel (eq. 6).
        depth: How often the mask branch halves height and width.
        trunk_units: t, residual units of the trunk branch; 0 takes the features as they are.

    Raises:
        ValueError: If an option is out of range.
    """

    def __init__(
        self,
        site: AttentionSite,
        *,
        form: str = "residual",
        activation: str = "mixed",
        depth: int = 2,
        trunk_units: int = 1,
    ) -> None:
        super().__init__()
        if form not in FORMS:
            raise ValueError(f"expected a form of {FORMS}, got '{form}'")
        if activation not in ACTIVATIONS:
            raise ValueError(f"expected an activation of {ACTIVATIONS}, got '{activation}'")
        if trunk_units < 0:
            raise ValueError(f"expected trunk_units of 0 or more, got {trunk_units}")
        channels = site.channels
        self.form, self.activation, self.n_maps = form, activation, site.n_maps
        self.trunk = nn.Sequential(*(ResidualUnit(channels, site.norm) for _ in range(trunk_units)))
        self.mask = nn.Sequential(
            Hourglass(channels, depth, site.norm, mode="bilinear"),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 1),
            nn.ReLU(),
            nn.Conv2d(channels, site.n_maps * channels, 1),
        )

    def forward(self, features: Float[Tensor, "B C h w"]) -> Attention:
        """Computes a weight for every feature, maps of [B, m, C, h * w]."""
        scores = self.as_map(self.mask(features), self.n_maps)
        return no_answer(features, self._activate(scores))

    def _activate(self, scores: Float[Tensor, "B m C places"]) -> Float[Tensor, "B m C places"]:
        if self.activation == "channel":
            length: Tensor = scores.norm(dim=2, keepdim=True)
            return scores.relu() / length.clamp_min(_TINY)
        if self.activation == "spatial":
            deviation, mean = _deviation_and_mean(scores)
            scores = (scores - mean) / (deviation + _TINY)
        return scores.sigmoid()

    def gate(
        self, features: Float[Tensor, "B C h w"], attention_map: Float[Tensor, "B 1 C places"]
    ) -> Float[Tensor, "B C h w"]:
        """Returns (1 + M) · T(F), or M · T(F) in the naive form, [B, C, h, w]."""
        trunk: Tensor = self.trunk(features)
        weights = self.as_weights(attention_map, features)
        return trunk * (1 + weights) if self.form == "residual" else trunk * weights

    def quiet_layers(self) -> tuple[nn.Module, ...]:
        """Returns the last layer of the mask branch: weights start close to 1/2."""
        return (self.mask[4],)


def _deviation_and_mean(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Returns both over the locations; the deviation of one location is 0."""
    mean = scores.mean(dim=3, keepdim=True)
    # The root of 0 has no gradient.
    return (scores - mean).square().mean(dim=3, keepdim=True).clamp_min(_TINY**2).sqrt(), mean
