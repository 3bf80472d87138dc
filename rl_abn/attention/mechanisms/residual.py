"""(1 + M) · f."""

from jaxtyping import Float
from torch import Tensor


def residual(
    features: Float[Tensor, "B C h w"], attention_map: Float[Tensor, "B one h w"]
) -> Float[Tensor, "B C h w"]:
    """Lifts the features where the map is high and never loses any (Fukui et al., eq. 2)."""
    return features + features * attention_map
