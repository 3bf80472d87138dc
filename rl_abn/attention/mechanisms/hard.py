"""Hard attention: one sampled location."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from rl_abn.attention.mechanism import Abilities
from rl_abn.attention.mechanisms.glimpse import Glimpse, GlimpseSampler, QueriedMechanism


class HardAttention(QueriedMechanism):
    """Reads one location, sampled by its probability (Xu et al., ICML 2015, section 4.1, eq. 8).

    Maps that an intervention puts in may spread over several locations; they are read as soft
    attention's are.
    """

    abilities: ClassVar[Abilities] = Abilities(
        splits=False, queries=True, samples=True, sums_to_one=True
    )

    def glimpse(
        self,
        keys: Float[Tensor, "n hidden h w"],
        query: Float[Tensor, "n q"],
        choose: Tensor | GlimpseSampler | None = None,
    ) -> Glimpse:
        """Returns a map that is 1 at the chosen location, and what it was chosen from."""
        logits = self.log_probabilities(keys, query)
        if choose is None:
            location = logits.argmax(dim=1)
        else:
            location = choose if isinstance(choose, Tensor) else choose(logits)
        height, width = keys.shape[2:]
        return Glimpse(one_hot_map(location, height, width, like=keys), logits, location)


def one_hot_map(
    location: Int64[Tensor, " B"], height: int, width: int, like: Tensor
) -> Float[Tensor, "B 1 h w"]:
    """Returns maps that are 1 at one location and 0 elsewhere, in the type of another tensor.

    Args:
        location: Which, row by row, 0..h*w - 1.
        height: h.
        width: w.
        like: A tensor of the type the maps are to have.
    """
    return F.one_hot(location, height * width).to(like.dtype).view(-1, 1, height, width)
