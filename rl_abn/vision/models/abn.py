"""An attention mechanism over any backbone, and the no-attention baseline of each."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from rl_abn.attention import (
    MECHANISMS,
    Attention,
    AttentionSite,
    MapOverride,
    Mechanism,
    WeightedGlobalPooling,
    override_map,
)
from rl_abn.errors import RlAbnError
from rl_abn.recipes.vision import check_vision_mechanism
from rl_abn.vision.models.backbone import Backbone, he_init
from rl_abn.vision.models.network import VisionAttention, VisionNetwork
from rl_abn.vision.tasks import Task


class BranchDropout(nn.Module):
    """The dropout that makes a network Bayesian; on in training and while it is sampled.

    A backbone's own dropout, such as a wide residual network's, is of another kind: it belongs to
    training alone.

    Args:
        probability: Of dropping, 0 up to but not including 1.
        whole_channels: Whether a channel is dropped in all places at once. In front of an average
            that is what counts: dropped here and there, the average would hardly change.
    """

    def __init__(self, probability: float, *, whole_channels: bool = False) -> None:
        super().__init__()
        self.probability = probability
        self.whole_channels = whole_channels

    def forward(self, inputs: Tensor) -> Tensor:
        """[B, …] -> the same shape."""
        drop = F.dropout2d if self.whole_channels else F.dropout
        return drop(inputs, self.probability, self.training)


class AbnNetwork(VisionNetwork):
    """Extractor, attention mechanism, gate, perception branch (Fukui et al., CVPR 2019).

    The no-attention baseline (mechanism "none") is the same trunk. Its parameters carry the same
    names, and the same seed gives both the same weights.

    Args:
        backbone: What trunk it is.
        n_outputs: K, the number of outputs.
        mechanism: A name in `MECHANISMS`, of one that needs no query.
        mechanism_options: The mechanism's own options.
        dropout: Probability of MC dropout in both branches, in front of the last stage and, whole
            channels, in front of the head (Tsukahara et al. take 0.3). 0 is none.
        task: What it is trained to do, the name of a task whose outputs share a map; None takes
            the backbone's default.

    Raises:
        RlAbnError: If an argument is out of range, or one that the backbone does not offer.
    """

    map_per_output: ClassVar[bool] = False
    """Whether it is for tasks with a map for each output; the others' outputs share one."""

    def __init__(
        self,
        backbone: Backbone,
        n_outputs: int,
        *,
        mechanism: str = "residual",
        mechanism_options: Mapping[str, Any] | None = None,
        dropout: float = 0.0,
        task: str | None = None,
    ) -> None:
        super().__init__()
        _check(backbone, n_outputs, mechanism, dropout)
        self.task = _choose(backbone, self.map_per_output, task)
        self.mechanism = mechanism
        self.abilities = MECHANISMS[mechanism].abilities_with(**(mechanism_options or {}))
        self.n_outputs = n_outputs
        has_maps = self.abilities.maps is not None
        self.n_maps = self.task.n_maps(n_outputs) if has_maps else 0
        if self.n_maps > 1 and not self.abilities.splits:
            raise RlAbnError(
                f"expected a mechanism that makes several maps for the task {self.task.name}, "
                f"got '{mechanism}', which makes one; the nearest is 'mask'"
            )
        self.takes_speed = backbone.takes_speed
        self.size = backbone.size
        self.extractor = backbone.extractor()
        self.perception = nn.Sequential(
            BranchDropout(dropout), backbone.perception(), BranchDropout(dropout)
        )
        self.head = backbone.head(backbone.features_dim + self.takes_speed, n_outputs)
        # Last, so that the same seed gives the no-attention baseline the same trunk.
        site = _site(self, backbone, dropout)
        try:
            self.branch: Mechanism = MECHANISMS[mechanism](site, **(mechanism_options or {}))
        except ValueError as error:  # an option that does not go with this backbone
            raise RlAbnError(f"attention of {type(backbone).__name__}: {error}") from None
        for layer in self.branch.own_layers():
            he_init(layer)
        self.branch.set_own_start()

    def extract(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C h w"]:
        """Computes the features before the split, [B, C, h, w]."""
        if self.size is not None and tuple(images.shape[2:]) != self.size:
            expected, got = ("x".join(map(str, size)) for size in (self.size, images.shape[2:]))
            raise ValueError(f"expected pictures of {expected} (height x width), got {got}")
        features: Tensor = self.extractor(images)
        return features

    def attend_features(
        self,
        features: Float[Tensor, "B C h w"],
        speed: Float[Tensor, " B"] | None = None,
        map_override: MapOverride | None = None,
    ) -> VisionAttention:
        """Computes everything after the split; the arguments are those of `attend`."""
        if map_override is not None and not self.n_maps:
            raise ValueError("expected a network with attention, got a map for one without")
        attention = self.branch(features)
        attention = attention._replace(map=override_map(attention.map, map_override))
        return VisionAttention(
            outputs=self._answer(self._perceive(features, attention, speed)),
            branch_outputs=self._answer(attention.logits) if self.abilities.answers else None,
            map=attention.map.float(),
            evidence=attention.evidence.float(),
            own_loss=attention.own_loss,
            log_prob=attention.log_prob,
        )

    def _perceive(self, features: Tensor, attention: Attention, speed: Tensor | None) -> Tensor:
        gated = self.branch.gate(features, attention.map, *attention.context)
        return self._decide(gated, speed)

    def _decide(self, gated: Tensor, speed: Tensor | None) -> Tensor:
        """Computes outputs [B, K] of gated features [B, C, h, w]."""
        latent: Tensor = self.perception(gated)
        if self.takes_speed:
            if speed is None:
                raise ValueError("expected the speed at every frame, got none")
            latent = torch.cat([latent, speed[:, None].to(latent)], dim=1)
        answer: Tensor = self.head(latent)
        return answer

    def _answer(self, answer: Tensor) -> Tensor:
        return self.task.activation(answer.float())


def _site(network: AbnNetwork, backbone: Backbone, dropout: float) -> AttentionSite:
    """Describes the place after a backbone's extractor to the mechanism that attaches there."""

    def body() -> nn.Module:
        return nn.Sequential(
            BranchDropout(dropout),
            backbone.branch_body(),
            BranchDropout(dropout, whole_channels=True),
        )

    n_outputs = network.n_outputs
    return AttentionSite(
        channels=backbone.channels,
        n_maps=network.n_maps,
        n_outputs=n_outputs if network.abilities.answers else 0,
        body=body,
        body_channels=backbone.body_channels,
        norm=nn.BatchNorm2d,
        pool=partial(_pool, backbone, n_outputs) if network.task.weighted_pooling else None,
        map_size=backbone.map_size,
    )


def _pool(backbone: Backbone, n_outputs: int) -> nn.Module:
    if backbone.map_size is None:
        raise ValueError(f"expected a map_size of {type(backbone).__name__}, to weigh locations")
    return WeightedGlobalPooling(n_outputs, backbone.map_size)


def _check(backbone: Backbone, n_outputs: int, mechanism: str, dropout: float) -> None:
    if n_outputs < 1:
        raise RlAbnError(f"expected 1 or more outputs, got {n_outputs}")
    try:
        check_vision_mechanism(mechanism)
    except ValueError as error:
        raise RlAbnError(str(error)) from None
    if MECHANISMS[mechanism].abilities.maps is not None and not backbone.attends:
        name = type(backbone).__name__
        raise RlAbnError(
            f"expected mechanism 'none' for {name}, which has no attention, got '{mechanism}'"
        )
    if not 0 <= dropout < 1:
        raise RlAbnError(f"expected a dropout of 0 up to but not including 1, got {dropout}")


def _choose(backbone: Backbone, map_per_output: bool, name: str | None) -> Task:
    every = backbone.tasks()
    choices = {name: task for name, task in every.items() if task.map_per_output == map_per_output}
    name = name or next(iter(choices), None)
    if name not in choices:
        raise RlAbnError(
            f"expected a task of {list(choices or every)} "
            f"for {type(backbone).__name__}, got '{name}'"
        )
    return choices[name]
