"""F, untouched: the baseline on the same trunk."""

from jaxtyping import Float
from torch import Tensor


def none(
    features: Float[Tensor, "B C h w"], attention_map: Float[Tensor, "B one h w"]
) -> Float[Tensor, "B C h w"]:
    """Returns the features as they are; the map has no say."""
    return features
