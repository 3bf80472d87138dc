"""What keeps maps small, sharp or on the move, so that where they are high means something."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from rl_abn.attention import map_statistics
from rl_abn.attention.statistics import (
    even_entropy,
    place_cross_entropy,
    place_entropy,
    place_shares,
)
from rl_abn.rl.algorithms.losses.auxiliary import AuxiliaryLoss, LossTerms, Objective, Weight
from rl_abn.rl.algorithms.minibatch_share import MinibatchShare
from rl_abn.rl.algorithms.rollout_buffer import RolloutSamples
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.policies.outputs import PolicyOutput


@dataclass(frozen=True)
class _MapPrice(AuxiliaryLoss):
    """A price of the maps, added to the loss as coef times the price.

    Attributes:
        coef: Its weight.
    """

    coef: Weight

    name: ClassVar[str]
    """What the measure is logged as."""

    @abstractmethod
    def measure(
        self, attention_map: Float[Tensor, "B m h w"], share: MinibatchShare
    ) -> Float[Tensor, ""]:
        """Measures the maps of a share of a minibatch.

        The mean over the shares, by their weights, is the measure of the whole minibatch, and so
        are the gradients.
        """

    def price(self, measured: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """Returns what they cost by what was measured: that much, where nothing else is said."""
        return measured

    def check(self, policy: AttentionPolicy) -> None:
        """Raises ValueError if the policy has no maps that gradients reach."""
        if not policy.settings.abilities.editable:
            raise ValueError(
                f"expected a policy with maps for {type(self).__name__}, "
                f"got mechanism '{policy.settings.mechanism}'"
            )

    def __call__(
        self,
        policy: AttentionPolicy,
        output: PolicyOutput,
        samples: RolloutSamples,
        objective: Objective,
    ) -> LossTerms:
        """Computes the weighted price."""
        measured = self.measure(output.map, samples.share)
        return self.coef * self.price(measured), {self.name: measured}


@dataclass(frozen=True)
class MapArea(_MapPrice):
    """The maps' mean value, 0..1: looking costs, wherever it is."""

    name: ClassVar[str] = "map_area"

    def measure(
        self, attention_map: Float[Tensor, "B m h w"], share: MinibatchShare
    ) -> Float[Tensor, ""]:
        """Returns the mean over maps and places."""
        return attention_map.mean(dim=(2, 3)).mean()


@dataclass(frozen=True)
class MapEntropy(_MapPrice):
    """The maps' normalised entropy, 0..1: looking at many places at once costs.

    For maps that are shared out, softmax's and those of unit mean, where a mean says nothing.
    """

    name: ClassVar[str] = "map_entropy"

    def measure(
        self, attention_map: Float[Tensor, "B m h w"], share: MinibatchShare
    ) -> Float[Tensor, ""]:
        """Returns the mean entropy; 1 is an even map, 0 a single place."""
        return map_statistics(attention_map).entropy.mean()


@dataclass(frozen=True)
class MapInformation(_MapPrice):
    """How much maps say of the moment they are of, 0..1: what they leave unsaid costs.

    A map that is sharp at one place for ever costs a policy nothing: the layers behind it learn
    what stands there. This is I / log(h w), where I is the mutual information of the moment and the
    place (Bridle et al., NIPS 1991, with places for classes): the entropy of the mean map minus the
    mean entropy of the maps. It is 0 for maps that are even or never change, and 1 where each looks
    at one place and together they look everywhere.
    """

    spans_minibatch: ClassVar[bool] = True
    name: ClassVar[str] = "map_information"

    def measure(
        self, attention_map: Float[Tensor, "B m h w"], share: MinibatchShare
    ) -> Float[Tensor, ""]:
        """Returns the information over the minibatch, mean over the maps."""
        places = place_shares(attention_map)
        own = places.mean(dim=0)
        # The mean map is that of the whole minibatch: the mean maps of a few moments differ more
        # from it the fewer they are. Its entropy is the shares' mean cross-entropy with it, and as
        # maps sum to 1 it has the same gradient where the mean map is held fixed.
        of_mean = (
            place_entropy(own) if share.is_whole else place_cross_entropy(own, share.mean(own))
        )
        information = of_mean - place_entropy(places).mean(dim=0)
        return information.mean() / even_entropy(places[0, 0].numel())

    def price(self, measured: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """Returns what is left unsaid."""
        return 1 - measured
