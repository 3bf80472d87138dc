"""sum M · f, over places."""

from jaxtyping import Float
from torch import Tensor


def soft(
    features: Float[Tensor, "B C h w"], attention_map: Float[Tensor, "B one h w"]
) -> Float[Tensor, "B C 1 1"]:
    """Reads what is where the map lies, a map that sums to 1 (Xu et al., ICML 2015, eq. 13)."""
    return (features * attention_map).sum(dim=(2, 3), keepdim=True)
