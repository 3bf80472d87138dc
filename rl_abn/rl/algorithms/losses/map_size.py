"""What keeps maps small, sharp or on the move, so that where they are high means something."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from rl_abn.attention import map_statistics
from rl_abn.attention.statistics import place_entropy, place_shares
from rl_abn.rl.algorithms.losses.auxiliary import AuxiliaryLoss, LossTerms, Objective, Weight
from rl_abn.rl.algorithms.rollout_buffer import RolloutSamples
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.policies.outputs import PolicyOutput


@dataclass(frozen=True)
class _MapSize(AuxiliaryLoss):
    """A price of the maps, added to the loss as coef times their mean price.

    Attributes:
        coef: Its weight.
    """

    coef: Weight

    name: ClassVar[str]
    """What it is logged as."""

    @abstractmethod
    def price(self, attention_map: Float[Tensor, "B m h w"]) -> Float[Tensor, "B m"]:
        """Computes what each map costs."""

    def check(self, policy: AttentionPolicy) -> None:
        """Raises ValueError if the policy has no maps that gradients reach."""
        _check_has_maps(self, policy)

    def __call__(
        self,
        policy: AttentionPolicy,
        output: PolicyOutput,
        samples: RolloutSamples,
        objective: Objective,
    ) -> LossTerms:
        """Computes the weighted mean price."""
        price = self.price(output.map).mean()
        return self.coef * price, {self.name: price}


@dataclass(frozen=True)
class MapArea(_MapSize):
    """The maps' mean value, 0..1: looking costs, wherever it is."""

    name: ClassVar[str] = "map_area"

    def price(self, attention_map: Float[Tensor, "B m h w"]) -> Float[Tensor, "B m"]:
        """Returns the means over the places."""
        return attention_map.mean(dim=(2, 3))


@dataclass(frozen=True)
class MapEntropy(_MapSize):
    """The maps' normalised entropy, 0..1: looking at many places at once costs.

    For maps that are shared out, softmax's and those of unit mean, where a mean says nothing.
    """

    name: ClassVar[str] = "map_entropy"

    def price(self, attention_map: Float[Tensor, "B m h w"]) -> Float[Tensor, "B m"]:
        """Returns the entropies; 1 is an even map, 0 a single place."""
        return map_statistics(attention_map).entropy


@dataclass(frozen=True)
class MapInformation(AuxiliaryLoss):
    """Pays for maps that say something of the moment: coef times what they leave unsaid.

    A map that is sharp at one place for ever costs a policy nothing: the layers behind it learn
    what stands there. This is 1 - I / log(h w), where I is the mutual information of the moment
    and the place (Bridle et al., NIPS 1991, with places for classes): the entropy of the mean map
    minus the mean entropy of the maps. It is 1 for maps that are even or never change, and 0 where
    each looks at one place and together they look everywhere.

    Attributes:
        coef: Its weight.
    """

    coef: Weight

    def check(self, policy: AttentionPolicy) -> None:
        """Raises ValueError if the policy has no maps that gradients reach."""
        _check_has_maps(self, policy)

    def __call__(
        self,
        policy: AttentionPolicy,
        output: PolicyOutput,
        samples: RolloutSamples,
        objective: Objective,
    ) -> LossTerms:
        """Computes coef * (1 - I / log(h w)) over the minibatch, mean over the maps."""
        shares = place_shares(output.map)  # [B, m, h, w]
        information = place_entropy(shares.mean(dim=0)) - place_entropy(shares).mean(dim=0)
        unsaid = 1 - information.mean() / math.log(shares[0, 0].numel())
        return self.coef * unsaid, {"map_information": 1 - unsaid}


def _check_has_maps(loss: AuxiliaryLoss, policy: AttentionPolicy) -> None:
    if not policy.settings.abilities.editable:
        raise ValueError(
            f"expected a policy with maps for {type(loss).__name__}, "
            f"got mechanism '{policy.settings.mechanism}'"
        )
