"""M · f."""

from jaxtyping import Float
from torch import Tensor


def mask(
    features: Float[Tensor, "B C h w"], attention_map: Float[Tensor, "B one h w"]
) -> Float[Tensor, "B C h w"]:
    """Lets through only what the map shows (Mask-A3C, Itaya et al., IJCNN 2021)."""
    return features * attention_map
