"""The Bayesian ABN: what a network says when it is asked many times under MC dropout."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from rl_abn.attention import MapOverride
from rl_abn.errors import RlAbnError
from rl_abn.vision.models.abn import BranchDropout
from rl_abn.vision.models.modes import evaluating
from rl_abn.vision.models.network import VisionNetwork


class BayesianPrediction(NamedTuple):
    """What n samples of a classifier say about a batch of pictures, all in fp32.

    Entropies are predictive: of the probabilities' mean over the samples, divided by log K. So 0
    is a single class for certain and 1 is all classes alike, whatever their number.

    Attributes:
        probabilities: The answer, [B, K]: those of the branch with the lower entropy.
        entropy: Its entropy, [B], in 0..1.
        perception_probabilities: The perception branch's, [B, K].
        perception_entropy: Its entropy, [B].
        branch_probabilities: The attention branch's, [B, K]; None for the no-attention baseline.
        branch_entropy: Its entropy, [B], or None.
        from_branch: Where the prediction is the attention branch's, bool [B]; nowhere for the
            no-attention baseline.
        map_mean: Mean of the maps that were acted on, [B, m, h, w]; m is 0 for the no-attention
            baseline.
        map_std: Their standard deviation over the samples, of the same shape; 0 for one sample.
    """

    probabilities: Float[Tensor, "B K"]
    entropy: Float[Tensor, " B"]
    perception_probabilities: Float[Tensor, "B K"]
    perception_entropy: Float[Tensor, " B"]
    branch_probabilities: Float[Tensor, "B K"] | None
    branch_entropy: Float[Tensor, " B"] | None
    from_branch: Bool[Tensor, " B"]
    map_mean: Float[Tensor, "B m h w"]
    map_std: Float[Tensor, "B m h w"]


def sample(
    network: VisionNetwork,
    images: Float[Tensor, "B 3 H W"],
    n: int = 50,
    *,
    speed: Float[Tensor, " B"] | None = None,
    map_override: MapOverride | None = None,
) -> BayesianPrediction:
    """Asks a classifier n times under dropout (Gal and Ghahramani, ICML 2016; Tsukahara et al.).

    The extractor has no such dropout and runs once; both branches run all samples in one batched
    pass of n * B. Everything but the dropout is as in evaluation, and the network is left in the
    mode it was in. Dropout draws from torch's global generator of the device.

    Args:
        network: A classifier, built with `dropout`; without it all samples are the same.
        images: RGB, [B, 3, H, W], normalised as the network was trained.
        n: Samples. Tsukahara et al. take 50.
        speed: The vehicle's, [B], for a network that takes it.
        map_override: Maps to act on instead of each sample's own, that broadcast to
            [B, m, h, w], or a function of all samples' maps [n * B, m, h, w].

    Raises:
        RlAbnError: If the network is no classifier, or n is below 1.
        ValueError: If the override does not fit the maps.
    """
    if not network.task.categorical:
        raise RlAbnError(f"expected a network that classifies, got one of {network.task.unit}")
    if n < 1:
        raise RlAbnError(f"expected 1 or more samples, got {n}")
    with torch.no_grad(), _only_dropout(network):
        features = network.extract(images)
        attention = network.attend_features(
            _repeat(features, n),
            None if speed is None else _repeat(speed, n),
            _for_samples(map_override, n, len(images)),
        )
    maps = attention.map.unflatten(0, (n, -1))
    map_mean = maps.mean(dim=0)
    perception = probabilities, entropy = _predict(attention.outputs, n)
    branch_probabilities = branch_entropy = None
    from_branch = torch.zeros_like(entropy, dtype=torch.bool)
    if attention.branch_outputs is not None:
        branch_probabilities, branch_entropy = _predict(attention.branch_outputs, n)
        from_branch = branch_entropy < entropy
        probabilities = torch.where(from_branch[:, None], branch_probabilities, probabilities)
        entropy = torch.where(from_branch, branch_entropy, entropy)
    return BayesianPrediction(
        probabilities=probabilities,
        entropy=entropy,
        perception_probabilities=perception[0],
        perception_entropy=perception[1],
        branch_probabilities=branch_probabilities,
        branch_entropy=branch_entropy,
        from_branch=from_branch,
        map_mean=map_mean,
        map_std=(maps - map_mean).square().mean(dim=0).sqrt(),
    )


@contextmanager
def _only_dropout(network: VisionNetwork) -> Iterator[None]:
    """Evaluation mode, but for the Bayesian dropout; afterwards all is as it was."""
    with evaluating(network):
        for module in network.modules():
            if isinstance(module, BranchDropout):
                module.train()
        yield


def _repeat(batch: Tensor, n: int) -> Tensor:
    """[B, …] -> [n * B, …]: the whole batch n times, first sample first."""
    return torch.cat([batch] * n)


def _for_samples(override: MapOverride | None, n: int, n_images: int) -> MapOverride | None:
    if not isinstance(override, Tensor) or override.ndim < 4 or len(override) != n_images:
        return override  # one map for all pictures, or a function of the samples' own
    return _repeat(override, n)


def _predict(logits: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Returns mean probabilities [B, K] of n samples' logits [n * B, K], and their entropy [B]."""
    probabilities = logits.softmax(dim=1).unflatten(0, (n, -1)).mean(dim=0)
    nats = torch.special.entr(probabilities).sum(dim=1)
    return probabilities, nats / math.log(max(probabilities.shape[1], 2))
