"""What keeps maps small or sharp, so that where they are high means something."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from rl_abn.attention import map_statistics
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
